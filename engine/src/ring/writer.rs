//! The one owner of a ring. It appends the records of a turn beyond the tail, where nobody looks; gives them their
//! positions; and publishes them all at once.
//!
//! Where the ring is full, room is made a block of the index at a time: the index knows the first record of the block
//! that then is the oldest, so no old record is looked at, and readers' copies of the head's cache line stay valid for
//! many appends.

use super::checksum::checksum;
use super::layout::{self, Draft, KEY_WORD, MORE, Shape};
use super::record::{Record, Run};
use super::words::WORD_BYTES;
use super::{Ring, RingStart, Shared};
use crate::limits::{SCRATCH_KEEP_BYTES, unpublished_bytes_max};
use crate::position::{Position, RingOffset};
use crate::sync::{AtomicU64, Ordering};
use std::io;

/// The writing end of a ring. There is one, and it belongs to the shard's core.
pub struct RingWriter {
    ring: Ring,
    capacity: u64,
    /// The oldest record. This and `tail` are the shared ones, kept here so that they need no load.
    head: u64,
    /// The end of what is published.
    tail: u64,
    /// The end of what is written.
    end: u64,
    /// The position of the last record that has one; 0 where there is none.
    last: Position,
    /// The position of the last record that is published; 0 where there is none.
    last_published: Position,
    /// The first block of the index without an entry.
    next_block: u64,
    /// Where the records start that are not published yet. Beside the ring, where each start would have to be read from
    /// the record before it, long after that one left the nearest cache.
    starts: Vec<u64>,
    /// How many of them have a position.
    stamped: usize,
    /// With a log: whether the next record belongs to the command of the one before it.
    is_chained: Option<bool>,
    /// For the record that goes round the end of the ring when the owner reads.
    scratch: Vec<u8>,
}

/// How far ahead of the writer the ring is fetched into its core's cache: some dozen small records, which are more than
/// a microsecond away. Between two records the core does so much else that the processor's own prefetching has
/// forgotten the ring.
const PREFETCH_AHEAD_BYTES: u64 = 4 << 10;

/// How many records ahead of the one that is stamped are fetched back into the nearest cache.
const STAMP_AHEAD: usize = 12;

