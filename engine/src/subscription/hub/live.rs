//! Delivery of what the shards have found to live members, in the order of positions.
//!
//! The hub takes a chunk of events at a time. It delivers each interest's events to all members that share the interest,
//! then those of the next interest. Members that get the same bytes, as hundreds of subscribers to everything do, share one
//! delivery: see [`Outlet::begin_shared`]. A flush goes to all members, some in each turn.

use super::interests::Interests;
use super::member::{Audience, DeliveryKey, Member, Phase};
use super::queue::{Offered, Queue, Waiting};
use super::slab::Slot;
use super::{Hub, HubCounts};
use crate::limits::{CHUNK_EVENTS, SHARED_BYTES, SubscriptionLimits};
use crate::position::Position;
use crate::ring::{Record, RingLookup};
use crate::subscription::{ClientId, Outlet};
use std::vec::IntoIter;

/// The events that are merged and delivered at a time.
#[derive(Default)]
pub(super) struct Chunk {
    events: Vec<Waiting>,
    /// The flush that ends the chunk, for all members.
    flush: Option<Waiting>,
    /// The members of one interest that can share a delivery, and those that cannot: reused memory.
    sharing: Vec<(DeliveryKey, u32)>,
    singles: Vec<u32>,
}

/// A flush that is being delivered to the members. Meanwhile the hub merges nothing later, and no member goes live.
pub(super) struct Flush {
    event: Waiting,
    /// The members that it was not delivered to yet.
    left: IntoIter<Slot>,
}

impl Flush {
    pub fn position(&self) -> Position {
        self.event.position
    }
}

impl Chunk {
    /// The position of an event, by its index in the chunk.
    pub fn position(&self, event: u32) -> Position {
        self.events[event as usize].position
    }
}

/// From this many events on, a member that shares its delivery with no other uses a shared delivery all the same: encoding
/// the events into one buffer then costs less than pushing them one by one.
const SHARED_EVENTS_MIN: usize = 8;

impl Hub {
    /// Delivers the events below `bound` that the shards have sent.
    pub(super) fn merge(&mut self, bound: Position, outlet: &mut impl Outlet) {
        self.deliver_flush(outlet);
        while self.flush.is_none()
            && let Some(last) = self.take_chunk(bound)
        {
            for number in std::mem::take(&mut self.interests.touched) {
                self.deliver_interest(number, outlet);
            }
            match self.chunk.flush.take() {
                Some(event) => {
                    self.wake_all_watchers(event.position);
                    self.merged = event.position;
                    self.flush = Some(Flush { event, left: self.members.slots().into_iter() });
                    self.deliver_flush(outlet);
                }
                None => self.merged = last.next(),
            }
        }
    }

    /// Delivers a flush to as many members as the turn still may. It is merged once all of them have it.
    fn deliver_flush(&mut self, outlet: &mut impl Outlet) {
        let Some(mut flush) = self.flush.take() else { return };
        self.chunk.events.clear();
        self.chunk.events.push(flush.event);
        let next = flush.position().next();
        while self.may_flush > 0
            && let Some(slot) = flush.left.next()
        {
            let Some(index) = self.members.at(slot) else { continue };
            self.may_flush -= 1;
            self.deliver_to_one(index, &[0], 0, outlet);
            // It may have been dropped.
            if let Some(member) = self.members.at(slot).map(|index| &mut self.members[index])
                && member.phase == Phase::Live
            {
                member.cursor = member.cursor.max(next);
            }
        }
        if flush.left.len() > 0 {
            self.flush = Some(flush);
        } else {
            self.merged = next;
        }
    }

    /// Takes the next events, up to a flush. Returns the last one's position; none where there is no event.
    fn take_chunk(&mut self, bound: Position) -> Option<Position> {
        let Hub { feeds, interests, chunk, merged, .. } = self;
        chunk.events.clear();
        let mut last = None;
        while chunk.events.len() < CHUNK_EVENTS
            && let Some(next) = feeds.next(bound)
        {
            let event = next.event;
            // An event before `merged` was read from the history; a flush is sent by every shard.
            if event.position < *merged || Some(event.position) == last {
                continue;
            }
            last = Some(event.position);
            let bytes = u64::from(event.bytes);
            let waiting = Waiting { shard: next.shard, offset: event.offset, position: event.position, bytes };
            if event.is_flush {
                chunk.flush = Some(waiting);
                break;
            }
            for &number in feeds.numbers(&next) {
                interests.note(number, next.shard, chunk.events.len() as u32);
            }
            chunk.events.push(waiting);
        }
        last
    }

    /// Delivers an interest's events of the chunk to all members that share the interest.
    fn deliver_interest(&mut self, number: u32, outlet: &mut impl Outlet) {
        let events = self.interests.take_found(number);
        let first = self.chunk.position(events[0]);
        self.wake_watchers(number, &events);
        let mut sharing = std::mem::take(&mut self.chunk.sharing);
        let mut singles = std::mem::take(&mut self.chunk.singles);
        for &index in self.interests.members(number) {
            let member = &mut self.members[index];
            match member.key_from(first).filter(|_| member.may_deliver(outlet)) {
                None => singles.push(index),
                Some(key) => sharing.push((key, index)),
            }
        }
        // Sorting makes the groups adjacent, however many there are.
        sharing.sort_unstable_by_key(|member| member.0);
        for group in sharing.chunk_by(|one, other| one.0 == other.0) {
            match group {
                [(_, index)] if events.len() < SHARED_EVENTS_MIN => singles.push(*index),
                _ => self.deliver_shared(group, &events, outlet),
            }
        }
        sharing.clear();
        for index in singles.drain(..) {
            self.deliver_to_one(index, &events, 0, outlet);
        }
        (self.chunk.sharing, self.chunk.singles) = (sharing, singles);
        self.interests.reuse_found(number, events);
    }

