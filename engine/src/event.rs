//! What can happen to a key: the event types, their codes and names.
//!
//! To add a type, add a row to the table below: code, name, meaning. The code is the next free one. The compiler then
//! names every match that has to say what a record of the type means: replay (`keyspace/entry/replay.rs`), snapshot
//! rows (`snapshot/row.rs`). None of them has a `_` arm, and none gets one. A test names the row that the table in
//! `docs/protocol.md` needs, another asks for a command in `shard/random.rs` that records the type.

use crate::limits::EVENT_TYPE_BYTES_MAX;
use thiserror::Error;

macro_rules! event_types {
    ($($code:literal $name:ident $meaning:literal)*) => {
        /// The type of an event. A record carries its code; codes are never reused, because logs keep them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum EventType {
            /// A type that a client named when it appended the event; the record carries the name. Read from a record,
            /// also a type of a later version, whose code this version does not know.
            Custom = 0,
            $(#[doc = $meaning] $name = $code,)*
        }

        /// Every built-in type: type, name, meaning. Change capture shows the name in capitals.
        pub const BUILT_IN: &[(EventType, &str, &str)] = &[$((EventType::$name, stringify!($name), $meaning)),*];

        impl EventType {
            /// The type of a code read from a record; [`EventType::Custom`] for a code of a later version.
            #[inline]
            pub fn from_code(code: u16) -> EventType {
                match code {
                    $($code => EventType::$name,)*
                    _ => EventType::Custom,
                }
            }

            /// The built-in type's name (`HSet`), or none for a custom one.
            #[inline]
            pub fn name(self) -> Option<&'static str> {
                match self {
                    EventType::Custom => None,
                    $(EventType::$name => Some(stringify!($name)),)*
                }
            }
        }
    };
}

event_types! {
    1  Set        "A string key was created or overwritten. Data: the new value. Leaves the TTL as it is."
    2  Del        "A key was deleted by a command. No data."
    3  Expire     "A key was removed because its TTL ran out. No data."
    4  Evict      "A key was removed to keep within maxmemory. No data."
    5  HSet       "A field of a hash was set. Data: field, value. Leaves the field's TTL as it is."
    6  HDel       "A field of a hash was deleted. Data: the field."
    7  LPush      "An element was put at the head of a list. Data: the element."
    8  RPush      "An element was put at the tail of a list. Data: the element."
    9  LPop       "The element at the head of a list was removed. Data: the element."
    10 RPop       "The element at the tail of a list was removed. Data: the element."
    11 SAdd       "A member was added to a set. Data: the member."
    12 SRem       "A member was removed from a set. Data: the member."
    13 ZAdd       "A member of a sorted set was added or got another score. Data: score (up to 17 digits, `inf`, `-inf`: exactly its double), member."
    14 ZRem       "A member was removed from a sorted set. Data: the member."
    15 TtlSet     "A key got a TTL. Data: when it ends, Unix time in milliseconds, in decimal."
    16 TtlCleared "A key lost its TTL and stays. No data."
    17 LSet       "An element of a list was overwritten. Data: index from the head (0 is the first), element."
    18 LInsert    "An element was put into a list. Data: its index from the head once it is there, element."
    19 LRem       "Equal elements were removed from a list. Data: how many were removed, negative when counted from the tail, element."
    20 LTrim      "A list was cut. Data: index of the first and of the last element that stay, from the head."
    21 Rename     "A key took over another key's value. Data: the other key, `string`, `hash`, `hashttl`, `list`, `set`, `zset` or `stream`, then the value's parts: the bytes; field, value, …; of a hash whose fields have TTLs field, value, when the TTL ends (Unix milliseconds) or `0`, …; the elements in order; the members; score, member, …; the items of a Redis stream. Replaces whatever the key held, TTL included; a TTL that comes along follows as TtlSet."
    22 FlushDb    "The database was flushed. No data; key empty, stream `$db`. One event, at one position that splits every shard's history the same way."
    23 XAdd       "An entry was added to a Redis stream. Data: id, field, value, …."
    24 XDel       "Entries of a Redis stream were deleted. Data: their ids."
    25 XTrim      "A Redis stream was trimmed. Data: the id of the last entry that was removed: it and all before it."
    26 XSetId     "What a Redis stream knows of its past was set. Data: last id, number of entries ever added, greatest id that was deleted by `XDEL`."
    27 XGroup     "A consumer group of a Redis stream was created, with the stream if there was none, or was set. Data: group, greatest id delivered, number of entries read or `-` if it is not known."
    28 XGroupDel  "A consumer group of a Redis stream was destroyed, with its consumers. Data: group."
    29 XConsumer  "A consumer of a group was created. Data: group, consumer."
    30 XConsumerDel "A consumer of a group was deleted, and its entries are not pending any more. Data: group, consumer."
    31 XReadGroup "A group delivered entries to a consumer, which is created if it is new: all behind the greatest id delivered so far, up to a new one. Data: group, consumer, that id, number of entries read or `-`; then `noack` if the entries do not become pending."
    32 XClaim     "Entries were delivered to a consumer again, or given to another one. Data: group, consumer, time of delivery (Unix milliseconds), what became of the number of deliveries (`+1`, `+0` or `=n`), ids. An id that was not pending becomes so, as delivered once before."
    33 XAck       "Entries are not pending any more in a group. Data: group, ids."
    34 SetRange   "Part of a string was overwritten, from an offset on; where it was shorter, zero bytes were put up to there. Data: offset in bytes, bytes. A key that did not exist held an empty string. Leaves the TTL as it is."
    35 Copy       "A key got a copy of another key's value. Data: as of Rename, which it is like in all else."
    36 Restore    "A key got a value that had been dumped. Data: as of Rename without the other key. Like Rename in all else."
    37 HTtlSet     "A field of a hash got a TTL. Data: field, when it ends, Unix time in milliseconds, in decimal."
    38 HTtlCleared "A field of a hash lost its TTL and stays. Data: the field."
    39 HExpire     "A field of a hash was removed because its TTL ran out. Data: the field. Without data: all fields that were left, and the key with them."
}

