//! The places of a sorted set within an area: of the square of its middle and the eight around it, those that may have some
//! are looked through. The order is that of Redis.

use super::cell::{Cell, STEPS_MAX, Span};
use super::{DEGREE, EARTH_RADIUS, Point};
use crate::collection::{ScoreBound, ScoreRange, Selection, SortedRef};

/// Half of the equator as Redis has it, in metres.
const HALF_EQUATOR: f64 = 20_037_726.37;

/// What is looked for around a place, in a unit of length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// All that is not further away than this.
    Circle(f64),
    /// All that is not further away than half of this.
    Rectangle {
        /// To the east and to the west.
        width: f64,
        /// To the north and to the south.
        height: f64,
    },
}

/// An area on the map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// Its middle.
    pub middle: Point,
    /// Its form.
    pub shape: Shape,
    /// The unit of its lengths, in metres.
    pub unit: f64,
}

/// A member that is within an area.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found<'a> {
    /// The member.
    pub member: &'a [u8],
    /// Its score.
    pub score: f64,
    /// Its place.
    pub point: Point,
    /// How far it is from the middle, in metres.
    pub distance: f64,
}

impl Area {
    /// How far its edges are away, to the east and to the north, in metres.
    fn reach(self) -> (f64, f64) {
        match self.shape {
            Shape::Circle(radius) => (self.unit * radius, self.unit * radius),
            Shape::Rectangle { width, height } => (self.unit * (width / 2.0), self.unit * (height / 2.0)),
        }
    }

    /// How far the furthest of it is away, in metres.
    fn radius(self) -> f64 {
        let radius = match self.shape {
            Shape::Circle(radius) => radius,
            Shape::Rectangle { width, height } => {
                ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt()
            }
        };
        radius * self.unit
    }

    /// The degrees that it may have, to the east and to the north.
    fn bounds(self) -> (Span, Span) {
        let Point { longitude, latitude } = self.middle;
        let (east, north) = self.reach();
        let up = north / EARTH_RADIUS / DEGREE;
        // The meridians are closest at the edge that is nearer to the pole.
        let edge = if latitude < 0.0 { latitude - up } else { latitude + up };
        let across = east / EARTH_RADIUS / (edge * DEGREE).cos() / DEGREE;
        let around = |degree: f64, by: f64| Span { min: degree - by, max: degree + by };
        (around(longitude, across), around(latitude, up))
    }

    /// How often the map is halved so that the squares are not smaller than it.
    fn steps(self) -> u32 {
        let mut radius = self.radius();
        if radius == 0.0 {
            return STEPS_MAX;
        }
        let mut steps = 1i32;
        while radius < HALF_EQUATOR {
            radius *= 2.0;
            steps += 1;
        }
        let from_equator = self.middle.latitude.abs();
        let polar = i32::from(from_equator > 66.0) + i32::from(from_equator > 80.0);
        (steps - 2 - polar).clamp(1, STEPS_MAX as i32) as u32
    }

    /// The squares that may have some of it, in the order in which they are looked through.
    fn cells(self) -> Vec<Cell> {
        let (longitude, latitude) = self.bounds();
        let mut steps = self.steps();
        let middle = Cell::of(self.middle, steps);
        let (north, south) = (middle.beside(0, 1).spans().1, middle.beside(0, -1).spans().1);
        let (east, west) = (middle.beside(1, 0).spans().0, middle.beside(-1, 0).spans().0);
        let is_too_small = north.max < latitude.max
            || south.min > latitude.min
            || east.max < longitude.max
            || west.min > longitude.min;
        if is_too_small && steps > 1 {
            steps -= 1;
        }
        let middle = Cell::of(self.middle, steps);
        let (in_longitude, in_latitude) = middle.spans();
        let is_useless = |east: i64, north: i64| {
            steps >= 2
                && (north < 0 && in_latitude.min < latitude.min
                    || north > 0 && in_latitude.max > latitude.max
                    || east < 0 && in_longitude.min < longitude.min
                    || east > 0 && in_longitude.max > longitude.max)
        };
        let around = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
        let mut cells: Vec<Cell> = Vec::with_capacity(around.len());
        for (east, north) in around.into_iter().filter(|(east, north)| !is_useless(*east, *north)) {
            let cell = middle.beside(east, north);
            // Where the map has few squares, one is on both sides.
            if !cells.contains(&cell) {
                cells.push(cell);
            }
        }
        cells
    }

    /// How far a place is from the middle, in metres, if it is within the area.
    fn distance(self, point: Point) -> Option<f64> {
        match self.shape {
            Shape::Circle(radius) => {
                let distance = self.middle.distance(point);
                (distance <= radius * self.unit).then_some(distance)
            }
            Shape::Rectangle { width, height } => {
                if point.distance_north(self.middle) > height * self.unit / 2.0 {
                    return None;
                }
                let beside = Point { longitude: self.middle.longitude, ..point };
                (point.distance(beside) <= width * self.unit / 2.0).then(|| self.middle.distance(point))
            }
        }
    }
}

/// The members within an area, at most `limit`.
pub fn search<'a>(set: SortedRef<'a>, area: Area, limit: usize) -> Vec<Found<'a>> {
    let mut found = Vec::new();
    for cell in area.cells() {
        let (min, max) = (cell.aligned() as f64, cell.end() as f64);
        let range = ScoreRange { min: ScoreBound::Inclusive(min), max: ScoreBound::Exclusive(max) };
        let ranks = Selection::Scores(range).ranks(set);
        let members = set.range(ranks, false).filter_map(|(member, score)| {
            let point = Point::of_score(score);
            area.distance(point).map(|distance| Found { member, score, point, distance })
        });
        found.extend(members.take(limit - found.len()));
        if found.len() == limit {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collection::{SortedValue, Thresholds};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn all_that_is_within_is_found_once(
            middle in (-180.0f64..180.0, -60.0f64..60.0),
            points in proptest::collection::vec((-180.0f64..180.0, -75.0f64..75.0, -14i32..0), 1..60),
            size in (1.0f64..400_000.0, 1.0f64..400_000.0),
            is_circle in any::<bool>(),
        ) {
            let middle = Point::new(middle.0, middle.1).expect("on the map");
            let mut set = SortedValue::default();
            for (n, (longitude, latitude, power)) in points.iter().enumerate() {
                // Most of them are near the middle.
                let scale = 2f64.powi(*power);
                let longitude = (middle.longitude + longitude * scale).clamp(-180.0, 180.0);
                let latitude = (middle.latitude + latitude * scale).clamp(-85.0, 85.0);
                let score = Point::new(longitude, latitude).expect("on the map").score();
                set.set(score, n.to_string().as_bytes(), &Thresholds::default());
            }
            let shape = if is_circle { Shape::Circle(size.0) } else { Shape::Rectangle { width: size.0, height: size.1 } };
            let area = Area { middle, shape, unit: 1.0 };
            // Squares do not go over the edge of the map: neither does what is looked for here.
            let across = area.bounds().0;
            prop_assume!(across.min > -180.0 && across.max < 180.0);
            let all = search(set.view(), area, usize::MAX);
            let mut found: Vec<&[u8]> = all.iter().map(|found| found.member).collect();
            found.sort_unstable();
            let within = |(_, score): &(&[u8], f64)| area.distance(Point::of_score(*score)).is_some();
            let mut expected: Vec<&[u8]> = set.view().iter().filter(within).map(|(member, _)| member).collect();
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(search(set.view(), area, 1).len(), all.len().min(1));
        }
    }
}
