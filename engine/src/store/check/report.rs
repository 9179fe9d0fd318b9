//! What a check has found, and why one cannot be made.

use crate::position::{Position, RingOffset, ShardId};
use crate::store::directory::DirectoryError;
use crate::store::recovery::RecoveryError;
use std::fmt;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file or directory.
    pub path: PathBuf,
    /// Where in the shard's history, and at which byte of the file.
    pub place: Option<(RingOffset, u64)>,
    /// What is wrong, and what that means.
    pub what: String,
    /// Whether it is damage; else a start makes it good by itself and loses nothing that was surely on the disk.
    pub is_damage: bool,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_damage { "damage" } else { "note" };
        write!(f, "{kind}: {}", self.path.display())?;
        if let Some((offset, byte)) = self.place {
            write!(f, ", offset {offset}, byte {byte}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// One shard of one generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardReport {
    /// The generation.
    pub generation: u32,
    /// The shard.
    pub shard: ShardId,
    /// How many segments hold records, or could.
    pub segments: usize,
    /// How many snapshots there are.
    pub snapshots: usize,
    /// How many whole records there are.
    pub records: u64,
    /// What they take, in bytes.
    pub bytes: u64,
    /// The positions of the first and the last of them.
    pub positions: Option<(Position, Position)>,
    /// How far the log is surely on the disk, as the shard's mark says.
    pub synced: RingOffset,
    /// What is not as it was written.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ShardReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ShardReport { generation, shard, segments, snapshots, records, bytes, .. } = self;
        write!(f, "generation {generation} shard {shard}: {records} records, {bytes} bytes")?;
        if let Some((first, last)) = self.positions {
            write!(f, ", positions {first} to {last}")?;
        }
        write!(f, ", segments {segments}, snapshots {snapshots}, synced through offset {}", self.synced)
    }
}

/// What was found, and what was done about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// The shards of all generations, the oldest first.
    pub shards: Vec<ShardReport>,
    /// What a repair has done and what is lost, in words.
    pub repaired: Vec<String>,
}

impl CheckReport {
    /// Whether nothing is damaged.
    pub fn is_sound(&self) -> bool {
        self.shards.iter().all(|shard| shard.problems.iter().all(|problem| !problem.is_damage))
    }

    /// All records, what they take, and the first and the last position among them.
    pub fn totals(&self) -> (u64, u64, Option<(Position, Position)>) {
        let positions = self.shards.iter().filter_map(|shard| shard.positions);
        let positions = positions.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)));
        let sum = |of: fn(&ShardReport) -> u64| self.shards.iter().map(of).sum();
        (sum(|shard| shard.records), sum(|shard| shard.bytes), positions)
    }
}

/// Why a directory cannot be looked at, or not be repaired.
#[derive(Debug, Error)]
pub enum CheckError {
    /// The directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The system refuses a file.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A log that cannot be repaired.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// There is nothing to begin from.
    #[error("{directory}: no snapshot is left that the log goes on from: put the directory back from a copy")]
    NothingLeft {
        /// The shard's directory.
        directory: PathBuf,
    },
}
