//! The arguments of the commands on the TTLs of fields.

use crate::command::options::{TimeForm, is};
use crate::resp::{Args, error_text};
use keytide_engine::limits::FIELD_END_MAX_MS;
use keytide_engine::number::parse_i64;
use std::borrow::Cow;

/// A number of fields below 1.
pub const FIELDS_POSITIVE: &str = "ERR Number of fields must be a positive integer";

/// The word FIELDS is not where it must be.
const FIELDS_MISSING: &str = "ERR Mandatory argument FIELDS is missing or not at the right position";

/// The number of fields is another one than announced.
const FIELDS_NOT_MATCHING: &str = "ERR The `numfields` parameter must match the number of arguments";

/// A time before 1970, or a TTL below 0.
const TIME_NEGATIVE: &str = "ERR invalid expire time, must be >= 0";

/// The fields behind the word FIELDS, which is the argument `at`, and their number; or the text of the error, which is
/// `not_positive` where the number is none above 0.
pub fn field_list<'a>(args: Args<'a>, at: usize, not_positive: &'static str) -> Result<Args<'a>, &'static str> {
    if !args.try_get(at).is_some_and(|word| is(word, "fields")) {
        return Err(FIELDS_MISSING);
    }
    let count = args.try_get(at + 1).and_then(parse_i64).filter(|&count| count > 0).ok_or(not_positive)?;
    let fields = args.rest(at + 2);
    if usize::try_from(count) == Ok(fields.len()) { Ok(fields) } else { Err(FIELDS_NOT_MATCHING) }
}

/// The end of a TTL in Unix milliseconds, which may be past, or the text of the error for a command of this name.
pub fn moment(form: TimeForm, argument: &[u8], now_ms: u64, command: &str) -> Result<u64, Cow<'static, str>> {
    let value = parse_i64(argument).ok_or(error_text::NOT_INTEGER)?;
    if value < 0 {
        return Err(TIME_NEGATIVE.into());
    }
    let at_ms = form.moment(value, now_ms).and_then(|at_ms| u64::try_from(at_ms).ok());
    let at_ms = at_ms.filter(|&at_ms| at_ms <= FIELD_END_MAX_MS);
    at_ms.ok_or_else(|| error_text::invalid_expire(command).into())
}
