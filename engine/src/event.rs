//! What can happen to a key: the built-in event types, their names and codes. One row per type; the rest of the
//! program asks this table.

/// The type of an event. The code is what a record carries; codes are never reused, for logs keep them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventType(u16);

macro_rules! event_types {
    ($($code:literal $name:ident $meaning:literal)*) => {
        #[allow(non_upper_case_globals)]
        impl EventType {
            $(#[doc = $meaning] pub const $name: EventType = EventType($code);)*
        }

        /// Every built-in type: type, name, name in capitals (as Kora's commands show it), what it means.
        pub const BUILT_IN: &[(EventType, &str, &str)] = &[$((EventType($code), stringify!($name), $meaning)),*];
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
    /// A type that a client named when it appended the event; the record carries the name.
    pub const CUSTOM: EventType = EventType(0);

    /// The code that a record carries.
    pub fn code(self) -> u16 {
        self.0
    }

    /// The type of a code read from a record; codes from a later version are shown as custom ones without a name.
    pub fn from_code(code: u16) -> EventType {
        if (code as usize) <= BUILT_IN.len() { EventType(code) } else { EventType::CUSTOM }
    }

    /// The built-in type's name (`HSet`), or none for a custom one.
    pub fn name(self) -> Option<&'static str> {
        self.0.checked_sub(1).and_then(|index| BUILT_IN.get(index as usize)).map(|row| row.1)
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
    fn codes_are_dense_from_one_so_that_a_code_finds_its_row() {
        for (index, row) in BUILT_IN.iter().enumerate() {
            assert_eq!(row.0.code() as usize, index + 1);
            assert_eq!(EventType::from_code(row.0.code()).name(), Some(row.1));
        }
        assert_eq!(EventType::from_code(999), EventType::CUSTOM);
    }

    #[test]
    fn a_client_may_not_take_a_built_in_name() {
        assert!(EventType::is_reserved(b"HSet") && EventType::is_reserved(b"HSET") && EventType::is_reserved(b"gap"));
        assert!(!EventType::is_reserved(b"OrderPlaced"));
    }
}
