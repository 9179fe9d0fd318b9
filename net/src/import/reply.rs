//! Replies of the Redis protocol in its second version, as a client reads them.

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A line that is no error.
    Status(Vec<u8>),
    /// An error, as it was sent.
    Error(String),
    /// An integer.
    Integer(i64),
    /// A string; `None` for nothing.
    Bulk(Option<Vec<u8>>),
    /// An array, empty for nothing.
    Array(Vec<Reply>),
}

/// The longest line and string, in bytes, and the most elements of an array, that are taken from a server.
const LINE_BYTES_MAX: usize = 64 << 10;
const BULK_BYTES_MAX: usize = 1 << 30;
const ARRAY_MAX: usize = 1 << 20;
/// How deep arrays may be in one another.
const DEPTH_MAX: usize = 8;

/// What the bytes are that a server has sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A reply, in so many bytes.
    Whole(Reply, usize),
    /// The beginning of a reply, which has so many bytes at least.
    Part(usize),
    /// No reply.
    Wrong,
}

/// Reads the reply with which these bytes begin.
pub fn parse(bytes: &[u8]) -> Parsed {
    let mut at = 0;
    match one(bytes, &mut at, 0) {
        Ok(reply) => Parsed::Whole(reply, at),
        Err(Short::Of(least)) => Parsed::Part(least.max(bytes.len() + 1)),
        Err(Short::Wrong) => Parsed::Wrong,
    }
}

enum Short {
    Of(usize),
    Wrong,
}

/// Takes a line, without its end.
fn line<'b>(bytes: &'b [u8], at: &mut usize) -> Result<&'b [u8], Short> {
    let rest = &bytes[*at..];
    match rest.iter().take(LINE_BYTES_MAX).position(|byte| *byte == b'\n') {
        Some(end) => {
            *at += end + 1;
            rest[..end].strip_suffix(b"\r").ok_or(Short::Wrong)
        }
        None if rest.len() >= LINE_BYTES_MAX => Err(Short::Wrong),
        None => Err(Short::Of(0)),
    }
}

fn number(text: &[u8]) -> Result<i64, Short> {
    str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Short::Wrong)
}

/// A length; `None` if it says that there is nothing.
fn length(text: &[u8], most: usize) -> Result<Option<usize>, Short> {
    match number(text)? {
        -1 => Ok(None),
        length => usize::try_from(length).ok().filter(|length| *length <= most).map(Some).ok_or(Short::Wrong),
    }
}

fn one(bytes: &[u8], at: &mut usize, depth: usize) -> Result<Reply, Short> {
    let head = line(bytes, at)?;
    let (kind, text) = head.split_first().ok_or(Short::Wrong)?;
    Ok(match kind {
        b'+' => Reply::Status(text.to_vec()),
        b'-' => Reply::Error(String::from_utf8_lossy(text).into_owned()),
        b':' => Reply::Integer(number(text)?),
        b'$' => match length(text, BULK_BYTES_MAX)? {
            None => Reply::Bulk(None),
            Some(length) => {
                let end = *at + length;
                let found = bytes.get(*at..end + 2).ok_or(Short::Of(end + 2))?;
                *at = end + 2;
                Reply::Bulk(Some(found.strip_suffix(b"\r\n").ok_or(Short::Wrong)?.to_vec()))
            }
        },
        b'*' if depth < DEPTH_MAX => {
            let count = length(text, ARRAY_MAX)?.unwrap_or(0);
            let mut elements = Vec::new();
            for _ in 0..count {
                elements.push(one(bytes, at, depth + 1)?);
            }
            Reply::Array(elements)
        }
        _ => return Err(Short::Wrong),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_whole_or_not_at_all() {
        let sent = b"*4\r\n$2\r\nab\r\n:-7\r\n*1\r\n+OK\r\n$-1\r\n";
        let array = Reply::Array(vec![
            Reply::Bulk(Some(b"ab".to_vec())),
            Reply::Integer(-7),
            Reply::Array(vec![Reply::Status(b"OK".to_vec())]),
            Reply::Bulk(None),
        ]);
        assert_eq!(parse(&[&sent[..], b"-more"].concat()), Parsed::Whole(array, sent.len()));
        for cut in 0..sent.len() {
            assert!(matches!(parse(&sent[..cut]), Parsed::Part(least) if least > cut), "{cut}");
        }
        assert_eq!(parse(b"$100\r\nab"), Parsed::Part(108));
        assert_eq!(parse(b"-ERR no\r\n"), Parsed::Whole(Reply::Error("ERR no".into()), 9));
        for wrong in [&b"?\r\n"[..], b"\r\n", b":x\r\n", b"$-2\r\n", b"$9999999999\r\n", b"$1\r\nabc\r\n", b"+a\n"] {
            assert_eq!(parse(wrong), Parsed::Wrong, "{}", wrong.escape_ascii());
        }
    }
}
