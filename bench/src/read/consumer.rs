//! The ways to read a history: the requests of each, and the handling of the replies.
//!
//! Each way is a [`Consumer`]. One step is a request for events and, with groups, their acknowledgement. Subscriptions,
//! whose events arrive unrequested, could be another source, with steps that begin when events arrive.

use super::reply::ReplyCursor;
use crate::commands::{push_command, push_word};
use crate::error::BenchError;
use crate::options::Source;

/// The stream of a redis-server that is filled and read.
pub const STREAM: &[u8] = b"events";

/// The name of the only consumer in each group.
const CONSUMER: &[u8] = b"keytide-bench";

/// One client that reads the history.
pub trait Consumer {
    /// The commands before each pass over the history: none, or two that recreate a group. They are part of the run,
    /// and negligible beside its steps.
    fn prepare(&mut self) -> Vec<Vec<u8>>;

    /// Encodes a request for at most `count` events.
    fn ask(&mut self, count: u64, out: &mut Vec<u8>);

    /// Handles the reply; returns its number of events. An acknowledgement, if there is one, is appended to `out`.
    ///
    /// # Errors
    /// An unexpected reply, or lost events.
    fn take(&mut self, reply: &[u8], out: &mut Vec<u8>) -> Result<u64, BenchError>;
}

/// A consumer of this source. `begin` is the first position that is read from a Keytide; `number` distinguishes
/// concurrent consumers.
pub fn consumer(source: Source, begin: u64, number: usize) -> Box<dyn Consumer> {
    let group = format!("keytide-bench-{number}").into_bytes();
    match source {
        Source::CdcRead => Box::new(CdcRead { begin, cursor: begin }),
        Source::Xrange => Box::new(Stream { command: StreamCommand::Range, last: Vec::new(), group }),
        Source::Xread => Box::new(Stream { command: StreamCommand::Read, last: Vec::new(), group }),
        Source::Group => Box::new(Group { begin, group }),
        Source::Xreadgroup => Box::new(Stream { command: StreamCommand::Group, last: Vec::new(), group }),
    }
}

/// Whether a source is one of Keytide's own, not a stream.
pub fn is_of_keytide(source: Source) -> bool {
    match source {
        Source::CdcRead | Source::Group => true,
        Source::Xrange | Source::Xread | Source::Xreadgroup => false,
    }
}

/// `next_seq` of a CDC.READ, whether events before its page were lost, and the number of events.
fn cdc_reply(reply: &[u8]) -> Result<(u64, bool, u64), BenchError> {
    let mut cursor = ReplyCursor::new(reply);
    let (mut next_seq, mut is_gap, mut events) = (None, false, 0);
    for _ in 0..cursor.array()?.unwrap_or(0) / 2 {
        match cursor.bulk()? {
            b"next_seq" => next_seq = u64::try_from(cursor.integer()?).ok(),
            b"gap" => is_gap = cursor.integer()? != 0,
            b"events" => {
                events = cursor.array()?.unwrap_or(0);
                cursor.skip(events)?;
            }
            _ => cursor.skip(1)?,
        }
    }
    let next_seq = next_seq.ok_or_else(|| cursor.unlike("a map with next_seq"))?;
    Ok((next_seq, is_gap, events as u64))
}

/// Where a Keytide's history continues, from the reply to `CDC.READ $`.
///
/// # Errors
/// If it is not such a reply.
pub fn end_of_history(reply: &[u8]) -> Result<u64, BenchError> {
    cdc_reply(reply).map(|(next_seq, _, _)| next_seq)
}

fn lost() -> BenchError {
    BenchError::History(
        "the ring has overwritten events of this history; give fewer --events, or the server more --ring-bytes"
            .to_owned(),
    )
}

struct CdcRead {
    begin: u64,
    cursor: u64,
}

impl Consumer for CdcRead {
    fn prepare(&mut self) -> Vec<Vec<u8>> {
        self.cursor = self.begin;
        Vec::new()
    }

    fn ask(&mut self, count: u64, out: &mut Vec<u8>) {
        push_command(out, &[b"CDC.READ", self.cursor.to_string().as_bytes(), b"COUNT", count.to_string().as_bytes()]);
    }

