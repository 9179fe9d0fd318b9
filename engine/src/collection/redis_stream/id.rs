//! The id of an entry: a time in milliseconds and a number within it, as Redis reads and writes both.

use std::fmt;
use std::ops::Deref;

/// The id of an entry. Ids of a stream only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// Unix time in milliseconds, or whatever a client gave.
    pub ms: u64,
    /// The number among those of this time.
    pub seq: u64,
}

/// The longest text of an id: two numbers of 20 digits and what separates them.
const TEXT_BYTES: usize = 41;

/// Redis reads no longer ids.
const PARSED_BYTES_MAX: usize = 127;

/// The text of an id, `ms-seq`.
#[derive(Clone, Copy)]
pub struct IdText {
    bytes: [u8; TEXT_BYTES],
    length: u8,
}

impl Deref for IdText {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl AsRef<[u8]> for IdText {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for IdText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.escape_ascii())
    }
}

impl EntryId {
    /// The least id, which no entry has.
    pub const MIN: EntryId = EntryId { ms: 0, seq: 0 };
    /// The greatest one.
    pub const MAX: EntryId = EntryId { ms: u64::MAX, seq: u64::MAX };

    /// The next greater id; `None` behind the greatest.
    #[inline]
    pub fn next(self) -> Option<EntryId> {
        match (self.seq.checked_add(1), self.ms.checked_add(1)) {
            (Some(seq), _) => Some(EntryId { seq, ..self }),
            (None, Some(ms)) => Some(EntryId { ms, seq: 0 }),
            (None, None) => None,
        }
    }

    /// The next lower id; `None` before the least.
    #[inline]
    pub fn previous(self) -> Option<EntryId> {
        match (self.seq.checked_sub(1), self.ms.checked_sub(1)) {
            (Some(seq), _) => Some(EntryId { seq, ..self }),
            (None, Some(ms)) => Some(EntryId { ms, seq: u64::MAX }),
            (None, None) => None,
        }
    }

    /// The id in 16 bytes, whose order is that of the ids.
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.ms) << 64 | u128::from(self.seq)).to_be_bytes()
    }

    /// The id that has these bytes.
    pub fn of_bytes(bytes: [u8; 16]) -> EntryId {
        let both = u128::from_be_bytes(bytes);
        EntryId { ms: (both >> 64) as u64, seq: both as u64 }
    }

    /// Its text.
    #[inline]
    pub fn text(self) -> IdText {
        let mut text = IdText { bytes: [0; TEXT_BYTES], length: 0 };
        let (mut ms, mut seq) = (itoa::Buffer::new(), itoa::Buffer::new());
        let (ms, seq) = (ms.format(self.ms).as_bytes(), seq.format(self.seq).as_bytes());
        text.bytes[..ms.len()].copy_from_slice(ms);
        text.bytes[ms.len()] = b'-';
        text.bytes[ms.len() + 1..][..seq.len()].copy_from_slice(seq);
        text.length = (ms.len() + 1 + seq.len()) as u8;
        text
    }

    /// An id as a client writes it, `ms-seq`, or `ms` alone, which means `missing_seq` there.
    pub fn parse(text: &[u8], missing_seq: u64) -> Option<EntryId> {
        if text.len() > PARSED_BYTES_MAX {
            return None;
        }
        let text = c_string(text);
        match text.iter().position(|&byte| byte == b'-') {
            None => Some(EntryId { ms: parse_number(text)?, seq: missing_seq }),
            Some(at) => Some(EntryId { ms: parse_number(&text[..at])?, seq: parse_number(&text[at + 1..])? }),
        }
    }

    /// The time of an id whose number the server has to choose, `ms-*`.
    pub fn parse_any_seq(text: &[u8]) -> Option<u64> {
        if text.len() > PARSED_BYTES_MAX {
            return None;
        }
        parse_number(c_string(text).strip_suffix(b"-*")?)
    }
}

/// What C sees of it: the bytes before the first zero.
fn c_string(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// A number as Redis reads those of ids: as `strtoull` does, but nothing that is plainly a negative number.
fn parse_number(text: &[u8]) -> Option<u64> {
    if let Some(number) = crate::number::parse_u64(text) {
        return Some(number);
    }
    if crate::number::parse_i64(text).is_some() {
        return None;
    }
    let start = text.iter().position(|byte| !matches!(byte, b' ' | b'\t'..=b'\r'))?;
    let (is_negative, digits) = match &text[start..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let number = digits.iter().try_fold(0u64, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 { None } else { value.checked_mul(10)?.checked_add(u64::from(digit)) }
    })?;
    Some(if is_negative { number.wrapping_neg() } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64, seq: u64) -> EntryId {
        EntryId { ms, seq }
    }

    #[test]
    fn ids_are_read_as_redis_reads_them() {
        for (text, read) in [
            ("1-2", Some(id(1, 2))),
            ("1", Some(id(1, 9))),
            ("007-+3", Some(id(7, 3))),
            (" 1-\t2", Some(id(1, 2))),
            ("18446744073709551615-18446744073709551615", Some(EntryId::MAX)),
            ("18446744073709551616", None),
            ("1-2\0x", Some(id(1, 2))),
            ("1-00", Some(id(1, 0))),
            ("1--0", Some(id(1, 0))),
            ("1--1", None),
            ("-1", None),
            ("-", None),
            ("+", None),
            ("1-", None),
            ("1-*", None),
            ("", None),
            ("1-2 ", None),
            ("x", None),
        ] {
            assert_eq!(EntryId::parse(text.as_bytes(), 9), read, "{text:?}");
        }
        assert_eq!(EntryId::parse(&[b'0'; 128], 0), None);
        assert_eq!(EntryId::parse(&[b'0'; 127], 0), Some(EntryId::MIN));
        assert_eq!(EntryId::parse_any_seq(b"5-*"), Some(5));
        assert_eq!((EntryId::parse_any_seq(b"5-1"), EntryId::parse_any_seq(b"-*")), (None, None));
    }

    #[test]
    fn texts_are_read_as_they_were_written() {
        for each in [EntryId::MIN, id(0, 1), id(1_700_000_000_000, 0), EntryId::MAX] {
            assert_eq!(EntryId::parse(&each.text(), 7), Some(each));
        }
    }

    #[test]
    fn next_and_previous_cross_from_one_time_to_another() {
        assert_eq!(id(1, u64::MAX).next(), Some(id(2, 0)));
        assert_eq!(id(2, 0).previous(), Some(id(1, u64::MAX)));
        assert_eq!((EntryId::MAX.next(), EntryId::MIN.previous()), (None, None));
    }
}
