//! The single writer of a ring. It appends the records of a turn beyond the tail, invisible to readers; assigns their
//! positions; and publishes them all at once.
//!
//! In a full ring, room is made one block of the index at a time: the index knows the first record of the block that
//! becomes the oldest, so no old record is read, and readers' copies of the head's cache line stay valid for many
//! appends.

use super::checksum::checksum;
use super::layout::{self, Draft, KEY_WORD, MORE, Shape};
use super::record::{Record, RecordRun};
use super::words::WORD_BYTES;
use super::{Ring, RingMemory, RingStart};
use crate::limits::{SCRATCH_KEEP_BYTES, unpublished_bytes_max};
use crate::position::{Position, RingOffset};
use crate::sync::{AtomicU64, Ordering};
use std::io;

/// The writing end of a ring. There is one, and the shard's core owns it.
pub struct RingWriter {
    ring: Ring,
    capacity: u64,
    /// The oldest record. This and `tail` mirror the shared ones, to save loads.
    head: u64,
    /// The end of the published records.
    tail: u64,
    /// The end of the written records.
    end: u64,
    /// The position of the last stamped record; 0 if there is none.
    last: Position,
    /// The position of the last published record; 0 if there is none.
    last_published: Position,
    /// The first block of the index without an entry.
    next_block: u64,
    /// The starts of the unpublished records. Kept outside the ring: otherwise each start would have to be computed
    /// from the length of the record before it, which has long left the nearest cache.
    starts: Vec<u64>,
    /// How many of them have a position.
    stamped: usize,
    /// With a log: whether the next record belongs to the same command as the previous one.
    is_chained: Option<bool>,
    /// For the record that wraps around when the owner reads.
    scratch: Vec<u8>,
}

/// How far ahead of the writer the ring is prefetched into its core's cache: some dozen small records, which are
/// written more than a microsecond later. The core does so much between two records that the hardware prefetcher loses
/// track of the ring.
const PREFETCH_AHEAD_BYTES: u64 = 4 << 10;

/// How many records ahead of the one being stamped are prefetched into the nearest cache.
const STAMP_AHEAD: usize = 12;

/// The capacity of `starts` that is kept after a turn.
const STARTS_KEEP: usize = 16 << 10;

impl RingWriter {
    pub(super) fn new(ring: Ring, start: RingStart) -> RingWriter {
        let offset = start.offset.0;
        let last = start.last.unwrap_or_default();
        RingWriter {
            capacity: ring.capacity(),
            next_block: ring.0.index.block(start.offset),
            ring,
            head: offset,
            tail: offset,
            end: offset,
            last,
            last_published: last,
            starts: Vec::new(),
            stamped: 0,
            is_chained: None,
            scratch: Vec::new(),
        }
    }

    fn shared(&self) -> &RingMemory {
        &self.ring.0
    }

    /// A handle for readers.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Prefaults the ring's memory, near the calling core: otherwise the first lap takes a page fault every few dozen
    /// records.
    ///
    /// # Errors
    /// If the system has no memory for it.
    pub fn prefault(&self) -> io::Result<()> {
        self.shared().words.prefault()
    }

    /// Writes a record beyond the tail, invisible to readers until [`RingWriter::publish`], and returns its offset.
    /// Makes room first, by overwriting the oldest published history.
    ///
    /// Panics if the unpublished records would take more than [`unpublished_bytes_max`]: callers commit the turn, or
    /// refuse the command.
    #[inline]
    pub fn append(&mut self, draft: &Draft<'_>) -> RingOffset {
        let shape = draft.shape();
        let (start, end) = (self.end, self.end + shape.length);
        assert!(
            end - self.tail <= unpublished_bytes_max(self.capacity) && shape.length <= u32::MAX as u64,
            "a turn's records take at most 15/16 of the ring"
        );
        if end - self.head > self.capacity {
            self.make_room(end);
        }
        match self.ring.0.words.run(RingOffset(start), shape.length / WORD_BYTES) {
            (run, []) => layout::encode(draft, shape, run),
            _ => self.append_over_the_end(draft, shape),
        }
        // As many bytes as were just written, some records ahead: they are in the cache when the writer reaches them.
        self.ring.0.words.prefetch(RingOffset(end + PREFETCH_AHEAD_BYTES), shape.length);
        self.end = end;
        if let Some(is_chained) = &mut self.is_chained
            && std::mem::replace(is_chained, true)
        {
            self.chain_last();
        }
        self.starts.push(start);
        RingOffset(start)
    }

