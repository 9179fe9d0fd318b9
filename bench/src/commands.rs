//! The commands of a workload, encoded from templates: only the key's digits differ between them.

use crate::keys::{DIGITS, KeySequence, write_digits};
use crate::options::Workload;
use crate::scan::Reply;
use keytide_net::resp::{Protocol, Reply as Encoder};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// The number of precomputed choices between reads and writes. A prime, so that in each round they apply to other keys.
const CHOICES: usize = 65_521;

/// One encoded command, with the position of the key's digits.
#[derive(Clone, Debug)]
struct Template {
    bytes: Vec<u8>,
    digits_at: usize,
}

impl Template {
    /// The word with the digits, after `prefix`, is between the others.
    fn new(before: &[&[u8]], prefix: &[u8], after: &[&[u8]]) -> Template {
        let mut bytes = Vec::new();
        Encoder::new(&mut bytes, Protocol::Resp2).array(before.len() + 1 + after.len());
        before.iter().for_each(|word| push_word(&mut bytes, word));
        let keyed = [prefix, &[b'0'; DIGITS]].concat();
        push_word(&mut bytes, &keyed);
        let digits_at = bytes.len() - DIGITS - 2;
        after.iter().for_each(|word| push_word(&mut bytes, word));
        Template { bytes, digits_at }
    }

    #[inline]
    fn patch(&self, command: &mut [u8], number: u32) {
        let digits = &mut command[self.digits_at..self.digits_at + DIGITS];
        write_digits(digits.try_into().expect("it was sliced to that length"), number);
    }
}

/// Appends a word of a command.
pub fn push_word(out: &mut Vec<u8>, word: &[u8]) {
    Encoder::new(out, Protocol::Resp2).bulk(word);
}

/// Appends a whole command.
pub fn push_command(out: &mut Vec<u8>, words: &[&[u8]]) {
    Encoder::new(out, Protocol::Resp2).array(words.len());
    words.iter().for_each(|word| push_word(out, word));
}

/// The expected type of reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Simple,
    Integer,
    Value,
    SimpleOrValue,
    /// A list may be empty, too.
    IntegerOrValue,
    Id,
}

/// The judgement of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As expected.
    Right,
    /// The key does not exist.
    Absent,
    /// Another type or length.
    Wrong,
}

/// Encodes a workload's commands and judges their replies.
#[derive(Clone, Debug)]
pub struct Commands {
    name: &'static str,
    write: Template,
    read: Template,
    /// Whether a command is a read, in a repeating sequence.
    reads: Vec<bool>,
    at: usize,
    answer: Answer,
    value_bytes: usize,
}

/// The prefix of a workload's keys. Each type has its own, so that workloads can share a server.
pub fn prefix(workload: Workload) -> &'static [u8] {
    match workload {
        Workload::Set | Workload::Get | Workload::Mixed => b"key:",
        Workload::Incr => b"counter:",
        Workload::Lpush | Workload::Lpop => b"list:",
        Workload::Hset | Workload::Hget => b"hash:",
        Workload::Sadd => b"set:",
    }
}

impl Commands {
    /// The commands of a workload with values of this length. `set_share` is the share of writes in `mixed`, 0 to 1.
    pub fn new(workload: Workload, value_bytes: usize, set_share: f64, seed: u64) -> Commands {
        let value = vec![b'v'; value_bytes];
        let prefix = prefix(workload);
        let set = || Template::new(&[b"SET"], prefix, &[&value]);
        let get = || Template::new(&[b"GET"], prefix, &[]);
        let push = || Template::new(&[b"LPUSH"], prefix, &[&value]);
        let set_field = || Template::new(&[b"HSET"], prefix, &[b"field", &value]);
        let (name, write, read, answer) = match workload {
            Workload::Set => ("SET", set(), get(), Answer::Simple),
            Workload::Get => ("GET", set(), get(), Answer::Value),
            Workload::Mixed => ("SET or GET", set(), get(), Answer::SimpleOrValue),
            Workload::Incr => ("INCR", Template::new(&[b"INCR"], prefix, &[]), get(), Answer::Integer),
            Workload::Lpush => ("LPUSH", push(), get(), Answer::Integer),
            Workload::Lpop => ("LPUSH or LPOP", push(), Template::new(&[b"LPOP"], prefix, &[]), Answer::IntegerOrValue),
            Workload::Hset => ("HSET", set_field(), get(), Answer::Integer),
            Workload::Hget => ("HGET", set_field(), Template::new(&[b"HGET"], prefix, &[b"field"]), Answer::Value),
            Workload::Sadd => {
                let of = |name: &[u8]| Template::new(&[name], prefix, &[&value]);
                ("SADD or SREM", of(b"SADD"), of(b"SREM"), Answer::Integer)
            }
        };
        let mut random = SmallRng::seed_from_u64(seed);
        let mut choices = |share| (0..CHOICES).map(|_| !random.random_bool(share)).collect();
        let reads = match workload {
            Workload::Mixed => choices(set_share),
            Workload::Lpop | Workload::Sadd => choices(0.5),
            Workload::Get | Workload::Hget => vec![true],
            Workload::Set | Workload::Incr | Workload::Lpush | Workload::Hset => vec![false],
        };
        Commands { name, write, read, reads, at: 0, answer, value_bytes }
    }

