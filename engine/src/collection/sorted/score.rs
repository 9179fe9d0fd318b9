//! A score in as few bytes as it takes: small whole numbers in one or two, others in three to nine. It comes back bit by bit as
//! it was.
//!
//! ```text
//!   0..=207     the number itself
//!   208..=239   with the next byte behind these 5 bits, a number that is 208 greater
//!   240 i16 │ 241 3 bytes │ 242 i32 │ 243 6 bytes     a whole number, little-endian, with its sign
//!   244 f32 │ 245 f64
//!   246 3 bytes │ 247 i32     thousandths, as of a number with up to three decimals
//! ```

/// The greatest number of one byte.
const SMALL_MAX: i64 = 207;
/// The first byte of the numbers of two.
const MIDDLE: u8 = 208;
/// The least and the greatest of them.
const MIDDLE_MIN: i64 = SMALL_MAX + 1;
const MIDDLE_MAX: i64 = MIDDLE_MIN + 0x1fff;
const TWO: u8 = 240;
const THREE: u8 = 241;
const FOUR: u8 = 242;
const SIX: u8 = 243;
const SINGLE: u8 = 244;
const DOUBLE: u8 = 245;
const THOUSANDTHS: u8 = 246;
const MANY_THOUSANDTHS: u8 = 247;

/// A score as it stands in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Score {
    bytes: [u8; 9],
    width: u8,
}

impl Score {
    #[inline]
    pub fn of(score: f64) -> Score {
        let number = score as i64;
        // Not -0, which is no whole number's score.
        if (number as f64).to_bits() != score.to_bits() {
            return Score::of_fraction(score);
        }
        match number {
            0..=SMALL_MAX => Score { bytes: [number as u8, 0, 0, 0, 0, 0, 0, 0, 0], width: 1 },
            MIDDLE_MIN..=MIDDLE_MAX => {
                let [low, high, ..] = (number - MIDDLE_MIN).to_le_bytes();
                Score { bytes: [MIDDLE + high, low, 0, 0, 0, 0, 0, 0, 0], width: 2 }
            }
            -0x8000..=0x7fff => Score::new(TWO, number, 2),
            -0x80_0000..=0x7f_ffff => Score::new(THREE, number, 3),
            -0x8000_0000..=0x7fff_ffff => Score::new(FOUR, number, 4),
            -0x8000_0000_0000..=0x7fff_ffff_ffff => Score::new(SIX, number, 6),
            _ => Score::of_fraction(score),
        }
    }

    fn new(code: u8, number: i64, width: u8) -> Score {
        let [a, b, c, d, e, f, ..] = number.to_le_bytes();
        Score { bytes: [code, a, b, c, d, e, f, 0, 0], width: width + 1 }
    }

    fn of_fraction(score: f64) -> Score {
        // A number that is written with three decimals is the double that is closest to these thousandths; so is the quotient.
        let thousandths = (score * 1000.0).round() as i64;
        if (thousandths as f64 / 1000.0).to_bits() == score.to_bits() {
            match thousandths {
                -0x80_0000..=0x7f_ffff => return Score::new(THOUSANDTHS, thousandths, 3),
                -0x8000_0000..=0x7fff_ffff => return Score::new(MANY_THOUSANDTHS, thousandths, 4),
                _ => {}
            }
        }
        let single = score as f32;
        if f64::from(single).to_bits() == score.to_bits() {
            let [a, b, c, d] = single.to_le_bytes();
            return Score { bytes: [SINGLE, a, b, c, d, 0, 0, 0, 0], width: 5 };
        }
        let [a, b, c, d, e, f, g, h] = score.to_le_bytes();
        Score { bytes: [DOUBLE, a, b, c, d, e, f, g, h], width: 9 }
    }

    /// The bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.width)]
    }
}

