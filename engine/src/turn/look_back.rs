//! What the shard's own history says of a stream, from its last record back: which ids its events have, what its last one is.

use super::Turn;
use crate::limits::RECENT_IDS;
use crate::position::{Position, Revision, RingOffset};
use crate::recent_ids::Passed;
use crate::ring::Record;

impl Turn {
    /// The first event, going back, that has this id among the latest [`RECENT_IDS`] ones of the stream that ends at `last`, as
    /// far as they are there. `hash` is that of its key. Reads only those that were added since it was last asked of this
    /// stream, unless one may have the id: see [`RecentIds`](crate::recent_ids::RecentIds).
    pub(crate) fn find_id(&mut self, (hash, last): (u64, RingOffset), id: &[u8; 16]) -> Option<(Position, Revision)> {
        self.assign_positions();
        let known = self.recent_ids.known_through(hash);
        let (mut offset, mut passed) = (last, Passed::new());
        while offset != known && !passed.is_full() {
            let Some(record) = self.record_at(offset) else { break };
            let own = record.id();
            if own.as_ref() == Some(id) {
                return Some((record.position(), record.revision()));
            }
            passed.add(record.revision(), own.as_ref());
            offset = record.back_link();
        }
        let is_more = offset == known && known != RingOffset::NONE;
        // What cannot be read now although it is there may be readable later.
        let is_whole = passed.is_full() || offset == RingOffset::NONE || offset < self.history_head();
        if is_more || is_whole {
            self.recent_ids.note((hash, last), &passed, is_more);
        }
        if is_more && self.recent_ids.may_have(hash, id) { self.read_for_id(last, id) } else { None }
    }

    /// The same, by reading all of them.
    fn read_for_id(&mut self, last: RingOffset, id: &[u8; 16]) -> Option<(Position, Revision)> {
        let mut offset = last;
        for _ in 0..RECENT_IDS {
            let record = self.record_at(offset)?;
            if record.id().as_ref() == Some(id) {
                return Some((record.position(), record.revision()));
            }
            offset = record.back_link();
        }
        None
    }

    /// The record at a place of this shard, published or not, and in the log where the ring has it no more.
    fn record_at(&mut self, offset: RingOffset) -> Option<Record<'_>> {
        let writer = self.writer.as_mut()?;
        match (&mut self.log, offset < writer.head()) {
            (Some(log), true) => log.record_at(offset),
            _ => writer.record_at(offset),
        }
    }

    /// The id of the record at a place, the place of its stream's record before it, and its position.
    pub(crate) fn id_at(&mut self, offset: RingOffset) -> Option<(Option<[u8; 16]>, RingOffset, Position)> {
        self.assign_positions();
        self.record_at(offset).map(|record| (record.id(), record.back_link(), record.position()))
    }

    /// Whether the record at a place has this type.
    pub(crate) fn is_of_type(&mut self, offset: RingOffset, name: &[u8]) -> bool {
        self.record_at(offset).is_some_and(|record| record.type_name() == name)
    }

    /// The data of the record at a place, if it has this type.
    pub(crate) fn data_of_type(&mut self, offset: RingOffset, name: &[u8]) -> Option<Vec<u8>> {
        let record = self.record_at(offset).filter(|record| record.type_name() == name)?;
        Some(record.data_bytes().to_vec())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::event::{CustomType, EventType};
    use crate::limits::RING_BYTES_MIN;
    use crate::position::ShardId;
    use crate::recent_ids::RecentIds;
    use crate::ring::{self, Data};
    use crate::sequencer::Sequencer;
    use crate::turn::ClientEvent;
    use std::sync::Arc;

    fn id(number: u32) -> [u8; 16] {
        u128::from(number).to_be_bytes()
    }

    /// Streams whose keys often have the hash of another one, more of them than there are places, in a ring that forgets:
    /// the answers are those of reading all events, each time.
    #[test]
    fn marks_of_ids_answer_what_the_events_would() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut found, mut forgotten) = (0, 0);
        for places in [4, 16] {
            let (writer, _) = ring::create(RING_BYTES_MIN).expect("there is memory for a small ring");
            let sequencer = Arc::new(Sequencer::new(Position(1), 1));
            let mut turn = Turn::new(ShardId(0), sequencer, Some(writer));
            turn.recent_ids = RecentIds::new(places);
            // The next revision and the last record of each; now and then a stream begins again.
            let mut streams = [(0, RingOffset::NONE); 30];
            for _ in 0..20_000 {
                let n = random.usize(..streams.len()).min(random.usize(..streams.len()));
                let (key, hash) = ([n as u8], n as u64 / 2);
                let (next, last) = &mut streams[n];
                let wanted = id(random.u32(0..300));
                // As `find_id` does first.
                turn.last_position();
                let there = turn.read_for_id(*last, &wanted);
                assert_eq!(turn.find_id((hash, *last), &wanted), there, "seed {seed}, stream {n} at {last}");
                found += usize::from(there.is_some());
                forgotten += usize::from(*last < turn.history_head());
                match random.u8(..) {
                    0 => (*next, *last) = (0, RingOffset::NONE),
                    1..60 => turn.record(&key, EventType::Set, Data::One(b"x"), next, last),
                    _ => {
                        let event_type = CustomType::new(b"T").expect("no built-in type");
                        let id = Some(wanted).filter(|_| random.u8(..) > 20);
                        turn.append(
                            &key,
                            ClientEvent { event_type, data: b"", meta: None, id, json: false },
                            next,
                            last,
                        );
                    }
                }
                if random.u8(..) < 30 || turn.is_due() {
                    turn.commit();
                }
            }
        }
        assert!(found > 500 && forgotten > 0, "{found}, {forgotten}");
    }
}
