//! The values that a reply consists of, whatever its protocol.
//!
//! A command writes them to a [`ValueWriter`]. Mostly that is an encoder of the client's protocol. Where a reply has parts
//! that several cores make, it is a [`PartWriter`]: its values cross to the client's core as bytes in a batch, are read
//! there ([`Values`]) and merged, and only the merged reply is encoded.
//!
//! In a part, a value is a byte for its kind and then:
//!
//! | kind | bytes |
//! |---|---|
//! | integer | 8, little-endian |
//! | bytes, error | their number in 4, little-endian, and themselves |
//! | array | the number of its values in 4, little-endian; they follow |
//! | null, `OK` | none |

/// One value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// A success that has nothing else to say.
    Ok,
    /// An integer.
    Integer(i64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// The head of an array: so many values follow, and belong to it.
    Array(usize),
    /// An error's text, its code first.
    Error(&'a [u8]),
}

/// Takes the values of one or more replies. The caller has to complete what it begins: after [`ValueWriter::array`] of n, n
/// values have to follow.
pub trait ValueWriter {
    /// No value.
    fn null(&mut self);
    /// A success that has nothing else to say.
    fn ok(&mut self);
    /// An integer.
    fn integer(&mut self, value: i64);
    /// A count or a position, below 2^63.
    fn unsigned(&mut self, value: u64);
    /// Bytes.
    fn bulk(&mut self, bytes: &[u8]);
    /// The head of an array of `count` values.
    fn array(&mut self, count: usize);
    /// An error, its code first (`ERR syntax error`).
    fn error(&mut self, text: impl AsRef<[u8]>);
    /// The length of the output in bytes: a mark for [`ValueWriter::error_at`].
    fn mark(&self) -> usize;
    /// The text of the error, its code first, if one was written since the output was `mark` bytes long.
    fn error_at(&self, mark: usize) -> Option<&[u8]>;
    /// Removes everything written since the output was `mark` bytes long, so that an error can replace it.
    fn truncate(&mut self, mark: usize);

    /// Any value.
    #[inline]
    fn value(&mut self, value: Value<'_>) {
        match value {
            Value::Null => self.null(),
            Value::Ok => self.ok(),
            Value::Integer(value) => self.integer(value),
            Value::Bytes(bytes) => self.bulk(bytes),
            Value::Array(count) => self.array(count),
            Value::Error(text) => self.error(text),
        }
    }
}

const NULL: u8 = 0;
const OK: u8 = 1;
const INTEGER: u8 = 2;
const BYTES: u8 = 3;
const ARRAY: u8 = 4;
const ERROR: u8 = 5;

/// Appends the values of a part to `out`.
#[derive(Debug)]
pub struct PartWriter<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> PartWriter<'a> {
    /// Values that are appended to `out`.
    #[inline]
    pub fn new(out: &'a mut Vec<u8>) -> PartWriter<'a> {
        PartWriter { out }
    }

    /// A kind that is followed by a number. What does not fit into memory does not fit into it either.
    #[inline]
    fn head(&mut self, kind: u8, number: usize) {
        debug_assert!(number <= u32::MAX as usize, "a part is shorter than 4 GiB");
        self.out.push(kind);
        self.out.extend_from_slice(&(number as u32).to_le_bytes());
    }
}

impl ValueWriter for PartWriter<'_> {
    #[inline]
    fn null(&mut self) {
        self.out.push(NULL);
    }

    #[inline]
    fn ok(&mut self) {
        self.out.push(OK);
    }

    #[inline]
    fn integer(&mut self, value: i64) {
        self.out.push(INTEGER);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    #[inline]
    fn unsigned(&mut self, value: u64) {
        self.integer(value as i64);
    }

    #[inline]
    fn bulk(&mut self, bytes: &[u8]) {
        self.head(BYTES, bytes.len());
        self.out.extend_from_slice(bytes);
    }

    #[inline]
    fn array(&mut self, count: usize) {
        self.head(ARRAY, count);
    }

    fn error(&mut self, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        self.head(ERROR, text.len());
        self.out.extend_from_slice(text);
    }

    #[inline]
    fn mark(&self) -> usize {
        self.out.len()
    }

    #[inline]
    fn error_at(&self, mark: usize) -> Option<&[u8]> {
        match Values::of(self.out.get(mark..)?).next() {
            Some(Value::Error(text)) => Some(text),
            _ => None,
        }
    }

    #[inline]
    fn truncate(&mut self, mark: usize) {
        self.out.truncate(mark);
    }
}

/// The values of a part, in order: the head of an array before its values.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    bytes: &'a [u8],
}

