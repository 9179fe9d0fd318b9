//! Encodes replies onto a connection's output. One set of methods for both protocol versions: types that RESP2 lacks
//! are sent as Redis sends them there.

use crate::value::ValueWriter;
use keytide_engine::number::score_text;

/// A connection's protocol version, RESP2 until `HELLO 3`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// The protocol of Redis before 6.
    #[default]
    Resp2,
    /// With maps, sets, doubles, booleans, nulls and pushes.
    Resp3,
}

/// Appends one connection's replies to `out`. The caller has to complete what it begins: after [`Reply::array`] of n, n
/// values have to follow.
#[derive(Debug)]
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
}

impl<'a> Reply<'a> {
    /// Replies that are appended to `out`.
    #[inline]
    pub fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Reply<'a> {
        Reply { out, protocol }
    }

    /// The same output, for a shorter lifetime.
    #[inline]
    pub fn reborrow(&mut self) -> Reply<'_> {
        Reply { out: self.out, protocol: self.protocol }
    }

    /// The protocol version.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The output itself, for values that are encoded elsewhere.
    #[inline]
    pub fn out(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// Another output in this protocol version, for what a reply may contain later.
    pub fn for_part<'o>(&self, out: &'o mut Vec<u8>) -> Reply<'o> {
        Reply { out, protocol: self.protocol }
    }

    /// The same reply for another protocol version: HELLO replies in the one that it has just selected.
    pub fn for_protocol(&mut self, protocol: Protocol) -> Reply<'_> {
        Reply { out: self.out, protocol }
    }

    /// The length of the output in bytes: a mark for [`Reply::truncate`].
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// The text of the error, its code first, if one was written since the output was `len` bytes long.
    #[inline]
    pub fn error_at(&self, len: usize) -> Option<&[u8]> {
        if self.out.get(len) == Some(&b'-') { self.out[len + 1..].strip_suffix(b"\r\n") } else { None }
    }

    /// Removes everything written since the output was `len` bytes long, so that an error can replace it.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        self.out.truncate(len);
    }

    /// Bytes that are already encoded.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// `OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.raw(b"+OK\r\n");
    }

    /// A simple string, such as `PONG`. Line ends in it become spaces.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// An error, including its code (`ERR syntax error`). Line ends in it become spaces.
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        self.line(b'-', text.as_ref());
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        match value {
            0 => self.raw(b":0\r\n"),
            1 => self.raw(b":1\r\n"),
            _ => self.number(b':', value),
        }
    }

    /// A count or a position. Above `i64::MAX` it would not be an integer to clients, but nothing here counts that far.
    #[inline]
    pub fn unsigned(&mut self, value: u64) {
        self.number(b':', value);
    }

    /// A bulk string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + 24);
        self.length(bytes.len());
        self.out.extend_from_slice(bytes);
        self.raw(b"\r\n");
    }

    /// A bulk string of text.
    #[inline]
    pub fn text(&mut self, text: &str) {
        self.bulk(text.as_bytes());
    }

    /// An integer as a bulk string.
    pub fn integer_bulk(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// No value, instead of a string.
    #[inline]
    pub fn null(&mut self) {
        match self.protocol {
            Protocol::Resp2 => self.raw(b"$-1\r\n"),
            Protocol::Resp3 => self.raw(b"_\r\n"),
        }
    }

    /// No value, instead of an array.
    #[inline]
    pub fn null_array(&mut self) {
        match self.protocol {
            Protocol::Resp2 => self.raw(b"*-1\r\n"),
            Protocol::Resp3 => self.raw(b"_\r\n"),
        }
    }

    /// The head of an array of `count` values.
    #[inline]
    pub fn array(&mut self, count: usize) {
        self.number(b'*', count);
    }

    /// The head of a map of `count` pairs; in RESP2 an array of keys and values in turn.
    #[inline]
    pub fn map(&mut self, count: usize) {
        match self.protocol {
            Protocol::Resp2 => self.number(b'*', count * 2),
            Protocol::Resp3 => self.number(b'%', count),
        }
    }

    /// The head of a set of `count` values; in RESP2 an array.
    #[inline]
    pub fn set(&mut self, count: usize) {
        match self.protocol {
            Protocol::Resp2 => self.number(b'*', count),
            Protocol::Resp3 => self.number(b'~', count),
        }
    }

    /// The head of a push of `count` values; in RESP2 an array.
    #[inline]
    pub fn push(&mut self, count: usize) {
        match self.protocol {
            Protocol::Resp2 => self.number(b'*', count),
            Protocol::Resp3 => self.number(b'>', count),
        }
    }

    /// A double with the 17 significant digits of Redis 7.0; in RESP2 a bulk string.
    pub fn double(&mut self, value: f64) {
        let text = score_text(value);
        match self.protocol {
            Protocol::Resp2 => self.bulk(&text),
            Protocol::Resp3 => self.line(b',', &text),
        }
    }

    /// A number of any size, of RESP3. Line ends in it become spaces.
    pub fn big_number(&mut self, digits: &[u8]) {
        self.line(b'(', digits);
    }

    /// A boolean; in RESP2 1 or 0.
    pub fn boolean(&mut self, value: bool) {
        match (self.protocol, value) {
            (Protocol::Resp2, true) => self.raw(b":1\r\n"),
            (Protocol::Resp2, false) => self.raw(b":0\r\n"),
            (Protocol::Resp3, true) => self.raw(b"#t\r\n"),
            (Protocol::Resp3, false) => self.raw(b"#f\r\n"),
        }
    }

    /// Text for display, of the kind `extension` (three letters, such as `txt`); in RESP2 a bulk string.
    pub fn verbatim(&mut self, extension: &str, text: &str) {
        debug_assert_eq!(extension.len(), 3, "the protocol fixes the length");
        match self.protocol {
            Protocol::Resp2 => self.text(text),
            Protocol::Resp3 => {
                self.number(b'=', text.len() + 4);
                self.raw(extension.as_bytes());
                self.raw(b":");
                self.raw(text.as_bytes());
                self.raw(b"\r\n");
            }
        }
    }

    /// The head of a bulk string. A length of up to two digits, as nearly all are, is composed in a register and stored
    /// at once: half the cost of formatting and copying digits.
    #[inline]
    fn length(&mut self, length: usize) {
        let (tens, ones) = (length as u64 / 10, length as u64 % 10);
        let (word, bytes) = match length {
            0..10 => (u64::from_le_bytes(*b"$0\r\n\0\0\0\0") + (ones << 8), 4),
            10..100 => (u64::from_le_bytes(*b"$00\r\n\0\0\0") + (tens << 8) + (ones << 16), 5),
            _ => return self.number(b'$', length),
        };
        let end = self.out.len() + bytes;
        self.out.extend_from_slice(&word.to_le_bytes());
        self.out.truncate(end);
    }

    #[inline]
    fn number(&mut self, kind: u8, value: impl itoa::Integer) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(value).as_bytes();
        self.out.reserve(digits.len() + 3);
        self.out.push(kind);
        self.out.extend_from_slice(digits);
        self.out.extend_from_slice(b"\r\n");
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        self.out.push(kind);
        self.out.extend(text.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
        self.raw(b"\r\n");
    }
}

