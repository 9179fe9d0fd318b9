//! Values in the form of DUMP and RESTORE, which is that of Redis's snapshots:
//!
//! ```text
//! │ type │ value … │ version, 2 bytes │ CRC-64 of all before it, 8 bytes │     little endian
//! ```
//!
//! What is written has the plain forms, which every version of Redis reads, for streams the form of Redis 7.0,
//! and for hashes whose fields have TTLs that of Redis 7.4. What is read has any form that Redis has written up to version 8 of
//! it, without modules; nothing in it is believed. A snapshot has values in the same bytes; [`skip`] says where one ends there.

mod compact;
mod crc64;
mod lzf;
mod read;
pub mod skip;
mod stream;
mod write;

use crate::collection::Thresholds;
use crate::keyspace::{Value, ValueRef};
pub use crc64::crc64;
use thiserror::Error;

/// The version that is written: of Redis 7.0.
const VERSION: u16 = 10;
/// The same of a hash whose fields have TTLs: of Redis 7.4, which is the first to know them.
const VERSION_OF_TTLS: u16 = 12;
/// The latest version that is read: of Redis 8.
pub const VERSION_MAX: u16 = 12;
const FOOTER_BYTES: usize = 10;

/// Why a payload is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DumpError {
    /// It is of a later version, or damaged.
    #[error("DUMP payload version or checksum are wrong")]
    Footer,
    /// It has no value, or one that this server has not.
    #[error("Bad data format")]
    Format,
}

/// A value as a payload.
pub fn encode(value: ValueRef<'_>) -> Vec<u8> {
    let mut payload = write::value(value);
    let version = if payload.first() == Some(&read::HASH_TTLS) { VERSION_OF_TTLS } else { VERSION };
    seal(&mut payload, version);
    payload
}

/// Makes a payload of a type and its value, which are of this version.
pub fn seal(value: &mut Vec<u8>, version: u16) {
    value.extend(version.to_le_bytes());
    let sum = crc64(0, value);
    value.extend(sum.to_le_bytes());
}

/// The text of a string that stands in a snapshot in these bytes; `None` if it is none, or something is left.
pub fn text(bytes: &[u8]) -> Option<Vec<u8>> {
    read::text(bytes).map(|text| text.to_vec())
}

