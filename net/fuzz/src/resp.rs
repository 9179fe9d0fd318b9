//! The parser finds the same commands in the same bytes however they are split into packets, one by one and with
//! lookahead, and they are those of a simple reference parser. A command that is dropped changes no other.
//!
//! ```text
//!  flags │ three lengths of packets │ commands ahead │ every n-th is parsed again │ bytes …
//! ```

use super::Input;
use keytide_engine::number::parse_i64;
use keytide_net::resp::inline::split_words;
use keytide_net::resp::parse::{LINE_BYTES_MAX, UNAUTHENTICATED_ARGS_MAX, UNAUTHENTICATED_BULK_BYTES_MAX};
use keytide_net::resp::{Lookahead, Next, OwnedArgs, Parsed, Parser, ParserLimits, Protocol, ProtocolError, Reply};

type Command = Vec<Vec<u8>>;

/// The commands, the error that ended the connection, and the number of unused bytes.
type Outcome = (Vec<Command>, Option<ProtocolError>, usize);

/// The flag that inserts one byte repeated about as often as the longest line is long.
const LONG_LINE: u8 = 1 << 4;

/// About the most packets of an input.
const PIECES_MAX: usize = 256;

/// Checks one input.
pub fn check(data: &[u8]) {
    let mut input = Input(data);
    let flags = input.byte();
    let flag = |bit: u8| flags & 1 << bit != 0;
    let limits = ParserLimits {
        authenticated: !flag(0),
        bulk_bytes_max: if flag(1) { 64 } else { 512 << 20 },
        query_bytes_max: if flag(2) { 90 } else { 1 << 30 },
        args_max: if flag(3) { 5 } else { 1024 * 1024 },
    };
    let is_long = flags & LONG_LINE != 0;
    let pieces = [(); 3].map(|()| usize::from(input.byte()) + 1);
    let (ahead, give_back_every) = (usize::from(input.byte()) + 1, usize::from(input.byte()) + 2);
    let bytes = if is_long { with_long_line(&mut input) } else { input.0.to_vec() };
    // Each packet copies all bytes of the command so far, which limits their number.
    let pieces = pieces.map(|piece| piece * (1 + bytes.len() / PIECES_MAX));

    let expected = plain(limits, &bytes);
    assert_eq!(one_by_one(limits, &bytes, &[bytes.len().max(1)]), expected);
    assert_eq!(one_by_one(limits, &bytes, &pieces), expected);
    assert_eq!(several(limits, &bytes, &pieces, ahead, give_back_every), expected);
    if limits.authenticated {
        check_skip(limits, &bytes, &pieces, &expected);
    }
    // Encoded again, the commands are the same.
    let (commands, ..) = expected;
    let again = encode(&commands);
    assert_eq!(one_by_one(ParserLimits::default(), &again, &[again.len().max(1)]), (commands, None, 0));
}

/// The bytes with a long run of one byte inserted.
fn with_long_line(input: &mut Input<'_>) -> Vec<u8> {
    let (byte, more, before) = (input.byte(), usize::from(input.byte()), usize::from(input.byte()));
    [input.take(before), &vec![byte; LINE_BYTES_MAX - 64 + more], input.0].concat()
}

fn owned<'a>(args: impl Iterator<Item = &'a [u8]>) -> Command {
    args.map(<[u8]>::to_vec).collect()
}

fn encode(commands: &[Command]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut reply = Reply::new(&mut out, Protocol::default());
    for command in commands {
        reply.array(command.len());
        command.iter().for_each(|argument| reply.bulk(argument));
    }
    out
}

/// Parses the bytes in packets of these lengths, repeated, as a connection does.
fn one_by_one(limits: ParserLimits, bytes: &[u8], pieces: &[usize]) -> Outcome {
    let mut parser = Parser::new(limits);
    let (mut start, mut end, mut commands) = (0, 0, Vec::new());
    for piece in pieces.iter().cycle() {
        end = bytes.len().min(end + piece);
        loop {
            // A new buffer each time: the parser must not rely on the address of the bytes.
            let buffer = bytes[start..end].to_vec();
            start += match parser.parse(&buffer) {
                Parsed::Incomplete => break,
                Parsed::Empty { consumed } => consumed,
                Parsed::Error(error) => return (commands, Some(error), bytes.len() - start),
                Parsed::Command { consumed } => {
                    commands.push(owned(parser.args(&buffer).iter()));
                    consumed
                }
            };
        }
        if end == bytes.len() {
            break;
        }
    }
    (commands, None, bytes.len() - start)
}

/// Drops each command that announces a long argument before it is complete; all others must be found.
fn check_skip(limits: ParserLimits, bytes: &[u8], pieces: &[usize], expected: &Outcome) {
    /// The least length of such an argument, in bytes.
    const LONG_BYTES: usize = 16;
    let mut parser = Parser::new(limits);
    let (mut start, mut end, mut commands, mut dropped) = (0, 0, Vec::new(), Vec::new());
    let mut failure = None;
    'packets: for piece in pieces.iter().cycle() {
        end = bytes.len().min(end + piece);
        loop {
            let buffer = bytes[start..end].to_vec();
            if parser.is_skipping() {
                match parser.skip(&buffer) {
                    Ok(consumed) => start += consumed,
                    Err(error) => {
                        failure = Some(error);
                        break 'packets;
                    }
                }
                if parser.is_skipping() {
                    break;
                }
                continue;
            }
            start += match parser.parse(&buffer) {
                Parsed::Incomplete => {
                    if parser.begun(&buffer).is_some_and(|(_, announced)| announced >= LONG_BYTES) {
                        parser.begin_skip();
                        dropped.push(commands.len() + dropped.len());
                        start = end;
                    }
                    break;
                }
                Parsed::Empty { consumed } => consumed,
                Parsed::Error(error) => {
                    failure = Some(error);
                    break 'packets;
                }
                Parsed::Command { consumed } => {
                    commands.push(owned(parser.args(&buffer).iter()));
                    consumed
                }
            };
        }
        if end == bytes.len() {
            break;
        }
    }
    let (all, error, _) = expected;
    let others = all.iter().enumerate().filter(|(index, _)| !dropped.contains(index));
    assert_eq!(commands, others.map(|(_, command)| command.clone()).collect::<Vec<_>>());
    assert_eq!(failure, *error);
}