/// The values that every protocol has, by the methods of the same names.
impl ValueWriter for Reply<'_> {
    #[inline]
    fn null(&mut self) {
        self.null();
    }

    #[inline]
    fn ok(&mut self) {
        self.ok();
    }

    #[inline]
    fn integer(&mut self, value: i64) {
        self.integer(value);
    }

    #[inline]
    fn unsigned(&mut self, value: u64) {
        self.unsigned(value);
    }

    #[inline]
    fn bulk(&mut self, bytes: &[u8]) {
        self.bulk(bytes);
    }

    #[inline]
    fn array(&mut self, count: usize) {
        self.array(count);
    }

    fn error(&mut self, text: impl AsRef<[u8]>) {
        self.error(text);
    }

    #[inline]
    fn mark(&self) -> usize {
        self.len()
    }

    #[inline]
    fn error_at(&self, mark: usize) -> Option<&[u8]> {
        self.error_at(mark)
    }

    #[inline]
    fn truncate(&mut self, mark: usize) {
        self.truncate(mark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(write: impl Fn(&mut Reply)) -> (String, String) {
        let encode = |protocol| {
            let mut out = Vec::new();
            write(&mut Reply::new(&mut out, protocol));
            String::from_utf8(out).unwrap()
        };
        (encode(Protocol::Resp2), encode(Protocol::Resp3))
    }

    #[test]
    fn types_that_resp2_lacks_are_sent_as_redis_sends_them() {
        let pair = |a: &str, b: &str| (a.to_string(), b.to_string());
        assert_eq!(both(|r| r.null()), pair("$-1\r\n", "_\r\n"));
        assert_eq!(both(|r| r.null_array()), pair("*-1\r\n", "_\r\n"));
        assert_eq!(both(|r| r.map(2)), pair("*4\r\n", "%2\r\n"));
        assert_eq!(both(|r| r.set(2)), pair("*2\r\n", "~2\r\n"));
        assert_eq!(both(|r| r.push(2)), pair("*2\r\n", ">2\r\n"));
        assert_eq!(both(|r| r.boolean(true)), pair(":1\r\n", "#t\r\n"));
        assert_eq!(both(|r| r.double(1.5)), pair("$3\r\n1.5\r\n", ",1.5\r\n"));
        assert_eq!(both(|r| r.double(f64::NEG_INFINITY)), pair("$4\r\n-inf\r\n", ",-inf\r\n"));
        assert_eq!(both(|r| r.verbatim("txt", "hi")), pair("$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"));
    }

    #[test]
    fn strings_and_integers_are_the_same_in_both() {
        let same = |write: fn(&mut Reply), expected: &str| {
            let (resp2, resp3) = both(write);
            assert_eq!((resp2.as_str(), resp3.as_str()), (expected, expected));
        };
        same(|r| r.ok(), "+OK\r\n");
        same(|r| r.simple("PONG"), "+PONG\r\n");
        same(|r| r.integer(i64::MIN), ":-9223372036854775808\r\n");
        same(|r| r.integer(1), ":1\r\n");
        same(|r| r.unsigned(7), ":7\r\n");
        same(|r| r.bulk(b""), "$0\r\n\r\n");
        same(|r| r.integer_bulk(-12), "$3\r\n-12\r\n");
        same(|r| r.array(3), "*3\r\n");
    }

    #[test]
    fn a_bulk_strings_length_is_in_decimal_however_long_it_is() {
        for length in (0..1100).chain([9_999, 10_000, 123_456]) {
            let bytes = vec![b'x'; length];
            let text = format!("${length}\r\n{}\r\n", "x".repeat(length));
            assert_eq!(both(|r| r.bulk(&bytes)).0, text);
        }
    }

    #[test]
    fn an_error_stays_on_its_line() {
        assert_eq!(both(|r| r.error("ERR a\r\nb")).0, "-ERR a  b\r\n");
    }

    #[test]
    fn a_half_written_reply_can_be_replaced() {
        let mut out = b"+OK\r\n".to_vec();
        let mut reply = Reply::new(&mut out, Protocol::Resp2);
        let mark = reply.len();
        reply.array(2);
        reply.reborrow().bulk(b"a");
        reply.truncate(mark);
        reply.error("ERR no");
        assert_eq!(out, b"+OK\r\n-ERR no\r\n");
    }
}
