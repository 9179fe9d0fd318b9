//! The subscriptions' commands and the filters in them.

use super::options::{Filter, From, Kind, SubscribeOptions};
use crate::commands::push_command;
use crate::error::BenchError;
use std::fs;
use std::path::Path;

/// The channel of published messages.
pub const CHANNEL: &[u8] = b"keytide-bench";

/// The commands of the subscriptions, by their number.
#[derive(Debug)]
pub struct SubscribeCommands {
    kind: Kind,
    filter: Filter,
    from: From,
    checkpoint: Option<u64>,
    /// The distance between the numbers of two prefixes.
    stride: u32,
    regexes: Vec<String>,
}

impl SubscribeCommands {
    /// The commands for these options.
    ///
    /// # Errors
    /// If the file of regexes cannot be read, or is empty.
    pub fn new(options: &SubscribeOptions) -> Result<SubscribeCommands, BenchError> {
        let regexes = match options.filter {
            Filter::Regex => read_regexes(&options.regexes)?,
            Filter::All | Filter::Prefix | Filter::Hostile => Vec::new(),
        };
        // One prefix has the first digits of ten keys.
        let stride = (options.keys / 10 / u32::try_from(options.subscriptions).unwrap_or(u32::MAX).max(1)).max(1);
        let SubscribeOptions { kind, filter, from, checkpoint, .. } = *options;
        Ok(SubscribeCommands { kind, filter, from, checkpoint, stride, regexes })
    }

    /// Appends the command of subscription `number`, from 0.
    pub fn push(&self, number: usize, out: &mut Vec<u8>) {
        match (self.kind, self.filter) {
            (Kind::Pubsub, _) => push_command(out, &[b"SUBSCRIBE", CHANNEL]),
            (Kind::Keyspace, Filter::All) => push_command(out, &[b"SUBSCRIBE", b"__keyevent@0__:set"]),
            (Kind::Keyspace, Filter::Prefix | Filter::Regex | Filter::Hostile) => {
                let pattern = format!("__keyspace@0__:{}*", prefix(number, self.stride));
                push_command(out, &[b"PSUBSCRIBE", pattern.as_bytes()]);
            }
            (Kind::Keytide, filter) => {
                let from: &[u8] = match self.from {
                    From::End => b"END",
                    From::Start => b"START",
                };
                let pattern = match filter {
                    Filter::All => String::new(),
                    Filter::Prefix => prefix(number, self.stride),
                    Filter::Regex => self.regexes[number % self.regexes.len()].clone(),
                    Filter::Hostile => hostile(number),
                };
                let checkpoint = self.checkpoint.map(|n| n.to_string());
                let mut words: Vec<&[u8]> = vec![b"CDC.SUBSCRIBE", b"$all", b"FROM", from];
                match filter {
                    Filter::All => {}
                    Filter::Prefix => words.extend([&b"PREFIX"[..], b"1", pattern.as_bytes()]),
                    Filter::Regex | Filter::Hostile => words.extend([&b"REGEX"[..], pattern.as_bytes()]),
                }
                if let Some(checkpoint) = &checkpoint {
                    words.extend([&b"CHECKPOINT"[..], checkpoint.as_bytes()]);
                }
                push_command(out, &words);
            }
        }
    }
}

/// A prefix that no key has: all digits of a key but its last one, and then something else. So every key begins like
/// some of the prefixes, and differs from them in its last byte at the earliest.
fn prefix(number: usize, stride: u32) -> String {
    format!("key:{:011}x", number as u64 * u64::from(stride))
}

/// A regex that no key matches and that makes an automaton track many beginnings at once: the number of its states
/// grows exponentially with the counts in it, or with the number of such regexes that are searched together. All of its
/// bytes occur in the keys, so that they cannot be used to rule it out, and its end makes it different from the others.
fn hostile(number: usize) -> String {
    let (digits, other, count) = (number % 100, number / 10 % 100, 2 + number % 7);
    let (digit, last) = (digits % 10, other % 10);
    let body = match number % 5 {
        0 => format!("[0-9]{{2,{}}}{digits:02}.*{other:02}", 2 + count),
        1 => format!("0[0-9]{{{count}}}{digit}.*{last}"),
        2 => format!("(?:0|[1-9]0){{2,{count}}}{digits:02}.*"),
        3 => format!("{digit}[^k]{{{count}}}{last}[^k]{{1,{}}}0", count + 1),
        _ => format!(".*{digit}.{{{}}}{last}.*", count + 3),
    };
    format!("{body}e{number:03}")
}

