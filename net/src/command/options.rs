//! Argument parsing shared by several commands.

use crate::resp::{Args, error_text};
use crate::server::Server;
use crate::value::ValueWriter;
use keytide_engine::error::Refusal;
use keytide_engine::number::{parse_f64, parse_i64, parse_u64};
use keytide_engine::shard::{Draw, ExpireCondition};
use keytide_engine::stream_name::Database;

/// The database of this number, or the text of the error.
pub fn database(word: &[u8], server: &Server) -> Result<Database, &'static str> {
    // Redis reads an `int`.
    let number = parse_i64(word).ok_or(error_text::NOT_INTEGER)?;
    let number = i32::try_from(number).map_err(|_| error_text::NOT_INT)?;
    let number = u16::try_from(number).ok().filter(|number| *number < server.config.databases);
    number.map(Database).ok_or(error_text::DB_INDEX)
}

/// An integer argument, or the error if it is not one.
pub fn integer(argument: &[u8]) -> Result<i64, Refusal> {
    parse_i64(argument).ok_or(Refusal::NotAnInteger)
}

/// A count that must not be negative, or the text of the error.
pub fn count(argument: &[u8]) -> Result<usize, &'static str> {
    match parse_i64(argument) {
        None => Err(error_text::NOT_INTEGER),
        Some(count) => usize::try_from(count).map_err(|_| error_text::NOT_POSITIVE),
    }
}

/// A scan's cursor.
pub fn cursor(argument: &[u8]) -> Option<u64> {
    parse_u64(argument)
}

/// A timeout in seconds with a fraction, as milliseconds, rounded up; 0 = none. Or the text of the error.
pub fn timeout_ms(argument: &[u8]) -> Result<u64, &'static str> {
    let seconds = parse_f64(argument).ok_or(error_text::TIMEOUT_NOT_FLOAT)?;
    let millis = (seconds * 1_000.0).ceil();
    // What is added to it is the time since 1970: no sum that fits comes close to the limit.
    if millis >= (i64::MAX - i64::from(u32::MAX) * 1_000) as f64 {
        Err(error_text::TIMEOUT_OUT_OF_RANGE)
    } else if millis < 0.0 {
        Err(error_text::TIMEOUT_NEGATIVE)
    } else {
        Ok(millis as u64)
    }
}

/// Adds what a word of EXPIRE and its kin asks for, `NX`, `XX`, `GT` or `LT`; returns whether it is one.
pub fn take_condition(word: &[u8], condition: &mut ExpireCondition) -> bool {
    let flag = match word {
        word if is(word, "nx") => &mut condition.if_none,
        word if is(word, "xx") => &mut condition.if_some,
        word if is(word, "gt") => &mut condition.if_later,
        word if is(word, "lt") => &mut condition.if_earlier,
        _ => return false,
    };
    *flag = true;
    true
}

/// How a command specifies a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeForm {
    /// Seconds from now (EX).
    Seconds,
    /// Milliseconds from now (PX).
    Millis,
    /// Unix time in seconds (EXAT).
    UnixSeconds,
    /// Unix time in milliseconds (PXAT).
    UnixMillis,
}

impl TimeForm {
    /// The form for an option's name.
    pub fn of_option(name: &[u8]) -> Option<TimeForm> {
        [
            (&b"ex"[..], TimeForm::Seconds),
            (b"px", TimeForm::Millis),
            (b"exat", TimeForm::UnixSeconds),
            (b"pxat", TimeForm::UnixMillis),
        ]
        .into_iter()
        .find(|(option, _)| name.eq_ignore_ascii_case(option))
        .map(|(_, form)| form)
    }

    /// The time that a value specifies, Unix milliseconds; `None` if it does not fit into 64 bits.
    pub fn moment(self, value: i64, now_ms: u64) -> Option<i64> {
        let now_ms = i64::try_from(now_ms).ok()?;
        match self {
            TimeForm::Seconds => value.checked_mul(1000)?.checked_add(now_ms),
            TimeForm::Millis => value.checked_add(now_ms),
            TimeForm::UnixSeconds => value.checked_mul(1000),
            TimeForm::UnixMillis => Some(value),
        }
    }

    /// A value's expiry, which must be in the future as for SET and similar commands: Unix milliseconds, or the error
    /// text for a command of this name.
    pub fn deadline(self, argument: &[u8], now_ms: u64, command: &str) -> Result<u64, String> {
        let value = parse_i64(argument).ok_or(error_text::NOT_INTEGER)?;
        let invalid = || error_text::invalid_expire(command);
        if value <= 0 {
            return Err(invalid());
        }
        let moment = self.moment(value, now_ms).ok_or_else(invalid)?;
        u64::try_from(moment).map_err(|_| invalid())
    }
}

