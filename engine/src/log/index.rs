//! The sparse index of a segment: the offset and position of the first record of about every [`BLOCK_BYTES`] of the
//! segment. The index of the active segment grows in memory while readers use it; the index of a sealed segment is a file
//! beside it, which readers load. A missing or damaged index is rebuilt from the segment.
//!
//! # Why readers see complete entries
//!
//! The only writer is the shard's core. It stores an entry (relaxed), then the number of entries (release); a reader loads
//! the number (acquire) and then only entries below it. Entries never change.

use super::segment::index_path;
use crate::position::{Position, RingOffset};
use crate::sync::{AtomicU64, Ordering};
use std::path::Path;
use thiserror::Error;

/// The distance of two entries, in bytes of the segment.
pub const BLOCK_BYTES: u64 = 16 << 10;

/// The version of the file format.
const VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"KEYTINDX";
const HEAD_BYTES: usize = 56;
const ENTRY_BYTES: usize = 16;

struct IndexEntry {
    offset: AtomicU64,
    position: AtomicU64,
}

/// The index of one segment.
pub struct SparseIndex {
    base: RingOffset,
    entries: Box<[IndexEntry]>,
    count: AtomicU64,
}

/// The end of a sealed segment, as its index states it beside the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The offset behind the last record: where the next segment begins.
    pub end: RingOffset,
    /// The position of the last record.
    pub last: Position,
    /// The time of the last record in Unix milliseconds.
    pub last_ms: u64,
}

/// The bytes are not the index of the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not the index of this segment, or damaged")]
pub struct IndexError;

impl SparseIndex {
    /// An empty index for a segment of `segment_bytes` bytes whose first record is at `base`.
    pub fn new(base: RingOffset, segment_bytes: u64) -> SparseIndex {
        let entry = |_| IndexEntry { offset: AtomicU64::new(0), position: AtomicU64::new(0) };
        let entries = (0..segment_bytes.div_ceil(BLOCK_BYTES)).map(entry).collect();
        SparseIndex { base, entries, count: AtomicU64::new(0) }
    }

    /// For the writer: the next entry is for the first record at or after this offset.
    pub fn due(&self) -> RingOffset {
        // Relaxed: only the writer stores to it.
        let count = self.count.load(Ordering::Relaxed);
        let last = count.checked_sub(1).map(|last| &self.entries[last as usize]);
        // Relaxed: stored by this thread.
        let last = last.map(|entry| entry.offset.load(Ordering::Relaxed) - self.base.0);
        RingOffset(self.base.0 + last.map_or(0, |last| (last / BLOCK_BYTES + 1) * BLOCK_BYTES))
    }

    /// For the writer: adds an entry for a record at or after [`SparseIndex::due`]. Ignored when the index is full.
    pub fn add(&self, offset: RingOffset, position: Position) {
        debug_assert!(offset >= self.due());
        // Relaxed: only the writer stores to it.
        let count = self.count.load(Ordering::Relaxed);
        let Some(entry) = self.entries.get(count as usize) else { return };
        // Relaxed, both: published by the count.
        entry.offset.store(offset.0, Ordering::Relaxed);
        // Relaxed: as above.
        entry.position.store(position.0, Ordering::Relaxed);
        // Release, paired with the acquire in `len`.
        self.count.store(count + 1, Ordering::Release);
    }

    fn len(&self) -> usize {
        // Acquire, paired with the release in `add`: the entries below it are stored.
        self.count.load(Ordering::Acquire) as usize
    }

    fn get(&self, index: usize) -> (RingOffset, Position) {
        let entry = &self.entries[index];
        // Relaxed, both: below a count that was acquired.
        (RingOffset(entry.offset.load(Ordering::Relaxed)), Position(entry.position.load(Ordering::Relaxed)))
    }

