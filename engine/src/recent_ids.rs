//! The ids of the latest events of streams, in brief: so that an append with a new id, which nearly every append has, need
//! not read these events, which lie all over the ring, or in the log.
//!
//! Of each of a stream's latest [`RECENT_IDS`] events a mark of 16 bits is kept, in the place of its revision; an event
//! without an id has none. Where no mark is that of the id, no such event has it. Where one is, nothing is known, and the
//! events are read. So the answers are those of reading them; [`Turn::find_id`](crate::turn::Turn::find_id) does both.
//!
//! Nothing of this is stored. What is known of a stream is known up to one event, by the offset of its record, which no other
//! stream has: the events behind it are read, back to it, before the marks are asked. After a start, and where another
//! stream has taken the place, they are read back to the last that counts.

use crate::limits::RECENT_IDS;
use crate::position::{Revision, RingOffset};

/// Among how many places a stream may be.
const WAYS: usize = 4;

/// A stream with fewer events than this takes no place: to read them all is as fast.
const EVENTS_MIN: usize = 8;

/// The marks of the ids of some streams. One per shard.
pub(crate) struct RecentIds {
    /// Taken as they are needed.
    sets: Vec<Option<Box<[Marks; WAYS]>>>,
}

/// The marks of one stream.
#[derive(Clone, Copy)]
struct Marks {
    /// The hash of its key.
    hash: u64,
    /// The record of the last event that is in here; none in a place that is free.
    through: RingOffset,
    /// By revision; 0 for an event without an id.
    marks: [u16; RECENT_IDS],
}

impl Marks {
    const FREE: Marks = Marks { hash: 0, through: RingOffset::NONE, marks: [0; RECENT_IDS] };
}

/// Events of a stream that were read, from the last one back.
pub(crate) struct Passed {
    last: Revision,
    count: usize,
    marks: [u16; RECENT_IDS],
}

/// What is remembered of an id.
fn mark(id: &[u8; 16]) -> u16 {
    let both = u128::from_ne_bytes(*id);
    // The high bits of the product depend on all bits of an id: some clients count upwards.
    let mixed = ((both >> 64) as u64 ^ both as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed >> 48) as u16).max(1)
}

impl Passed {
    /// None.
    pub fn new() -> Passed {
        Passed { last: Revision(0), count: 0, marks: [0; RECENT_IDS] }
    }

    /// Whether as many were read as count.
    pub fn is_full(&self) -> bool {
        self.count == RECENT_IDS
    }

    /// Adds the event before those that were read; not where it [is full](Passed::is_full).
    pub fn add(&mut self, revision: Revision, id: Option<&[u8; 16]>) {
        if self.count == 0 {
            self.last = revision;
        }
        self.marks[self.count] = id.map_or(0, mark);
        self.count += 1;
    }
}

impl RecentIds {
    /// For about so many streams.
    pub fn new(streams: usize) -> RecentIds {
        RecentIds { sets: vec![None; (streams / WAYS).max(1)] }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.sets.fill(None);
    }

    /// The record up to which the ids of the stream of a key with this hash are known; [`RingOffset::NONE`] where none are.
    pub fn known_through(&self, hash: u64) -> RingOffset {
        let set = &self.sets[hash as usize % self.sets.len()];
        let marks = set.iter().flat_map(|set| set.iter()).find(|marks| marks.hash == hash);
        marks.map_or(RingOffset::NONE, |marks| marks.through)
    }

    /// Takes what was read of a stream, down to the record up to which its ids are known if `is_more`, else all that counts.
    /// `through` is the record of its last event.
    pub fn note(&mut self, (hash, through): (u64, RingOffset), passed: &Passed, is_more: bool) {
        if passed.count == 0 || !is_more && passed.count < EVENTS_MIN {
            return;
        }
        let index = hash as usize % self.sets.len();
        let set = self.sets[index].get_or_insert_with(|| Box::new([Marks::FREE; WAYS]));
        let rank = |marks: &&mut Marks| match **marks {
            Marks { hash: own, through, .. } if own == hash && through != RingOffset::NONE => (0, 0),
            Marks { through: RingOffset::NONE, .. } => (1, 0),
            // The stream to which nothing was appended for the longest time.
            Marks { through, .. } => (2, through.0),
        };
        let Some(own) = set.iter_mut().min_by_key(rank) else { return };
        if !is_more {
            *own = Marks::FREE;
        }
        (own.hash, own.through) = (hash, through);
        for (back, mark) in passed.marks[..passed.count].iter().enumerate() {
            own.marks[passed.last.0.wrapping_sub(back as u64) as usize % RECENT_IDS] = *mark;
        }
    }

    /// Whether an event of a stream whose ids are known may have this id.
    pub fn may_have(&self, hash: u64, id: &[u8; 16]) -> bool {
        let (set, mark) = (&self.sets[hash as usize % self.sets.len()], mark(id));
        let marks = set.iter().flat_map(|set| set.iter()).find(|marks| marks.hash == hash);
        // All of them, without an end before: the compiler makes a few instructions of it.
        marks.is_none_or(|marks| marks.marks.iter().fold(false, |found, own| found | (*own == mark)))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn id(number: u32) -> [u8; 16] {
        u128::from(number).to_be_bytes()
    }

    fn passed(last: u64, ids: &[u32]) -> Passed {
        let mut passed = Passed::new();
        for (back, number) in ids.iter().enumerate() {
            passed.add(Revision(last - back as u64), Some(&id(*number)));
        }
        passed
    }

    #[test]
    fn what_was_read_is_known_and_what_comes_later_is_added() {
        let mut recent = RecentIds::new(16);
        let first: Vec<u32> = (0..RECENT_IDS as u32).collect();
        recent.note((5, RingOffset(800)), &passed(200, &first), false);
        assert_eq!((recent.known_through(5), recent.known_through(6)), (RingOffset(800), RingOffset::NONE));
        assert!(first.iter().all(|number| recent.may_have(5, &id(*number))));
        recent.note((5, RingOffset(900)), &passed(201, &[1_000]), true);
        assert_eq!(recent.known_through(5), RingOffset(900));
        assert!(recent.may_have(5, &id(1_000)) && recent.may_have(5, &id(0)));
        // Every other id is unknown, but for one in 512.
        let hits = (2_000..12_000).filter(|number| recent.may_have(5, &id(*number))).count();
        assert!(hits < 100, "{hits}");
    }

    #[test]
    fn the_stream_that_is_quiet_for_the_longest_time_makes_room() {
        let mut recent = RecentIds::new(WAYS);
        let eight: Vec<u32> = (0..EVENTS_MIN as u32).collect();
        for n in 0..WAYS as u64 + 1 {
            recent.note((n, RingOffset(8 * n)), &passed(9, &eight), false);
        }
        assert_eq!((recent.known_through(0), recent.known_through(1)), (RingOffset::NONE, RingOffset(8)));
        recent.note((77, RingOffset(8_000)), &passed(9, &eight[1..]), false);
        assert_eq!(recent.known_through(77), RingOffset::NONE, "too few events");
        recent.clear();
        assert_eq!(recent.known_through(1), RingOffset::NONE);
    }
}