/// The bytes of a score that begins with this one.
#[inline]
pub(super) fn width(first: u8) -> usize {
    match first {
        0..MIDDLE => 1,
        MIDDLE..TWO => 2,
        TWO => 3,
        THREE | THOUSANDTHS => 4,
        FOUR | SINGLE | MANY_THOUSANDTHS => 5,
        SIX => 7,
        _ => 9,
    }
}

/// The score at the beginning of these bytes.
#[inline]
pub(super) fn read(bytes: &[u8]) -> f64 {
    match *bytes {
        [small @ 0..MIDDLE, ..] => f64::from(small),
        [high @ MIDDLE..TWO, low, ..] => f64::from(MIDDLE_MIN as u16 + u16::from_le_bytes([low, high - MIDDLE])),
        [TWO, a, b, ..] => f64::from(i16::from_le_bytes([a, b])),
        [THREE, a, b, c, ..] => f64::from(three([a, b, c])),
        [THOUSANDTHS, a, b, c, ..] => f64::from(three([a, b, c])) / 1000.0,
        [MANY_THOUSANDTHS, a, b, c, d, ..] => f64::from(i32::from_le_bytes([a, b, c, d])) / 1000.0,
        [FOUR, a, b, c, d, ..] => f64::from(i32::from_le_bytes([a, b, c, d])),
        [SIX, a, b, c, d, e, f, ..] => (i64::from_le_bytes([0, 0, a, b, c, d, e, f]) >> 16) as f64,
        [SINGLE, a, b, c, d, ..] => f64::from(f32::from_le_bytes([a, b, c, d])),
        [_, a, b, c, d, e, f, g, h, ..] => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
        // These are the server's own bytes, written by `Score`.
        _ => unreachable!("a score has as many bytes as its first one says"),
    }
}

/// A number of three bytes.
#[inline]
fn three([a, b, c]: [u8; 3]) -> i32 {
    i32::from_le_bytes([0, a, b, c]) >> 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn survives(score: f64, bytes: usize) {
        let short = Score::of(score);
        assert_eq!(short.bytes().len(), width(short.bytes()[0]), "{score}");
        assert_eq!(short.bytes().len(), bytes, "{score}");
        assert_eq!(read(short.bytes()).to_bits(), score.to_bits(), "{score}");
    }

    #[test]
    fn a_score_takes_as_few_bytes_as_it_can() {
        for (score, bytes) in [
            (0.0, 1),
            (207.0, 1),
            (208.0, 2),
            (1_000.0, 2),
            (8_399.0, 2),
            (8_400.0, 3),
            (-1.0, 3),
            (-32_768.0, 3),
            (32_768.0, 4),
            (-8_388_608.0, 4),
            (8_388_608.0, 5),
            (-2_147_483_649.0, 7),
            (1_790_000_000_123.0, 7),
            (140_737_488_355_327.0, 7),
            (140_737_488_355_329.0, 9),
            // A power of two, exactly a single.
            (140_737_488_355_328.0, 5),
            (-0.0, 5),
            (0.5, 4),
            (-3.15, 4),
            (8_388.607, 4),
            (8_388.608, 5),
            (1_999_999.999, 5),
            (0.015625, 5),
            (0.1 + 0.2, 9),
            (f64::INFINITY, 5),
            (f64::NEG_INFINITY, 5),
            (f64::MAX, 9),
            (f64::MIN_POSITIVE, 9),
            (5e-324, 9),
            (1e300, 9),
        ] {
            survives(score, bytes);
        }
    }

    proptest! {
        #[test]
        fn every_score_comes_back(bits in any::<u64>(), number in any::<i64>(), shift in 0..64u32) {
            let whole = (number >> shift) as f64;
            for score in [f64::from_bits(bits), whole, whole / 1000.0, whole / 100.0, whole * 0.1] {
                let short = Score::of(score);
                prop_assert_eq!(short.bytes().len(), width(short.bytes()[0]));
                if !score.is_nan() {
                    prop_assert_eq!(read(short.bytes()).to_bits(), score.to_bits());
                }
            }
        }
    }
}