/// The regexes of a file, one per line; empty lines and lines that begin with `#` are skipped.
fn read_regexes(path: &Path) -> Result<Vec<String>, BenchError> {
    let text = fs::read_to_string(path).map_err(|source| BenchError::File { path: path.to_owned(), source })?;
    let is_regex = |line: &&str| !line.is_empty() && !line.starts_with('#');
    let regexes: Vec<String> = text.lines().filter(is_regex).map(str::to_owned).collect();
    if regexes.is_empty() {
        return Err(BenchError::Options(format!("{}: no regex in it", path.display())));
    }
    Ok(regexes)
}

#[cfg(test)]
mod tests {
    use super::super::options::tests::parsed;
    use super::*;
    use regex_automata::meta::Regex;
    use std::collections::HashSet;

    fn asked(options: &str, number: usize) -> String {
        let mut out = Vec::new();
        SubscribeCommands::new(&parsed(options).unwrap()).unwrap().push(number, &mut out);
        let text = String::from_utf8(out).unwrap();
        // Without the lengths.
        text.split("\r\n").filter(|line| !line.starts_with(['*', '$']) || *line == "$all").collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_kind_asks_in_its_own_words() {
        assert_eq!(asked("--kind keytide", 0).trim(), "CDC.SUBSCRIBE $all FROM END");
        assert_eq!(asked("--from start --checkpoint 9", 0).trim(), "CDC.SUBSCRIBE $all FROM START CHECKPOINT 9");
        let prefixed = "--filter prefix --subscriptions 10000 --keys 100000";
        assert_eq!(asked(prefixed, 7).trim(), "CDC.SUBSCRIBE $all FROM END PREFIX 1 key:00000000007x");
        assert_eq!(
            asked("--kind keyspace --filter prefix --subscriptions 10 --keys 100000", 7).trim(),
            "PSUBSCRIBE __keyspace@0__:key:00000007000x*"
        );
        assert_eq!(asked("--kind keyspace", 1).trim(), "SUBSCRIBE __keyevent@0__:set");
        assert_eq!(asked("--kind pubsub", 1).trim(), "SUBSCRIBE keytide-bench");
        assert!(asked("--filter hostile", 0).contains("REGEX [0-9]{2,4}00.*00e000"));
    }

    #[test]
    fn regexes_are_the_lines_of_the_file_over_and_over() {
        let path = std::env::temp_dir().join(format!("keytide-bench-regexes-{}", std::process::id()));
        fs::write(&path, "# a comment\n^a\n\n.*b\n").unwrap();
        let options = format!("--filter regex --regexes {}", path.display());
        let found = [0, 1, 2].map(|number| asked(&options, number).trim().to_owned());
        fs::write(&path, "# nothing\n").unwrap();
        let refused = SubscribeCommands::new(&parsed(&options).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(found[0].ends_with("REGEX ^a") && found[1].ends_with("REGEX .*b") && found[2] == found[0]);
        assert!(matches!(refused, Err(BenchError::Options(_))));
        assert!(matches!(SubscribeCommands::new(&parsed(&options).unwrap()), Err(BenchError::File { .. })));
    }

    #[test]
    fn filters_differ_and_no_key_matches_them() {
        assert_eq!((0..10_000).map(|number| prefix(number, 1)).collect::<HashSet<_>>().len(), 10_000);
        assert_eq!((0..1000).map(hostile).collect::<HashSet<_>>().len(), 1000);
        for number in 0..1000 {
            let regex = Regex::new(&hostile(number)).unwrap();
            for key in (0..100_000).step_by(1201) {
                assert!(!regex.is_match(&format!("key:{key:012}")), "{} and {key}", hostile(number));
            }
        }
    }
}