    fn take(&mut self, reply: &[u8], _: &mut Vec<u8>) -> Result<u64, BenchError> {
        let (next_seq, is_gap, events) = cdc_reply(reply)?;
        self.cursor = next_seq;
        // The beginning of the retained history is not a loss.
        if is_gap { Err(lost()) } else { Ok(events) }
    }
}

struct Group {
    begin: u64,
    group: Vec<u8>,
}

impl Consumer for Group {
    fn prepare(&mut self) -> Vec<Vec<u8>> {
        let (mut destroy, mut create) = (Vec::new(), Vec::new());
        push_command(&mut destroy, &[b"CDC.GROUP", b"DESTROY", b"*", &self.group]);
        let begin = self.begin.to_string();
        push_command(&mut create, &[b"CDC.GROUP", b"CREATE", b"*", &self.group, begin.as_bytes()]);
        vec![destroy, create]
    }

    fn ask(&mut self, count: u64, out: &mut Vec<u8>) {
        let count = count.to_string();
        push_command(out, &[b"CDC.GROUP", b"READ", b"*", &self.group, CONSUMER, count.as_bytes()]);
    }

    fn take(&mut self, reply: &[u8], out: &mut Vec<u8>) -> Result<u64, BenchError> {
        let mut cursor = ReplyCursor::new(reply);
        let events = cursor.array()?.unwrap_or(0);
        begin_acknowledgement(out, &[b"CDC.ACK", b"*", &self.group], events);
        for _ in 0..events {
            let columns = cursor.array()?.unwrap_or(0);
            push_word(out, cursor.integer()?.to_string().as_bytes());
            cursor.skip(1)?;
            if cursor.bulk()? == b"GAP" {
                return Err(lost());
            }
            cursor.skip(columns.saturating_sub(3))?;
        }
        Ok(events as u64)
    }
}

#[derive(Clone, Copy)]
enum StreamCommand {
    Range,
    Read,
    Group,
}

struct Stream {
    command: StreamCommand,
    /// The last entry's id; empty at the beginning.
    last: Vec<u8>,
    group: Vec<u8>,
}

impl Consumer for Stream {
    fn prepare(&mut self) -> Vec<Vec<u8>> {
        self.last.clear();
        match self.command {
            StreamCommand::Range | StreamCommand::Read => Vec::new(),
            StreamCommand::Group => {
                let (mut destroy, mut create) = (Vec::new(), Vec::new());
                push_command(&mut destroy, &[b"XGROUP", b"DESTROY", STREAM, &self.group]);
                push_command(&mut create, &[b"XGROUP", b"CREATE", STREAM, &self.group, b"0"]);
                vec![destroy, create]
            }
        }
    }

    fn ask(&mut self, count: u64, out: &mut Vec<u8>) {
        let count = count.to_string();
        let count = count.as_bytes();
        match self.command {
            StreamCommand::Range => {
                let from = if self.last.is_empty() { b"-".to_vec() } else { [b"(", &self.last[..]].concat() };
                push_command(out, &[b"XRANGE", STREAM, &from, b"+", b"COUNT", count]);
            }
            StreamCommand::Read => {
                let from: &[u8] = if self.last.is_empty() { b"0" } else { &self.last };
                push_command(out, &[b"XREAD", b"COUNT", count, b"STREAMS", STREAM, from]);
            }
            StreamCommand::Group => {
                let words: &[&[u8]] =
                    &[b"XREADGROUP", b"GROUP", &self.group, CONSUMER, b"COUNT", count, b"STREAMS", STREAM, b">"];
                push_command(out, words);
            }
        }
    }

    fn take(&mut self, reply: &[u8], out: &mut Vec<u8>) -> Result<u64, BenchError> {
        let mut cursor = ReplyCursor::new(reply);
        match self.command {
            StreamCommand::Range => {}
            StreamCommand::Read | StreamCommand::Group => {
                // One stream: its name and its entries.
                if cursor.array()?.is_none() {
                    return Ok(0);
                }
                cursor.array()?;
                cursor.bulk()?;
            }
        }
        let events = cursor.array()?.unwrap_or(0);
        if matches!(self.command, StreamCommand::Group) {
            begin_acknowledgement(out, &[b"XACK", STREAM, &self.group], events);
        }
        for _ in 0..events {
            cursor.array()?;
            let id = cursor.bulk()?;
            cursor.skip(1)?;
            match self.command {
                StreamCommand::Group => push_word(out, id),
                StreamCommand::Range | StreamCommand::Read => {
                    self.last.clear();
                    self.last.extend_from_slice(id);
                }
            }
        }
        Ok(events as u64)
    }
}

