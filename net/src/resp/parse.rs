//! Parses received bytes into the arguments of one command, without copying and without an allocation per command.
//!
//! The caller keeps the bytes: `buffer` always starts at the first byte of the current command, and on
//! [`Parsed::Incomplete`] the caller appends the next bytes and calls again. The parser remembers its state, so a
//! command that arrives in many pieces is scanned once.
//!
//! The parser accepts what Redis 7.0 accepts, including its leniency: the byte after a `\r` is not checked, nor are the
//! two bytes after a bulk string. A line is too long by its length alone, however it was split into packets.

mod skip;

use super::args::{Args, OwnedArgs, Span};
use super::inline::split_words;
use super::protocol_error::ProtocolError;
use super::short::{SHORT_MAX, short_length};
use keytide_engine::number::parse_i64;

/// The most arguments of a client that is not authenticated.
pub const UNAUTHENTICATED_ARGS_MAX: i64 = 10;

/// The longest argument of a client that is not authenticated, in bytes.
pub const UNAUTHENTICATED_BULK_BYTES_MAX: i64 = 16384;

/// The longest inline command and the longest line with a length, in bytes.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// The memory that the parser keeps between commands, in bytes: that of a larger command is freed.
const KEPT_BYTES: usize = 4096;

/// The limits on one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParserLimits {
    /// The longest argument in bytes, Redis's `proto-max-bulk-len`.
    pub bulk_bytes_max: u32,
    /// The most arguments of a command.
    pub args_max: u32,
    /// The longest command in bytes, Redis's `client-query-buffer-limit`.
    pub query_bytes_max: u32,
    /// Whether the client may send more than logging in takes.
    pub authenticated: bool,
}

impl Default for ParserLimits {
    /// The defaults of Redis: 512 MiB per argument, 1 GiB per command.
    fn default() -> ParserLimits {
        ParserLimits { bulk_bytes_max: 512 << 20, args_max: 1024 * 1024, query_bytes_max: 1 << 30, authenticated: true }
    }
}

/// The result of [`Parser::parse`] at the start of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A complete command; [`Parser::args`] has its arguments, at least one. The next one starts after `consumed`
    /// bytes.
    Command {
        /// The length of the command in bytes.
        consumed: usize,
    },
    /// More bytes are needed.
    Incomplete,
    /// A complete input that is not a command and gets no reply: a blank line, an array of no arguments.
    Empty {
        /// Its length in bytes.
        consumed: usize,
    },
    /// The connection must be closed once the error is sent.
    Error(ProtocolError),
}

/// The parser of one connection.
#[derive(Debug)]
pub struct Parser {
    limits: ParserLimits,
    /// The complete arguments, as offsets from the command's first byte.
    spans: Vec<Span>,
    /// The missing arguments of an array. 0 between commands and until the first line is complete.
    args_left: u32,
    /// How far the command is parsed, in bytes from its first.
    at: usize,
    /// The length of the argument at `at`, once its line was read.
    bulk_bytes: Option<u32>,
    /// How much of the line at `at` is known to contain no line end.
    line_scanned: usize,
    /// The missing bytes of the current argument.
    bytes_wanted: usize,
    /// An inline command's words; unescaping moves bytes, so they cannot borrow.
    words: OwnedArgs,
    is_inline: bool,
    /// Whether a command is being skipped, and how many bytes of its current argument are still to be skipped.
    is_skipping: bool,
    bytes_skipped: usize,
}

enum Line {
    /// A number and the offset after its line; `None` if the line does not hold a number.
    Whole(Option<i64>, usize),
    Partial,
    TooLong,
}

impl Parser {
    /// A parser at the start of a connection.
    pub fn new(limits: ParserLimits) -> Parser {
        Parser {
            limits,
            spans: Vec::new(),
            args_left: 0,
            at: 0,
            bulk_bytes: None,
            line_scanned: 0,
            bytes_wanted: 0,
            words: OwnedArgs::new(),
            is_inline: false,
            is_skipping: false,
            bytes_skipped: 0,
        }
    }

    /// The limits, to be changed between commands: what `AUTH` allows applies from the next command on.
    pub fn limits_mut(&mut self) -> &mut ParserLimits {
        &mut self.limits
    }

