//! All keys of one shard in a file, so that a restart replays only what came later.
//!
//! ```text
//!  header │ row │ row │ …                                        │ footer
//!   S                   an entry's row: its state when it was taken   E
//! ```
//!
//! A snapshot is taken slice by slice, between the turns of a shard that goes on. So its rows are of different moments
//! from offset S of the shard's history, where it began, to E, where it ended; each says which record its entry's
//! latest was. Who loads it replays the log from S on: [`Shard::replay`](crate::shard::Shard::replay) passes over the
//! records that a row contains already, and those after it find the entry as they found it the first time. A log that
//! does not reach E lacks changes that rows may contain; the snapshot is then of no use.
//!
//! An entry that is forgotten before its row was taken leaves a row without a value: its records from S on would
//! otherwise be applied to a key of which nothing is known.
//!
//! | file | what is in it |
//! |---|---|
//! | `format` | header and footer |
//! | `row` | an entry as records of the ring's layout, and back |
//! | `take` | a snapshot that is being taken; [`Shard`](crate::shard::Shard) has the methods |
//! | `load` | the file read back: looked at, loaded, or handed out entry by entry |
//! | `file` | written aside, synced, renamed |

mod file;
mod format;
mod load;
mod row;
mod take;
#[cfg(all(test, not(loom)))]
mod tests;

pub use file::{SnapshotFile, keep_newest, remove_unfinished, snapshot_files, snapshot_path};
pub use load::{entries, entries_from, inspect, inspect_from, load, load_from};
pub(crate) use take::Taking;

use crate::position::{Position, RingOffset, ShardId};
use std::io;
use thiserror::Error;

/// What a snapshot says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// The shard whose keys it has.
    pub shard: ShardId,
    /// How many shards the server had.
    pub shards: u16,
    /// S: the log is replayed from here on.
    pub start: RingOffset,
    /// Every record from there on has at least this position.
    pub start_position: Position,
    /// E: the log has to reach this offset.
    pub end: RingOffset,
    /// Every record from there on has at least this position.
    pub end_position: Position,
    /// The revision with which the stream of flushes went on at S.
    pub db_next_revision: u64,
    /// The latest flush before S, or [`RingOffset::NONE`].
    pub db_last: RingOffset,
    /// How many rows it has; an entry has one or more.
    pub rows: u64,
}

/// Why a snapshot cannot be used.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The file could not be read.
    #[error("the snapshot cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is shorter than header and footer.
    #[error("the file is too short to be a snapshot: {bytes} bytes")]
    TooShort {
        /// Its length.
        bytes: u64,
    },
    /// It begins with something else.
    #[error("the file is not a snapshot")]
    NotASnapshot,
    /// It is of a version that this one does not know.
    #[error("the snapshot is of version {0}, which is not known")]
    Version(u32),
    /// The header is damaged.
    #[error("the snapshot's header is damaged")]
    Header,
    /// The footer is damaged, or the snapshot was never finished.
    #[error("the snapshot is unfinished or its end is damaged")]
    Footer,
    /// A row is damaged, or makes no sense.
    #[error("the snapshot is damaged at byte {at}")]
    Row {
        /// Where the row starts, in bytes from the start of the file.
        at: u64,
    },
    /// Rows are missing, or are not those that were written.
    #[error("the snapshot's rows are not those that its end tells of")]
    Rows,
    /// The keys of another shard were to be loaded.
    #[error("the snapshot is of shard {found}, not {wanted}")]
    OtherShard {
        /// The shard that was to be filled.
        wanted: ShardId,
        /// The snapshot's.
        found: ShardId,
    },
    /// The shard that was to be filled has keys.
    #[error("the shard to load the snapshot into is not empty")]
    NotEmpty,
}