/// The words before the events' own; nothing if there are no events.
fn begin_acknowledgement(out: &mut Vec<u8>, words: &[&[u8]], events: usize) {
    if events > 0 {
        out.extend_from_slice(format!("*{}\r\n", words.len() + events).as_bytes());
        words.iter().for_each(|word| push_word(out, word));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).replace("\r\n", " ")
    }

    fn asked(consumer: &mut dyn Consumer) -> String {
        let mut out = Vec::new();
        consumer.ask(2, &mut out);
        text(&out)
    }

    #[test]
    fn cdc_read_goes_on_where_the_reply_says() {
        let mut consumer = consumer(Source::CdcRead, 7, 0);
        assert!(consumer.prepare().is_empty());
        assert_eq!(asked(&mut *consumer), "*4 $8 CDC.READ $1 7 $5 COUNT $1 2 ");
        let reply = b"*10\r\n$8\r\nnext_seq\r\n:12\r\n$3\r\ngap\r\n:0\r\n$4\r\nlost\r\n:0\r\n$9\r\nfirst_seq\r\n:1\r\n\
            $6\r\nevents\r\n*2\r\n*2\r\n:10\r\n$1\r\na\r\n*2\r\n:11\r\n$-1\r\n";
        let mut out = Vec::new();
        assert_eq!(consumer.take(reply, &mut out).unwrap(), 2);
        assert!(out.is_empty());
        assert!(asked(&mut *consumer).contains("$2 12 "));
        assert_eq!(end_of_history(reply).unwrap(), 12);
        let lossy = String::from_utf8_lossy(reply).replace("gap\r\n:0", "gap\r\n:1");
        assert!(matches!(consumer.take(lossy.as_bytes(), &mut out), Err(BenchError::History(_))));
        consumer.prepare();
        assert!(asked(&mut *consumer).contains("$1 7 "));
    }

    #[test]
    fn streams_are_read_on_behind_the_last_entry() {
        let entries =
            "*2\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n*2\r\n$3\r\n1-2\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n";
        let of_stream = format!("*1\r\n*2\r\n$6\r\nevents\r\n{entries}");
        for (source, reply, next) in [(Source::Xrange, entries, "$4 (1-2 "), (Source::Xread, &of_stream, "$3 1-2 ")] {
            let mut consumer = consumer(source, 0, 0);
            let mut out = Vec::new();
            assert_eq!(consumer.take(reply.as_bytes(), &mut out).unwrap(), 2);
            assert!(out.is_empty());
            assert!(asked(&mut *consumer).contains(next));
            assert_eq!(consumer.take(b"*-1\r\n", &mut out).unwrap(), 0);
        }
        let (mut consumer, mut out) = (consumer(Source::Xreadgroup, 0, 3), Vec::new());
        assert_eq!(consumer.prepare().len(), 2);
        assert_eq!(consumer.take(of_stream.as_bytes(), &mut out).unwrap(), 2);
        assert_eq!(text(&out), "*5 $4 XACK $6 events $15 keytide-bench-3 $3 1-1 $3 1-2 ");
    }

    #[test]
    fn a_group_acknowledges_its_events_and_a_gap_ends_the_run() {
        let (mut consumer, mut out) = (consumer(Source::Group, 5, 0), Vec::new());
        assert!(text(&consumer.prepare()[1]).ends_with("$6 CREATE $1 * $15 keytide-bench-0 $1 5 "));
        let row = |op: &str| format!("*5\r\n:8\r\n$1\r\nk\r\n$3\r\n{op}\r\n*2\r\n:1\r\n:2\r\n:9\r\n");
        let reply = format!("*2\r\n{}{}", row("SET"), row("DEL"));
        assert_eq!(consumer.take(reply.as_bytes(), &mut out).unwrap(), 2);
        assert_eq!(text(&out), "*5 $7 CDC.ACK $1 * $15 keytide-bench-0 $1 8 $1 8 ");
        let reply = format!("*1\r\n{}", row("GAP"));
        assert!(matches!(consumer.take(reply.as_bytes(), &mut out), Err(BenchError::History(_))));
        out.clear();
        assert_eq!(consumer.take(b"*0\r\n", &mut out).unwrap(), 0);
        assert!(out.is_empty());
    }
}
