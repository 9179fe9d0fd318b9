//! Counts replies: finds the end and the type of each, without storing any.
//!
//! The bytes come in pieces that end anywhere. A bulk string that spans pieces is only counted down; a line that spans
//! pieces is buffered until its end arrives.

use thiserror::Error;

/// The most bytes of a line: simple strings and errors are short.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// The most bytes of a bulk string, as in the protocol.
const BULK_BYTES_MAX: usize = 512 << 20;

/// A complete reply, by its outermost type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A simple string, or one of the small RESP3 types.
    Simple,
    /// An integer.
    Integer,
    /// A bulk string of this length.
    Bulk(usize),
    /// No value.
    Nil,
    /// An array, set or map.
    Array,
}

/// Why a stream of replies cannot be read any further.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ScanError {
    /// An error reply, also one within an array.
    #[error("the server answered: {0}")]
    ErrorReply(String),
    /// Malformed bytes.
    #[error("not a reply: {0:?}")]
    Malformed(String),
}

/// The state between two pieces of one connection's replies.
#[derive(Clone, Debug)]
pub struct Scanner {
    /// The missing bytes of a bulk string, including its line end.
    skip: usize,
    /// The missing elements of the current reply, including nested ones; 0 between replies.
    missing: u64,
    /// The type of the current reply.
    current: Reply,
    /// An incomplete line.
    line: Vec<u8>,
}

impl Default for Scanner {
    fn default() -> Scanner {
        Scanner { skip: 0, missing: 0, current: Reply::Simple, line: Vec::new() }
    }
}

impl Scanner {
    /// Scans the next piece; calls `on_reply` for each reply that ends in it.
    ///
    /// # Errors
    /// An error reply, or a malformed one. The connection is unusable then.
    #[inline]
    pub fn feed(&mut self, bytes: &[u8], mut on_reply: impl FnMut(Reply)) -> Result<(), ScanError> {
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            if self.skip > 0 {
                rest = self.skip_bulk(rest, &mut on_reply)?;
            } else if first == b'+' && self.missing == 0 && self.line.is_empty() && rest.starts_with(b"+OK\r\n") {
                on_reply(Reply::Simple);
                rest = &rest[5..];
            } else if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let (line, after) = rest.split_at(end + 1);
                rest = after;
                if self.line.is_empty() {
                    self.take_line(line, &mut on_reply)?;
                } else {
                    let mut whole = std::mem::take(&mut self.line);
                    whole.extend_from_slice(line);
                    self.take_line(&whole, &mut on_reply)?;
                    whole.clear();
                    self.line = whole;
                }
            } else {
                self.line.extend_from_slice(rest);
                if self.line.len() > LINE_BYTES_MAX {
                    return Err(malformed(&self.line));
                }
                break;
            }
        }
        Ok(())
    }

    #[inline]
    fn skip_bulk<'a>(&mut self, bytes: &'a [u8], on_reply: &mut impl FnMut(Reply)) -> Result<&'a [u8], ScanError> {
        let count = self.skip.min(bytes.len());
        let (part, rest) = bytes.split_at(count);
        // The line end is the last two of these bytes, and may itself be split.
        let left = self.skip - count;
        let is_end = match left {
            0 if count >= 2 => part.ends_with(b"\r\n"),
            0 => part == b"\n",
            1 => part.ends_with(b"\r"),
            _ => true,
        };
        if !is_end {
            return Err(malformed(part));
        }
        self.skip = left;
        if left == 0 {
            self.element_is_over(on_reply);
        }
        Ok(rest)
    }

    #[inline]
    fn take_line(&mut self, line: &[u8], on_reply: &mut impl FnMut(Reply)) -> Result<(), ScanError> {
        let [kind, text @ .., b'\r', b'\n'] = line else { return Err(malformed(line)) };
        let begun = match kind {
            b'+' | b'#' | b',' | b'(' => Reply::Simple,
            b':' => Reply::Integer,
            b'_' => Reply::Nil,
            b'$' | b'=' => match length(text).ok_or_else(|| malformed(line))? {
                None => Reply::Nil,
                Some(length) if length <= BULK_BYTES_MAX => {
                    self.skip = length + 2;
                    Reply::Bulk(length)
                }
                Some(_) => return Err(malformed(line)),
            },
            b'*' | b'~' | b'%' => match length(text).ok_or_else(|| malformed(line))? {
                None => Reply::Nil,
                Some(elements) => {
                    let elements = if *kind == b'%' { elements as u64 * 2 } else { elements as u64 };
                    self.begin(Reply::Array);
                    self.missing += elements;
                    self.element_is_over(on_reply);
                    return Ok(());
                }
            },
            b'-' | b'!' => return Err(ScanError::ErrorReply(String::from_utf8_lossy(text).into_owned())),
            _ => return Err(malformed(line)),
        };
        self.begin(begun);
        if self.skip == 0 {
            self.element_is_over(on_reply);
        }
        Ok(())
    }

    #[inline]
    fn begin(&mut self, reply: Reply) {
        if self.missing == 0 {
            self.missing = 1;
            self.current = reply;
        }
    }

    #[inline]
    fn element_is_over(&mut self, on_reply: &mut impl FnMut(Reply)) {
        self.missing -= 1;
        if self.missing == 0 {
            on_reply(self.current);
        }
    }
}

