//! Records by their places: for whoever asks for many that lie near each other, mostly forwards.

use super::Ring;
use super::reader::RingReader;
use super::record::Record;
use super::words::Lapped;
use crate::limits::HISTORY_RUN_BYTES;
use crate::position::RingOffset;

/// A reader of one ring that keeps what it copied last.
pub struct RingLookup {
    reader: RingReader,
    /// The run of records that was copied last.
    start: RingOffset,
    bytes: usize,
    /// How many bytes the next copy takes.
    run_bytes: usize,
}

/// What is copied for one record alone.
const ALONE_BYTES: usize = 512;

/// A record that lies no further behind what was copied last counts as next to it.
const NEAR_BYTES: u64 = 2048;

impl RingLookup {
    /// A reader that has copied nothing yet.
    pub fn new(ring: &Ring) -> RingLookup {
        RingLookup { reader: ring.reader(), start: RingOffset(0), bytes: 0, run_bytes: ALONE_BYTES }
    }

    /// The record that starts at `offset`; none where none is published there. What was copied once is found again,
    /// though it may have been overwritten since.
    ///
    /// # Errors
    /// Where it was overwritten before it was copied.
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
        // Where one record after the other is asked for, ever more are copied at once.
        let is_near = (end..=end + NEAR_BYTES).contains(&offset.0);
        self.run_bytes = if is_near { (self.run_bytes * 4).min(HISTORY_RUN_BYTES) } else { ALONE_BYTES };
        // A read that fails leaves nothing that could be used.
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