/// How many starts of records the writer keeps room for.
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

    fn shared(&self) -> &Shared {
        &self.ring.0
    }

    /// A handle for readers.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Has the system give the ring's memory now, near the core that calls: otherwise the first lap pays a page fault
    /// every few dozen records.
    ///
    /// # Errors
    /// Where the system has no memory for it.
    pub fn prefault(&self) -> io::Result<()> {
        self.shared().words.prefault()
    }

    /// Writes a record beyond the tail, where readers do not see it until [`RingWriter::publish`], and answers where.
    /// Makes room first; what it overwrites is published history, oldest first.
    ///
    /// Panics where the unpublished records would take more than [`unpublished_bytes_max`]: callers commit the turn, or
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
        // As many bytes as were just written, some records on: by the time the writer is there, they are in its cache.
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

    /// Marks the last record as one that is followed by another of its command.
    fn chain_last(&self) {
        let Some(last) = self.starts.last() else { return };
        let offset = RingOffset(last + KEY_WORD as u64 * WORD_BYTES);
        self.shared().words.store_one(offset, self.shared().words.load(offset) | (MORE as u64) << 48);
    }

    /// From now on records are for a log too: those of one command are marked as belonging together.
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

    /// Once per lap: by way of words that do not go round.
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
        // Not beyond the tail: `needed` is at least a sixteenth of the ring before it, a block is no more than that, and the
        // tail is where a record starts. Without an entry, the one published record that is left is a long one, and goes too.
        let (head, through) =
            self.shared().index.first_from(needed, self.next_block).unwrap_or((self.tail(), self.last));
        debug_assert!(needed <= head && head.0 <= self.tail && self.head < head.0);
        self.head = head.0;
        self.shared().words.evict(head, through);
    }

    /// Gives consecutive positions, from `first` on, to the records that have none yet, in the order of their appending.
    /// They take [`RingWriter::unstamped_records`] positions, all beyond those given before. A turn may do it several
    /// times.
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
                shared.index.note(self.next_block, offset, position, self.last);
                self.next_block += 1;
            }
            self.last = position;
            position = position.next();
        }
        self.stamped = self.starts.len();
    }

    /// Fills in the checksums of the records that are not published yet. All of them have positions; nothing of them
    /// changes any more.
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

    /// The start of the last record that is not published yet and starts at or before `limit`.
    pub fn last_unpublished_start(&self, limit: RingOffset) -> RingOffset {
        let after = self.starts.partition_point(|start| *start <= limit.0);
        after.checked_sub(1).map_or(self.tail(), |last| RingOffset(self.starts[last]))
    }

    /// The first record that is not published yet and starts at `from` or later, with its position.
    pub fn unpublished_from(&self, from: RingOffset) -> Option<(RingOffset, Position)> {
        let start = *self.starts.get(self.starts.partition_point(|start| *start < from.0))?;
        Some((RingOffset(start), self.position_at(start)))
    }

    /// The position of the last record that is not published yet and starts before `end`.
    pub fn last_unpublished_before(&self, end: RingOffset) -> Option<Position> {
        let before = self.starts.partition_point(|start| *start < end.0);
        Some(self.position_at(self.starts[before.checked_sub(1)?]))
    }

    fn position_at(&self, start: u64) -> Position {
        Position(self.shared().words.load(RingOffset(start + WORD_BYTES)))
    }

    /// The bytes between two ends of records that are not overwritten yet: in two runs where they go round the end.
    pub fn bytes_between(&self, from: RingOffset, to: RingOffset) -> [&[u8]; 2] {
        debug_assert!(self.head <= from.0 && from <= to && to.0 <= self.end);
        let wrap = (from.0 / self.capacity + 1) * self.capacity;
        let middle = wrap.min(to.0);
        [self.view(from.0, middle).bytes, self.view(middle, to.0).bytes]
    }

    /// Lets readers see all records that were appended. All of them have positions.
    pub fn publish(&mut self) {
        debug_assert!(self.unstamped_records() == 0, "records are stamped before they are published");
        self.tail = self.end;
        self.last_published = self.last;
        self.starts.clear();
        // What an exceptionally large turn has taken is given back.
        self.starts.shrink_to(STARTS_KEEP);
        if self.scratch.capacity() > SCRATCH_KEEP_BYTES {
            self.scratch = Vec::new();
        }
        self.stamped = 0;
        // What was published is not changed any more, not even to say that more follows.
        self.begin_command();
        self.shared().words.publish(RingOffset(self.end));
    }

    /// How many bytes the records take that were appended since the last publication.
    pub fn unpublished_bytes(&self) -> u64 {
        self.end - self.tail
    }

    /// How many records were appended since the last publication.
    pub fn unpublished_records(&self) -> u64 {
        self.starts.len() as u64
    }

    /// How many records have no position yet.
    pub fn unstamped_records(&self) -> u64 {
        (self.starts.len() - self.stamped) as u64
    }

    /// Where the oldest record starts.
    pub fn head(&self) -> RingOffset {
        RingOffset(self.head)
    }

    /// The end of the published records.
    pub fn tail(&self) -> RingOffset {
        RingOffset(self.tail)
    }

    /// The end of all records: where the next one will be.
    pub fn end(&self) -> RingOffset {
        RingOffset(self.end)
    }

    /// How many bytes the ring holds.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The owner's own look at the records from `from` (a record's start, or the end) on, those included that are not
    /// published yet. Starts with the oldest where `from` is older. Copies at most the one record that goes round the
    /// end of the ring; where one does, it walks from `from` to there to find it.
    pub fn records(&mut self, from: RingOffset) -> Records<'_> {
        let end = self.end;
        self.records_until(from, end)
    }

    /// As [`RingWriter::records`], up to `end`, where a record ends.
    fn records_until(&mut self, from: RingOffset, end: u64) -> Records<'_> {
        let from = from.0.clamp(self.head, end);
        let wrap = (from / self.capacity + 1) * self.capacity;
        if wrap >= end {
            return Records { runs: [self.view(from, end), Run::empty(), Run::empty()] };
        }
        let over = self.last_start_before(from, wrap);
        let after = over + self.length(over);
        self.fill_scratch(over, after);
        let this = &*self;
        let middle = Run { bytes: &this.scratch, offset: RingOffset(over) };
        Records { runs: [this.view(from, over), middle, this.view(after, end)] }
    }

    /// The published records from `from` on, as [`RingWriter::records`] shows them.
    pub fn published(&mut self, from: RingOffset) -> Records<'_> {
        let end = self.tail;
        self.records_until(from, end)
    }

    /// The position of the newest published record; none where there is none.
    pub fn last_published(&self) -> Option<Position> {
        (self.last_published.0 != 0).then_some(self.last_published)
    }

    /// The records that are not published yet: the turn so far.
    pub fn unpublished(&mut self) -> Records<'_> {
        self.records(self.tail())
    }

    /// The record that starts at `offset`, published or not; `None` where it was overwritten or is not there yet.
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

    /// The start of the record, from `from` on, that ends at `wrap` or goes beyond it. `from` is before `wrap`.
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

    /// The bytes of a run that does not go round the end.
    #[cfg(not(loom))]
    fn view(&self, from: u64, to: u64) -> Run<'_> {
        // SAFETY: only this writer stores to the words, only in methods that borrow it mutably, and there is only one:
        // it is made with the words and cannot be cloned. While this borrow of it lives, nobody stores.
        let bytes = unsafe { self.shared().words.frozen(RingOffset(from), (to - from) / WORD_BYTES) };
        debug_assert!(bytes.is_some(), "the caller has split the run where it goes round");
        Run { bytes: bytes.unwrap_or_default(), offset: RingOffset(from) }
    }

    /// Loom's words are no bytes; its tests do not look here.
    #[cfg(loom)]
    fn view(&self, _from: u64, _to: u64) -> Run<'_> {
        unimplemented!("the owner's view under loom")
    }
}

/// Records as the owner sees them, in order.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    runs: [Run<'a>; 3],
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    #[inline]
    fn next(&mut self) -> Option<Record<'a>> {
        self.runs.iter_mut().find_map(Iterator::next)
    }
}

impl Run<'_> {
    fn empty() -> Self {
        Run { bytes: &[], offset: RingOffset(0) }
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
    fn the_owner_sees_its_turn_and_which_records_wait_for_a_position() {
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
    fn what_is_evicted_is_told_by_its_newest_position() {
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
