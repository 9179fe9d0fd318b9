//! Skips a command that is refused before all of it has arrived: drops its bytes as they arrive, and then parses the next
//! command as usual.

use super::{Line, Parser};
use crate::resp::args::Args;
use crate::resp::protocol_error::ProtocolError;

impl Parser {
    /// The complete arguments of the incomplete command at the start of `buffer`, and the announced length of the next
    /// argument in bytes; none where no length was announced yet. Only after
    /// [`Parsed::Incomplete`](super::Parsed::Incomplete), and with the same bytes.
    pub fn begun<'a>(&'a self, buffer: &'a [u8]) -> Option<(Args<'a>, usize)> {
        Some((Args::new(buffer, &self.spans), self.bulk_bytes.filter(|_| self.bytes_wanted > 0)? as usize))
    }

    /// Begins to skip the incomplete command, for which [`Parser::begun`] has returned a value. The caller drops all bytes of
    /// it that have arrived.
    pub fn begin_skip(&mut self) {
        (self.bytes_skipped, self.is_skipping) = (self.bytes_wanted, true);
        // The incomplete argument counts as skipped. `at` was its first byte.
        self.at += self.bulk_bytes.unwrap_or_default() as usize + 2;
        self.args_left -= 1;
        self.spans.clear();
        (self.bulk_bytes, self.bytes_wanted, self.line_scanned) = (None, 0, 0);
    }

    /// Whether a command is being skipped.
    #[inline]
    pub fn is_skipping(&self) -> bool {
        self.is_skipping
    }

    /// Skips the bytes of the command at the start of `buffer`. Returns their number. While the parser
    /// [`is_skipping`](Parser::is_skipping), the next call must pass the rest again, followed by more bytes; after that, the
    /// next command begins there.
    ///
    /// # Errors
    /// Where the rest of the command is invalid, or the command is longer than
    /// [`ParserLimits::query_bytes_max`](super::ParserLimits::query_bytes_max): the error that the command would have had
    /// if it were kept, since it depends on the packets whether a command is skipped. Nothing more can be parsed then.
    pub fn skip(&mut self, buffer: &[u8]) -> Result<usize, ProtocolError> {
        let mut at = 0;
        loop {
            let count = self.bytes_skipped.min(buffer.len() - at);
            self.bytes_skipped -= count;
            at += count;
            if self.bytes_skipped > 0 {
                return Ok(at);
            }
            if self.args_left == 0 {
                self.is_skipping = false;
                return Ok(at);
            }
            match self.length_line(buffer, at) {
                Line::Partial => return Ok(at),
                Line::TooLong => return Err(ProtocolError::BulkLengthLine),
                // A complete line has a first byte.
                Line::Whole(..) if buffer[at] != b'$' => return Err(ProtocolError::ExpectedBulk(buffer[at])),
                Line::Whole(Some(bytes), next) if (0..=i64::from(self.limits.bulk_bytes_max)).contains(&bytes) => {
                    // The argument, and the two bytes of its line end.
                    self.bytes_skipped = bytes as usize + 2;
                    self.at += next - at + self.bytes_skipped;
                    if self.at > self.limits.query_bytes_max as usize {
                        return Err(ProtocolError::QueryLength);
                    }
                    self.args_left -= 1;
                    at = next;
                }
                Line::Whole(..) => return Err(ProtocolError::BulkLength),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::{Parsed, ParserLimits};
    use proptest::prelude::*;

    /// Skips each command that announces an argument of at least `large` bytes. Returns the names of the others.
    fn run(input: &[u8], pieces: &[usize], large: usize) -> (Vec<Vec<u8>>, Option<ProtocolError>, usize) {
        run_within(ParserLimits::default(), input, pieces, large)
    }

    fn run_within(
        limits: ParserLimits,
        input: &[u8],
        pieces: &[usize],
        large: usize,
    ) -> (Vec<Vec<u8>>, Option<ProtocolError>, usize) {
        let mut parser = Parser::new(limits);
        let (mut names, mut kept, mut end, mut kept_max) = (Vec::new(), Vec::new(), 0, 0);
        for piece in pieces.iter().cycle() {
            let from = end;
            end = input.len().min(end + piece);
            kept.extend_from_slice(&input[from..end]);
            loop {
                if parser.is_skipping() {
                    match parser.skip(&kept) {
                        Ok(count) => _ = kept.drain(..count),
                        Err(error) => return (names, Some(error), kept_max),
                    }
                    if parser.is_skipping() {
                        break;
                    }
                }
                match parser.parse(&kept) {
                    Parsed::Command { consumed } => {
                        names.push(parser.args(&kept)[0].to_vec());
                        kept.drain(..consumed);
                    }
                    Parsed::Empty { consumed } => _ = kept.drain(..consumed),
                    Parsed::Incomplete => {
                        if parser.begun(&kept).is_some_and(|(args, bytes)| !args.is_empty() && bytes >= large) {
                            parser.begin_skip();
                            kept.clear();
                        }
                        break;
                    }
                    Parsed::Error(error) => return (names, Some(error), kept_max),
                }
            }
            kept_max = kept_max.max(kept.len());
            if end == input.len() {
                break;
            }
        }
        (names, None, kept_max)
    }

    fn command(name: &str, lengths: &[usize]) -> Vec<u8> {
        let words = lengths.iter().map(|length| format!("${length}\r\n{}\r\n", "x".repeat(*length)));
        let head = format!("*{}\r\n${}\r\n{name}\r\n", lengths.len() + 1, name.len());
        [head].into_iter().chain(words).collect::<String>().into_bytes()
    }

    proptest! {
        #[test]
        fn commands_behind_a_skipped_one_are_parsed_as_usual(
            commands in proptest::collection::vec(
                (proptest::collection::vec(prop_oneof![3 => 0usize..40, 1 => 1_000usize..1_100], 0..5), 0usize..1_000), 1..8,
            ),
            pieces in proptest::collection::vec(1usize..400, 1..6),
        ) {
            let mut input = Vec::new();
            let mut expected = Vec::new();
            for (number, (lengths, _)) in commands.iter().enumerate() {
                let name = format!("c{number}");
                input.extend(command(&name, lengths));
                // No piece contains all of a long argument, so its command is skipped before it is complete.
                if lengths.iter().all(|length| *length < 1_000) {
                    expected.push(name.into_bytes());
                }
            }
            let (names, error, kept_max) = run(&input, &pieces, 1_000);
            prop_assert_eq!((names, error), (expected, None));
            prop_assert!(kept_max < 600, "{} bytes were kept", kept_max);
        }
    }

    #[test]
    fn invalid_bytes_behind_a_skipped_argument_are_an_error() {
        for (rest, error) in [
            (&b"*1\r\n"[..], ProtocolError::ExpectedBulk(b'*')),
            (b"$-2\r\n", ProtocolError::BulkLength),
            (b"$x\r\n", ProtocolError::BulkLength),
            (b"$600000000\r\n", ProtocolError::BulkLength),
            (&[b'$'; 70_000], ProtocolError::BulkLengthLine),
        ] {
            let input = [b"*3\r\n$1\r\na\r\n$1000\r\n".to_vec(), vec![b'x'; 1_002], rest.to_vec()].concat();
            for piece in [1, 7, 500] {
                assert_eq!(run(&input, &[piece], 1_000).1, Some(error), "{}", rest.escape_ascii());
            }
        }
    }

    #[test]
    fn a_skipped_command_is_bounded_as_any_other_is() {
        // The first command has 2,000 bytes to its end, and is skipped in the short packets only.
        let whole = command("a", &[1_000, 0, 959, 1]);
        assert_eq!(whole.len(), 2_000);
        let input = [&whole[..], &command("b", &[]), &whole].concat();
        for piece in [1, 7, 500, 2_000, 5_000] {
            let skips = piece <= 1_000;
            let names = |of: &[&str]| of.iter().map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>();
            let limits = ParserLimits { query_bytes_max: 2_000, ..ParserLimits::default() };
            let (found, error, _) = run_within(limits, &input, &[piece], 1_000);
            assert_eq!((found, error), (names(if skips { &["b"] } else { &["a", "b", "a"] }), None), "{piece}");
            let limits = ParserLimits { query_bytes_max: 1_999, ..limits };
            let (found, error, _) = run_within(limits, &input, &[piece], 1_000);
            assert_eq!((found, error), (names(&[]), Some(ProtocolError::QueryLength)), "{piece}");
        }
    }
}