impl<'a> Values<'a> {
    /// Of a part that a [`PartWriter`] has written.
    #[inline]
    pub fn of(part: &'a [u8]) -> Values<'a> {
        Values { bytes: part }
    }

    /// The number of values in the array whose head is next; 0 where another value is.
    pub fn array(&mut self) -> usize {
        match self.next() {
            Some(Value::Array(count)) => count,
            _ => 0,
        }
    }

    /// Writes the next value, with all that belong to it; null where there is none.
    #[inline]
    pub fn copy_next(&mut self, to: &mut impl ValueWriter) {
        let mut open = 1;
        while open > 0 {
            let value = self.next().unwrap_or(Value::Null);
            open -= 1;
            if let Value::Array(count) = value {
                open += count;
            }
            to.value(value);
        }
    }

    #[inline]
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    #[inline]
    fn number(&mut self) -> Option<usize> {
        let (number, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(u32::from_le_bytes(*number) as usize)
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Value<'a>;

    #[inline]
    fn next(&mut self) -> Option<Value<'a>> {
        let (&kind, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        match kind {
            NULL => Some(Value::Null),
            OK => Some(Value::Ok),
            INTEGER => {
                let (number, rest) = self.bytes.split_first_chunk()?;
                self.bytes = rest;
                Some(Value::Integer(i64::from_le_bytes(*number)))
            }
            BYTES => self.number().and_then(|count| self.take(count)).map(Value::Bytes),
            ARRAY => self.number().map(Value::Array),
            ERROR => self.number().and_then(|count| self.take(count)).map(Value::Error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part(values: &[Value<'_>]) -> Vec<u8> {
        let mut out = Vec::new();
        values.iter().for_each(|value| PartWriter::new(&mut out).value(*value));
        out
    }

    fn value<'a>(kind: u8, number: i64, bytes: &'a [u8]) -> Value<'a> {
        match kind {
            NULL => Value::Null,
            OK => Value::Ok,
            INTEGER => Value::Integer(number),
            BYTES => Value::Bytes(bytes),
            ARRAY => Value::Array(number as u32 as usize),
            _ => Value::Error(bytes),
        }
    }

    proptest! {
        #[test]
        fn values_come_back_as_they_were_written(
            written in proptest::collection::vec((NULL..=ERROR, any::<i64>(), proptest::collection::vec(any::<u8>(), 0..20)), 0..30),
        ) {
            let values: Vec<Value<'_>> = written.iter().map(|(kind, number, bytes)| value(*kind, *number, bytes)).collect();
            let part = part(&values);
            prop_assert_eq!(Values::of(&part).collect::<Vec<_>>(), values);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            prop_assert!(Values::of(&bytes).count() <= bytes.len());
        }
    }

    #[test]
    fn a_value_is_copied_with_all_that_belong_to_it() {
        let row = [Value::Array(2), Value::Array(1), Value::Bytes(b"a"), Value::Array(2), Value::Null, Value::Ok];
        let part = part(&[&row[..], &[Value::Integer(7)]].concat());
        let (mut values, mut copy) = (Values::of(&part), Vec::new());
        values.copy_next(&mut PartWriter::new(&mut copy));
        assert_eq!(Values::of(&copy).collect::<Vec<_>>(), row);
        assert_eq!(values.next(), Some(Value::Integer(7)));
        copy.clear();
        values.copy_next(&mut PartWriter::new(&mut copy));
        assert_eq!(Values::of(&copy).collect::<Vec<_>>(), [Value::Null], "there is none");
    }

    #[test]
    fn an_error_is_found_where_it_was_written() {
        let mut out = part(&[Value::Error(b"ERR earlier")]);
        let mut writer = PartWriter::new(&mut out);
        let mark = writer.mark();
        assert_eq!(writer.error_at(mark), None);
        writer.error("WRONGTYPE no");
        assert_eq!(writer.error_at(mark), Some(&b"WRONGTYPE no"[..]));
    }
}