/// The most elements that HRANDFIELD and SRANDMEMBER repeat: nothing else limits their replies.
const REPEATS_MAX: u64 = 1 << 20;

/// The selection for a count of random elements, negative if they may repeat, or the text of the error.
pub fn draw(argument: &[u8]) -> Result<Draw, &'static str> {
    match parse_i64(argument).ok_or(error_text::NOT_INTEGER)? {
        i64::MIN => Err(error_text::RANDOM_COUNT),
        count @ 0.. => Ok(Draw::Distinct(count as usize)),
        count if count.unsigned_abs() > REPEATS_MAX => Err(error_text::OUT_OF_RANGE),
        count => Ok(Draw::Repeated(count.unsigned_abs() as usize)),
    }
}

/// The selection for a count of random elements, and whether the word behind it asks for what belongs to each; or the text of
/// the error.
pub fn draw_with(words: Args<'_>, with: &str) -> Result<(Draw, bool), &'static str> {
    let has_more = match words.len() {
        1 => false,
        2 if is(words.get(1), with) => true,
        // An error in the count takes precedence.
        _ => return draw(words.get(0)).and(Err(error_text::SYNTAX)),
    };
    // The reply has twice as many elements, whose number must not overflow.
    let is_too_much = |count: i64| count.unsigned_abs() > i64::MAX as u64 / 2 && count != i64::MIN;
    if has_more && parse_i64(words.get(0)).is_some_and(is_too_much) {
        return Err(error_text::OUT_OF_RANGE);
    }
    Ok((draw(words.get(0))?, has_more))
}

/// Whether an argument is this word, case-insensitively.
#[inline]
pub fn is(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}

/// The range in a sequence of `length` between two indexes, negative ones from the end, the second included; `None` if
/// it is empty.
pub fn range(first: i64, last: i64, length: usize) -> Option<std::ops::Range<usize>> {
    let length = length as i64;
    let first = if first < 0 { (length + first).max(0) } else { first };
    let last = if last < 0 { length + last } else { last.min(length - 1) };
    (first <= last && first < length).then(|| first as usize..last as usize + 1)
}

/// Splits a list of keys and values into pairs.
pub fn pairs(args: Args<'_>) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
    (0..args.len() / 2).map(move |pair| (args.get(2 * pair), args.get(2 * pair + 1)))
}

/// Encodes a string, or nil.
#[inline]
pub fn string_or_nil(reply: &mut impl ValueWriter, value: Option<&[u8]>) {
    match value {
        Some(bytes) => reply.bulk(bytes),
        None => reply.null(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_count_from_both_ends() {
        assert_eq!(range(0, -1, 5), Some(0..5));
        assert_eq!(range(-3, -2, 5), Some(2..4));
        assert_eq!(range(-100, 100, 5), Some(0..5));
        assert_eq!(range(3, 1, 5), None);
        assert_eq!(range(5, 9, 5), None);
        assert_eq!(range(0, -1, 0), None);
        assert_eq!(range(0, -9, 5), None);
        assert_eq!(range(i64::MIN + 1, i64::MAX, 5), Some(0..5));
    }

    #[test]
    fn a_timeout_is_rounded_up_and_has_the_errors_of_redis() {
        for (text, millis) in [("0", 0), ("-0", 0), ("0.0001", 1), ("1.5", 1_500), ("1e3", 1_000_000), ("0x10", 16_000)]
        {
            assert_eq!(timeout_ms(text.as_bytes()), Ok(millis), "{text}");
        }
        for text in ["", "x", "1 ", "nan", "1s"] {
            assert_eq!(timeout_ms(text.as_bytes()), Err(error_text::TIMEOUT_NOT_FLOAT), "{text}");
        }
        assert_eq!(timeout_ms(b"-0.5"), Err(error_text::TIMEOUT_NEGATIVE));
        assert_eq!(timeout_ms(b"-inf"), Err(error_text::TIMEOUT_NEGATIVE));
        assert_eq!(timeout_ms(b"9223372036854775"), Err(error_text::TIMEOUT_OUT_OF_RANGE));
        assert_eq!(timeout_ms(b"inf"), Err(error_text::TIMEOUT_OUT_OF_RANGE));
    }

    #[test]
    fn a_time_beyond_64_bits_is_refused() {
        assert_eq!(TimeForm::Seconds.moment(1, 5), Some(1005));
        assert_eq!(TimeForm::Seconds.moment(i64::MAX / 1000 + 1, 5), None);
        assert!(TimeForm::Seconds.deadline(b"0", 5, "set").is_err());
        assert_eq!(TimeForm::UnixMillis.deadline(b"7", 5, "set"), Ok(7));
    }
}
