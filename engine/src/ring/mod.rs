//! One shard's recent history, in memory: a ring of bytes with one writer, the shard's own core, and any number of
//! readers on any core. Readers take no lock and never make the writer wait; one that is too slow is told that it was
//! lapped, and never sees a torn record.
//!
//! | file | what is in it |
//! |---|---|
//! | [`words`] | the shared words, head and tail, and why reading them without a lock is right |
//! | [`layout`] | a record word by word; drafts, and how they are encoded |
//! | [`record`] | a record as it is read |
//! | [`encode`] | records for files that are made of them |
//! | [`writer`] | append, stamp, publish: the one owner |
//! | [`reader`] | seek and read from any core |
//! | [`lookup`] | a reader by places that keeps what it has copied |
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
pub use record::{Parts, Record, RecordData};
pub use words::{Bounds, Lapped};
pub use writer::{Records, RingWriter};

use crate::position::{Position, RingOffset};
use index::Index;
use std::io;
use std::sync::Arc;
use words::Words;

/// The smallest ring there can be, in bytes: blocks of the index and a few records have room. A server asks for more,
/// see [`limits`](crate::limits).
pub const CAPACITY_BYTES_MIN: u64 = 256;

/// What writer and readers share.
struct Shared {
    words: Words,
    index: Index,
}

/// A ring as its readers hold it, on any core. Cheap to clone.
#[derive(Clone)]
pub struct Ring(Arc<Shared>);

/// A new, empty ring of `capacity_bytes`. Errors where that is not a power of two of at least
/// [`CAPACITY_BYTES_MIN`], or where the system has no memory for it.
pub fn create(capacity_bytes: u64) -> io::Result<(RingWriter, Ring)> {
    create_after(capacity_bytes, RingStart::default())
}

/// As [`create`], for a shard whose history began earlier and lies in a log: the ring goes on where that ends.
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
    let ring = Ring(Arc::new(Shared { words, index: Index::new(capacity_bytes) }));
    Ok((RingWriter::new(ring.clone(), start), ring))
}

/// Where a ring begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingStart {
    /// The offset of its first record: where the shard's earlier history ends. 0 where there is none.
    pub offset: RingOffset,
    /// The position of the last record before; none where there is none.
    pub last: Option<Position>,
}

impl Ring {
    /// A reader with scratch space of its own.
    pub fn reader(&self) -> RingReader {
        RingReader::new(self.clone())
    }

    /// How many bytes the ring holds.
    pub fn capacity(&self) -> u64 {
        self.0.words.capacity()
    }

    /// Head, tail and what was evicted, such that the head is not beyond the tail, nor newer than what was evicted.
    pub fn bounds(&self) -> Bounds {
        self.0.words.bounds()
    }

    /// Where the oldest record starts.
    pub fn head(&self) -> RingOffset {
        self.bounds().head
    }

    /// The end of the published records.
    pub fn tail(&self) -> RingOffset {
        self.0.words.tail()
    }

    /// The position of the newest record that was overwritten or is just about to be; `None` as long as none was.
    pub fn evicted_through(&self) -> Option<Position> {
        self.bounds().evicted_through
    }
}
