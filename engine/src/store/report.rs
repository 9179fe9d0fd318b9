//! What a start has found.

use super::directory::{Directory, Start};
use super::restore::Restored;

/// What a start has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// How the run before ended.
    pub start: Start,
    /// How many records were replayed.
    pub replayed: u64,
    /// How many whole records were cut off the ends of logs.
    pub cut_records: u64,
    /// How many bytes that were no record.
    pub cut_bytes: u64,
    /// How many shards the directory had, where that was another number.
    pub resharded_from: Option<u16>,
}

impl Report {
    pub(super) fn of(directory: &Directory, restored: &[Restored]) -> Report {
        Report {
            start: directory.start(),
            replayed: restored.iter().map(|shard| shard.replayed).sum(),
            cut_records: restored.iter().map(|shard| shard.cut().records).sum(),
            cut_bytes: restored.iter().map(|shard| shard.cut().bytes).sum(),
            resharded_from: None,
        }
    }
}
