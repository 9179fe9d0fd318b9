//! The flags of client-side caching.

use clap::Parser;
use serde::Deserialize;

/// The given flags of client-side caching.
#[derive(Parser, Deserialize, Debug, Default)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Client-side caching")]
pub(super) struct TrackingFlags {
    /// Keys that are remembered as read by clients that cache, on all shards; for more of them others are forgotten, and their
    /// readers told to drop them; 0 = no limit [default: 1000000]
    #[arg(long, env = "KEYTIDE_TRACKING_TABLE_MAX_KEYS", value_name = "KEYS")]
    pub(super) tracking_table_max_keys: Option<u64>,
}

impl TrackingFlags {
    /// Adds the values of the file, for flags that are not given elsewhere.
    pub(super) fn fill_from(&mut self, file: TrackingFlags) {
        self.tracking_table_max_keys = self.tracking_table_max_keys.or(file.tracking_table_max_keys);
    }
}
