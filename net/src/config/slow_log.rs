//! The flags of the log of slow commands.

use crate::limits::{SLOW_COMMANDS_DEFAULT, SLOW_US_DEFAULT};
use clap::Parser;
use serde::Deserialize;

/// The given flags of the log of slow commands.
#[derive(Parser, Deserialize, Debug, Default)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Slow commands")]
pub(super) struct SlowLogFlags {
    /// Microseconds from which on a command is logged as slow; -1 = never [default: 10000]
    #[arg(long, env = "KEYTIDE_SLOWLOG_LOG_SLOWER_THAN", value_name = "US", allow_negative_numbers = true)]
    slowlog_log_slower_than: Option<i64>,
    /// Slow commands that are kept [default: 128]
    #[arg(long, env = "KEYTIDE_SLOWLOG_MAX_LEN", value_name = "COMMANDS")]
    slowlog_max_len: Option<u64>,
}

impl SlowLogFlags {
    /// Adds the values of the file, for flags that are not given elsewhere.
    pub(super) fn fill_from(&mut self, file: SlowLogFlags) {
        self.slowlog_log_slower_than = self.slowlog_log_slower_than.or(file.slowlog_log_slower_than);
        self.slowlog_max_len = self.slowlog_max_len.or(file.slowlog_max_len);
    }

    /// From how many microseconds on, and how many are kept.
    pub(super) fn decide(&self) -> (i64, u64) {
        let threshold_us = self.slowlog_log_slower_than.unwrap_or(SLOW_US_DEFAULT);
        (threshold_us.max(-1), self.slowlog_max_len.unwrap_or(SLOW_COMMANDS_DEFAULT))
    }
}
