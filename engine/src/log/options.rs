//! Whose log it is, and how it is kept.

use super::segment::SegmentHeader;
use crate::position::ShardId;
use std::path::PathBuf;

/// When what was written is synced to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// Whenever the system likes, and when a segment is sealed. Survives the end of the process, not of the system.
    #[default]
    Os,
    /// Every second, in the background.
    EverySecond,
    /// Before anything that a turn did is seen by anybody.
    Always,
}

/// Whose log it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogIdentity {
    /// The directory of the shard's files.
    pub directory: PathBuf,
    /// The generation of shards.
    pub generation: u32,
    /// The shard.
    pub shard: ShardId,
    /// How many shards the generation has.
    pub shards: u16,
}

impl LogIdentity {
    /// Whether a file of this number with this header is a segment of it.
    pub fn owns(&self, header: &SegmentHeader, number: u64) -> bool {
        (header.generation, header.shard, header.shards, header.number)
            == (self.generation, self.shard, self.shards, number)
    }
}

/// How a log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// When it is synced.
    pub fsync: Fsync,
    /// The bytes of a segment's file. Without its header it holds what the unpublished records of a turn take at the
    /// most: [`unpublished_bytes_max`](crate::limits::unpublished_bytes_max).
    pub segment_bytes: u64,
    /// What the records of one turn take at the most, in bytes, unless more is asked for: see
    /// [`LogWriter::check_room_for`](super::LogWriter::check_room_for).
    pub turn_bytes: u64,
    /// How many bytes of segments are kept.
    pub retain_bytes: u64,
    /// How long records are kept, milliseconds; none for ever.
    pub retain_ms: Option<u64>,
}
