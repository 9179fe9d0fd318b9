//! Numbers as Redis reads and writes them: strict where a key's value must be in canonical form, as lenient as C's
//! `strtod` for floats.

use smallvec::SmallVec;
use std::io::Write;

/// An integer in canonical form: no `+`, no spaces, no leading zeros, no `-0`. `None` also on overflow.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    match text {
        [b'-', digits @ ..] => match parse_u64(digits)? {
            0 => None,
            magnitude => 0i64.checked_sub_unsigned(magnitude),
        },
        digits => parse_u64(digits)?.try_into().ok(),
    }
}

/// A number from 0 in canonical form: digits, no leading zeros. `None` also on overflow.
#[inline]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    match text {
        [b'0'] => Some(0),
        [b'1'..=b'9', ..] if text.len() <= 20 => text.iter().try_fold(0u64, |value, &byte| {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 { None } else { value.checked_mul(10)?.checked_add(u64::from(digit)) }
        }),
        _ => None,
    }
}

/// The longest text of a float in bytes, as in Redis.
pub const FLOAT_BYTES_MAX: usize = 5 * 1024 - 1;

/// A float as C's `strtod` reads it, but without skipping spaces: decimal, hexadecimal (`0x1p3`), `inf` and `infinity`
/// in any case. `None` for a NaN, for trailing bytes, and for numbers that overflow or underflow a double.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    if text.len() > FLOAT_BYTES_MAX {
        return None;
    }
    let read = read_f64(text)?;
    read.is_in_range.then_some(read.value)
}

/// The end of a range of scores, as Redis has `strtod` read it: spaces before it are skipped, what is beyond the doubles
/// becomes infinite or zero, and no bytes at all are 0.
pub fn parse_range_end(text: &[u8]) -> Option<f64> {
    // A string of C ends there.
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    match text.iter().position(|byte| !matches!(byte, b' ' | b'\t'..=b'\r')) {
        Some(start) => read_f64(&text[start..]).map(|read| read.value),
        None => text.is_empty().then_some(0.0),
    }
}

/// The number by which SORT sorts, as Redis has `strtod` read it: spaces before it are skipped, and no bytes at all are 0.
pub fn parse_weight(text: &[u8]) -> Option<f64> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    match text.iter().position(|byte| !matches!(byte, b' ' | b'\t'..=b'\r')) {
        Some(start) => read_f64(&text[start..]).filter(|read| read.is_in_range).map(|read| read.value),
        None => text.is_empty().then_some(0.0),
    }
}

/// A float that was read.
struct ReadFloat {
    value: f64,
    /// Whether it neither overflowed nor underflowed.
    is_in_range: bool,
}

fn read_f64(text: &[u8]) -> Option<ReadFloat> {
    let (negative, magnitude) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (value, is_in_range) = match magnitude {
        [b'0', b'x' | b'X', digits @ ..] => hexadecimal(digits)?,
        [b'0'..=b'9' | b'.', ..] => {
            let value: f64 = std::str::from_utf8(magnitude).ok()?.parse().ok()?;
            let zero_as_written = || {
                let mantissa = magnitude.split(|byte| matches!(byte, b'e' | b'E')).next().unwrap_or_default();
                mantissa.iter().all(|byte| matches!(byte, b'0' | b'.'))
            };
            (value, value.is_finite() && (value != 0.0 || zero_as_written()))
        }
        _ if is_infinity(magnitude) => (f64::INFINITY, true),
        _ => return None,
    };
    Some(ReadFloat { value: if negative { -value } else { value }, is_in_range })
}

/// Whether this is `inf` or `infinity`, in any case.
pub(crate) fn is_infinity(text: &[u8]) -> bool {
    text.eq_ignore_ascii_case(b"inf") || text.eq_ignore_ascii_case(b"infinity")
}