    /// Parses one command at the start of `buffer`. After [`Parsed::Incomplete`] the next call must pass the same bytes
    /// again, followed by more. After an error nothing more can be parsed.
    #[inline]
    pub fn parse(&mut self, buffer: &[u8]) -> Parsed {
        if self.args_left == 0 {
            self.begin();
            match buffer.first() {
                None => return Parsed::Incomplete,
                Some(b'*') => {}
                Some(_) => return self.parse_inline(buffer),
            }
            let (count, next) = match self.length_line(buffer, 0) {
                Line::Whole(Some(count), next) if count <= i64::from(self.limits.args_max) => (count, next),
                Line::Whole(..) => return self.fail(ProtocolError::ArgCount),
                Line::Partial => return Parsed::Incomplete,
                Line::TooLong => return self.fail(ProtocolError::ArgCountLine),
            };
            if count > UNAUTHENTICATED_ARGS_MAX && !self.limits.authenticated {
                return self.fail(ProtocolError::ArgCountUnauthenticated);
            }
            if count <= 0 {
                return Parsed::Empty { consumed: next };
            }
            // At most `args_max`, which is a u32.
            self.args_left = count as u32;
            self.at = next;
        }
        self.parse_array(buffer)
    }

    /// The arguments of the command that [`Parser::parse`] just found in `buffer`.
    #[inline]
    pub fn args<'a>(&'a self, buffer: &'a [u8]) -> Args<'a> {
        if self.is_inline { self.words.as_args() } else { Args::new(buffer, &self.spans) }
    }

    /// The arguments of the array that [`Parser::parse`] just found; `None` for an inline command, whose words are not
    /// in the buffer.
    #[inline]
    pub(super) fn spans(&self) -> Option<&[Span]> {
        (!self.is_inline).then_some(&self.spans)
    }

    /// Forgets a partially parsed command: the next call starts at an earlier command.
    pub fn restart(&mut self) {
        self.args_left = 0;
        self.line_scanned = 0;
    }

    /// How many bytes must still arrive to complete the current argument, including its line end; 0 if unknown. A hint
    /// for the next receive: a client may announce far more than it ever sends.
    pub fn bytes_wanted(&self) -> usize {
        self.bytes_wanted
    }

    #[inline]
    fn begin(&mut self) {
        self.spans.clear();
        self.at = 0;
        self.bulk_bytes = None;
        self.bytes_wanted = 0;
        if self.is_inline {
            self.is_inline = false;
            self.words.reset(KEPT_BYTES);
        }
        if self.spans.capacity() > KEPT_BYTES / size_of::<Span>() {
            self.spans.shrink_to(KEPT_BYTES / size_of::<Span>());
        }
    }

    #[cold]
    fn fail(&mut self, error: ProtocolError) -> Parsed {
        self.args_left = 0;
        self.line_scanned = 0;
        self.begin();
        Parsed::Error(error)
    }

    #[inline]
    fn parse_array(&mut self, buffer: &[u8]) -> Parsed {
        let bulk_bytes_max = i64::from(self.limits.bulk_bytes_max);
        let mut at = self.at;
        let mut args_left = self.args_left;
        let mut announced = self.bulk_bytes;
        // Up to here the usual argument is complete and within every limit.
        let whole_end =
            if bulk_bytes_max < SHORT_MAX { 0 } else { buffer.len().min(self.limits.query_bytes_max as usize) };
        while args_left > 0 {
            if announced.is_none()
                && let Some((b'$', bytes, start)) = short_length(buffer, at)
                && start + bytes + 2 <= whole_end
            {
                self.line_scanned = 0;
                self.spans.push(Span::new(start, start + bytes));
                at = start + bytes + 2;
                args_left -= 1;
                continue;
            }
            let bulk_bytes = match announced {
                Some(bytes) => bytes as usize,
                None => {
                    let (bytes, next) = match self.length_line(buffer, at) {
                        Line::Whole(bytes, next) => {
                            // A complete line has a first byte.
                            if buffer[at] != b'$' {
                                return self.fail(ProtocolError::ExpectedBulk(buffer[at]));
                            }
                            match bytes {
                                Some(bytes) if (0..=bulk_bytes_max).contains(&bytes) => (bytes, next),
                                _ => return self.fail(ProtocolError::BulkLength),
                            }
                        }
                        Line::Partial => {
                            self.suspend(at, args_left, None, 0);
                            return Parsed::Incomplete;
                        }
                        Line::TooLong => return self.fail(ProtocolError::BulkLengthLine),
                    };
                    if bytes > UNAUTHENTICATED_BULK_BYTES_MAX && !self.limits.authenticated {
                        return self.fail(ProtocolError::BulkLengthUnauthenticated);
                    }
                    at = next;
                    bytes as usize
                }
            };
            announced = None;
            let next = at + bulk_bytes + 2;
            if next > self.limits.query_bytes_max as usize {
                return self.fail(ProtocolError::QueryLength);
            }
            if next > buffer.len() {
                self.suspend(at, args_left, Some(bulk_bytes as u32), next - buffer.len());
                return Parsed::Incomplete;
            }
            self.spans.push(Span::new(at, at + bulk_bytes));
            at = next;
            args_left -= 1;
        }
        self.args_left = 0;
        Parsed::Command { consumed: at }
    }