    /// The commands that write each key once, before a workload that needs existing keys.
    pub fn filling(workload: Workload, value_bytes: usize) -> Commands {
        let writing = match workload {
            Workload::Set | Workload::Get | Workload::Mixed => Workload::Set,
            Workload::Lpush | Workload::Lpop => Workload::Lpush,
            Workload::Hset | Workload::Hget => Workload::Hset,
            Workload::Incr => workload,
            // All of its commands have the same answer, so it is as well filled by half of them.
            Workload::Sadd => workload,
        };
        Commands::new(writing, value_bytes, 1.0, 0)
    }

    /// XADDs to this stream, each entry with the fields `key` and `value`.
    pub fn adding(stream: &[u8], value_bytes: usize) -> Commands {
        let value = vec![b'v'; value_bytes];
        let write = Template::new(&[b"XADD", stream, b"*", b"key"], b"key:", &[b"value", &value]);
        let read = write.clone();
        Commands { name: "XADD", write, read, reads: vec![false], at: 0, answer: Answer::Id, value_bytes }
    }

    /// The commands' name, for messages.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The most bytes of a command.
    pub fn command_bytes(&self) -> usize {
        self.write.bytes.len().max(self.read.bytes.len())
    }

    /// The approximate most bytes of a reply.
    pub fn reply_bytes(&self) -> usize {
        match self.answer {
            Answer::Simple | Answer::Integer | Answer::Id => 32,
            Answer::Value | Answer::SimpleOrValue | Answer::IntegerOrValue => self.value_bytes + 16,
        }
    }

    /// Replaces `buffer` by the next `count` commands. It must be from an earlier call, or empty: if all commands are
    /// alike, only the digits are rewritten.
    #[inline]
    pub fn write(&mut self, buffer: &mut Vec<u8>, count: usize, keys: &mut KeySequence) {
        if let [is_read] = self.reads[..] {
            let template = if is_read { &self.read } else { &self.write };
            let length = template.bytes.len();
            buffer.truncate(count * length);
            while buffer.len() < count * length {
                buffer.extend_from_slice(&template.bytes);
            }
            for command in buffer.chunks_exact_mut(length) {
                template.patch(command, keys.next_number());
            }
            return;
        }
        buffer.clear();
        for _ in 0..count {
            let template = if self.reads[self.at] { &self.read } else { &self.write };
            self.at = if self.at + 1 == self.reads.len() { 0 } else { self.at + 1 };
            let start = buffer.len();
            buffer.extend_from_slice(&template.bytes);
            template.patch(&mut buffer[start..], keys.next_number());
        }
    }

