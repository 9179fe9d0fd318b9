//! The 80-bit floating point of x86, in which Redis computes INCRBYFLOAT and HINCRBYFLOAT: 64 bits of mantissa. Its
//! last digits are visible in replies and stored values, so doubles would not do.
//!
//! Every step rounds to nearest, ties to even. Exponents are not bounded as in the hardware, except that results that
//! would be infinite or zero there are refused; with 17 printed decimals there is no visible difference.

use std::cmp::Ordering;

use crate::number::{FLOAT_BYTES_MAX, exponent_value, hexadecimal_parts, is_infinity, trim_fraction};

/// A number: the mantissa times 2 to the exponent, where the mantissa's top bit is set, or zero, or infinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extended {
    negative: bool,
    magnitude: Magnitude,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Magnitude {
    Zero,
    Finite { mantissa: u64, exponent: i32 },
    Infinite,
}

/// The decimals of a printed number.
const DECIMALS: usize = 17;

/// Exponents of the mantissa's lowest bit: for the largest number, and for the smallest that does not round to zero.
const EXPONENT_MAX: i64 = 16383 - 63;
const EXPONENT_MIN: i64 = -16446 - 63;

impl Extended {
    /// Zero: the value of a missing key.
    pub const ZERO: Extended = Extended { negative: false, magnitude: Magnitude::Zero };

    /// Parses a number as C's `strtold` does: like [`parse_f64`](crate::number::parse_f64), with this precision.
    pub fn parse(text: &[u8]) -> Option<Extended> {
        if text.len() > FLOAT_BYTES_MAX {
            return None;
        }
        let (negative, magnitude) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let magnitude = match magnitude {
            [b'0', b'x' | b'X', digits @ ..] => {
                let (mantissa, exponent, more) = hexadecimal_parts(digits)?;
                rounded(mantissa, more, exponent)?
            }
            _ if is_infinity(magnitude) => Magnitude::Infinite,
            decimal => parse_decimal(decimal)?,
        };
        Some(Extended { negative, magnitude })
    }

    /// Whether it is finite.
    pub fn is_finite(self) -> bool {
        self.magnitude != Magnitude::Infinite
    }

    /// The sum; `None` if it is not finite, which Redis refuses.
    pub fn checked_add(self, other: Extended) -> Option<Extended> {
        let (a, b) = (self.parts()?, other.parts()?);
        let (Some((mut large, large_exponent)), Some((mut small, small_exponent))) = (a, b) else {
            return Some(match (a, b) {
                (Some(_), _) => self,
                (None, Some(_)) => other,
                (None, None) => Extended { negative: self.negative && other.negative, magnitude: Magnitude::Zero },
            });
        };
        let mut negative = self.negative;
        let mut exponent = large_exponent;
        let mut distance = i64::from(large_exponent) - i64::from(small_exponent);
        if (large_exponent, large) < (small_exponent, small) {
            (large, small, negative, exponent, distance) = (small, large, other.negative, small_exponent, -distance);
        }
        // 62 bits below the mantissa hold all bits of the smaller operand that can matter, one more stands for the
        // rest, and one above is left for the carry.
        let large = u128::from(large) << 62;
        let whole = u128::from(small) << 62;
        let small =
            if distance > 126 { 1 } else { whole >> distance | u128::from(whole.trailing_zeros() < distance as u32) };
        let sum = if self.negative == other.negative { large + small } else { large - small };
        if sum == 0 {
            return Some(Extended::ZERO);
        }
        let magnitude = rounded(sum, false, i64::from(exponent) - 62)?;
        Some(Extended { negative, magnitude })
    }

    /// Mantissa and exponent; the inner `None` is zero, the outer one infinity.
    fn parts(self) -> Option<Option<(u64, i32)>> {
        match self.magnitude {
            Magnitude::Zero => Some(None),
            Magnitude::Finite { mantissa, exponent } => Some(Some((mantissa, exponent))),
            Magnitude::Infinite => None,
        }
    }

    /// Redis's format for humans: up to 17 decimals, no exponent, no trailing zeros.
    pub fn format_human(self) -> String {
        let sign = if self.negative { "-" } else { "" };
        let digits = match self.magnitude {
            Magnitude::Infinite => return format!("{sign}inf"),
            Magnitude::Zero => return "0".into(),
            Magnitude::Finite { mantissa, exponent } => scaled_digits(mantissa, exponent),
        };
        let (whole, fraction) = digits.split_at(digits.len() - DECIMALS);
        let text = format!("{whole}.{fraction}");
        match trim_fraction(&text) {
            "0" => "0".into(),
            text => format!("{sign}{text}"),
        }
    }
}

