//! Why the log of a shard cannot be used, and how that is known.

use crate::log::scan::ScanError;
use crate::log::torn_end::Behind;
use crate::position::RingOffset;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// How it is known that something is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Everything up to this offset was on the disk.
    Synced(RingOffset),
    /// It was on the disk as a whole when it got its name.
    Made,
    /// This record follows.
    Record(Behind),
    /// This segment follows.
    Segment(PathBuf),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Synced(synced) => write!(f, "everything up to offset {synced} was on the disk"),
            Why::Made => f.write_str("it was on the disk as a whole"),
            Why::Record(behind) => write!(f, "{behind}"),
            Why::Segment(path) => write!(f, "{} was begun behind it", path.display()),
        }
    }
}

/// Why the history of a shard cannot be used as it is.
#[derive(Debug, Error)]
pub enum RecoveryError {
    /// The system refuses.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be scanned.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// Something is not as it was written.
    #[error(
        "{path}: {what} at offset {offset}, though {why}; run `keytide check {root}`, then `keytide check --repair {root}` to \
         cut it off", root = root(path, 3).display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
        /// Where.
        offset: RingOffset,
        /// How that is known.
        why: Why,
    },
    /// The mark of what was on the disk is damaged.
    #[error("{path}: damaged; run `keytide check {root}`, then `keytide check --repair {root}`", root = root(path, 3).display())]
    Mark {
        /// The file.
        path: PathBuf,
    },
}

/// The directory of `--dir` that a path lies in, so many levels down.
pub(in crate::store) fn root(path: &Path, levels: usize) -> &Path {
    path.ancestors().nth(levels).unwrap_or(path)
}
