//! The sparse index: for every block of the ring, the offset and position of its first record. So a read costs the same
//! wherever in the ring it starts: a binary search over blocks, then a walk through one block.
//!
//! Blocks are counted like offsets, without wrapping; block `b` uses the entry `b % blocks`. An entry is written when
//! the first record that starts *in or after* its block is stamped, so before that record is published. A record that
//! spans several blocks leaves them to the next record.
//!
//! # Why a reader is never led too far
//!
//! Entries are relaxed atomics and are covered by the ring's own protocol (`words.rs`): the entry of block `b` is
//! overwritten by block `b + blocks` only after a record at least a capacity further on was written, so after the head
//! has passed the start of block `b`, with the release fence between the two. A reader loads an entry, fences with
//! acquire, and loads the head. If the head is still at or before the block's start, the entry belongs to block `b`, or
//! to an older block that `b` has not replaced yet. The older one is recognised by its offset, which is before the
//! block (a record is shorter than the ring): then no published record starts in or after block `b`. An offset beyond
//! the reader's tail means the same. An offset between the two belongs to a record that was published before the tail
//! that the reader loaded, so its position is visible as well. The argument relies on nothing but the head.

use super::words::Words;
use crate::position::{Position, RingOffset};
use crate::sync::{AtomicU64, Ordering};

/// The bytes of a block in rings of 64 KiB and more: walking one costs about as much as the rest of a search.
const BLOCK_BYTES: u64 = 4096;

struct BlockEntry {
    offset: AtomicU64,
    position: AtomicU64,
    /// The position of the previous record: the eviction mark when the head moves to `offset`. Only the writer uses it.
    before: AtomicU64,
}

pub(super) struct Index {
    entries: Box<[BlockEntry]>,
    shift: u32,
}

/// The result of a search.
pub(super) struct Found {
    /// The start of a record: the wanted one, one before it, or the oldest that is left.
    pub(super) offset: RingOffset,
    /// The number of entries that were examined.
    pub(super) steps: u32,
}

impl Index {
    /// For a ring of this many bytes. Blocks are a sixteenth of a small ring.
    pub(super) fn new(capacity_bytes: u64) -> Index {
        let block_bytes = BLOCK_BYTES.min(capacity_bytes / 16).max(8);
        let entry =
            |_| BlockEntry { offset: AtomicU64::new(0), position: AtomicU64::new(0), before: AtomicU64::new(0) };
        Index {
            entries: (0..capacity_bytes.div_ceil(block_bytes)).map(entry).collect(),
            shift: block_bytes.trailing_zeros(),
        }
    }

    pub(super) fn block(&self, offset: RingOffset) -> u64 {
        offset.0 >> self.shift
    }

    fn start(&self, block: u64) -> u64 {
        block << self.shift
    }

    fn entry(&self, block: u64) -> &BlockEntry {
        // The number of blocks is a power of two, since the capacity and the block are.
        &self.entries[(block & (self.entries.len() as u64 - 1)) as usize]
    }

    /// For the writer: enters the record at `offset` as the first one in or after block `block`.
    pub(super) fn enter(&self, block: u64, offset: RingOffset, position: Position, before: Position) {
        let entry = self.entry(block);
        // Relaxed: published by the tail, and guarded by the head like the words themselves; see the module docs.
        entry.offset.store(offset.0, Ordering::Relaxed);
        // Relaxed, as above.
        entry.position.store(position.0, Ordering::Relaxed);
        // Relaxed: only the writer loads it.
        entry.before.store(before.0, Ordering::Relaxed);
    }

    /// For the writer: the first record that starts at or after `offset`, to the precision of a block, and the position
    /// of the record before it. `next_block` is the first block without an entry.
    pub(super) fn first_from(&self, offset: RingOffset, next_block: u64) -> Option<(RingOffset, Position)> {
        let block = self.block(RingOffset(offset.0 + (1 << self.shift) - 1));
        if block >= next_block {
            return None;
        }
        let entry = self.entry(block);
        // Relaxed, both: stored by this thread.
        let found = (entry.offset.load(Ordering::Relaxed), entry.before.load(Ordering::Relaxed));
        Some((RingOffset(found.0), Position(found.1)))
    }

    /// The last indexed record whose position is not beyond `position`; or the oldest record.
    pub(super) fn find(&self, words: &Words, position: Position) -> Found {
        let bounds = words.bounds();
        let mut found = Found { offset: bounds.head, steps: 0 };
        // The wanted record starts at or after `found.offset`, which is in block `low` or, with a long record, beyond
        // it; no record at or before `position` starts in or after block `high`.
        let mut low = self.block(bounds.head);
        let mut high = self.block(RingOffset(bounds.tail.0 + (1 << self.shift) - 1));
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            let entry = self.entry(middle);
            // Relaxed, both: trusted only after the check.
            let (offset, at) = (entry.offset.load(Ordering::Relaxed), entry.position.load(Ordering::Relaxed));
            found.steps += 1;
            if let Err(lapped) = words.check(RingOffset(self.start(middle))) {
                // The writer has started to overwrite the block. The wanted record is at or after the new head, or
                // gone.
                found.offset = lapped.head;
                low = self.block(lapped.head);
            } else if offset < self.start(middle) || offset >= bounds.tail.0 || at > position.0 {
                high = middle;
            } else {
                found.offset = RingOffset(offset);
                low = middle;
            }
        }
        found
    }
}

/// Run by `scripts/loom`.
#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    /// Records of one block each: two laps and one more.
    #[test]
    fn loom_a_search_never_ends_too_late_while_the_writer_laps_it() {
        (1..=5).for_each(|position| loom::model(move || search(position, 16, 8, 5)));
    }

    /// Records of two blocks each, which leave every other block to the record after them: two laps.
    #[test]
    fn loom_a_search_never_ends_too_late_among_long_records() {
        (1..=3).for_each(|position| loom::model(move || search(position, 32, 16, 4)));
    }

    /// Searches for a position while this many records of that length, at positions from 1, are written to a ring with
    /// blocks of one word.
    fn search(position: u64, ring_bytes: u64, record_bytes: u64, records: u64) {
        let shared = Arc::new((Words::new(ring_bytes).unwrap(), Index::new(ring_bytes)));
        let reader = {
            let shared = shared.clone();
            thread::spawn(move || {
                let (words, index) = &*shared;
                let wanted = RingOffset((position - 1) * record_bytes);
                let found = index.find(words, Position(position)).offset;
                // It may start after the wanted record only if that one is gone.
                assert!(found <= wanted || words.bounds().head > wanted, "{found} for {position}");
            })
        };
        let (words, index) = &*shared;
        let mut next_block = 0;
        for number in 0..records {
            let (offset, end) = (RingOffset(number * record_bytes), (number + 1) * record_bytes);
            if end > ring_bytes {
                words.evict(RingOffset(end - ring_bytes), Position((end - ring_bytes) / record_bytes));
            }
            words.store(offset, &[number + 1]);
            while next_block <= index.block(offset) {
                index.enter(next_block, offset, Position(number + 1), Position(number));
                next_block += 1;
            }
            words.publish(RingOffset(end));
        }
        reader.join().unwrap();
    }
}