/// Rounds `value` times 2 to the exponent, slightly more if `more`, to 64 bits. `None` if it is out of the hardware's
/// range.
fn rounded(value: u128, more: bool, exponent: i64) -> Option<Magnitude> {
    if value == 0 {
        return Some(Magnitude::Zero);
    }
    let shift = value.leading_zeros();
    let value = value << shift;
    let mut exponent = exponent - i64::from(shift) + 64;
    let mut mantissa = (value >> 64) as u64;
    let rest = value as u64;
    let half = 1 << 63;
    let up = match rest.cmp(&half) {
        Ordering::Less => false,
        Ordering::Greater => true,
        Ordering::Equal => more || mantissa & 1 == 1,
    };
    if up {
        mantissa = mantissa.wrapping_add(1);
        if mantissa == 0 {
            mantissa = 1 << 63;
            exponent += 1;
        }
    }
    // Both bounds are far inside 32 bits.
    (EXPONENT_MIN..=EXPONENT_MAX)
        .contains(&exponent)
        .then_some(Magnitude::Finite { mantissa, exponent: exponent as i32 })
}

fn parse_decimal(text: &[u8]) -> Option<Magnitude> {
    let (mantissa, mut exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&text[..at], exponent_value(&text[at + 1..])?),
        None => (text, 0),
    };
    let mut digits = Big::default();
    let mut any = false;
    let mut point = false;
    for &byte in mantissa {
        match byte {
            b'.' if !point => point = true,
            b'0'..=b'9' => {
                any = true;
                digits.multiply_add(10, u32::from(byte - b'0'));
                exponent -= i64::from(point);
            }
            _ => return None,
        }
    }
    if !any {
        return None;
    }
    if digits.is_zero() {
        return Some(Magnitude::Zero);
    }
    // Outside this range it is too large or too small whatever the digits: a text has fewer than 5,120 of them.
    if !(-12_000..=5_000).contains(&exponent) {
        return None;
    }
    let mut divisor = Big::from(1);
    let scaled = if exponent < 0 { &mut divisor } else { &mut digits };
    scaled.multiply_power_of_ten(exponent.unsigned_abs() as u32);
    // Scaled so that the quotient has 66 or 67 bits.
    let shift = digits.bits() - divisor.bits() - 66;
    if shift > 0 {
        divisor.shift_left(shift as u32)
    } else {
        digits.shift_left(-shift as u32)
    }
    let (quotient, more) = digits.divide_bits(divisor, 67);
    // The lowest bits are spare, so that `more` decides a tie only if nothing else does.
    rounded(quotient << 1 | u128::from(more), more, shift - 1)
}

/// The digits of the number times 10^17, rounded, at least 18 of them.
fn scaled_digits(mantissa: u64, exponent: i32) -> String {
    const SCALE: u64 = 10u64.pow(DECIMALS as u32);
    if exponent <= 0 {
        let scaled = u128::from(mantissa) * u128::from(SCALE);
        let shift = exponent.unsigned_abs();
        let (value, rest, half) = match shift {
            0 => (scaled, 0, 1),
            1..=127 => (scaled >> shift, scaled & ((1 << shift) - 1), 1 << (shift - 1)),
            // 121 bits, shifted by more than that.
            _ => (0, 0, 1),
        };
        let up = rest > half || rest == half && value & 1 == 1;
        return format!("{:018}", value + u128::from(up));
    }
    let mut value = Big::from(mantissa);
    value.shift_left(exponent as u32);
    value.decimal() + &"0".repeat(DECIMALS)
}

/// A natural number of any size, lowest limb first, without zero limbs at the top.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Big(Vec<u32>);

impl From<u64> for Big {
    fn from(value: u64) -> Big {
        let mut big = Big(vec![value as u32, (value >> 32) as u32]);
        big.trim();
        big
    }
}

impl Big {
    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    fn bits(&self) -> i64 {
        self.0.last().map_or(0, |top| self.0.len() as i64 * 32 - i64::from(top.leading_zeros()))
    }