/// The value of a payload.
///
/// # Errors
/// The payload is damaged, or has no value that this server has.
pub fn decode(payload: &[u8], thresholds: &Thresholds) -> Result<Value, DumpError> {
    let length = payload.len().checked_sub(FOOTER_BYTES).ok_or(DumpError::Footer)?;
    let (covered, sum) = payload.split_at(length + 2);
    let (value, version) = covered.split_at(length);
    let version = u16::from_le_bytes(version.try_into().map_err(|_| DumpError::Footer)?);
    if version > VERSION_MAX || sum != crc64(0, covered).to_le_bytes() {
        return Err(DumpError::Footer);
    }
    read::value(value, thresholds).ok_or(DumpError::Format)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::keyspace::Kind;
    use proptest::prelude::*;

    pub(super) fn sealed(mut value: Vec<u8>) -> Vec<u8> {
        seal(&mut value, VERSION);
        value
    }

    fn parts(value: &Value) -> Vec<Vec<u8>> {
        value.view().parts().iter().map(|part| part.to_vec()).collect()
    }

    proptest! {
        #[test]
        fn a_value_is_what_was_dumped(
            texts in proptest::collection::btree_set(proptest::collection::vec(any::<u8>(), 0..90), 1..200),
            number in any::<i32>(),
        ) {
            let texts: Vec<Vec<u8>> = texts.into_iter().chain([number.to_string().into_bytes()]).collect();
            let paired = texts.iter().flat_map(|text| [&text[..], b"v"]);
            let scored = texts.iter().enumerate().flat_map(|(n, text)| [if n % 2 == 0 { &b"-0.1"[..] } else { b"inf" }, text]);
            for kind in [Kind::String, Kind::Hash, Kind::List, Kind::Set, Kind::Sorted] {
                let mut value = Value::empty(kind);
                let is_whole = match kind {
                    Kind::Hash => value.add_parts(paired.clone()),
                    Kind::Sorted => value.add_parts(scored.clone()),
                    _ => value.add_parts(texts.iter().map(Vec::as_slice)),
                };
                // The number may be among the texts.
                prop_assume!(is_whole);
                let again = decode(&encode(value.view()), &Thresholds::default()).expect("it was written here");
                let (mut one, mut other) = (parts(&value), parts(&again));
                if kind == Kind::Set {
                    one.sort_unstable();
                    other.sort_unstable();
                }
                prop_assert_eq!(one, other);
            }
        }

        #[test]
        fn any_bytes_are_refused_or_a_value_and_never_a_panic(
            kind in 0u8..30, bytes in proptest::collection::vec(any::<u8>(), 0..60), small in any::<bool>(),
        ) {
            let bytes = bytes.into_iter().map(|byte| if small { byte % 24 } else { byte });
            let value: Vec<u8> = std::iter::once(kind).chain(bytes).collect();
            if let Ok(value) = decode(&sealed(value), &Thresholds::default()) {
                prop_assert!(!value.is_empty_collection());
            }
        }
    }

    #[test]
    fn a_hash_whose_fields_have_ttls_comes_back_with_them_and_from_redis_too() {
        // What redis-server 8.2 makes of `a` with 1, and of `b` with 2 and a TTL; `c` makes it large.
        let packed = b"\x19{@\x94R\xa3\x03\x00\x00\x1d\x1d\x00\x00\x00\x06\x00\x81b\x02\x02\x01\xf4{@\x94R\xa3\x03\x00\x00\t\x81a\x02\x01\x01\x00\x01\xff\x0c\x00\xf1 \x8d\x83e\xf2\xe6\x99";
        let large = b"\x18{@\x94R\xa3\x03\x00\x00\x03\x00\x01a\xc0\x01\x01\x01b\xc0\x02\x00\x01c\xc0\x03\x0c\x00\x96\xfa\xc9O\xa7U4\xe1";
        let text = |value: &Value| String::from_utf8(parts(value).join(&b' ')).expect("it is text");
        for (payload, expected) in
            [(&packed[..], "b 2 4000000000123 a 1 0"), (&large[..], "a 1 0 b 2 4000000000123 c 3 0")]
        {
            let value = decode(payload, &Thresholds::default()).expect("Redis has written it");
            assert_eq!(text(&value), expected);
            let again = decode(&encode(value.view()), &Thresholds::default()).expect("it was written here");
            assert_eq!(text(&again), expected);
        }
        let mut value = decode(large, &Thresholds::default()).expect("Redis has written it");
        let Value::Hash(hash) = &mut value else { panic!("it is a hash") };
        for (field, end) in [(b"a", 5), (b"c", crate::limits::FIELD_END_MAX_MS)] {
            assert!(hash.set_end(field, end, &Thresholds::default()));
        }
        let again = decode(&encode(value.view()), &Thresholds::default()).expect("it was written here");
        assert_eq!(text(&again), text(&value));
    }

    #[test]
    fn a_payload_that_is_changed_is_refused() {
        let payload = encode(ValueRef::Str(b"some text"));
        for at in 0..payload.len() {
            let mut other = payload.clone();
            other[at] ^= 1;
            assert_eq!(decode(&other, &Thresholds::default()).map(|_| ()), Err(DumpError::Footer));
            assert_eq!(decode(&payload[..at], &Thresholds::default()).map(|_| ()), Err(DumpError::Footer));
        }
        let mut later = payload[..payload.len() - 10].to_vec();
        seal(&mut later, VERSION_MAX + 1);
        assert_eq!(decode(&later, &Thresholds::default()).map(|_| ()), Err(DumpError::Footer));
    }

    #[test]
    fn what_no_key_may_hold_is_refused() {
        let refused: &[&[u8]] = &[
            b"",
            b"\x00",
            b"\x01\x00",
            b"\x02\x02\x01a\x01a",
            b"\x02\x05\x01a",
            b"\x04\x01\x01a",
            b"\x05\x01\x01a\0\0\0\0\0\0\xf8\x7f",
            b"\x03\x01\x01a\xfd",
            b"\x0f\x00",
            b"\x00\x02a",
            b"\x00\x01ab",
            b"\x00\x80\xff\xff\xff\xffa",
            b"\x00\x81\xff\xff\xff\xff\xff\xff\xff\xffa",
            b"\x00\xc3\x03\x80\xff\xff\xff\xff\x01aa",
            b"\x0b\x09\x03\0\0\0\x01\0\0\0\x05",
        ];
        for value in refused {
            let decoded = decode(&sealed(value.to_vec()), &Thresholds::default());
            assert_eq!(decoded.map(|_| ()), Err(DumpError::Format), "{}", value.escape_ascii());
        }
    }
}
