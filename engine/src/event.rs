//! What can happen to a key: the event types, their codes and names.
//!
//! To add a type, add a row to the table below: code, name, meaning. The code is the next free one. The compiler then
//! names every match that has to say what a record of the type means: replay (`keyspace/entry/replay.rs`), snapshot
//! rows (`snapshot/row.rs`). None of them has a `_` arm, and none gets one. A test names the row that the table in
//! `docs/protocol.md` needs, another asks for a command in `shard/random.rs` that records the type.

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
    5  HSet       "A field of a hash was set. Data: field, value."
    6  HDel       "A field of a hash was deleted. Data: the field."
    7  LPush      "An element was put at the head of a list. Data: the element."
    8  RPush      "An element was put at the tail of a list. Data: the element."
    9  LPop       "The element at the head of a list was removed. Data: the element."
    10 RPop       "The element at the tail of a list was removed. Data: the element."
    11 SAdd       "A member was added to a set. Data: the member."
    12 SRem       "A member was removed from a set. Data: the member."
    13 ZAdd       "A member of a sorted set was added or got another score. Data: score, member."
    14 ZRem       "A member was removed from a sorted set. Data: the member."
    15 TtlSet     "A key got a TTL. Data: when it ends, Unix time in milliseconds, in decimal."
    16 TtlCleared "A key lost its TTL and stays. No data."
    17 LSet       "An element of a list was overwritten. Data: index from the head (0 is the first), element."
    18 LInsert    "An element was put into a list. Data: its index from the head once it is there, element."
    19 LRem       "Equal elements were removed from a list. Data: how many were removed, negative when counted from the tail, element."
    20 LTrim      "A list was cut. Data: index of the first and of the last element that stay, from the head."
    21 Rename     "A key took over another key's value. Data: the other key, `string`, `hash`, `list` or `set`, then the value's parts: the bytes; field, value, …; the elements in order; the members. Replaces whatever the key held, TTL included; a TTL that comes along follows as TtlSet."
    22 FlushDb    "The database was flushed. No data; key empty, stream `$db`. One event, at one position that splits every shard's history the same way."
}

impl EventType {
    /// The code that a record carries.
    #[inline]
    pub fn code(self) -> u16 {
        self as u16
    }

    /// Whether a client may not give this name to an event that it appends: the built-in names, and `GAP`, which
    /// change capture uses for its own rows. In any case of letters, for change capture shows the names in capitals.
    pub fn is_reserved(name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(b"gap") || BUILT_IN.iter().any(|row| name.eq_ignore_ascii_case(row.1.as_bytes()))
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
        assert!(EventType::is_reserved(b"HSet") && EventType::is_reserved(b"HSET") && EventType::is_reserved(b"gap"));
        assert!(!EventType::is_reserved(b"OrderPlaced"));
    }
}
