//! A snapshot: all keys of one shard in a file, so that a restart replays only later records.
//!
//! ```text
//!  header │ row │ row │ …                                        │ footer
//!   S                   an entry's row: its state when it was taken   E
//! ```
//!
//! A snapshot is taken slice by slice, between the turns of its shard. So its rows are of different moments, from offset S
//! of the shard's history, where the snapshot began, to E, where it ended. Each row has the offset of its entry's latest
//! record. After a load, the log is replayed from S on: [`Shard::replay`](crate::shard::Shard::replay) skips the records
//! that a row already contains, and later records find the entry in the same state as originally. A log that ends before E
//! lacks changes that rows may contain, so the snapshot cannot be used with it.
//!
//! An entry that is forgotten before its row was taken leaves a row without a value. Otherwise its records from S on would
//! be applied to an unknown key.
//!
//! | file | what is in it |
//! |---|---|
//! | `format` | header and footer |
//! | `row` | an entry as records of the ring's layout, and back |
//! | `take` | a snapshot that is being taken; [`Shard`](crate::shard::Shard) has the methods |
//! | `load` | reads a file: inspects it, loads it, or visits its entries |
//! | `file` | names of files; a file is written under a temporary name, synced, renamed |

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

/// The fields of a snapshot's header and footer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// The shard whose keys it has.
    pub shard: ShardId,
    /// The number of shards of the server.
    pub shards: u16,
    /// S: the offset from which on the log must be replayed.
    pub start: RingOffset,
    /// Every record from S on has at least this position.
    pub start_position: Position,
    /// E: the offset that the log must reach.
    pub end: RingOffset,
    /// Every record from E on has at least this position.
    pub end_position: Position,
    /// The next revision of the stream of flushes at S.
    pub db_next_revision: u64,
    /// The latest flush before S, or [`RingOffset::NONE`].
    pub db_last: RingOffset,
    /// The number of rows; an entry has one or more.
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
        /// Its length in bytes.
        bytes: u64,
    },
    /// The file begins with something else.
    #[error("the file is not a snapshot")]
    NotASnapshot,
    /// Another version of the program wrote it, in an unknown format.
    #[error("the snapshot is of format version {0}, which this keytide does not know")]
    Version(u32),
    /// The header is damaged.
    #[error("the snapshot's header is damaged")]
    Header,
    /// The footer is damaged, or the snapshot was never finished.
    #[error("the snapshot is unfinished or its end is damaged")]
    Footer,
    /// A row is damaged or invalid.
    #[error("the snapshot is damaged at byte {at}")]
    Row {
        /// Where the row starts, in bytes from the start of the file.
        at: u64,
    },
    /// Rows are missing or misplaced.
    #[error("the snapshot's rows do not match its footer")]
    Rows,
    /// The snapshot is of another shard than the one to fill.
    #[error("the snapshot is of shard {found}, not {wanted}")]
    OtherShard {
        /// The shard to fill.
        wanted: ShardId,
        /// The snapshot's shard.
        found: ShardId,
    },
    /// The shard to fill has keys.
    #[error("the shard to load the snapshot into is not empty")]
    NotEmpty,
}
