//! What waits for those who share an interest. It is kept once, however many they are: all are told the same events in
//! the same order, so what waits for one is a part of this, up to the last event that it was offered.

use crate::account::Share;
use crate::limits::{CHUNK_EVENTS, SubscriptionLimits};
use crate::position::{Position, RingOffset, ShardId};
use std::collections::VecDeque;

/// A reference to an event that could not be told at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub shard: ShardId,
    pub offset: RingOffset,
    pub position: Position,
    /// The bytes of its record.
    pub bytes: u64,
}

/// The events of an interest that are being told, all of a chunk.
pub(super) struct Told<'a> {
    pub chunk: &'a [Waiting],
    /// Which of the chunk's they are.
    pub places: &'a [u32],
}

impl Told<'_> {
    #[inline]
    pub fn get(&self, place: usize) -> Waiting {
        self.chunk[self.places[place] as usize]
    }
}

/// What waits for any of those who share an interest, oldest first. As long as anything does, what is taken in stays until
/// it is more than can still be anyone's.
///
/// Whoever something waits for is offered every further event, so all parts end with the same one once a chunk has been
/// told. That bounds what is kept: a part's limit, and the chunk.
pub(super) struct Queue {
    /// The memory that `events` take.
    share: Share,
    events: VecDeque<Waiting>,
    /// The number of the first one; they are numbered through.
    first: u64,
    /// How many have a part that is not empty.
    waiters: usize,
}

/// What waits for one member, by numbers.
#[derive(Default)]
pub(super) struct Part {
    start: u64,
    end: u64,
    bytes: u64,
}

impl Part {
    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

impl Queue {
    /// Without an event. Its memory is counted by `share`, which has none yet.
    pub fn new(share: Share) -> Queue {
        Queue { share, events: VecDeque::new(), first: 0, waiters: 0 }
    }

    fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    /// Lets the event at `place` of those that are being told wait, which comes behind all of the part's. False where too
    /// much waits already, for it or for all.
    #[inline]
    pub fn add(&mut self, part: &mut Part, told: &Told<'_>, place: usize, limits: &SubscriptionLimits) -> bool {
        let waiting = told.get(place);
        // One event may be longer than all that may wait.
        let fits = part.bytes + waiting.bytes <= limits.queue_bytes || part.is_empty();
        if part.end - part.start >= limits.queue_events as u64 || !fits {
            return false;
        }
        if self.events.back().is_none_or(|last| last.position < waiting.position) && !self.hold(told, limits) {
            return false;
        }
        if part.is_empty() {
            self.waiters += 1;
            let before = self.events.partition_point(|other| other.position < waiting.position);
            part.start = self.first + before as u64;
            part.end = part.start;
        }
        debug_assert_eq!(self.get(part.end), Some(waiting), "an event was not offered to someone who waits");
        part.end += 1;
        part.bytes += waiting.bytes;
        true
    }

    /// Takes all that is being told: who is told it later than others may have to wait for more of it. False where it
    /// takes more memory, and there is none left for subscriptions.
    #[cold]
    fn hold(&mut self, told: &Told<'_>, limits: &SubscriptionLimits) -> bool {
        let is_larger = self.events.len() + told.places.len() > self.events.capacity();
        if is_larger && self.share.account().is_full() {
            return false;
        }
        let last = self.events.back().map(|waiting| waiting.position);
        let all = (0..told.places.len()).map(|place| told.get(place));
        self.events.extend(all.filter(|waiting| Some(waiting.position) > last));
        let surplus = self.events.len().saturating_sub(limits.queue_events + CHUNK_EVENTS + 1);
        self.events.drain(..surplus);
        self.first += surplus as u64;
        self.count();
        true
    }

    fn count(&mut self) {
        self.share.set((self.events.capacity() * size_of::<Waiting>()) as u64);
    }

    fn get(&self, number: u64) -> Option<Waiting> {
        self.events.get((number - self.first) as usize).copied()
    }