    fn multiply_add(&mut self, factor: u32, addend: u32) {
        let mut carry = u64::from(addend);
        for limb in &mut self.0 {
            carry += u64::from(*limb) * u64::from(factor);
            *limb = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    fn multiply_power_of_ten(&mut self, power: u32) {
        // 10^9 is the largest power of ten that fits a limb.
        (0..power / 9).for_each(|_| self.multiply_add(1_000_000_000, 0));
        self.multiply_add(10u32.pow(power % 9), 0);
    }

    fn shift_left(&mut self, bits: u32) {
        if !bits.is_multiple_of(32) {
            self.multiply_add(1 << (bits % 32), 0);
        }
        if !self.is_zero() {
            self.0.splice(0..0, std::iter::repeat_n(0, bits as usize / 32));
        }
    }

    fn at_least(&self, other: &Big) -> bool {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.iter().rev().cmp(other.0.iter().rev())) != Ordering::Less
    }

    /// Subtracts a number that is not greater.
    fn subtract(&mut self, other: &Big) {
        let mut borrow = false;
        for (index, limb) in self.0.iter_mut().enumerate() {
            let (value, under) = limb.overflowing_sub(other.0.get(index).copied().unwrap_or(0));
            let (value, under_again) = value.overflowing_sub(u32::from(borrow));
            *limb = value;
            borrow = under || under_again;
        }
        self.trim();
    }

    /// The quotient, which has at most `bits` bits, and whether there is a remainder.
    fn divide_bits(mut self, divisor: Big, bits: u32) -> (u128, bool) {
        let mut quotient = 0u128;
        for bit in (0..bits).rev() {
            let mut part = divisor.clone();
            part.shift_left(bit);
            if self.at_least(&part) {
                self.subtract(&part);
                quotient |= 1 << bit;
            }
        }
        (quotient, !self.is_zero())
    }

    fn decimal(mut self) -> String {
        const STEP: u64 = 1_000_000_000;
        let mut groups = Vec::new();
        while !self.is_zero() {
            let mut rest = 0u64;
            for limb in self.0.iter_mut().rev() {
                let value = rest << 32 | u64::from(*limb);
                *limb = (value / STEP) as u32;
                rest = value % STEP;
            }
            self.trim();
            groups.push(rest);
        }
        let mut groups = groups.into_iter().rev();
        let first = groups.next().unwrap_or(0).to_string();
        groups.fold(first, |text, group| text + &format!("{group:09}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(a: &str, b: &str) -> Option<String> {
        Some(Extended::parse(a.as_bytes())?.checked_add(Extended::parse(b.as_bytes())?)?.format_human())
    }

    #[test]
    fn sums_are_those_of_redis() {
        // As redis-server 7.0 answered INCRBYFLOAT.
        for (a, b, expected) in [
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("10.6", "-5", "5.6"),
            ("0", "-0.0", "0"),
            ("1", "-1", "0"),
            ("0x10", "1", "17"),
            ("1e30", "0", "1000000000000000000024696061952"),
            ("18446744073709551615", "1", "18446744073709551616"),
            ("1e-18", "0", "0"),
            ("-0.000000000000000006", "0", "-0.00000000000000001"),
        ] {
            assert_eq!(sum(a, b).as_deref(), Some(expected), "{a} + {b}");
        }
    }

    #[test]
    fn a_sum_that_is_not_finite_is_refused() {
        for (a, b) in [("inf", "1"), ("1", "-inf"), ("inf", "-inf"), ("1e4932", "1e4932")] {
            assert_eq!(sum(a, b), None, "{a} + {b}");
        }
    }

    #[test]
    fn an_invalid_number_is_refused() {
        for text in ["", "-", ".", " 1", "1 ", "1a", "nan", "e5", "1e", "1e5000", "1e-5000", "0x", "1_0", "1..2"] {
            assert_eq!(Extended::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(Extended::parse(&b"1".repeat(FLOAT_BYTES_MAX + 1)), None);
    }

    proptest! {
        #[test]
        fn adding_agrees_with_whole_numbers(a in -(1i64 << 62)..1 << 62, b in -(1i64 << 62)..1 << 62) {
            prop_assert_eq!(sum(&a.to_string(), &b.to_string()), Some((a + b).to_string()));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(text in proptest::collection::vec(
            prop_oneof![b'0'..=b'9', Just(b'.'), Just(b'e'), Just(b'x'), Just(b'p'), Just(b'-'), any::<u8>()], 0..40)) {
            if let Some(value) = Extended::parse(&text) {
                let _ = value.checked_add(Extended::ZERO).map(Extended::format_human);
            }
        }
    }
}
