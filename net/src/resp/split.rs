//! Traverses encoded replies, to split an array or to merge parts. Handles any nesting without recursion, and any bytes
//! without a panic.

/// One value's own line: the number of nested values that follow, and the offset of the next value.
struct Head {
    children: u64,
    next: usize,
}

/// The end of the value at the start of `bytes`, including nested values; `None` if it is incomplete or not a value of
/// RESP2 or RESP3. Attributes (`|`) are neither written nor parsed here.
pub fn value_end(bytes: &[u8]) -> Option<usize> {
    let mut open: u64 = 1;
    let mut at = 0;
    while open > 0 {
        let Head { children, next } = head(bytes, at)?;
        open = (open - 1).checked_add(children)?;
        at = next;
    }
    Some(at)
}

/// The values in the array (set, push, map) at the start of `bytes`, each still encoded; a map's keys and values
/// alternate. `None` if it is not such a value or incomplete. A null array is empty.
pub fn elements(bytes: &[u8]) -> Option<Elements<'_>> {
    if !matches!(bytes.first()?, b'*' | b'~' | b'>' | b'%' | b'_') {
        return None;
    }
    let end = value_end(bytes)?;
    let Head { children, next } = head(bytes, 0)?;
    Some(Elements { bytes: &bytes[next..end], left: usize::try_from(children).ok()? })
}

/// The iterator of [`elements`].
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    bytes: &'a [u8],
    left: usize,
}

impl<'a> Elements<'a> {
    /// The remaining encoded values, one after another.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.left == 0 {
            return None;
        }
        // `elements` has checked these values.
        let (value, rest) = self.bytes.split_at(value_end(self.bytes)?);
        self.bytes = rest;
        self.left -= 1;
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Elements<'_> {}

fn head(bytes: &[u8], at: usize) -> Option<Head> {
    let (&kind, rest) = bytes.get(at..)?.split_first()?;
    let line_bytes = rest.iter().position(|&byte| byte == b'\r')?;
    if rest.get(line_bytes + 1) != Some(&b'\n') {
        return None;
    }
    let line = &rest[..line_bytes];
    let next = at + 1 + line_bytes + 2;
    let alone = Head { children: 0, next };
    match kind {
        b'+' | b'-' | b':' | b',' | b'#' | b'_' | b'(' => Some(alone),
        b'$' | b'=' | b'!' => match length(line)? {
            None => Some(alone),
            Some(length) => {
                let end = next.checked_add(usize::try_from(length).ok()?)?;
                (bytes.get(end..end.checked_add(2)?)? == b"\r\n").then_some(Head { children: 0, next: end + 2 })
            }
        },
        b'*' | b'~' | b'>' => Some(Head { children: length(line)?.unwrap_or(0), next }),
        b'%' => Some(Head { children: length(line)?.unwrap_or(0).checked_mul(2)?, next }),
        _ => None,
    }
}