    /// Delivers events to the members of a group in one shared delivery of up to [`SHARED_BYTES`], the rest to each
    /// member by itself.
    fn deliver_shared(&mut self, group: &[(DeliveryKey, u32)], events: &[u32], outlet: &mut impl Outlet) {
        let Hub { members, live_lookups, chunk, counts, .. } = self;
        let (key, first) = group[0];
        let clients: Vec<ClientId> = group.iter().map(|(_, index)| members[*index].client).collect();
        let representative = &mut members[first];
        let before = representative.last_checkpoint();
        let (mut delivered, mut bytes) = (0, 0);
        outlet.begin_shared(&clients, key.id);
        while delivered < events.len() && bytes < SHARED_BYTES {
            let waiting = chunk.events[events[delivered] as usize];
            let Some(record) = find(live_lookups, waiting) else { break };
            representative.deliver(&record, Audience::Group, outlet);
            bytes += record.bytes().len() as u64;
            delivered += 1;
        }
        outlet.end_shared();
        counts.events += (delivered * group.len()) as u64;
        let last_checkpoint = Some(representative.last_checkpoint()).filter(|last| *last > before);
        for &(_, index) in group {
            members[index].note_delivered(delivered > 0, last_checkpoint);
        }
        if delivered < events.len() {
            for &(_, index) in group {
                self.deliver_to_one(index, events, delivered, outlet);
            }
        }
    }

    /// Delivers an interest's events of the chunk from the `first` on to one member, or queues them for it.
    fn deliver_to_one(&mut self, index: u32, events: &[u32], first: usize, outlet: &mut impl Outlet) {
        let Hub { members, interests, live_lookups, chunk, limits, counts, .. } = self;
        let member = &mut members[index];
        let queue = &mut interests.row_mut(member.interest).queue;
        let offered = Offered { chunk: &chunk.events, places: events };
        for place in first..events.len() {
            if !member.offer((&offered, place), queue, live_lookups, limits, counts, outlet) {
                if member.phase == Phase::Live {
                    // Everything before this event was delivered, or waits.
                    member.cursor = offered.get(place).position;
                    self.fall_behind(index, outlet);
                } else {
                    // A joining member did not fall behind: the shards' answers came late. It reads on, and its lag after
                    // that shows whether it is slow.
                    self.leave_live(index);
                }
                return;
            }
        }
    }
}

/// The record of an event; none where the ring has overwritten it.
pub(super) fn find(lookups: &mut [RingLookup], waiting: Waiting) -> Option<Record<'_>> {
    lookups[waiting.shard.0 as usize].get(waiting.offset).ok().flatten()
}

impl Interests {
    /// Notes that an interest wants an event of the chunk.
    #[inline]
    fn note(&mut self, number: u32, shard: crate::position::ShardId, event: u32) {
        let Some(row) = self.row_on(number, shard) else { return };
        let is_first = row.found.is_empty();
        row.found.push(event);
        if is_first {
            self.touched.push(number);
        }
    }

    /// Takes an interest's events of the chunk, at least one.
    fn take_found(&mut self, number: u32) -> Vec<u32> {
        std::mem::take(&mut self.row_mut(number).found)
    }

    /// Returns the memory of the events to the interest, if that is still there.
    fn reuse_found(&mut self, number: u32, mut found: Vec<u32>) {
        found.clear();
        if let Some(row) = self.get_mut(number) {
            row.found = found;
        }
    }
}

impl Member {
    /// The key of the deliveries that the member can share from an event at `first` on; none where it needs one of its
    /// own.
    fn key_from(&self, first: Position) -> Option<DeliveryKey> {
        let is_ready = self.phase == Phase::Live && self.waiting.is_empty() && first >= self.cursor;
        (is_ready && self.can_share()).then(|| self.delivery_key())
    }

    /// Delivers an event that the shards have found, or queues it. False where it can do neither: the queue is full, or the
    /// ring has overwritten the event. The member then reads the history, and finds the gap there.
    #[inline]
    fn offer(
        &mut self,
        (offered, place): (&Offered<'_>, usize),
        queue: &mut Queue,
        lookups: &mut [RingLookup],
        limits: &SubscriptionLimits,
        counts: &mut HubCounts,
        outlet: &mut impl Outlet,
    ) -> bool {
        let waiting = offered.get(place);
        let may_deliver = match self.phase {
            Phase::Asked | Phase::Reading => return true,
            Phase::Joining(from) if waiting.position < from => return true,
            Phase::Live if waiting.position < self.cursor => return true,
            Phase::Joining(_) => false,
            Phase::Live => self.waiting.is_empty() && self.may_deliver(outlet),
        };
        if may_deliver {
            let Some(record) = find(lookups, waiting) else { return false };
            counts.events += 1;
            self.deliver(&record, Audience::One, outlet);
            return true;
        }
        // An event must not overtake one that waits.
        queue.add(&mut self.waiting, offered, place, limits)
    }
}
