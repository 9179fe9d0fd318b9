//! What a check found, and why it could not be made.

use crate::position::{Position, RingOffset, ShardId};
use crate::store::directory::DirectoryError;
use crate::store::recovery::RecoveryError;
use std::fmt;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// A file or directory that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file or directory.
    pub path: PathBuf,
    /// The offset in the shard's log, and the byte of the file.
    pub place: Option<(RingOffset, u64)>,
    /// What is wrong, and its consequence.
    pub what: String,
    /// Whether it is damage. Otherwise a start corrects it by itself, and nothing that was synced is lost.
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

/// What a check found of one shard of one generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardReport {
    /// The generation.
    pub generation: u32,
    /// The shard.
    pub shard: ShardId,
    /// The number of valid segments.
    pub segments: usize,
    /// The number of snapshots.
    pub snapshots: usize,
    /// The number of valid records.
    pub records: u64,
    /// The size of the valid records in bytes.
    pub bytes: u64,
    /// The positions of the first and the last valid record; none where there is none.
    pub positions: Option<(Position, Position)>,
    /// The offset up to which the log was on the disk, by the durable mark.
    pub synced: RingOffset,
    /// The problems, in the order in which they were found.
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

/// What a check found, and what a repair did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// The shards of all generations, oldest generation first.
    pub shards: Vec<ShardReport>,
    /// What a repair did and what is lost, as texts.
    pub repaired: Vec<String>,
}

impl CheckReport {
    /// Whether nothing is damaged.
    pub fn is_sound(&self) -> bool {
        self.shards.iter().all(|shard| shard.problems.iter().all(|problem| !problem.is_damage))
    }

    /// Of all shards together: the number of records, their size in bytes, and the first and last position.
    pub fn totals(&self) -> (u64, u64, Option<(Position, Position)>) {
        let positions = self.shards.iter().filter_map(|shard| shard.positions);
        let positions = positions.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)));
        let sum = |of: fn(&ShardReport) -> u64| self.shards.iter().map(of).sum();
        (sum(|shard| shard.records), sum(|shard| shard.bytes), positions)
    }
}

/// Why a directory cannot be checked or repaired.
#[derive(Debug, Error)]
pub enum CheckError {
    /// The directory cannot be changed.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// An error of the file system.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// A log cannot be read or repaired.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// No part of a shard's log is usable: no snapshot has the keys before it.
    #[error("{directory}: no snapshot is left that the log goes on from: put the directory back from a copy")]
    NothingLeft {
        /// The shard's directory.
        directory: PathBuf,
    },
}