    /// Judges a reply to these commands.
    #[inline]
    pub fn judge(&self, reply: Reply) -> Verdict {
        let is_value = |reply| reply == Reply::Bulk(self.value_bytes);
        match (self.answer, reply) {
            (Answer::Simple | Answer::SimpleOrValue, Reply::Simple) | (Answer::Integer, Reply::Integer) => {
                Verdict::Right
            }
            (Answer::Value | Answer::SimpleOrValue, reply) if is_value(reply) => Verdict::Right,
            (Answer::Value | Answer::SimpleOrValue, Reply::Nil) => Verdict::Absent,
            (Answer::IntegerOrValue, Reply::Integer | Reply::Nil) => Verdict::Right,
            (Answer::IntegerOrValue, reply) if is_value(reply) => Verdict::Right,
            (Answer::Id, Reply::Bulk(_)) => Verdict::Right,
            _ => Verdict::Wrong,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KeySpace;

    fn each(keys: u32) -> KeySequence {
        KeySpace::new(b"", keys, None).unwrap().each()
    }

    fn written(workload: Workload, count: usize) -> String {
        let mut buffer = Vec::new();
        Commands::new(workload, 3, 0.5, 1).write(&mut buffer, count, &mut each(1000));
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn commands_are_encoded_as_the_protocol_wants_them() {
        assert_eq!(
            written(Workload::Set, 2),
            "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000000\r\n$3\r\nvvv\r\n\
             *3\r\n$3\r\nSET\r\n$16\r\nkey:000000000001\r\n$3\r\nvvv\r\n"
        );
        assert_eq!(written(Workload::Get, 1), "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000000\r\n");
        assert_eq!(written(Workload::Incr, 1), "*2\r\n$4\r\nINCR\r\n$20\r\ncounter:000000000000\r\n");
        assert_eq!(
            written(Workload::Hset, 1),
            "*4\r\n$4\r\nHSET\r\n$17\r\nhash:000000000000\r\n$5\r\nfield\r\n$3\r\nvvv\r\n"
        );
        assert_eq!(written(Workload::Hget, 1), "*3\r\n$4\r\nHGET\r\n$17\r\nhash:000000000000\r\n$5\r\nfield\r\n");
        assert_eq!(written(Workload::Lpush, 1), "*3\r\n$5\r\nLPUSH\r\n$17\r\nlist:000000000000\r\n$3\r\nvvv\r\n");
    }

    #[test]
    fn additions_to_a_stream_have_the_key_as_a_field() {
        let mut buffer = Vec::new();
        let mut commands = Commands::adding(b"events", 2);
        commands.write(&mut buffer, 1, &mut each(1));
        assert_eq!(
            String::from_utf8(buffer).unwrap(),
            "*7\r\n$4\r\nXADD\r\n$6\r\nevents\r\n$1\r\n*\r\n$3\r\nkey\r\n$16\r\nkey:000000000000\r\n\
             $5\r\nvalue\r\n$2\r\nvv\r\n"
        );
        assert_eq!(commands.judge(Reply::Bulk(15)), Verdict::Right);
        assert_eq!(commands.judge(Reply::Nil), Verdict::Wrong);
    }

    #[test]
    fn a_buffer_that_is_used_again_holds_the_next_commands_and_as_many_as_asked() {
        for workload in [Workload::Get, Workload::Mixed] {
            let mut commands = Commands::new(workload, 8, 0.5, 1);
            let (mut again, mut keys, mut number) = (Vec::new(), each(10), 0);
            for count in [3, 1, 4, 0, 2] {
                commands.write(&mut again, count, &mut keys);
                let text = String::from_utf8(again.clone()).unwrap();
                let found: Vec<&str> = text.split("key:").skip(1).map(|rest| &rest[..12]).collect();
                let expected: Vec<String> = (number..number + count).map(|n| format!("{:012}", n % 10)).collect();
                assert_eq!(found, expected);
                number += count;
            }
        }
    }

    #[test]
    fn mixed_writes_its_share() {
        let mut commands = Commands::new(Workload::Mixed, 3, 0.1, 1);
        let (mut buffer, mut keys) = (Vec::new(), each(10));
        commands.write(&mut buffer, 100_000, &mut keys);
        let sets = String::from_utf8(buffer).unwrap().matches("SET").count();
        assert!((9_500..10_500).contains(&sets), "{sets}");
    }

    #[test]
    fn what_takes_away_is_half_of_the_commands() {
        for (workload, more, less) in [(Workload::Lpop, "LPUSH", "LPOP"), (Workload::Sadd, "SADD", "SREM")] {
            let text = written(workload, 1000);
            let counts = [more, less].map(|name| text.matches(name).count());
            assert!(counts.iter().sum::<usize>() == 1000 && counts[0].abs_diff(counts[1]) < 150, "{counts:?}");
        }
    }

    #[test]
    fn a_reply_of_another_type_or_length_is_wrong() {
        let judge = |workload, reply| Commands::new(workload, 3, 0.5, 1).judge(reply);
        assert_eq!(judge(Workload::Set, Reply::Simple), Verdict::Right);
        assert_eq!(judge(Workload::Set, Reply::Nil), Verdict::Wrong);
        assert_eq!(judge(Workload::Get, Reply::Bulk(3)), Verdict::Right);
        assert_eq!(judge(Workload::Get, Reply::Bulk(4)), Verdict::Wrong);
        assert_eq!(judge(Workload::Get, Reply::Nil), Verdict::Absent);
        assert_eq!(judge(Workload::Get, Reply::Simple), Verdict::Wrong);
        assert_eq!(judge(Workload::Mixed, Reply::Simple), Verdict::Right);
        assert_eq!(judge(Workload::Mixed, Reply::Bulk(3)), Verdict::Right);
        assert_eq!(judge(Workload::Incr, Reply::Integer), Verdict::Right);
        assert_eq!(judge(Workload::Incr, Reply::Array), Verdict::Wrong);
        assert_eq!(judge(Workload::Hget, Reply::Nil), Verdict::Absent);
        for (reply, verdict) in
            [(Reply::Integer, Verdict::Right), (Reply::Nil, Verdict::Right), (Reply::Simple, Verdict::Wrong)]
        {
            assert_eq!(judge(Workload::Lpop, reply), verdict);
        }
    }
}