    /// The offset of the last entry whose position is below `position`, or the start of the segment. The first record at or
    /// beyond `position` is not before this offset.
    pub fn before(&self, position: Position) -> RingOffset {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle).1 < position { low = middle + 1 } else { high = middle }
        }
        low.checked_sub(1).map_or(self.base, |index| self.get(index).0)
    }

    /// The offset of the first entry at or after `offset`; none where there is no entry. Where `offset` is a multiple of
    /// [`BLOCK_BYTES`] behind the base, this is the first record at or after `offset`.
    pub fn first_from(&self, offset: RingOffset) -> Option<RingOffset> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle).0 < offset { low = middle + 1 } else { high = middle }
        }
        (low < self.len()).then(|| self.get(low).0)
    }

    /// Encodes the index of a sealed segment as the file beside it.
    pub fn encode(&self, sealed: &Sealed) -> Vec<u8> {
        let count = self.len();
        let mut bytes = Vec::with_capacity(HEAD_BYTES + count * ENTRY_BYTES + 4);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        for number in [self.base.0, sealed.end.0, sealed.last.0, sealed.last_ms, count as u64] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for index in 0..count {
            let (offset, position) = self.get(index);
            bytes.extend_from_slice(&offset.0.to_le_bytes());
            bytes.extend_from_slice(&position.0.to_le_bytes());
        }
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Loads the index beside a segment whose first record is at `base`, with the end of the segment; none where the file is
    /// missing or invalid.
    pub fn load(segment: &Path, base: RingOffset) -> Option<(SparseIndex, Sealed)> {
        SparseIndex::decode(&std::fs::read(index_path(segment)).ok()?, base).ok()
    }

    /// Decodes the bytes that [`SparseIndex::encode`] made for the segment whose first record is at `base`.
    ///
    /// # Errors
    /// Where the bytes are damaged or belong to another segment.
    pub fn decode(bytes: &[u8], base: RingOffset) -> Result<(SparseIndex, Sealed), IndexError> {
        let (bytes, checksum) = bytes.split_last_chunk::<4>().ok_or(IndexError)?;
        if bytes.len() < HEAD_BYTES || crc32c::crc32c(bytes) != u32::from_le_bytes(*checksum) {
            return Err(IndexError);
        }
        let (head, rows) = bytes.split_at(HEAD_BYTES);
        let word = |at: usize| head[at..].first_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word));
        let is_ours = &head[..8] == MAGIC && word(8) == VERSION as u64 && word(16) == base.0;
        let (rows, []) = rows.as_chunks::<ENTRY_BYTES>() else { return Err(IndexError) };
        if !is_ours || word(48) != rows.len() as u64 {
            return Err(IndexError);
        }
        let entry = |row: &[u8; ENTRY_BYTES]| {
            let (offset, position) = row.split_at(8);
            let number = |half: &[u8]| half.first_chunk::<8>().map_or(0, |half| u64::from_le_bytes(*half));
            IndexEntry { offset: AtomicU64::new(number(offset)), position: AtomicU64::new(number(position)) }
        };
        let entries: Box<[IndexEntry]> = rows.iter().map(entry).collect();
        let count = AtomicU64::new(entries.len() as u64);
        let sealed = Sealed { end: RingOffset(word(24)), last: Position(word(32)), last_ms: word(40) };
        if sealed.last >= Position::END {
            return Err(IndexError);
        }
        Ok((SparseIndex { base, entries, count }, sealed))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn index() -> SparseIndex {
        let index = SparseIndex::new(RingOffset(1000), 10 * BLOCK_BYTES);
        for (offset, position) in [(1000, 5), (1000 + BLOCK_BYTES + 8, 70), (1000 + 4 * BLOCK_BYTES, 90)] {
            assert!(offset >= index.due().0);
            index.add(RingOffset(offset), Position(position));
        }
        index
    }

    #[test]
    fn a_search_never_begins_behind_the_first_record_wanted() {
        let index = index();
        assert_eq!(index.due(), RingOffset(1000 + 5 * BLOCK_BYTES));
        for (position, offset) in
            [(0, 1000), (5, 1000), (70, 1000), (71, 1008 + BLOCK_BYTES), (91, 1000 + 4 * BLOCK_BYTES)]
        {
            assert_eq!(index.before(Position(position)), RingOffset(offset), "{position}");
        }
    }

    #[test]
    fn it_is_read_as_it_was_written_and_refused_with_any_byte_changed_or_missing() {
        let sealed = Sealed { end: RingOffset(99_000), last: Position(95), last_ms: 7 };
        let bytes = index().encode(&sealed);
        let (read, found) = SparseIndex::decode(&bytes, RingOffset(1000)).unwrap();
        assert_eq!((found, read.before(Position(71))), (sealed, RingOffset(1008 + BLOCK_BYTES)));
        assert!(SparseIndex::decode(&bytes, RingOffset(1008)).is_err());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(SparseIndex::decode(&damaged, RingOffset(1000)).is_err());
            assert!(SparseIndex::decode(&bytes[..at], RingOffset(1000)).is_err());
        }
        let beyond = Sealed { last: Position::END, ..sealed };
        assert!(SparseIndex::decode(&index().encode(&beyond), RingOffset(1000)).is_err());
    }
}
