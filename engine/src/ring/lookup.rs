//! Records by their offsets, for callers that read many adjacent ones, mostly forwards.

use super::Ring;
use super::reader::RingReader;
use super::record::Record;
use super::words::Lapped;
use crate::limits::HISTORY_RUN_BYTES;
use crate::position::RingOffset;

/// A reader of one ring that keeps its last copy.
pub struct RingLookup {
    reader: RingReader,
    /// The run of records that was copied last.
    start: RingOffset,
    bytes: usize,
    /// The size of the next copy in bytes.
    run_bytes: usize,
}

/// The bytes copied for a single record.
const ALONE_BYTES: usize = 512;

/// A record at most this far behind the last copy counts as adjacent to it.
const NEAR_BYTES: u64 = 2048;

impl RingLookup {
    /// A reader without a copy.
    pub fn new(ring: &Ring) -> RingLookup {
        RingLookup { reader: ring.reader(), start: RingOffset(0), bytes: 0, run_bytes: ALONE_BYTES }
    }

    /// The record that starts at `offset`; `None` if none is published there. A record that was copied once is found
    /// again, even if it has been overwritten since.
    ///
    /// # Errors
    /// If the record was overwritten before it was copied.
    #[inline]
    pub fn get(&mut self, offset: RingOffset) -> Result<Option<Record<'_>>, Lapped> {
        if offset.0.wrapping_sub(self.start.0) >= self.bytes as u64 {
            self.copy(offset)?;
        }
        let at = (offset.0 - self.start.0) as usize;
        Ok(Record::parse(&self.reader.scratch()[at..self.bytes], offset))
    }

    fn copy(&mut self, offset: RingOffset) -> Result<(), Lapped> {
        let end = self.start.0 + self.bytes as u64;
        // For sequential reads the copies grow.
        let is_near = (end..=end + NEAR_BYTES).contains(&offset.0);
        self.run_bytes = if is_near { (self.run_bytes * 4).min(HISTORY_RUN_BYTES) } else { ALONE_BYTES };
        // A failed read leaves nothing usable.
        (self.start, self.bytes) = (offset, 0);
        self.bytes = self.reader.read(offset, self.run_bytes)?.bytes();
        Ok(())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::{Data, Draft, create};
    use super::*;
    use crate::event::EventType;
    use crate::position::Position;

    #[test]
    fn each_record_is_found_in_any_order_until_it_is_overwritten() {
        let (mut writer, ring) = create(4096).unwrap();
        let (mut lookup, mut places) = (RingLookup::new(&ring), Vec::new());
        let mut rng = fastrand::Rng::with_seed(1);
        for position in 1..400 {
            let offset = writer.append(&Draft::new(EventType::Set, b"key", Data::One(&[7; 20])));
            places.push((offset, position));
            writer.stamp(Position(position));
            writer.publish();
            for _ in 0..3 {
                let (offset, position) = places[rng.usize(..places.len())];
                match lookup.get(offset) {
                    Ok(record) => assert_eq!(record.map(|record| record.position()), Some(Position(position))),
                    Err(lapped) => assert!(offset < lapped.head),
                }
            }
            assert!(lookup.get(ring.tail()).unwrap().is_none());
        }
    }
}
