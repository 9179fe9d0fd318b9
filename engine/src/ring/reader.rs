//! Reads a ring from any core: finds a position, copies a run of whole records, lends them.

use super::Ring;
use super::index::Found;
use super::layout::HEADER_BYTES;
use super::record::{self, Record, RecordRun};
use super::words::{Lapped, WORD_BYTES};
use crate::limits::SCRATCH_KEEP_BYTES;
use crate::position::{Position, RingOffset};

/// A reader of one ring. It has no position of its own, only scratch space, which grows to the largest requested read
/// and shrinks after a long one: one reader per core and ring can serve any number of subscriptions in turn.
pub struct RingReader {
    ring: Ring,
    scratch: Vec<u8>,
}

/// Adjacent whole records, copied and verified.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    run: RecordRun<'a>,
    end: RingOffset,
}

impl RingReader {
    pub(super) fn new(ring: Ring) -> RingReader {
        RingReader { ring, scratch: Vec::new() }
    }

    /// The ring it reads.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Exchanges the last copy for memory that the next copy may use.
    pub(crate) fn swap_scratch(&mut self, other: &mut Vec<u8>) {
        std::mem::swap(&mut self.scratch, other);
    }

    /// The last copy.
    pub(crate) fn scratch(&self) -> &[u8] {
        &self.scratch
    }

    /// The first retained, published record whose position is at least `position`; the tail if there is none yet. The
    /// cost does not depend on the position. [`Ring::evicted_through`] tells whether earlier records were lost;
    /// [`RingReader::read`] fails if the record is lost before it is read.
    pub fn seek(&self, position: Position) -> RingOffset {
        self.find(position).offset
    }

    /// Also returns the number of entries and records examined.
    fn find(&self, position: Position) -> Found {
        let shared = &self.ring.0;
        let Found { mut offset, mut steps } = shared.index.find(&shared.words, position);
        loop {
            // Loaded each time: after a lap the offset may be beyond an earlier tail.
            if offset >= shared.words.tail() {
                return Found { offset, steps };
            }
            steps += 1;
            let first = shared.words.load(offset);
            let at = shared.words.load(RingOffset(offset.0 + WORD_BYTES));
            match shared.words.check(offset) {
                Err(lapped) if lapped.evicted_through >= position => return Found { offset: lapped.head, steps },
                // The wanted record is at or after the new head.
                Err(lapped) => offset = lapped.head,
                Ok(()) if at >= position.0 => return Found { offset, steps },
                Ok(()) => offset.0 += length_of(first),
            }
        }
    }

    /// Copies whole records starting at `from`, about `max_bytes` of them and at least one if there is one, and lends
    /// them. `from` must be the start of a record or the tail: a result of [`RingReader::seek`], the end of the
    /// previous batch, a head, a back link. (Any other offset yields no meaningful records, but is safe.)
    ///
    /// An empty batch means that nothing is published from there on. An error means that the record at `from` was
    /// overwritten.
    pub fn read(&mut self, from: RingOffset, max_bytes: usize) -> Result<Batch<'_>, Lapped> {
        let tail = self.ring.tail();
        let available = tail.0.saturating_sub(from.0);
        let budget = (max_bytes as u64 & !(WORD_BYTES - 1)).max(HEADER_BYTES);
        let mut bytes = available.min(budget);
        self.copy(from, bytes)?;
        let mut whole = if bytes == available { bytes } else { whole_records(&self.scratch[..bytes as usize]) };
        if whole == 0 && bytes > 0 {
            // The first record alone is larger than the budget.
            bytes = record::length(&self.scratch).min(available) & !(WORD_BYTES - 1);
            self.copy(from, bytes)?;
            whole = bytes;
        }
        let run = RecordRun { bytes: &self.scratch[..whole as usize], offset: from };
        Ok(Batch { run, end: RingOffset(from.0 + whole) })
    }

    /// The record that starts at `offset`; `None` if none is published there yet.
    pub fn record_at(&mut self, offset: RingOffset) -> Result<Option<Record<'_>>, Lapped> {
        /// Most records fit into this and are copied at once, without a separate read of their length.
        const GUESS_BYTES: usize = 512;
        Ok(self.read(offset, GUESS_BYTES)?.next())
    }

    fn copy(&mut self, from: RingOffset, bytes: u64) -> Result<(), Lapped> {
        if bytes > self.ring.capacity() {
            return Err(self.ring.0.words.lapped());
        }
        let bytes = bytes as usize;
        if self.scratch.len() > SCRATCH_KEEP_BYTES && bytes <= SCRATCH_KEEP_BYTES {
            self.scratch = Vec::new();
        }
        if self.scratch.len() < bytes {
            self.scratch.resize(bytes, 0);
        }
        self.ring.0.words.copy(from, &mut self.scratch[..bytes])
    }
}