/// `Some(None)` is the length -1, of a nil.
fn length(text: &[u8]) -> Option<Option<usize>> {
    if text == b"-1" {
        return Some(None);
    }
    if text.is_empty() || text.len() > 10 {
        return None;
    }
    let digit = |sum: usize, byte: &u8| byte.is_ascii_digit().then(|| sum * 10 + usize::from(byte - b'0'));
    text.iter().try_fold(0, digit).map(Some)
}

#[cold]
fn malformed(bytes: &[u8]) -> ScanError {
    ScanError::Malformed(String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Reply>, ScanError> {
        let (mut scanner, mut replies) = (Scanner::default(), Vec::new());
        for piece in pieces {
            scanner.feed(piece, |reply| replies.push(reply))?;
        }
        Ok(replies)
    }

    const STREAM: &[u8] = b"+OK\r\n+PONG\r\n:-12\r\n$5\r\nhe\r\no\r\n$0\r\n\r\n$-1\r\n*-1\r\n_\r\n*0\r\n\
        *2\r\n*2\r\n:1\r\n$1\r\na\r\n*1\r\n$-1\r\n%1\r\n+a\r\n*0\r\n#t\r\n+OK\r\n";
    const REPLIES: &[Reply] = &[
        Reply::Simple,
        Reply::Simple,
        Reply::Integer,
        Reply::Bulk(5),
        Reply::Bulk(0),
        Reply::Nil,
        Reply::Nil,
        Reply::Nil,
        Reply::Array,
        Reply::Array,
        Reply::Array,
        Reply::Simple,
        Reply::Simple,
    ];

    #[test]
    fn replies_are_counted_wherever_they_are_split() {
        assert_eq!(scan([STREAM]).unwrap(), REPLIES);
        assert_eq!(scan(STREAM.chunks(1)).unwrap(), REPLIES);
        for at in 0..STREAM.len() {
            let (left, right) = STREAM.split_at(at);
            assert_eq!(scan([left, right]).unwrap(), REPLIES, "split at {at}");
        }
    }

    #[test]
    fn a_reply_counts_when_its_last_byte_has_come_and_not_before() {
        for reply in [&b"+OK\r\n"[..], b"$3\r\nabc\r\n", b"*2\r\n:1\r\n:2\r\n", b":7\r\n"] {
            assert_eq!(scan([&reply[..reply.len() - 1]]).unwrap(), []);
            assert_eq!(scan([reply]).unwrap().len(), 1);
        }
    }

    #[test]
    fn an_error_reply_ends_it_with_its_text_also_within_an_array() {
        let error = ScanError::ErrorReply("ERR no such thing".to_owned());
        for stream in [&b"+OK\r\n-ERR no such thing\r\n"[..], b"*2\r\n:1\r\n-ERR no such thing\r\n"] {
            assert_eq!(scan([stream]).unwrap_err(), error);
            assert_eq!(scan(stream.chunks(3)).unwrap_err(), error);
        }
    }

    #[test]
    fn a_malformed_reply_is_refused() {
        for stream in [&b"hello\r\n"[..], b"+OK\n", b"$x\r\n", b"$3\r\nabcde", b"$-2\r\n", b"*99999999999\r\n", b"\r\n"]
        {
            assert!(matches!(scan([stream]), Err(ScanError::Malformed(_))), "{stream:?}");
            assert!(matches!(scan(stream.chunks(1)), Err(ScanError::Malformed(_))), "{stream:?}");
        }
        assert!(scan([&[b'+'; LINE_BYTES_MAX + 1][..]]).is_err());
    }
}
