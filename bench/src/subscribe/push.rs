//! The messages of a server to a subscriber in RESP3: pushes and, between them, replies.
//!
//! A load that shares its core with the subscribers must not pay for unused data, so a message is parsed in place, and
//! of an event only what a subscriber checks.

use crate::scan::ScanError;

/// One message. It borrows from the piece that it was parsed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// An event of a subscription.
    Event {
        /// The subscription's number, one of this connection's.
        id: u64,
        /// The event's position.
        position: u64,
        /// Its data; empty if it has none, or several parts.
        data: &'a [u8],
    },
    /// A subscription has caught up.
    CaughtUp(u64),
    /// A subscription has fallen behind.
    FellBehind(u64),
    /// Everything up to here was delivered or did not match.
    Checkpoint(u64),
    /// Events between these positions, both included, are lost.
    Gap(u64, u64, u64),
    /// A subscription was ended, with this reason.
    Dropped(u64, &'a [u8]),
    /// A message of a channel.
    Published(&'a [u8]),
    /// A channel or a pattern is subscribed to.
    Confirmed,
    /// A reply that is an integer.
    Integer(u64),
    /// An error reply.
    Error(&'a [u8]),
    /// Any other reply.
    Reply,
}

/// Why there is no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoMessage {
    /// It is incomplete.
    Partial,
    /// It is malformed.
    Malformed(ScanError),
}

/// The message at the start of these bytes, and its length.
///
/// # Errors
/// If it is incomplete or malformed.
#[inline]
pub fn message(bytes: &[u8]) -> Result<(Message<'_>, usize), NoMessage> {
    let mut reader = Reader { bytes, at: 0 };
    let message = match *bytes.first().ok_or(NoMessage::Partial)? {
        b'>' => reader.push()?,
        b':' => Message::Integer(reader.integer()?),
        b'-' => Message::Error(reader.line()?),
        _ => {
            reader.skip(1)?;
            Message::Reply
        }
    };
    Ok((message, reader.at))
}

/// The messages of one connection, whose bytes come in pieces that end anywhere.
#[derive(Debug, Default)]
pub struct Pieces {
    /// An incomplete message.
    carry: Vec<u8>,
}

/// The number of bytes that are added at once to an incomplete message, so that little beyond it is copied.
const COMPLETION_BYTES: usize = 512;

impl Pieces {
    /// Parses the next piece; calls `on_message` for each message that ends in it.
    ///
    /// # Errors
    /// A malformed message. The connection is unusable then.
    #[inline]
    pub fn feed(&mut self, bytes: &[u8], mut on_message: impl FnMut(Message<'_>)) -> Result<(), ScanError> {
        let mut rest = bytes;
        while !self.carry.is_empty() {
            let (had, added) = (self.carry.len(), rest.len().min(COMPLETION_BYTES.max(self.carry.len())));
            if added == 0 {
                return Ok(());
            }
            self.carry.extend_from_slice(&rest[..added]);
            match message(&self.carry) {
                Ok((found, length)) => {
                    on_message(found);
                    rest = &rest[length - had..];
                    self.carry.clear();
                }
                Err(NoMessage::Partial) => rest = &rest[added..],
                Err(NoMessage::Malformed(error)) => return Err(error),
            }
        }
        loop {
            match message(rest) {
                Ok((found, length)) => {
                    on_message(found);
                    rest = &rest[length..];
                }
                Err(NoMessage::Partial) => break,
                Err(NoMessage::Malformed(error)) => return Err(error),
            }
        }
        self.carry.extend_from_slice(rest);
        Ok(())
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    #[inline]
    fn push(&mut self) -> Result<Message<'a>, NoMessage> {
        self.at += 1;
        let elements = self.number()?;
        let kind = self.value()?;
        let (message, read) = match kind {
            b"cdc.event" => {
                let (id, position) = (self.integer()?, self.integer()?);
                // Stream, revision, type, time.
                self.skip(4)?;
                (Message::Event { id, position, data: self.value()? }, 8)
            }
            b"cdc.checkpoint" => (Message::Checkpoint(self.integer()?), 2),
            b"cdc.caughtup" => (Message::CaughtUp(self.integer()?), 2),
            b"cdc.fellbehind" => (Message::FellBehind(self.integer()?), 2),
            b"cdc.gap" => (Message::Gap(self.integer()?, self.integer()?, self.integer()?), 4),
            b"cdc.dropped" => (Message::Dropped(self.integer()?, self.value()?), 3),
            b"message" => {
                self.skip(1)?;
                (Message::Published(self.value()?), 3)
            }
            b"pmessage" => {
                self.skip(2)?;
                (Message::Published(self.value()?), 4)
            }
            b"subscribe" | b"psubscribe" => (Message::Confirmed, 1),
            _ => return Err(self.malformed()),
        };
        self.skip(elements.checked_sub(read).ok_or_else(|| self.malformed())?)?;
        Ok(message)
    }

    #[inline]
    fn first(&self) -> Result<u8, NoMessage> {
        self.bytes.get(self.at).copied().ok_or(NoMessage::Partial)
    }

    /// The digits up to the end of a line.
    #[inline]
    fn number(&mut self) -> Result<u64, NoMessage> {
        let mut number = 0_u64;
        loop {
            match self.first()? {
                byte @ b'0'..=b'9' => number = number.wrapping_mul(10).wrapping_add(u64::from(byte - b'0')),
                b'\r' => break,
                _ => return Err(self.malformed()),
            }
            self.at += 1;
        }
        self.at += 1;
        if self.first()? != b'\n' {
            return Err(self.malformed());
        }
        self.at += 1;
        Ok(number)
    }

    #[inline]
    fn integer(&mut self) -> Result<u64, NoMessage> {
        if self.first()? != b':' {
            return Err(self.malformed());
        }
        self.at += 1;
        self.number()
    }

    /// The bytes of a string; empty for anything else, which is skipped.
    #[inline]
    fn value(&mut self) -> Result<&'a [u8], NoMessage> {
        match self.first()? {
            b'$' if self.bytes.get(self.at + 1) != Some(&b'-') => {
                self.at += 1;
                let length = usize::try_from(self.number()?).map_err(|_| self.malformed())?;
                let end = self.at.checked_add(length).ok_or_else(|| self.malformed())?;
                let string = self.bytes.get(self.at..end).ok_or(NoMessage::Partial)?;
                match self.bytes.get(end..end + 2) {
                    Some(b"\r\n") => self.at = end + 2,
                    Some(_) => return Err(self.malformed()),
                    None => return Err(NoMessage::Partial),
                }
                Ok(string)
            }
            b'+' => self.line(),
            _ => self.skip(1).map(|()| &b""[..]),
        }
    }

    /// The rest of a line after its first byte.
    fn line(&mut self) -> Result<&'a [u8], NoMessage> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or(NoMessage::Partial)?;
        match &rest[..=end] {
            [_, text @ .., b'\r', b'\n'] => {
                self.at += end + 1;
                Ok(text)
            }
            _ => Err(self.malformed()),
        }
    }

    /// Skips this many values, including nested ones.
    #[inline]
    fn skip(&mut self, values: u64) -> Result<(), NoMessage> {
        let mut left = values;
        while left > 0 {
            left -= 1;
            match self.first()? {
                b'$' if self.bytes.get(self.at + 1) != Some(&b'-') => drop(self.value()?),
                b':' if self.bytes.get(self.at + 1) != Some(&b'-') => drop(self.integer()?),
                b'*' | b'~' | b'>' => left = left.saturating_add(self.header()?),
                b'%' => left = left.saturating_add(self.header()?.saturating_mul(2)),
                b'$' | b'+' | b'-' | b':' | b',' | b'#' | b'(' | b'_' => drop(self.line()?),
                _ => return Err(self.malformed()),
            }
        }
        Ok(())
    }

    fn header(&mut self) -> Result<u64, NoMessage> {
        self.at += 1;
        self.number()
    }

    #[cold]
    fn malformed(&self) -> NoMessage {
        let from = self.at.saturating_sub(40);
        let shown = &self.bytes[from..self.bytes.len().min(self.at + 40)];
        NoMessage::Malformed(ScanError::Malformed(String::from_utf8_lossy(shown).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = b"%2\r\n$6\r\nserver\r\n$7\r\nkeytide\r\n$5\r\nproto\r\n:3\r\n:1\r\n\
        >3\r\n$12\r\ncdc.caughtup\r\n:1\r\n:41\r\n\
        >9\r\n$9\r\ncdc.event\r\n:1\r\n:42\r\n$3\r\nkey\r\n:0\r\n$3\r\nSet\r\n:1790000000000\r\n$4\r\n\r\n:1\r\n_\r\n\
        >11\r\n$9\r\ncdc.event\r\n:2\r\n:43\r\n$3\r\nkey\r\n:1\r\n$4\r\nHSet\r\n:17\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n\
        _\r\n$7\r\n$ce-key\r\n:43\r\n\
        >3\r\n$14\r\ncdc.checkpoint\r\n:1\r\n:64\r\n>3\r\n$14\r\ncdc.fellbehind\r\n:1\r\n:64\r\n\
        >4\r\n$7\r\ncdc.gap\r\n:1\r\n:65\r\n:70\r\n>4\r\n$11\r\ncdc.dropped\r\n:1\r\n$8\r\ntoo-slow\r\n:70\r\n\
        >3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n>3\r\n$10\r\npsubscribe\r\n$1\r\nc\r\n:2\r\n\
        >3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n>4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\nc\r\n$1\r\nx\r\n\
        +OK\r\n-ERR no\r\n$-1\r\n";
    const MESSAGES: &[Message<'_>] = &[
        Message::Reply,
        Message::Integer(1),
        Message::CaughtUp(1),
        Message::Event { id: 1, position: 42, data: b"\r\n:1" },
        Message::Event { id: 2, position: 43, data: b"" },
        Message::Checkpoint(1),
        Message::FellBehind(1),
        Message::Gap(1, 65, 70),
        Message::Dropped(1, b"too-slow"),
        Message::Confirmed,
        Message::Confirmed,
        Message::Published(b"hi"),
        Message::Published(b"x"),
        Message::Reply,
        Message::Error(b"ERR no"),
        Message::Reply,
    ];

    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<String>, ScanError> {
        let (mut reader, mut found) = (Pieces::default(), Vec::new());
        for piece in pieces {
            reader.feed(piece, |message| found.push(format!("{message:?}")))?;
        }
        Ok(found)
    }

    #[test]
    fn messages_are_read_wherever_they_are_split() {
        let expected: Vec<String> = MESSAGES.iter().map(|message| format!("{message:?}")).collect();
        assert_eq!(read([STREAM]).unwrap(), expected);
        assert_eq!(read(STREAM.chunks(1)).unwrap(), expected);
        for at in 0..STREAM.len() {
            let (left, right) = STREAM.split_at(at);
            assert_eq!(read([left, right]).unwrap(), expected, "split at {at}");
        }
    }

    #[test]
    fn a_message_longer_than_one_addition_is_read_whole() {
        let long = format!(">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$5000\r\n{}\r\n:7\r\n", "x".repeat(5000));
        for size in [1, 7, 600, 1999] {
            let found = read(long.as_bytes().chunks(size)).unwrap();
            assert_eq!(found.len(), 2, "pieces of {size}");
            assert_eq!(found[1], "Integer(7)");
        }
    }

    #[test]
    fn a_malformed_message_is_refused() {
        for stream in [
            &b"hello\r\n"[..],
            b">1\r\n$3\r\nabc\r\n",
            b">1\r\n$9\r\ncdc.event\r\n$1\r\n1\r\n",
            b">2\r\n$7\r\ncdc.gap\r\n:1\r\n:2\r\n:3\r\n",
            b":1x\r\n",
            b"$3\r\nabcde",
            b">x\r\n",
        ] {
            assert!(read([stream]).is_err(), "{stream:?}");
            assert!(read(stream.chunks(1)).is_err(), "{stream:?}");
        }
    }
}
