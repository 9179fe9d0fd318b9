//! The queue of an interest: events that wait for its members. All members get the same events in the same order, so the
//! queue keeps each event once, and a member's events are a range of it, which ends with the last event it was offered.

use crate::account::Share;
use crate::limits::{CHUNK_EVENTS, SubscriptionLimits};
use crate::position::{Position, RingOffset, ShardId};
use std::collections::VecDeque;

/// A reference to an event in a shard's ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub shard: ShardId,
    pub offset: RingOffset,
    pub position: Position,
    /// The length of its record in bytes.
    pub bytes: u64,
}

/// The events of a chunk that an interest wants, as they are offered to its members.
pub(super) struct Offered<'a> {
    pub chunk: &'a [Waiting],
    /// The indexes of these events in the chunk.
    pub places: &'a [u32],
}

impl Offered<'_> {
    #[inline]
    pub fn get(&self, place: usize) -> Waiting {
        self.chunk[self.places[place] as usize]
    }
}

/// The events that wait for any member of an interest, oldest first. While any member waits, events stay until no part can
/// include them any more.
///
/// A member with waiting events is offered each further event, so all parts end with the same event once a chunk has been
/// delivered. That bounds the queue: by the limit of a part, and the chunk.
pub(super) struct Queue {
    /// The memory of `events`.
    share: Share,
    events: VecDeque<Waiting>,
    /// The number of the first event; events are numbered consecutively.
    first: u64,
    /// How many members have a part that is not empty.
    waiters: usize,
}

/// The part of a queue that waits for one member: a range of event numbers.
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
    /// An empty queue. `share`, which is empty, counts its memory.
    pub fn new(share: Share) -> Queue {
        Queue { share, events: VecDeque::new(), first: 0, waiters: 0 }
    }

    fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    /// Appends the offered event at `place` to a part. False where the part's limit or the memory of all subscriptions is
    /// exhausted.
    #[inline]
    pub fn add(&mut self, part: &mut Part, offered: &Offered<'_>, place: usize, limits: &SubscriptionLimits) -> bool {
        let waiting = offered.get(place);
        // A single event may be longer than the limit.
        let fits = part.bytes + waiting.bytes <= limits.queue_bytes || part.is_empty();
        if part.end - part.start >= limits.queue_events as u64 || !fits {
            return false;
        }
        if self.events.back().is_none_or(|last| last.position < waiting.position) && !self.extend(offered, limits) {
            return false;
        }
        if part.is_empty() {
            self.waiters += 1;
            let before = self.events.partition_point(|other| other.position < waiting.position);
            part.start = self.first + before as u64;
            part.end = part.start;
        }
        debug_assert_eq!(self.get(part.end), Some(waiting), "an event was not offered to a member that waits");
        part.end += 1;
        part.bytes += waiting.bytes;
        true
    }

    /// Appends all offered events to the queue, since members that they are offered to later may have to wait for more of
    /// them. False where the queue would need more memory and subscriptions have none left.
    #[cold]
    fn extend(&mut self, offered: &Offered<'_>, limits: &SubscriptionLimits) -> bool {
        let is_larger = self.events.len() + offered.places.len() > self.events.capacity();
        if is_larger && self.share.account().is_full() {
            return false;
        }
        let last = self.events.back().map(|waiting| waiting.position);
        let all = (0..offered.places.len()).map(|place| offered.get(place));
        self.events.extend(all.filter(|waiting| Some(waiting.position) > last));
        let surplus = self.events.len().saturating_sub(limits.queue_events + CHUNK_EVENTS + 1);
        self.events.drain(..surplus);
        self.first += surplus as u64;
        self.count_memory();
        true
    }

    fn count_memory(&mut self) {
        self.share.set((self.events.capacity() * size_of::<Waiting>()) as u64);
    }

    fn get(&self, number: u64) -> Option<Waiting> {
        self.events.get((number - self.first) as usize).copied()
    }

    /// The oldest event of a part.
    #[inline]
    pub fn first(&self, part: &Part) -> Option<Waiting> {
        if part.is_empty() { None } else { self.get(part.start) }
    }

    /// Removes the oldest event from a part.
    #[inline]
    pub fn remove_first(&mut self, part: &mut Part) {
        let Some(waiting) = self.first(part) else { return };
        part.start += 1;
        part.bytes -= waiting.bytes;
        if part.is_empty() {
            self.note_empty();
        }
    }

    /// Removes all events from a part.
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
            // Other subscriptions may need the memory.
            if self.share.account().is_full() {
                self.shrink();
            }
        }
    }

    /// Frees the memory of the queue if no member waits.
    pub fn shrink(&mut self) {
        if self.waiters == 0 {
            self.events = VecDeque::new();
            self.count_memory();
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

    /// One member's part, and a queue of its own as the model.
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
                    // A chunk is offered to all members before the next one is.
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
                        let offered = Offered { chunk: &chunk, places: &places };
                        for (k, pair) in pairs.iter_mut().enumerate() {
                            // A member without waiting events takes some at once; the rest is queued.
                            let at_once = if pair.own.is_empty() { places.len() * ((k + n) % 4) / 3 } else { 0 };
                            for place in at_once..places.len() {
                                let waiting = offered.get(place);
                                let bytes: u64 = pair.own.iter().map(|waiting| waiting.bytes).sum();
                                let fits = pair.own.is_empty() || bytes + waiting.bytes <= LIMITS.queue_bytes;
                                let fits = fits && pair.own.len() < LIMITS.queue_events;
                                prop_assert_eq!(queue.add(&mut pair.part, &offered, place, &LIMITS), fits);
                                if !fits {
                                    // As for a subscription that falls behind.
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
