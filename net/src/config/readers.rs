//! The flags of readers of consumer groups over gRPC: persistent subscriptions.

use super::ConfigError;
use super::values::count_from;
use crate::limits::GROUP_WINDOW_DEFAULT;
use clap::Parser;
use keytide_engine::group::GROUP_SEATS_MAX;
use serde::Deserialize;

/// The given flags of readers.
#[derive(Parser, Deserialize, Debug, Default)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Persistent subscriptions")]
pub(super) struct ReaderFlags {
    /// Readers of one persistent subscription, whatever it permits itself, at most 10000 [default: 10000]
    #[arg(long, env = "KEYTIDE_GROUP_READERS", value_name = "N")]
    group_readers: Option<u64>,
    /// Events that are in flight to one reader, whatever it asks for [default: 10000]
    #[arg(long, env = "KEYTIDE_GROUP_READER_EVENTS", value_name = "N")]
    group_reader_events: Option<u64>,
}

/// The limits of readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReaderLimits {
    /// Readers of one group.
    pub readers: usize,
    /// Events that are in flight to one reader.
    pub events: usize,
}

impl ReaderFlags {
    /// Adds the values of the file, for flags that are not given elsewhere.
    pub(super) fn fill_from(&mut self, file: ReaderFlags) {
        self.group_readers = self.group_readers.or(file.group_readers);
        self.group_reader_events = self.group_reader_events.or(file.group_reader_events);
    }

    /// The limits.
    pub(super) fn decide(&self) -> Result<ReaderLimits, ConfigError> {
        let limit = |flag, given: Option<u64>, max: usize, default: usize| {
            count_from(flag, given, (1, max as u64, default as u64)).map(|count| count as usize)
        };
        Ok(ReaderLimits {
            readers: limit("group-readers", self.group_readers, GROUP_SEATS_MAX, GROUP_SEATS_MAX)?,
            events: limit("group-reader-events", self.group_reader_events, 1 << 20, GROUP_WINDOW_DEFAULT)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::decide;
    use super::*;

    #[test]
    fn readers_are_limited_unless_it_is_said_otherwise_and_not_to_none() {
        let limits = |words: &[&str]| decide(words).map(|config| config.readers);
        assert_eq!(limits(&[]), Ok(ReaderLimits { readers: 10_000, events: 10_000 }));
        let given = limits(&["--group-readers", "3", "--group-reader-events", "50000"]);
        assert_eq!(given, Ok(ReaderLimits { readers: 3, events: 50_000 }));
        for wrong in [["--group-readers", "0"], ["--group-readers", "10001"], ["--group-reader-events", "0"]] {
            assert!(limits(&wrong).unwrap_err().starts_with(wrong[0]), "{wrong:?}");
        }
    }
}
