//! Why the log of a shard cannot be used, and how that is known.

use crate::log::scan::ScanError;
use crate::log::torn_end::FollowingRecord;
use crate::position::RingOffset;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// How it is known that a log is damaged, and not torn by the end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The durable mark: everything before this offset was on the disk.
    Synced(RingOffset),
    /// The file was completely on the disk when it got its name.
    Complete,
    /// This valid record follows.
    Record(FollowingRecord),
    /// This segment follows.
    Segment(PathBuf),
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Evidence::Synced(synced) => write!(f, "everything up to offset {synced} was on the disk"),
            Evidence::Complete => f.write_str("it was completely on the disk"),
            Evidence::Record(record) => write!(f, "{record}"),
            Evidence::Segment(path) => write!(f, "{} follows it", path.display()),
        }
    }
}

/// Why the log of a shard cannot be used as it is.
#[derive(Debug, Error)]
pub enum RecoveryError {
    /// An error of the file system.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// A segment cannot be scanned.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A file is damaged.
    #[error(
        "{path}: {what} at offset {offset}, though {evidence}; run `keytide check {root}`, then `keytide check --repair {root}` to \
         cut it off", root = root(path, 3).display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// The offset in the log.
        offset: RingOffset,
        /// How the damage is known.
        evidence: Evidence,
    },
    /// The durable mark is damaged.
    #[error("{path}: damaged; run `keytide check {root}`, then `keytide check --repair {root}`", root = root(path, 3).display())]
    Mark {
        /// The file.
        path: PathBuf,
    },
}

/// The directory of `--dir` that contains `path`, which is `levels` levels below it. For error texts.
pub(in crate::store) fn root(path: &Path, levels: usize) -> &Path {
    path.ancestors().nth(levels).unwrap_or(path)
}
