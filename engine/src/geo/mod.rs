//! Places on the earth as scores of a sorted set: a geohash of 52 bits, exactly as Redis makes it, so that those that are
//! near each other have scores that are near each other.

mod cell;
mod search;

pub use search::{Area, Found, Shape, search};

use cell::{Cell, LATITUDE, LONGITUDE, STEPS_MAX, Span};

/// The radius of the earth, in metres.
const EARTH_RADIUS: f64 = 6_372_797.560_856;
const DEGREE: f64 = std::f64::consts::PI / 180.0;

/// A place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Degrees to the east.
    pub longitude: f64,
    /// Degrees to the north.
    pub latitude: f64,
}

impl Point {
    /// A place; `None` where it is none, or too near a pole.
    pub fn new(longitude: f64, latitude: f64) -> Option<Point> {
        let is_one = LONGITUDE.has(longitude) && LATITUDE.has(latitude);
        is_one.then_some(Point { longitude, latitude })
    }

    /// Its score.
    pub fn score(self) -> f64 {
        Cell::of(self, STEPS_MAX).aligned() as f64
    }

    /// The middle of the square that a score stands for.
    pub fn of_score(score: f64) -> Point {
        // A negative one is none of a place; the bits are those that C makes of it.
        let bits = if score < 0.0 { score as i64 as u64 } else { score as u64 };
        let (longitude, latitude) = Cell { bits, steps: STEPS_MAX }.spans();
        Point { longitude: LONGITUDE.clamp(longitude.middle()), latitude: LATITUDE.clamp(latitude.middle()) }
    }

    /// The usual geohash of it, which has other bounds of the latitude: 11 characters, of which the last one says nothing.
    pub fn geohash(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        const BITS: u32 = 5;
        let bits = Cell::within(self, STEPS_MAX, LONGITUDE, Span { min: -90.0, max: 90.0 }).bits;
        let mut text = [ALPHABET[0]; 11];
        for (at, byte) in text[..10].iter_mut().enumerate() {
            *byte = ALPHABET[(bits >> (52 - BITS * (at as u32 + 1)) & 31) as usize];
        }
        text
    }

    /// The way to another place over the surface of a sphere, in metres.
    pub fn distance(self, other: Point) -> f64 {
        let across = ((other.longitude * DEGREE - self.longitude * DEGREE) / 2.0).sin();
        if across == 0.0 {
            return self.distance_north(other);
        }
        let (from, to) = (self.latitude * DEGREE, other.latitude * DEGREE);
        let up = ((to - from) / 2.0).sin();
        // In the order in which Redis multiplies, so that all digits are the same.
        let square = up * up + from.cos() * to.cos() * across * across;
        2.0 * EARTH_RADIUS * square.sqrt().asin()
    }

    /// The way to the latitude of another place, in metres.
    fn distance_north(self, other: Point) -> f64 {
        EARTH_RADIUS * (other.latitude * DEGREE - self.latitude * DEGREE).abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PALERMO: Point = Point { longitude: 13.361389, latitude: 38.115556 };
    const CATANIA: Point = Point { longitude: 15.087269, latitude: 37.502669 };

    #[test]
    fn places_have_the_scores_of_redis() {
        assert_eq!((PALERMO.score(), CATANIA.score()), (3_479_099_956_230_698.0, 3_479_447_370_796_909.0));
        let again = Point::of_score(PALERMO.score());
        assert_eq!((again.longitude, again.latitude), (13.361_389_338_970_184, 38.115_556_395_496_3));
        assert_eq!(&Point::of_score(PALERMO.score()).geohash(), b"sqc8b49rny0");
        assert_eq!(&Point::of_score(CATANIA.score()).geohash(), b"sqdtr74hyu0");
        let (a, b) = (Point::of_score(PALERMO.score()), Point::of_score(CATANIA.score()));
        assert_eq!(format!("{:.4}", a.distance(b)), "166274.1516");
    }

    #[test]
    fn a_place_is_on_the_map_and_any_score_is_one() {
        for (longitude, latitude) in [(180.1, 0.0), (-180.1, 0.0), (0.0, 85.06), (0.0, -85.06), (f64::NAN, 0.0)] {
            assert_eq!(Point::new(longitude, latitude), None);
        }
        for score in [-1.0, 0.0, 1e300, -1e300, f64::INFINITY, f64::NEG_INFINITY, 4_503_599_627_370_496.0] {
            let Point { longitude, latitude } = Point::of_score(score);
            assert!(Point::new(longitude, latitude).is_some(), "{score}");
        }
        for (longitude, latitude) in [(180.0, 85.05112878), (-180.0, -85.05112878), (0.0, 0.0)] {
            let point = Point::new(longitude, latitude).expect("at the edge");
            assert!(point.distance(Point::of_score(point.score())) < 1.0);
        }
    }
}