/// The same with lookahead, where some commands are given back and parsed again.
fn several(limits: ParserLimits, bytes: &[u8], pieces: &[usize], max: usize, give_back_every: usize) -> Outcome {
    let (mut parser, mut ahead) = (Parser::new(limits), Lookahead::default());
    let (mut start, mut end, mut tries, mut commands) = (0, 0, 0, Vec::new());
    for piece in pieces.iter().cycle() {
        end = bytes.len().min(end + piece);
        let buffer = bytes[start..end].to_vec();
        let mut from = 0;
        loop {
            let (reached, next) = ahead.find(&mut parser, &buffer, from, max);
            from = reached;
            for n in 0..ahead.len() {
                tries += 1;
                if tries % give_back_every == 0 {
                    parser.restart();
                    from = ahead.start(n);
                    break;
                }
                commands.push(owned(ahead.args(n, &buffer).iter()));
            }
            if from < reached {
                continue;
            }
            match next {
                Next::Unknown => {}
                Next::Incomplete => break,
                Next::Inline { end } => {
                    commands.push(owned(parser.args(&buffer[from..]).iter()));
                    from = end;
                }
                Next::Error(error) => return (commands, Some(error), bytes.len() - start - from),
            }
        }
        start += from;
        if end == bytes.len() {
            break;
        }
    }
    (commands, None, bytes.len() - start)
}

/// The reference: parses each command from its first byte.
fn plain(limits: ParserLimits, bytes: &[u8]) -> Outcome {
    let (mut rest, mut commands) = (bytes, Vec::new());
    loop {
        let read = if rest.first() == Some(&b'*') { plain_array(limits, rest) } else { plain_line(rest) };
        match read {
            Ok(None) => return (commands, None, rest.len()),
            Ok(Some((command, consumed))) => {
                rest = &rest[consumed..];
                commands.extend((!command.is_empty()).then_some(command));
            }
            Err(error) => return (commands, Some(error), rest.len()),
        }
    }
}

/// A command, which may be empty, and its length; none where it is incomplete.
type Read = Result<Option<(Command, usize)>, ProtocolError>;

fn plain_line(bytes: &[u8]) -> Read {
    let Some(end) = bytes.iter().take(LINE_BYTES_MAX + 1).position(|byte| *byte == b'\n') else {
        return if bytes.len() > LINE_BYTES_MAX { Err(ProtocolError::InlineLine) } else { Ok(None) };
    };
    let mut words = OwnedArgs::new();
    let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    split_words(line, &mut words).map_err(|_| ProtocolError::Quotes)?;
    Ok(Some((owned(words.as_args().iter()), end + 1)))
}

fn plain_array(limits: ParserLimits, bytes: &[u8]) -> Read {
    let Some((count, mut at)) = number_line(bytes, 0).ok_or(ProtocolError::ArgCountLine)? else { return Ok(None) };
    let count = count.filter(|count| *count <= i64::from(limits.args_max)).ok_or(ProtocolError::ArgCount)?;
    if count > UNAUTHENTICATED_ARGS_MAX && !limits.authenticated {
        return Err(ProtocolError::ArgCountUnauthenticated);
    }
    let mut command = Vec::new();
    for _ in 0..count {
        let Some((length, start)) = number_line(bytes, at).ok_or(ProtocolError::BulkLengthLine)? else {
            return Ok(None);
        };
        if bytes[at] != b'$' {
            return Err(ProtocolError::ExpectedBulk(bytes[at]));
        }
        let is_allowed = |length: &i64| (0..=i64::from(limits.bulk_bytes_max)).contains(length);
        let length = length.filter(is_allowed).ok_or(ProtocolError::BulkLength)?;
        if length > UNAUTHENTICATED_BULK_BYTES_MAX && !limits.authenticated {
            return Err(ProtocolError::BulkLengthUnauthenticated);
        }
        let end = start + length as usize;
        if end + 2 > limits.query_bytes_max as usize {
            return Err(ProtocolError::QueryLength);
        }
        if end + 2 > bytes.len() {
            return Ok(None);
        }
        command.push(bytes[start..end].to_vec());
        at = end + 2;
    }
    Ok(Some((command, at)))
}

/// The number in the line at `at`, if it is one, and the offset behind the line. The inner option is none where the line
/// is incomplete, the outer where it is too long.
fn number_line(bytes: &[u8], at: usize) -> Option<Option<(Option<i64>, usize)>> {
    let line = bytes.get(at..).unwrap_or_default();
    match line.iter().take(LINE_BYTES_MAX + 1).position(|byte| *byte == b'\r') {
        None if line.len() > LINE_BYTES_MAX => None,
        None => Some(None),
        Some(end) if end + 1 >= line.len() => Some(None),
        Some(end) => Some(Some((line.get(1..end).and_then(parse_i64), at + end + 2))),
    }
}
