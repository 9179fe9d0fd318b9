//! The next commands of a connection, parsed before the first of them runs: the memory that they will touch can then be
//! prefetched during other work.

use super::args::{Args, Span};
use super::parse::{Parsed, Parser};
use super::protocol_error::ProtocolError;
use keytide_engine::limits::COMMANDS_AHEAD;

/// The most arguments that they may have together before no further command is parsed ahead.
const ARGS_MAX: usize = 512;

/// The complete commands at the start of a buffer. Its memory is reused.
#[derive(Debug, Default)]
pub struct Lookahead {
    spans: Vec<Span>,
    commands: Vec<Found>,
}

#[derive(Clone, Copy, Debug)]
struct Found {
    /// The command's range in the buffer, in bytes.
    start: usize,
    end: usize,
    /// The index of its first argument among the spans.
    first_span: usize,
}

/// The input behind the commands that were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Not parsed yet.
    Unknown,
    /// An incomplete command.
    Incomplete,
    /// An inline command, whose arguments are [`Parser::args`]; it ends at this offset of the buffer.
    Inline {
        /// The offset, in bytes.
        end: usize,
    },
    /// An error that ends the connection.
    Error(ProtocolError),
}

impl Lookahead {
    /// Finds the complete commands of `buffer` from offset `from` on, at most `max` of them. Returns the offset behind
    /// them and what follows there.
    #[inline]
    pub fn find(&mut self, parser: &mut Parser, buffer: &[u8], from: usize, max: usize) -> (usize, Next) {
        self.spans.clear();
        self.spans.shrink_to(ARGS_MAX * 2);
        self.commands.clear();
        let mut at = from;
        while self.commands.len() < max.min(COMMANDS_AHEAD) && self.spans.len() < ARGS_MAX {
            match parser.parse(&buffer[at..]) {
                Parsed::Command { consumed } => {
                    let Some(spans) = parser.spans() else { return (at, Next::Inline { end: at + consumed }) };
                    self.commands.push(Found { start: at, end: at + consumed, first_span: self.spans.len() });
                    self.spans.extend_from_slice(spans);
                    at += consumed;
                }
                Parsed::Empty { consumed } => at += consumed,
                Parsed::Incomplete => return (at, Next::Incomplete),
                Parsed::Error(error) => return (at, Next::Error(error)),
            }
        }
        (at, Next::Unknown)
    }

    /// The number of commands found.
    #[inline]
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether none was found.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// The arguments of one of them, in the same buffer.
    #[inline]
    pub fn args<'a>(&'a self, command: usize, buffer: &'a [u8]) -> Args<'a> {
        let found = self.commands[command];
        let last_span = self.commands.get(command + 1).map_or(self.spans.len(), |next| next.first_span);
        Args::new(&buffer[found.start..found.end], &self.spans[found.first_span..last_span])
    }

    /// The offset of one of them. If it and those behind it are not run, the parser has to [`restart`](Parser::restart)
    /// and will parse them again.
    pub fn start(&self, command: usize) -> usize {
        self.commands[command].start
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::ParserLimits;
    use proptest::prelude::*;

    /// Runs the commands of `input`, which arrives in pieces, some of them only at a second attempt.
    fn run(input: &[u8], pieces: &[usize], max: usize, give_back_every: usize) -> (Vec<Vec<Vec<u8>>>, Next) {
        let (mut parser, mut ahead) = (Parser::new(ParserLimits::default()), Lookahead::default());
        let (mut at, mut end, mut tries, mut commands) = (0, 0, 0, Vec::new());
        for piece in pieces.iter().cycle() {
            end = input.len().min(end + piece);
            // A new buffer each time: the result must not depend on its address.
            let buffer = input[at..end].to_vec();
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
                    commands.push(ahead.args(n, &buffer).iter().map(<[u8]>::to_vec).collect());
                }
                if from < reached {
                    continue;
                }
                match next {
                    Next::Unknown => {}
                    Next::Incomplete => break,
                    Next::Inline { end } => {
                        commands.push(parser.args(&buffer[from..]).iter().map(<[u8]>::to_vec).collect());
                        from = end;
                    }
                    Next::Error(_) => return (commands, next),
                }
            }
            at += from;
            if end == input.len() {
                break;
            }
        }
        (commands, Next::Incomplete)
    }

    proptest! {
        #[test]
        fn the_same_commands_are_found_however_many_at_once(
            input in proptest::collection::vec(prop_oneof![
                8 => (0usize..40).prop_map(|n| [b"*2\r\n$3\r\nGET\r\n$2\r\n", format!("{:02}", n).as_bytes(), b"\r\n"].concat()),
                1 => Just(b"PING a\r\n".to_vec()), 1 => Just(b"*0\r\n".to_vec()), 1 => Just(b"*2\r\n$1\r\n".to_vec()),
            ], 0..60).prop_map(|parts| parts.concat()),
            pieces in proptest::collection::vec(1usize..400, 1..6),
            max in prop_oneof![Just(2), Just(5), Just(usize::MAX)],
            give_back_every in 2usize..40,
        ) {
            prop_assert_eq!(run(&input, &pieces, max, give_back_every), run(&input, &[input.len().max(1)], 1, usize::MAX));
        }
    }
}
