//! One shard's recent history, in memory: a ring of bytes with one writer, the shard's own core, and any number of
//! readers on any core. Readers take no lock and never make the writer wait; a reader that is too slow gets an error,
//! and never a torn record.
//!
//! | file | what is in it |
//! |---|---|
//! | [`words`] | the shared words, head and tail, and why lock-free reading is right |
//! | [`layout`] | the format of a record; drafts and their encoding |
//! | [`record`] | a view of a record |
//! | [`encode`] | records for files |
//! | [`writer`] | append, stamp, publish: the single writer |
//! | [`reader`] | seek and read from any core |
//! | [`lookup`] | a reader by offset that caches its last copy |
//! | `checksum` | a record's checksum |
//! | `index` | the sparse index from position to offset |

mod checksum;
pub mod encode;
mod index;
pub mod layout;
pub mod lookup;
pub mod reader;
pub mod record;
pub mod words;
pub mod writer;

pub use checksum::Checksum;
pub use layout::{Data, Draft, record_bytes, record_bytes_parts};
pub use lookup::RingLookup;
pub use reader::{Batch, RingReader};
pub use record::{DataParts, Record, RecordData};
pub use words::{Lapped, RingBounds};
pub use writer::{Records, RingWriter};

use crate::position::{Position, RingOffset};
use index::Index;
use std::io;
use std::sync::Arc;
use words::Words;

/// The smallest ring, in bytes: enough for the blocks of the index and a few records. A server requires more, see
/// [`limits`](crate::limits).
pub const CAPACITY_BYTES_MIN: u64 = 256;

/// RingMemory by the writer and the readers.
struct RingMemory {
    words: Words,
    index: Index,
}

/// A reader's handle to a ring, for any core. Cheap to clone.
#[derive(Clone)]
pub struct Ring(Arc<RingMemory>);

/// A new, empty ring of `capacity_bytes`. Fails if that is not a power of two of at least [`CAPACITY_BYTES_MIN`], or if
/// the system has no memory for it.
pub fn create(capacity_bytes: u64) -> io::Result<(RingWriter, Ring)> {
    create_after(capacity_bytes, RingStart::default())
}

/// Like [`create`], for a shard whose earlier history is in a log: the ring continues at its end.
pub fn create_after(capacity_bytes: u64, start: RingStart) -> io::Result<(RingWriter, Ring)> {
    if capacity_bytes < CAPACITY_BYTES_MIN {
        let text = format!("a ring takes at least {CAPACITY_BYTES_MIN} bytes, not {capacity_bytes}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let words = Words::new(capacity_bytes)?;
    if let Some(last) = start.last {
        words.evict(start.offset, last);
        words.publish(start.offset);
    }
    let ring = Ring(Arc::new(RingMemory { words, index: Index::new(capacity_bytes) }));
    Ok((RingWriter::new(ring.clone(), start), ring))
}

/// Where a ring begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingStart {
    /// The offset of its first record: the end of the shard's earlier history. 0 if there is none.
    pub offset: RingOffset,
    /// The position of the last record before; `None` if there is none.
    pub last: Option<Position>,
}

impl Ring {
    /// A reader with its own scratch space.
    pub fn reader(&self) -> RingReader {
        RingReader::new(self.clone())
    }

    /// The capacity in bytes.
    pub fn capacity(&self) -> u64 {
        self.0.words.capacity()
    }

    /// A consistent view of head, tail and eviction mark: the head is not beyond the tail, nor newer than the mark.
    pub fn bounds(&self) -> RingBounds {
        self.0.words.bounds()
    }

    /// The start of the oldest record.
    pub fn head(&self) -> RingOffset {
        self.bounds().head
    }

    /// The end of the published records.
    pub fn tail(&self) -> RingOffset {
        self.0.words.tail()
    }

    /// The position of the newest record that was overwritten or is about to be; `None` while there is none.
    pub fn evicted_through(&self) -> Option<Position> {
        self.bounds().evicted_through
    }
}