    #[inline]
    fn suspend(&mut self, at: usize, args_left: u32, bulk_bytes: Option<u32>, bytes_wanted: usize) {
        self.at = at;
        self.args_left = args_left;
        self.bulk_bytes = bulk_bytes;
        self.bytes_wanted = bytes_wanted;
    }

    /// The number in the line that begins at `at` with a type byte.
    #[inline]
    fn length_line(&mut self, buffer: &[u8], at: usize) -> Line {
        let Some((_, value, next)) = short_length(buffer, at) else { return self.length_line_any(buffer, at) };
        self.line_scanned = 0;
        Line::Whole(Some(value as i64), next)
    }

    fn length_line_any(&mut self, buffer: &[u8], at: usize) -> Line {
        let line = buffer.get(at..).unwrap_or_default();
        let Some(end) = self.line_end(line, b'\r') else {
            return if self.line_scanned > LINE_BYTES_MAX { Line::TooLong } else { Line::Partial };
        };
        if end + 1 >= line.len() {
            return Line::Partial;
        }
        self.line_scanned = 0;
        // If the line consists only of its end, the type byte itself is missing and there is no number either.
        Line::Whole(line.get(1..end).and_then(parse_i64), at + end + 2)
    }

    /// The position of `end` in `line`, among its first bytes up to [`LINE_BYTES_MAX`]; continues where it stopped
    /// before.
    fn line_end(&mut self, line: &[u8], end: u8) -> Option<usize> {
        let line = &line[..line.len().min(LINE_BYTES_MAX + 1)];
        let found = line[self.line_scanned..].iter().position(|&byte| byte == end);
        match found {
            Some(index) => {
                self.line_scanned += index;
                Some(self.line_scanned)
            }
            None => {
                self.line_scanned = line.len();
                None
            }
        }
    }

    fn parse_inline(&mut self, buffer: &[u8]) -> Parsed {
        let Some(end) = self.line_end(buffer, b'\n') else {
            return if self.line_scanned > LINE_BYTES_MAX {
                self.fail(ProtocolError::InlineLine)
            } else {
                Parsed::Incomplete
            };
        };
        self.line_scanned = 0;
        self.is_inline = true;
        let line = buffer[..end].strip_suffix(b"\r").unwrap_or(&buffer[..end]);
        if split_words(line, &mut self.words).is_err() {
            return self.fail(ProtocolError::Quotes);
        }
        let consumed = end + 1;
        if self.words.as_args().is_empty() { Parsed::Empty { consumed } } else { Parsed::Command { consumed } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::Reply;
    use proptest::prelude::*;

    type Command = Vec<Vec<u8>>;

    /// Feeds `input` in pieces of these lengths, cyclically, as a connection does.
    fn run(limits: ParserLimits, input: &[u8], pieces: &[usize]) -> (Vec<Command>, Option<ProtocolError>, usize) {
        let mut parser = Parser::new(limits);
        let (mut start, mut end) = (0, 0);
        let mut commands = Vec::new();
        for piece in pieces.iter().cycle() {
            end = input.len().min(end + piece.max(&1));
            loop {
                // A new buffer each time: the parser must not depend on its address.
                let buffer = input[start..end].to_vec();
                start += match parser.parse(&buffer) {
                    Parsed::Incomplete => break,
                    Parsed::Empty { consumed } => consumed,
                    Parsed::Error(error) => return (commands, Some(error), input.len() - start),
                    Parsed::Command { consumed } => {
                        commands.push(parser.args(&buffer).iter().map(<[u8]>::to_vec).collect());
                        consumed
                    }
                };
            }
            if end == input.len() {
                break;
            }
        }
        (commands, None, input.len() - start)
    }

    fn encode(commands: &[Command]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, Default::default());
        for command in commands {
            reply.array(command.len());
            command.iter().for_each(|argument| reply.bulk(argument));
        }
        out
    }

    fn error_of(limits: ParserLimits, input: &[u8]) -> Option<String> {
        run(limits, input, &[usize::MAX / 2]).1.map(|error| String::from_utf8_lossy(&error.wire_text()).into_owned())
    }

    proptest! {
        #[test]
        fn commands_are_found_however_they_are_cut(
            commands in proptest::collection::vec(
                proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..120), 1..12), 0..6),
            pieces in proptest::collection::vec(1usize..50, 1..10),
        ) {
            prop_assert_eq!(run(ParserLimits::default(), &encode(&commands), &pieces), (commands, None, 0));
        }