/// A length; the inner `None` is the null of RESP2.
fn length(line: &[u8]) -> Option<Option<u64>> {
    if line == b"-1" { Some(None) } else { keytide_engine::number::parse_u64(line).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::{Protocol, Reply};
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Value {
        Null,
        NullArray,
        Simple(String),
        Bulk(Vec<u8>),
        Integer(i64),
        Double(f64),
        Boolean(bool),
        Verbatim(String),
        Array(Vec<Value>),
        Set(Vec<Value>),
        Push(Vec<Value>),
        Map(Vec<(Value, Value)>),
    }

    impl Value {
        fn encode(&self, reply: &mut Reply) {
            match self {
                Value::Null => reply.null(),
                Value::NullArray => reply.null_array(),
                Value::Simple(text) => reply.simple(text),
                Value::Bulk(bytes) => reply.bulk(bytes),
                Value::Integer(value) => reply.integer(*value),
                Value::Double(value) => reply.double(*value),
                Value::Boolean(value) => reply.boolean(*value),
                Value::Verbatim(text) => reply.verbatim("txt", text),
                Value::Array(values) => {
                    reply.array(values.len());
                    values.iter().for_each(|value| value.encode(reply));
                }
                Value::Set(values) => {
                    reply.set(values.len());
                    values.iter().for_each(|value| value.encode(reply));
                }
                Value::Push(values) => {
                    reply.push(values.len());
                    values.iter().for_each(|value| value.encode(reply));
                }
                Value::Map(pairs) => {
                    reply.map(pairs.len());
                    pairs.iter().for_each(|(key, value)| {
                        key.encode(reply);
                        value.encode(reply);
                    });
                }
            }
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            Just(Value::NullArray),
            ".{0,9}".prop_map(Value::Simple),
            proptest::collection::vec(any::<u8>(), 0..20).prop_map(Value::Bulk),
            any::<i64>().prop_map(Value::Integer),
            any::<f64>().prop_map(Value::Double),
            any::<bool>().prop_map(Value::Boolean),
            ".{0,9}".prop_map(Value::Verbatim),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let list = || proptest::collection::vec(inner.clone(), 0..5);
            prop_oneof![
                list().prop_map(Value::Array),
                list().prop_map(Value::Set),
                list().prop_map(Value::Push),
                proptest::collection::vec((inner.clone(), inner.clone()), 0..3).prop_map(Value::Map),
            ]
        })
    }

    fn encoded(values: &[Value], protocol: Protocol) -> Vec<u8> {
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, protocol);
        reply.array(values.len());
        values.iter().for_each(|value| value.encode(&mut reply));
        out
    }

    proptest! {
        #[test]
        fn a_written_reply_ends_where_it_ends_and_no_sooner(
            values in proptest::collection::vec(value(), 0..6),
            resp3 in any::<bool>(),
            tail in proptest::collection::vec(any::<u8>(), 0..9),
        ) {
            let protocol = if resp3 { Protocol::Resp3 } else { Protocol::Resp2 };
            let mut bytes = encoded(&values, protocol);
            let length = bytes.len();
            for cut in 0..length {
                prop_assert_eq!(value_end(&bytes[..cut]), None);
            }
            let parts: Vec<Vec<u8>> = elements(&bytes).unwrap().map(<[u8]>::to_vec).collect();
            prop_assert_eq!(parts.len(), values.len());
            for (part, value) in parts.iter().zip(&values) {
                let mut alone = Vec::new();
                value.encode(&mut Reply::new(&mut alone, protocol));
                prop_assert_eq!(part, &alone);
            }
            bytes.extend(tail);
            prop_assert_eq!(value_end(&bytes), Some(length));
        }

        #[test]
        fn any_bytes_are_walked_without_a_panic(bytes in proptest::collection::vec(
            prop_oneof![Just(b'*'), Just(b'$'), Just(b'%'), Just(b'\r'), Just(b'\n'), b'0'..=b'9', any::<u8>()], 0..60)) {
            if let Some(end) = value_end(&bytes) {
                prop_assert!(end <= bytes.len());
            }
            if let Some(elements) = elements(&bytes) {
                let length: usize = elements.map(<[u8]>::len).sum();
                prop_assert!(length <= bytes.len());
            }
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        let mut bytes = b"*1\r\n".repeat(1_000_000);
        assert_eq!(value_end(&bytes), None);
        bytes.extend(b":1\r\n");
        assert_eq!(value_end(&bytes), Some(bytes.len()));
    }

    #[test]
    fn announced_lengths_that_overflow_are_no_value() {
        for bytes in [
            &b"$18446744073709551615\r\nabc\r\n"[..],
            b"*18446744073709551615\r\n:1\r\n",
            b"*2\r\n*18446744073709551615\r\n:1\r\n",
            b"%9223372036854775808\r\n:1\r\n",
            b"$-2\r\n",
        ] {
            assert_eq!(value_end(bytes), None, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_null_array_holds_nothing() {
        assert_eq!(elements(b"*-1\r\n").unwrap().len(), 0);
        assert_eq!(elements(b"_\r\n").unwrap().len(), 0);
        assert!(elements(b":1\r\n").is_none());
    }
}