/// The length from a record's first word, after the check.
fn length_of(first: u64) -> u64 {
    let length = first & u32::MAX as u64;
    debug_assert!(length >= HEADER_BYTES, "a record's first word");
    length.max(HEADER_BYTES)
}

/// The total size of the whole records at the start of `bytes`.
fn whole_records(bytes: &[u8]) -> u64 {
    let mut whole = 0;
    loop {
        let length = record::length(&bytes[whole..]) as usize;
        if length == 0 || length > bytes.len() - whole {
            return whole as u64;
        }
        whole += length;
    }
}

impl Batch<'_> {
    /// The offset at which to continue.
    pub fn end(&self) -> RingOffset {
        self.end
    }

    /// The size of its records in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.run.bytes.len()
    }

    /// Whether no record is left in it.
    pub fn is_empty(&self) -> bool {
        self.run.bytes.is_empty()
    }
}

impl<'a> Iterator for Batch<'a> {
    type Item = Record<'a>;

    #[inline]
    fn next(&mut self) -> Option<Record<'a>> {
        self.run.next()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::{Data, Draft, RingWriter, create};
    use super::*;
    use crate::event::EventType;

    /// A ring after two laps, with records at positions 10, 20, 30 …, published one by one.
    fn full(capacity: u64) -> (RingWriter, Ring, u64) {
        let (mut writer, ring) = create(capacity).unwrap();
        let mut position = 0;
        while writer.end().0 < 3 * capacity {
            position += 10;
            writer.append(&Draft::new(EventType::Set, b"user:1000", Data::One(&[7; 20])));
            writer.stamp(Position(position));
            writer.publish();
        }
        (writer, ring, position)
    }

    #[test]
    fn ten_events_cost_the_same_near_the_head_and_near_the_tail() {
        let (_, ring, last) = full(1 << 20);
        let mut reader = ring.reader();
        let first = ring.evicted_through().unwrap().0 + 10;
        // 256 blocks of 4 KiB: 8 steps of the search, then less than one block of 80-byte records.
        let most = 8 + 4096 / 80 + 2;
        for position in [first, first + 95, (first + last) / 2, last - 100, last] {
            let found = reader.find(Position(position));
            assert!(found.steps <= most, "{} steps for {position} of {first} to {last}", found.steps);
            let batch = reader.read(found.offset, 800).unwrap();
            assert_eq!(batch.end().0 - found.offset.0, 800.min(ring.tail().0 - found.offset.0));
        }
    }

    #[test]
    fn seeking_finds_the_first_record_at_or_after_a_position() {
        let (_, ring, last) = full(1024);
        let mut reader = ring.reader();
        let first = ring.evicted_through().unwrap().0 + 10;
        for position in 1..=last {
            let wanted = position.next_multiple_of(10).max(first);
            let offset = reader.seek(Position(position));
            assert_eq!(reader.record_at(offset).unwrap().unwrap().position().0, wanted, "sought {position}");
        }
        assert_eq!(reader.seek(Position(last + 1)), ring.tail());
    }

    #[test]
    fn a_record_longer_than_the_budget_is_read_whole() {
        let (mut writer, ring) = create(4096).unwrap();
        let mut reader = ring.reader();
        for _ in 0..20 {
            let offset = writer.append(&Draft::new(EventType::Set, b"k", Data::One(&[9; 700])));
            writer.append(&Draft::new(EventType::Set, b"k", Data::None));
            writer.stamp(Position(offset.0 + 1));
            writer.publish();
            let mut batch = reader.read(offset, 64).unwrap();
            assert_eq!(batch.next().unwrap().data_bytes(), [9; 700]);
            assert!(batch.next().is_none());
            assert_eq!(batch.end().0, offset.0 + 752);
        }
    }

    #[test]
    fn a_lapped_reader_gets_the_new_head() {
        let (_, ring, _) = full(1024);
        let mut reader = ring.reader();
        let lapped = reader.read(RingOffset(80), 100).unwrap_err();
        assert_eq!(lapped, Lapped { head: ring.head(), evicted_through: ring.evicted_through().unwrap() });
        assert!(reader.record_at(RingOffset(0)).is_err());
        assert!(reader.read(lapped.head, 100).is_ok());
    }

    #[test]
    fn an_offset_that_is_no_record_breaks_nothing() {
        let (_, ring, _) = full(1024);
        let mut reader = ring.reader();
        for offset in ring.head().0..ring.tail().0 + 100 {
            for budget in [0, 48, 500] {
                if let Ok(batch) = reader.read(RingOffset(offset), budget) {
                    batch.for_each(|record| _ = (record.key(), record.data(), record.meta()));
                }
            }
        }
    }
}