        #[test]
        fn any_bytes_mean_the_same_however_they_are_cut(
            input in proptest::collection::vec(prop_oneof![
                6 => prop_oneof![Just(b"*1\r\n".to_vec()), Just(b"$2\r\nab\r\n".to_vec()), Just(b"$".to_vec()), Just(b"*".to_vec()),
                    Just(b"\r\n".to_vec()), Just(b"GET 'a b'\r\n".to_vec()), Just(b"\"".to_vec()), Just(b"$100\r\n".to_vec()), Just(b"-1".to_vec())],
                1 => proptest::collection::vec(any::<u8>(), 0..4),
            ], 0..24).prop_map(|parts| parts.concat()),
            pieces in proptest::collection::vec(1usize..9, 1..6),
            authenticated in any::<bool>(),
        ) {
            let limits = ParserLimits { authenticated, query_bytes_max: 90, ..Default::default() };
            prop_assert_eq!(run(limits, &input, &pieces), run(limits, &input, &[input.len()]));
        }
    }

    #[test]
    fn protocol_errors_are_worded_as_redis_words_them() {
        let usual = ParserLimits::default();
        let stranger = ParserLimits { authenticated: false, ..usual };
        let long = |head: &str| [head.as_bytes(), &b"1".repeat(LINE_BYTES_MAX + 1)].concat();
        for (limits, input, text) in [
            (usual, b"*x\r\n".to_vec(), "invalid multibulk length"),
            (usual, b"*01\r\n".to_vec(), "invalid multibulk length"),
            (usual, b"*\r\n".to_vec(), "invalid multibulk length"),
            (usual, b"*9223372036854775808\r\n".to_vec(), "invalid multibulk length"),
            (usual, b"*1048577\r\n".to_vec(), "invalid multibulk length"),
            (usual, b"*1\r\n:1\r\n".to_vec(), "expected '$', got ':'"),
            (usual, b"*1\r\n\r\n".to_vec(), "expected '$', got ' '"),
            (usual, b"*1\r\n$-1\r\n".to_vec(), "invalid bulk length"),
            (usual, b"*1\r\n$536870913\r\n".to_vec(), "invalid bulk length"),
            (usual, b"*1\r\n$9223372036854775807\r\n".to_vec(), "invalid bulk length"),
            (usual, b"GET \"a\r\n".to_vec(), "unbalanced quotes in request"),
            (usual, long("*"), "too big mbulk count string"),
            (usual, long("*1\r\n$"), "too big bulk count string"),
            (usual, long(""), "too big inline request"),
            (stranger, b"*11\r\n".to_vec(), "unauthenticated multibulk length"),
            (stranger, b"*1\r\n$16385\r\n".to_vec(), "unauthenticated bulk length"),
        ] {
            assert_eq!(error_of(limits, &input).unwrap(), format!("ERR Protocol error: {text}"));
        }
        assert_eq!(ProtocolError::ExpectedBulk(0xff).wire_text(), b"ERR Protocol error: expected '$', got '\xff'");
        assert!(run(ParserLimits { query_bytes_max: 20, ..usual }, b"*1\r\n$99\r\n", &[99]).1.unwrap().is_silent());
    }

    #[test]
    fn redis_leniency_is_matched() {
        let found = |input: &[u8]| run(ParserLimits::default(), input, &[input.len()]);
        let ping = vec![vec![b"PING".to_vec()]];
        assert_eq!(found(b"*1\rX$4\rYPINGzz"), (ping.clone(), None, 0));
        assert_eq!(found(b"\r\n*0\r\n*-1\r\n*-5\r\n  \n\r\r\nPING\n"), (ping, None, 0));
    }

    #[test]
    fn announced_lengths_take_no_memory() {
        let mut parser = Parser::new(ParserLimits::default());
        assert_eq!(parser.parse(b"*1000000\r\n$0\r\n\r\n$536870912\r\nabc"), Parsed::Incomplete);
        assert_eq!(parser.bytes_wanted(), (512 << 20) + 2 - 3);
        assert!(parser.spans.capacity() < 16);
    }

    #[test]
    fn memory_of_a_large_command_is_freed() {
        let mut parser = Parser::new(ParserLimits::default());
        for large in [encode(&[vec![vec![]; 100_000]]), b"word ".repeat(10_000).into_iter().chain(*b"\n").collect()] {
            assert_eq!(parser.parse(&large), Parsed::Command { consumed: large.len() });
            assert!(parser.args(&large).len() >= 10_000);
            assert_eq!(parser.parse(b""), Parsed::Incomplete);
            assert!(parser.spans.capacity() * size_of::<Span>() <= KEPT_BYTES);
        }
    }

    #[test]
    fn the_limits_before_authentication_end_with_the_login() {
        let mut parser = Parser::new(ParserLimits { authenticated: false, ..Default::default() });
        let login = b"AUTH secret\r\n";
        assert_eq!(parser.parse(login), Parsed::Command { consumed: login.len() });
        parser.limits_mut().authenticated = true;
        assert_eq!(parser.parse(b"*11\r\n"), Parsed::Incomplete);
    }
}
