//! What a start found in a directory, for the server's messages.

use super::directory::{Directory, PreviousShutdown};
use super::restore::RestoredShard;

/// What a start found in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartReport {
    /// How the previous run ended.
    pub previous_shutdown: PreviousShutdown,
    /// The number of replayed records, over all shards.
    pub replayed: u64,
    /// The number of valid records that were cut off the ends of logs.
    pub cut_records: u64,
    /// The number of nonzero bytes outside valid records that were cut off.
    pub cut_bytes: u64,
    /// The number of shards that the directory had, if it was not the one wanted.
    pub resharded_from: Option<u16>,
}

impl StartReport {
    pub(super) fn of(directory: &Directory, restored: &[RestoredShard]) -> StartReport {
        StartReport {
            previous_shutdown: directory.previous_shutdown(),
            replayed: restored.iter().map(|shard| shard.replayed).sum(),
            cut_records: restored.iter().map(|shard| shard.cut().records).sum(),
            cut_bytes: restored.iter().map(|shard| shard.cut().bytes).sum(),
            resharded_from: None,
        }
    }
}
