//! Arguments of commands on Redis streams.

use crate::resp::error_text;
use keytide_engine::collection::{EntryId, EntryIds};
use keytide_engine::number::parse_i64;

/// The id is none.
pub const INVALID_ID: &str = "ERR Invalid stream ID specified as stream command argument";

/// An id, whose number is 0 if it has none. The ends of all ids, `-` and `+`, are none here.
pub fn strict_id(word: &[u8]) -> Result<EntryId, &'static str> {
    EntryId::parse(word, 0).ok_or(INVALID_ID)
}

/// An id, or an end of all ids; `missing_seq` is the number of one that has none.
pub fn id(word: &[u8], missing_seq: u64) -> Result<EntryId, &'static str> {
    match word {
        // What is behind a zero byte does not count, as in a string of C.
        [b'-'] | [b'-', 0, ..] => Ok(EntryId::MIN),
        [b'+'] | [b'+', 0, ..] => Ok(EntryId::MAX),
        _ => EntryId::parse(word, missing_seq).ok_or(INVALID_ID),
    }
}

/// Several ids.
pub fn ids<'a>(words: impl Iterator<Item = &'a [u8]>) -> Result<EntryIds, &'static str> {
    words.map(strict_id).collect()
}

/// The first id of an interval, the next one if `(` excludes it.
pub fn start(word: &[u8]) -> Result<EntryId, &'static str> {
    match word {
        [b'(', rest @ ..] if !rest.is_empty() => {
            EntryId::parse(rest, 0).ok_or(INVALID_ID)?.next().ok_or("ERR invalid start ID for the interval")
        }
        _ => id(word, 0),
    }
}

/// The last id of an interval, the one before if `(` excludes it.
pub fn end(word: &[u8]) -> Result<EntryId, &'static str> {
    match word {
        [b'(', rest @ ..] if !rest.is_empty() => {
            EntryId::parse(rest, u64::MAX).ok_or(INVALID_ID)?.previous().ok_or("ERR invalid end ID for the interval")
        }
        _ => id(word, u64::MAX),
    }
}

/// An integer.
pub fn integer(word: &[u8]) -> Result<i64, &'static str> {
    parse_i64(word).ok_or(error_text::NOT_INTEGER)
}

/// The most entries, of which any number below 1 is all.
pub fn most(count: i64) -> usize {
    usize::try_from(count).ok().filter(|&count| count > 0).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_exclude_their_ends_where_they_are_told_to() {
        let of = |ms, seq| Ok(EntryId { ms, seq });
        assert_eq!((start(b"5"), end(b"5")), (of(5, 0), of(5, u64::MAX)));
        assert_eq!((start(b"(5"), end(b"(5")), (of(5, 1), of(5, u64::MAX - 1)));
        assert_eq!((start(b"(5-7"), end(b"(5-0")), (of(5, 8), of(4, u64::MAX)));
        assert_eq!((start(b"-"), end(b"+")), (Ok(EntryId::MIN), Ok(EntryId::MAX)));
        let greatest = b"(18446744073709551615-18446744073709551615";
        assert_eq!(start(greatest), Err("ERR invalid start ID for the interval"));
        assert_eq!(end(b"(0-0"), Err("ERR invalid end ID for the interval"));
        for word in [&b"("[..], b"(-", b"(+", b"x", b""] {
            assert_eq!((start(word), end(word)), (Err(INVALID_ID), Err(INVALID_ID)));
        }
    }
}
