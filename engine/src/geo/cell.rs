//! The squares that the map is divided into, step by step: each step halves them in both directions. A square is the bits of
//! its latitude and its longitude in turn.

use super::Point;

/// The steps of a score.
pub const STEPS_MAX: u32 = 26;

/// From one degree to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

/// The degrees of the map to the east.
pub const LONGITUDE: Span = Span { min: -180.0, max: 180.0 };
/// The degrees of the map to the north.
pub const LATITUDE: Span = Span { min: -85.051_128_78, max: 85.051_128_78 };

impl Span {
    /// Whether it has a degree.
    pub fn has(self, degree: f64) -> bool {
        degree >= self.min && degree <= self.max
    }

    /// The nearest degree of it.
    pub fn clamp(self, degree: f64) -> f64 {
        degree.clamp(self.min, self.max)
    }

    /// Its middle.
    pub fn middle(self) -> f64 {
        (self.min + self.max) / 2.0
    }

    /// The number of the part that has a degree, of 2^steps parts.
    fn part_of(self, degree: f64, steps: u32) -> u32 {
        ((degree - self.min) / (self.max - self.min) * (1u64 << steps) as f64) as u32
    }

    /// A part.
    fn part(self, number: u32, steps: u32) -> Span {
        let (parts, scale) = ((1u64 << steps) as f64, self.max - self.min);
        let edge = |number: u32| self.min + (f64::from(number) / parts) * scale;
        Span { min: edge(number), max: edge(number.wrapping_add(1)) }
    }
}

/// A square.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Two bits for each step, the latitude's lower one first.
    pub bits: u64,
    /// How often the map was halved.
    pub steps: u32,
}

const NORTH_BITS: u64 = 0x5555_5555_5555_5555;
const EAST_BITS: u64 = !NORTH_BITS;

/// Puts a zero before each bit.
fn spread(number: u32) -> u64 {
    (0..5).rev().fold(u64::from(number), |bits, step| {
        let shift = 1 << step;
        (bits | bits << shift) & (u64::MAX / ((1 << shift) + 1))
    })
}

/// Takes every other bit.
fn gather(bits: u64) -> u32 {
    let all = (0..5).fold(bits & NORTH_BITS, |bits, step| {
        let shift = 1u32 << step;
        let wide = 2 * shift;
        let mask = if wide == 32 { u64::from(u32::MAX) } else { u64::MAX / ((1 << wide) + 1) };
        (bits | bits >> shift) & mask
    });
    all as u32
}

impl Cell {
    /// The square of a place.
    pub fn of(point: Point, steps: u32) -> Cell {
        Cell::within(point, steps, LONGITUDE, LATITUDE)
    }

    /// The square of a place on a map with other edges.
    pub fn within(point: Point, steps: u32, longitude: Span, latitude: Span) -> Cell {
        let north = spread(latitude.part_of(point.latitude, steps));
        let east = spread(longitude.part_of(point.longitude, steps));
        Cell { bits: north | east << 1, steps }
    }

    /// The degrees of it to the east and to the north.
    pub fn spans(self) -> (Span, Span) {
        let (north, east) = (gather(self.bits), gather(self.bits >> 1));
        (LONGITUDE.part(east, self.steps), LATITUDE.part(north, self.steps))
    }

    /// The score of its first corner.
    pub fn aligned(self) -> u64 {
        self.bits << (2 * (STEPS_MAX - self.steps))
    }

    /// The score behind its last one.
    pub fn end(self) -> u64 {
        Cell { bits: self.bits.wrapping_add(1), ..self }.aligned()
    }

    /// The square beside it, so many to the east and to the north, -1 to 1; beyond the edge of the map is the other one.
    pub fn beside(self, east: i64, north: i64) -> Cell {
        let mask = u64::MAX >> (64 - 2 * self.steps);
        let step = |own: u64, other: u64, by: i64| match by {
            0 => self.bits & own,
            // With ones between its bits a carry passes over them.
            1 => ((self.bits & own) + (other & mask) + 1) & own & mask,
            _ => ((self.bits & own | other & mask).wrapping_sub((other & mask) + 1)) & own & mask,
        };
        Cell { bits: step(EAST_BITS, NORTH_BITS, east) | step(NORTH_BITS, EAST_BITS, north), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_are_spread_and_gathered(north in any::<u32>(), east in any::<u32>()) {
            let bits = spread(north) | spread(east) << 1;
            prop_assert_eq!((gather(bits), gather(bits >> 1)), (north, east));
            prop_assert_eq!(spread(north) & EAST_BITS, 0);
        }

        #[test]
        fn a_square_has_its_place_and_one_beside_it_is_beside_it(
            longitude in -170.0f64..170.0, latitude in -78.0f64..78.0, steps in 6u32..=26, east in -1i64..=1, north in -1i64..=1,
        ) {
            let cell = Cell::of(Point { longitude, latitude }, steps);
            let (in_longitude, in_latitude) = cell.spans();
            prop_assert!(in_longitude.has(longitude) && in_latitude.has(latitude));
            let (other_longitude, other_latitude) = cell.beside(east, north).spans();
            let (wide, high) = (360.0 / (1u64 << steps) as f64, 2.0 * LATITUDE.max / (1u64 << steps) as f64);
            prop_assert!((other_longitude.min - in_longitude.min - wide * east as f64).abs() < 1e-9);
            prop_assert!((other_latitude.min - in_latitude.min - high * north as f64).abs() < 1e-9);
        }
    }

    #[test]
    fn beyond_the_edge_is_the_other_side() {
        let corner = Cell { bits: 0, steps: 3 };
        assert_eq!(corner.beside(-1, -1).bits, 0b11_1111);
        assert_eq!(corner.beside(-1, -1).beside(1, 1), corner);
        assert_eq!(corner.beside(0, 1).bits, 1);
        assert_eq!(corner.beside(1, 0).bits, 2);
    }
}