impl EventType {
    /// The code that a record carries.
    #[inline]
    pub fn code(self) -> u16 {
        self as u16
    }
}

/// The name of a type that a client gives to an event which it appends. It has at least one byte and at most
/// [`EVENT_TYPE_BYTES_MAX`], and is none of the built-in names nor `GAP`, which change capture uses for rows of its own, in
/// any case of letters: change capture shows the built-in names in capitals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CustomType<'a>(&'a [u8]);

/// Why a client may not give a type this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CustomTypeError {
    /// It is empty.
    #[error("event type is empty")]
    Empty,
    /// It is longer than [`EVENT_TYPE_BYTES_MAX`].
    #[error("event type of {bytes} bytes exceeds {EVENT_TYPE_BYTES_MAX}")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// It is the name of a built-in type, or `GAP`.
    #[error("the event type is reserved")]
    Reserved,
}

impl<'a> CustomType<'a> {
    /// Checks a name.
    ///
    /// # Errors
    /// The name is empty, too long or reserved.
    pub fn new(name: &'a [u8]) -> Result<CustomType<'a>, CustomTypeError> {
        if name.is_empty() {
            return Err(CustomTypeError::Empty);
        }
        if name.len() > EVENT_TYPE_BYTES_MAX {
            return Err(CustomTypeError::TooLong { bytes: name.len() });
        }
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        if is("gap") || BUILT_IN.iter().any(|(_, built_in, _)| is(built_in)) {
            return Err(CustomTypeError::Reserved);
        }
        Ok(CustomType(name))
    }

    /// The name.
    pub fn name(self) -> &'a [u8] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_finds_its_type_and_one_of_a_later_version_none() {
        for (event_type, name, _) in BUILT_IN {
            assert_eq!((EventType::from_code(event_type.code()), event_type.name()), (*event_type, Some(*name)));
        }
        for code in [0, BUILT_IN.len() as u16 + 1, 999, u16::MAX] {
            assert_eq!((EventType::from_code(code), EventType::Custom.name()), (EventType::Custom, None), "{code}");
        }
    }

    #[test]
    fn a_client_may_not_take_a_built_in_name() {
        for name in ["HSet", "HSET", "hset", "gap", "FlushDb"] {
            assert_eq!(CustomType::new(name.as_bytes()), Err(CustomTypeError::Reserved), "{name}");
        }
        assert_eq!(CustomType::new(b""), Err(CustomTypeError::Empty));
        let long = [b'x'; EVENT_TYPE_BYTES_MAX + 1];
        assert_eq!(CustomType::new(&long), Err(CustomTypeError::TooLong { bytes: long.len() }));
        for name in [&b"OrderPlaced"[..], &long[1..]] {
            assert_eq!(CustomType::new(name).map(CustomType::name), Ok(name));
        }
    }
}
