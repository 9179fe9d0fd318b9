//! Numbers, cursors and options among the arguments.

use super::REPLY_EVENTS_MAX;
use super::refusal::CdcError;
use crate::resp::{Args, error_text};
use keytide_engine::group::Start;
use keytide_engine::number::parse_u64;
use keytide_engine::position::Position;

/// The arguments after the fixed ones, read once.
pub(super) struct Words<'a> {
    args: Args<'a>,
    at: usize,
}

impl<'a> Words<'a> {
    /// Starts at argument `at`.
    pub(super) fn new(args: Args<'a>, at: usize) -> Words<'a> {
        Words { args, at }
    }

    /// The required value of an option.
    pub(super) fn value(&mut self) -> Result<&'a [u8], CdcError> {
        self.next().ok_or_else(CdcError::syntax)
    }

    /// The required number of an option.
    pub(super) fn number(&mut self) -> Result<u64, CdcError> {
        number(self.value()?)
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let word = self.args.try_get(self.at)?;
        self.at += 1;
        Some(word)
    }
}

/// Whether an argument is this word, case-insensitively.
pub(super) fn is(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}

/// A number from 0.
pub(super) fn number(argument: &[u8]) -> Result<u64, CdcError> {
    parse_u64(argument).ok_or_else(|| CdcError::from(error_text::NOT_INTEGER))
}

/// A number from 1.
pub(super) fn positive(number: u64) -> Result<u64, CdcError> {
    if number == 0 { Err(CdcError::from(error_text::NOT_POSITIVE)) } else { Ok(number) }
}

/// The number of requested events, limited to that of a reply.
pub(super) fn count(argument: &[u8]) -> Result<usize, CdcError> {
    Ok(number(argument)?.min(REPLY_EVENTS_MAX as u64) as usize)
}

/// A cursor: `0` or `START`, `$` or `END`, or a position.
pub(super) fn cursor(argument: &[u8]) -> Result<Start, CdcError> {
    if is(argument, "START") {
        return Ok(Start::At(Position(0)));
    }
    if argument == b"$" || is(argument, "END") {
        return Ok(Start::Head);
    }
    number(argument).map(|number| Start::At(Position(number)))
}

/// Positions, each a `seq` of a row.
pub(super) fn positions(args: Args<'_>) -> Result<Vec<Position>, CdcError> {
    args.iter().map(|argument| number(argument).map(Position)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_a_word_or_a_number() {
        for start in [&b"0"[..], b"START", b"start"] {
            assert_eq!(cursor(start), Ok(Start::At(Position(0))));
        }
        assert_eq!((cursor(b"$"), cursor(b"end")), (Ok(Start::Head), Ok(Start::Head)));
        assert_eq!(cursor(b"42"), Ok(Start::At(Position(42))));
        for wrong in [&b"-1"[..], b"", b"4x", b"007", b"99999999999999999999"] {
            assert_eq!(cursor(wrong), Err(CdcError::from(error_text::NOT_INTEGER)));
        }
    }

    #[test]
    fn a_count_is_limited_to_that_of_a_reply() {
        assert_eq!((count(b"0"), count(b"7")), (Ok(0), Ok(7)));
        assert_eq!(count(b"18446744073709551615"), Ok(REPLY_EVENTS_MAX));
    }
}