    /// Marks the last record as followed by another one of its command.
    fn chain_last(&self) {
        let Some(last) = self.starts.last() else { return };
        let offset = RingOffset(last + KEY_WORD as u64 * WORD_BYTES);
        self.shared().words.store_one(offset, self.shared().words.load(offset) | (MORE as u64) << 48);
    }

    /// From now on the records of one command are chained, as a log needs.
    pub fn mark_commands(&mut self) {
        self.is_chained = Some(false);
    }

    /// The next record begins another command.
    #[inline]
    pub fn begin_command(&mut self) {
        if let Some(is_chained) = &mut self.is_chained {
            *is_chained = false;
        }
    }

    /// Once per lap: encodes into a buffer that does not wrap.
    #[cold]
    fn append_over_the_end(&self, draft: &Draft<'_>, shape: Shape) {
        let words: Box<[AtomicU64]> = (0..shape.length / WORD_BYTES).map(|_| AtomicU64::new(0)).collect();
        layout::encode(draft, shape, &words);
        // Relaxed: stored by this thread.
        let values: Vec<u64> = words.iter().map(|word| word.load(Ordering::Relaxed)).collect();
        self.shared().words.store(self.end(), &values);
    }

    /// Moves the head so that words up to `end` may be written.
    #[cold]
    fn make_room(&mut self, end: u64) {
        let needed = RingOffset(end - self.capacity);
        // Not beyond the tail: `needed` is at least a sixteenth of the ring before it, a block is no more than that,
        // and the tail is where a record starts. Without an entry, the one published record that is left is a long one,
        // and goes too.
        let (head, through) =
            self.shared().index.first_from(needed, self.next_block).unwrap_or((self.tail(), self.last));
        debug_assert!(needed <= head && head.0 <= self.tail && self.head < head.0);
        self.head = head.0;
        self.shared().words.evict(head, through);
    }

    /// Assigns consecutive positions, starting at `first`, to the unstamped records, in the order in which they were
    /// appended. They take [`RingWriter::unstamped_records`] positions, all beyond earlier ones. A turn may do this
    /// several times.
    pub fn stamp(&mut self, first: Position) {
        debug_assert!(self.unstamped_records() == 0 || first > self.last, "positions only go forward");
        let Ring(shared) = &self.ring;
        let mut position = first;
        let unstamped = &self.starts[self.stamped..];
        for (n, &start) in unstamped.iter().enumerate() {
            if let Some(&ahead) = unstamped.get(n + STAMP_AHEAD) {
                shared.words.prefetch(RingOffset(ahead), WORD_BYTES);
            }
            let offset = RingOffset(start);
            shared.words.store_one(RingOffset(start + WORD_BYTES), position.0);
            let block = shared.index.block(offset);
            while self.next_block <= block {
                shared.index.enter(self.next_block, offset, position, self.last);
                self.next_block += 1;
            }
            self.last = position;
            position = position.next();
        }
        self.stamped = self.starts.len();
    }

    /// Fills in the checksums of the unpublished records. All of them have positions, and none of them changes any
    /// more.
    pub fn seal(&mut self) {
        for n in 0..self.starts.len() {
            let start = self.starts[n];
            let length = self.length(start);
            let end = start + length;
            let sum = if self.place(start) + length > self.capacity {
                self.fill_scratch(start, end);
                checksum(&self.scratch, Some(RingOffset(start)))
            } else {
                checksum(self.view(start, end).bytes, Some(RingOffset(start)))
            };
            self.shared().words.store_one(RingOffset(start), length | (sum as u64) << 32);
        }
    }

    /// The start of the last unpublished record that starts at or before `limit`.
    pub fn last_unpublished_start(&self, limit: RingOffset) -> RingOffset {
        let after = self.starts.partition_point(|start| *start <= limit.0);
        after.checked_sub(1).map_or(self.tail(), |last| RingOffset(self.starts[last]))
    }

    /// The first unpublished record that starts at `from` or later, with its position.
    pub fn unpublished_from(&self, from: RingOffset) -> Option<(RingOffset, Position)> {
        let start = *self.starts.get(self.starts.partition_point(|start| *start < from.0))?;
        Some((RingOffset(start), self.position_at(start)))
    }

    /// The position of the last unpublished record that starts before `end`.
    pub fn last_unpublished_before(&self, end: RingOffset) -> Option<Position> {
        let before = self.starts.partition_point(|start| *start < end.0);
        Some(self.position_at(self.starts[before.checked_sub(1)?]))
    }

    fn position_at(&self, start: u64) -> Position {
        Position(self.shared().words.load(RingOffset(start + WORD_BYTES)))
    }