    /// What has waited longest of a part.
    #[inline]
    pub fn first(&self, part: &Part) -> Option<Waiting> {
        if part.is_empty() { None } else { self.get(part.start) }
    }

    /// Takes what has waited longest out of a part.
    #[inline]
    pub fn remove_first(&mut self, part: &mut Part) {
        let Some(waiting) = self.first(part) else { return };
        part.start += 1;
        part.bytes -= waiting.bytes;
        if part.is_empty() {
            self.note_empty();
        }
    }

    /// Takes everything out of a part.
    pub fn clear(&mut self, part: &mut Part) {
        if !part.is_empty() {
            *part = Part::default();
            self.note_empty();
        }
    }

    fn note_empty(&mut self) {
        self.waiters -= 1;
        if self.waiters == 0 {
            self.first = self.end();
            self.events.clear();
            // Others may need the memory.
            if self.share.account().is_full() {
                self.shrink();
            }
        }
    }

    /// Gives memory back that nothing waits in.
    pub fn shrink(&mut self) {
        if self.waiters == 0 {
            self.events = VecDeque::new();
            self.count();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Account;
    use proptest::prelude::*;

    const LIMITS: SubscriptionLimits =
        SubscriptionLimits { per_client: 1, queue_events: 5, queue_bytes: 40, flush_members: 1 };

    /// One member, and what a queue of its own would hold.
    #[derive(Default)]
    struct Pair {
        part: Part,
        own: VecDeque<Waiting>,
    }

    proptest! {
        #[test]
        fn each_part_is_like_a_queue_of_its_own(steps in proptest::collection::vec((0usize..4, 0u8..4, 1u64..12), 1..2000)) {
            let (mut queue, mut pairs) = (Queue::new(Account::default().share()), [(); 4].map(|()| Pair::default()));
            let mut next = 0;
            for (n, what, size) in steps {
                let pair = &mut pairs[n];
                match what {
                    0 => queue.clear(&mut pair.part),
                    1 => queue.remove_first(&mut pair.part),
                    // A chunk: everyone is offered all of it before the next one is.
                    _ => {
                        let event = |k| Waiting {
                            shard: ShardId(0),
                            offset: RingOffset(next + k),
                            position: Position(next + k),
                            bytes: 1 + (k + size) % 13,
                        };
                        let chunk: Vec<Waiting> = (0..size).map(event).collect();
                        let places: Vec<u32> = (0..size as u32).filter(|k| k % 5 > 0 || what == 2).collect();
                        next += size;
                        let told = Told { chunk: &chunk, places: &places };
                        for (k, pair) in pairs.iter_mut().enumerate() {
                            // Who waits for nothing yet is told some, and the others wait.
                            let at_once = if pair.own.is_empty() { places.len() * ((k + n) % 4) / 3 } else { 0 };
                            for place in at_once..places.len() {
                                let waiting = told.get(place);
                                let bytes: u64 = pair.own.iter().map(|waiting| waiting.bytes).sum();
                                let fits = pair.own.is_empty() || bytes + waiting.bytes <= LIMITS.queue_bytes;
                                let fits = fits && pair.own.len() < LIMITS.queue_events;
                                prop_assert_eq!(queue.add(&mut pair.part, &told, place, &LIMITS), fits);
                                if !fits {
                                    // As a subscription that falls behind.
                                    queue.clear(&mut pair.part);
                                    pair.own.clear();
                                    break;
                                }
                                pair.own.push_back(waiting);
                            }
                        }
                    }
                }
                let pair = &mut pairs[n];
                match what {
                    0 => pair.own.clear(),
                    1 => drop(pair.own.pop_front()),
                    _ => {}
                }
                for pair in &pairs {
                    prop_assert_eq!(queue.first(&pair.part), pair.own.front().copied());
                    prop_assert_eq!(pair.part.is_empty(), pair.own.is_empty());
                }
                prop_assert!(queue.events.len() <= LIMITS.queue_events + CHUNK_EVENTS + 1);
                prop_assert!(pairs.iter().any(|pair| !pair.own.is_empty()) || queue.events.is_empty());
            }
        }
    }
}
