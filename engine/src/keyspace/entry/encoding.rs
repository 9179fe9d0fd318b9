//! Redis's words for the forms in which values are stored, as OBJECT ENCODING returns them.

use super::ValueRef;
use crate::number::parse_i64;

/// The longest string that is stored within its object in Redis, in bytes.
const EMBEDDED_MAX: usize = 44;

/// The longest text of a 64-bit integer, in bytes.
const INTEGER_MAX: usize = 20;

impl ValueRef<'_> {
    /// The form in which it is stored.
    pub fn encoding(self) -> &'static str {
        match self {
            ValueRef::Str(bytes) if bytes.len() <= INTEGER_MAX && parse_i64(bytes).is_some() => "int",
            ValueRef::Str(bytes) if bytes.len() <= EMBEDDED_MAX => "embstr",
            ValueRef::Str(_) => "raw",
            ValueRef::Hash(hash) => hash.encoding(),
            ValueRef::List(list) => list.encoding(),
            ValueRef::Set(set) => set.encoding(),
            ValueRef::Sorted(set) => set.encoding(),
            ValueRef::RedisStream(stream) => stream.encoding(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_has_the_form_that_redis_gives_it_when_it_is_set() {
        let of = |text: &str| ValueRef::Str(text.as_bytes()).encoding();
        for integer in ["0", "-1", "9223372036854775807", "-9223372036854775808"] {
            assert_eq!(of(integer), "int");
        }
        for text in ["", "01", "+1", "-0", "1.5", "9223372036854775808", &"x".repeat(44)] {
            assert_eq!(of(text), "embstr");
        }
        assert_eq!(of(&"x".repeat(45)), "raw");
    }
}