/// The parts of a hexadecimal float: the value is the mantissa times 2 to the exponent, slightly more if the flag is
/// set.
pub(crate) fn hexadecimal_parts(text: &[u8]) -> Option<(u128, i64, bool)> {
    let mut mantissa = 0u128;
    let mut exponent = 0i64;
    let mut more = false;
    let mut digits = 0;
    let mut point = false;
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        match byte {
            b'.' if !point => point = true,
            _ => match char::from(*byte).to_digit(16) {
                Some(digit) => {
                    digits += 1;
                    let fits = mantissa >> 124 == 0;
                    if fits {
                        mantissa = mantissa << 4 | u128::from(digit);
                    } else {
                        more |= digit != 0;
                    }
                    exponent += match (fits, point) {
                        (true, true) => -4,
                        (false, false) => 4,
                        (true, false) | (false, true) => 0,
                    };
                }
                None => break,
            },
        }
        rest = after;
    }
    match rest {
        _ if digits == 0 => None,
        [] => Some((mantissa, exponent, more)),
        [b'p' | b'P', power @ ..] => Some((mantissa, exponent.checked_add(exponent_value(power)?)?, more)),
        _ => None,
    }
}

/// A decimal exponent with an optional sign; clamped, since larger ones make no difference.
pub(crate) fn exponent_value(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0i64, |value, &digit| (value * 10 + i64::from(digit - b'0')).min(1_000_000));
    Some(if negative { -value } else { value })
}

/// The value, and whether it is in the range of doubles.
fn hexadecimal(text: &[u8]) -> Option<(f64, bool)> {
    let (mantissa, exponent, more) = hexadecimal_parts(text)?;
    if mantissa == 0 {
        return Some((0.0, true));
    }
    // The lowest bit may stand for the rest: if there is one, that bit is far below a double's precision. Two steps, so
    // that the power stays a normal number.
    let rounded = (mantissa | u128::from(more)) as f64;
    let half = (exponent / 2).clamp(-1100, 1100) as i32;
    let other = (exponent - exponent / 2).clamp(-1100, 1100) as i32;
    let value = rounded * 2f64.powi(half) * 2f64.powi(other);
    Some((value, value.is_finite() && value != 0.0))
}

/// The text of a score: see [`score_text`].
pub type ScoreText = SmallVec<[u8; 32]>;

/// A double with at most 17 significant digits, as C's `%.17g` writes it: the format of scores in Redis 7.0. At most 24 bytes.
/// Read again, it is the same double, down to the sign of zero.
pub fn score_text(value: f64) -> ScoreText {
    if value == value.trunc() && value.abs() < 1e15 && (value != 0.0 || value.is_sign_positive()) {
        return ScoreText::from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
    }
    if value.is_infinite() {
        return ScoreText::from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
    }
    if value.is_nan() {
        return ScoreText::from_slice(b"nan");
    }
    // 17 digits with a point behind the first, and the exponent.
    let mut scientific = ScoreText::new();
    write!(scientific, "{:.16e}", value.abs()).expect("a vector takes all that is written");
    let (mantissa, exponent) = scientific.split_at(18);
    let exponent =
        std::str::from_utf8(&exponent[1..]).ok().and_then(|text| text.parse::<i32>().ok()).expect("a number");
    let first = mantissa[0];
    let zeros = mantissa[2..].iter().rev().take_while(|&&digit| digit == b'0').count();
    // Those behind the first digit, without zeros at the end.
    let digits = &mantissa[2..18 - zeros];
    let mut text = ScoreText::new();
    if value.is_sign_negative() {
        text.push(b'-');
    }
    match exponent {
        0..17 => {
            let whole = exponent as usize;
            text.push(first);
            text.extend((0..whole).map(|at| digits.get(at).copied().unwrap_or(b'0')));
            if digits.len() > whole {
                text.push(b'.');
                text.extend_from_slice(&digits[whole..]);
            }
        }
        -4..0 => {
            text.extend_from_slice(&b"0.000"[..(1 - exponent) as usize]);
            text.push(first);
            text.extend_from_slice(digits);
        }
        _ => {
            text.push(first);
            if !digits.is_empty() {
                text.push(b'.');
                text.extend_from_slice(digits);
            }
            let sign = if exponent < 0 { '-' } else { '+' };
            write!(text, "e{sign}{:02}", exponent.unsigned_abs()).expect("a vector takes all that is written");
        }
    }
    text
}

/// A double with at most 17 digits behind the point and none more than it needs: the format in which Redis shows degrees.
pub fn human_text(value: f64) -> String {
    let text = format!("{value:.17}");
    match trim_fraction(&text) {
        "-0" => "0".to_owned(),
        text => text.to_owned(),
    }
}

