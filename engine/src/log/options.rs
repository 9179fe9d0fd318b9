//! Which shard a log belongs to, and how the log is written and retained.

use super::segment::SegmentHeader;
use crate::position::ShardId;
use std::path::PathBuf;

/// When written records are synced to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// When the operating system decides, and when a segment is sealed. Records survive the end of the process, but not a
    /// crash of the system.
    #[default]
    Os,
    /// Once a second, in the background.
    EverySecond,
    /// Before the turn that wrote them is published.
    Always,
}

/// Which shard a log belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogIdentity {
    /// The directory with the shard's files.
    pub directory: PathBuf,
    /// The number of the generation.
    pub generation: u32,
    /// The shard.
    pub shard: ShardId,
    /// How many shards the generation has.
    pub shards: u16,
}

impl LogIdentity {
    /// Whether a file with this number in its name and this header is a segment of the log.
    pub fn owns(&self, header: &SegmentHeader, number: u64) -> bool {
        (header.generation, header.shard, header.shards, header.number)
            == (self.generation, self.shard, self.shards, number)
    }
}

/// How a log is written and retained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// When records are synced.
    pub fsync: Fsync,
    /// The size of a segment's file in bytes. What it holds beside its header is at least the most that the unpublished
    /// records of a turn take: [`unpublished_bytes_max`](crate::limits::unpublished_bytes_max).
    pub segment_bytes: u64,
    /// The most that the records of one turn take, in bytes, unless the turn reserves more with
    /// [`LogWriter::check_room_for`](super::LogWriter::check_room_for).
    pub turn_bytes: u64,
    /// How many bytes of segments retention keeps.
    pub retain_bytes: u64,
    /// How long retention keeps records, in milliseconds; none: without limit.
    pub retain_ms: Option<u64>,
}