    /// The bytes between two record boundaries, not overwritten yet: in two runs if they wrap around.
    pub fn bytes_between(&self, from: RingOffset, to: RingOffset) -> [&[u8]; 2] {
        debug_assert!(self.head <= from.0 && from <= to && to.0 <= self.end);
        let wrap = (from.0 / self.capacity + 1) * self.capacity;
        let middle = wrap.min(to.0);
        [self.view(from.0, middle).bytes, self.view(middle, to.0).bytes]
    }

    /// Publishes all appended records. All of them have positions.
    pub fn publish(&mut self) {
        debug_assert!(self.unstamped_records() == 0, "records are stamped before they are published");
        self.tail = self.end;
        self.last_published = self.last;
        self.starts.clear();
        // Returns the memory of an exceptionally large turn.
        self.starts.shrink_to(STARTS_KEEP);
        if self.scratch.capacity() > SCRATCH_KEEP_BYTES {
            self.scratch = Vec::new();
        }
        self.stamped = 0;
        // Published records do not change any more, not even to be chained to a next one.
        self.begin_command();
        self.shared().words.publish(RingOffset(self.end));
    }

    /// The size of the unpublished records in bytes.
    pub fn unpublished_bytes(&self) -> u64 {
        self.end - self.tail
    }

    /// The number of unpublished records.
    pub fn unpublished_records(&self) -> u64 {
        self.starts.len() as u64
    }

    /// The number of records without a position.
    pub fn unstamped_records(&self) -> u64 {
        (self.starts.len() - self.stamped) as u64
    }

    /// The start of the oldest record.
    pub fn head(&self) -> RingOffset {
        RingOffset(self.head)
    }

    /// The end of the published records.
    pub fn tail(&self) -> RingOffset {
        RingOffset(self.tail)
    }

    /// The end of all records: the start of the next one.
    pub fn end(&self) -> RingOffset {
        RingOffset(self.end)
    }

    /// The capacity in bytes.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The owner's view of the records from `from` (the start of a record, or the end) on, including the unpublished
    /// ones. Starts with the oldest if `from` is older. Copies at most the one record that wraps around; if one does,
    /// it walks from `from` to find it.
    pub fn records(&mut self, from: RingOffset) -> Records<'_> {
        let end = self.end;
        self.records_until(from, end)
    }

    /// As [`RingWriter::records`], up to `end`, where a record ends.
    fn records_until(&mut self, from: RingOffset, end: u64) -> Records<'_> {
        let from = from.0.clamp(self.head, end);
        let wrap = (from / self.capacity + 1) * self.capacity;
        if wrap >= end {
            return Records { runs: [self.view(from, end), RecordRun::empty(), RecordRun::empty()] };
        }
        let over = self.last_start_before(from, wrap);
        let after = over + self.length(over);
        self.fill_scratch(over, after);
        let this = &*self;
        let middle = RecordRun { bytes: &this.scratch, offset: RingOffset(over) };
        Records { runs: [this.view(from, over), middle, this.view(after, end)] }
    }

    /// As [`RingWriter::records`], for the published records only.
    pub fn published(&mut self, from: RingOffset) -> Records<'_> {
        let end = self.tail;
        self.records_until(from, end)
    }

    /// The position of the newest published record; `None` if there is none.
    pub fn last_published(&self) -> Option<Position> {
        (self.last_published.0 != 0).then_some(self.last_published)
    }

    /// The unpublished records: the turn so far.
    pub fn unpublished(&mut self) -> Records<'_> {
        self.records(self.tail())
    }

    /// The record that starts at `offset`, published or not; `None` if it was overwritten or does not exist yet.
    pub fn record_at(&mut self, offset: RingOffset) -> Option<Record<'_>> {
        if offset.0 < self.head || offset.0 >= self.end {
            return None;
        }
        let end = offset.0 + self.length(offset.0);
        debug_assert!(end <= self.end, "not the start of a record: {offset}");
        if self.place(offset.0) + (end - offset.0) > self.capacity {
            self.fill_scratch(offset.0, end);
            return Record::parse(&self.scratch, offset);
        }
        let run = self.view(offset.0, end);
        Record::parse(run.bytes, run.offset)
    }

    fn place(&self, offset: u64) -> u64 {
        offset & (self.capacity - 1)
    }

    fn length(&self, offset: u64) -> u64 {
        self.shared().words.load(RingOffset(offset)) & u32::MAX as u64
    }

    /// The start of the record, from `from` on, that ends at `wrap` or extends beyond it. `from` is before `wrap`.
    fn last_start_before(&self, from: u64, wrap: u64) -> u64 {
        let mut start = from;
        loop {
            let next = start + self.length(start);
            if next >= wrap {
                return start;
            }
            start = next;
        }
    }

    fn fill_scratch(&mut self, from: u64, to: u64) {
        self.scratch.clear();
        let (first, second) = self.ring.0.words.run(RingOffset(from), (to - from) / WORD_BYTES);
        for word in first.iter().chain(second) {
            // Relaxed: stored by this thread.
            self.scratch.extend_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
        }
    }

    /// The bytes of a run that does not wrap around.
    #[cfg(not(loom))]
    fn view(&self, from: u64, to: u64) -> RecordRun<'_> {
        // SAFETY: only this writer stores to the words, only in methods that borrow it mutably, and there is only one:
        // it is made with the words and cannot be cloned. While this borrow of it lives, no thread stores.
        let bytes = unsafe { self.shared().words.frozen(RingOffset(from), (to - from) / WORD_BYTES) };
        debug_assert!(bytes.is_some(), "the caller has split the run where it goes round");
        RecordRun { bytes: bytes.unwrap_or_default(), offset: RingOffset(from) }
    }

    /// Loom's words cannot be viewed as bytes; its tests do not use this.
    #[cfg(loom)]
    fn view(&self, _from: u64, _to: u64) -> RecordRun<'_> {
        unimplemented!("the owner's view under loom")
    }
}