/// Removes trailing zeros of a fraction, and the point if nothing follows it.
pub(crate) fn trim_fraction(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_integer_has_one_spelling() {
        for (text, value) in
            [("0", 0), ("7", 7), ("-7", -7), ("9223372036854775807", i64::MAX), ("-9223372036854775808", i64::MIN)]
        {
            assert_eq!(parse_i64(text.as_bytes()), Some(value));
        }
        for text in [
            "",
            "-",
            "+1",
            " 1",
            "1 ",
            "01",
            "-0",
            "-01",
            "00",
            "1a",
            "0x1",
            "9223372036854775808",
            "-9223372036854775809",
            "18446744073709551616",
            "99999999999999999999",
            "100000000000000000000",
        ] {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
    }

    #[test]
    fn floats_are_read_as_c_reads_them() {
        for (text, value) in [
            ("3", 3.0),
            ("+3", 3.0),
            ("-.5", -0.5),
            ("5.", 5.0),
            ("3.0e3", 3000.0),
            ("1E-2", 0.01),
            ("0e999", 0.0),
            ("inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("0x10", 16.0),
            ("-0x1.8p1", -3.0),
            ("0x.8", 0.5),
            ("0x0p9", 0.0),
            ("4.9e-324", 5e-324),
        ] {
            assert_eq!(parse_f64(text.as_bytes()), Some(value), "{text:?}");
        }
        for text in [
            "", "-", ".", " 1", "1 ", "1a", "nan", "-nan", "e5", "1e", "1e+", "1e400", "1e-400", "0x", "0x.p1", "0x1p",
            "0x1p9999", "infi", "++1", "1_0", "1..2",
        ] {
            assert_eq!(parse_f64(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn the_end_of_a_range_is_read_more_leniently() {
        for (text, value) in [
            ("", 0.0),
            (" \t5", 5.0),
            ("1e400", f64::INFINITY),
            ("-1e400", f64::NEG_INFINITY),
            ("1e-400", 0.0),
            ("0x1p9999", f64::INFINITY),
            ("2\0x", 2.0),
            ("-inf", f64::NEG_INFINITY),
        ] {
            assert_eq!(parse_range_end(text.as_bytes()), Some(value), "{text:?}");
        }
        for text in [" ", "5 ", "nan", "x", "1x", "--1", "(1"] {
            assert_eq!(parse_range_end(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse_range_end(&b"1".repeat(FLOAT_BYTES_MAX + 1)), Some(f64::INFINITY));
    }

    #[test]
    fn scores_are_written_with_17_digits() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (3.1, "3.1000000000000001"),
            (0.1, "0.10000000000000001"),
            (1e-5, "1.0000000000000001e-05"),
            (0.0001, "0.0001"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (-1.5e300, "-1.5000000000000001e+300"),
            (123456789.125, "123456789.125"),
            (5e-324, "4.9406564584124654e-324"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (1e15, "1000000000000000"),
            (1e15 + 0.5, "1000000000000000.5"),
            (-0.00012, "-0.00012"),
            (0.00025, "0.00025000000000000001"),
            (f64::MIN, "-1.7976931348623157e+308"),
            (1e100, "1e+100"),
        ] {
            assert_eq!(String::from_utf8_lossy(&score_text(value)), text);
        }
    }

    proptest! {
        #[test]
        fn numbers_survive_writing_and_reading(integer in any::<i64>(), float in any::<f64>()) {
            prop_assert_eq!(parse_i64(integer.to_string().as_bytes()), Some(integer));
            if !float.is_nan() {
                let text = score_text(float);
                prop_assert!(text.len() <= 24);
                prop_assert_eq!(parse_f64(&text).map(f64::to_bits), Some(float.to_bits()));
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(text in proptest::collection::vec(
            prop_oneof![b'0'..=b'9', Just(b'.'), Just(b'e'), Just(b'x'), Just(b'p'), Just(b'-'), any::<u8>()], 0..40)) {
            let _ = (parse_i64(&text), parse_u64(&text), parse_f64(&text), parse_range_end(&text));
        }
    }
}