/// Records as the owner sees them, in order.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    runs: [RecordRun<'a>; 3],
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    #[inline]
    fn next(&mut self) -> Option<Record<'a>> {
        self.runs.iter_mut().find_map(Iterator::next)
    }
}

impl RecordRun<'_> {
    fn empty() -> Self {
        RecordRun { bytes: &[], offset: RingOffset(0) }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::{Data, create};
    use super::*;
    use crate::event::EventType;

    fn set(key: &[u8]) -> Draft<'_> {
        Draft::new(EventType::Set, key, Data::None)
    }

    #[test]
    fn a_record_is_invisible_until_its_turn_is_published() {
        let (mut writer, ring) = create(1024).unwrap();
        let offset = writer.append(&set(b"a"));
        writer.stamp(Position(7));
        assert_eq!((offset, ring.tail(), writer.end()), (RingOffset(0), RingOffset(0), RingOffset(56)));
        assert_eq!((writer.unpublished_bytes(), writer.unpublished_records()), (56, 1));
        assert_eq!(ring.reader().record_at(offset).unwrap().map(|record| record.position()), None);
        writer.publish();
        assert_eq!((writer.unpublished_bytes(), writer.unpublished_records()), (0, 0));
        assert_eq!(ring.reader().record_at(offset).unwrap().map(|record| record.position()), Some(Position(7)));
    }

    #[test]
    fn the_owner_sees_unpublished_and_unstamped_records() {
        let (mut writer, _) = create(1024).unwrap();
        writer.append(&set(b"a"));
        writer.append(&set(b"b"));
        assert_eq!(writer.unstamped_records(), 2);
        writer.stamp(Position(7));
        let third = writer.append(&set(b"c"));
        assert_eq!(writer.unstamped_records(), 1);
        assert_eq!(writer.record_at(third).map(|record| record.position()), Some(Position(0)));
        writer.stamp(Position(20));
        let turn: Vec<_> = writer.unpublished().map(|record| (record.position().0, record.key()[0])).collect();
        assert_eq!(turn, [(7, b'a'), (8, b'b'), (20, b'c')]);
        assert!(writer.record_at(writer.end()).is_none());
    }

    #[test]
    fn eviction_reports_the_newest_lost_position() {
        let (mut writer, ring) = create(1024).unwrap();
        for position in 0..1024 / 64 {
            writer.append(&set(b"0123456789"));
            writer.stamp(Position(100 + 2 * position));
            writer.publish();
        }
        assert_eq!((ring.head(), ring.evicted_through()), (RingOffset(0), None), "just full");
        writer.append(&set(b"0123456789"));
        assert_eq!((ring.head(), ring.evicted_through()), (RingOffset(64), Some(Position(100))));
        assert_eq!(ring.tail(), RingOffset(1024));
    }

    #[test]
    #[should_panic(expected = "at most 15/16 of the ring")]
    fn a_turn_never_overwrites_its_own_records() {
        let (mut writer, _) = create(1024).unwrap();
        (0..16).for_each(|_| {
            writer.append(&set(b"0123456789"));
        });
    }

    #[test]
    fn a_ring_is_a_power_of_two_and_not_too_small() {
        assert!(create(1000).is_err() && create(128).is_err() && create(0).is_err());
        assert!(create(256).is_ok());
    }
}
