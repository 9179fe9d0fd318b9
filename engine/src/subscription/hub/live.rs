//! Delivery of what the shards have found to live members, in the order of positions.
//!
//! The hub takes a chunk of events at a time. It delivers each interest's events to all members that share the interest,
//! then those of the next interest. Members that get the same bytes, as hundreds of subscribers to everything do, share one
//! delivery: see [`Outlet::begin_shared`]. A flush goes to all members, some in each turn.

use super::interests::Interests;
use super::member::{Alike, Member, Phase, To};
use super::queue::{Queue, Told, Waiting};
use super::slab::Slot;
use super::{Hub, HubCounts};
use crate::limits::{CHUNK_EVENTS, SHARED_BYTES, SubscriptionLimits};
use crate::position::Position;
use crate::ring::{Record, RingLookup};
use crate::subscription::{ClientId, Outlet};
use std::vec::IntoIter;

/// What is told at a time.
#[derive(Default)]
pub(super) struct Chunk {
    events: Vec<Waiting>,
    /// The flush that ends it, which everyone is told.
    flush: Option<Waiting>,
    /// The members of one interest that can share a delivery, and those that cannot: reused memory.
    alike: Vec<(Alike, u32)>,
    singles: Vec<u32>,
}

/// A flush that is being delivered to the members. Meanwhile the hub merges nothing later, and no member goes live.
pub(super) struct Flush {
    event: Waiting,
    /// The members that have not got it yet.
    left: IntoIter<Slot>,
}

impl Flush {
    pub fn position(&self) -> Position {
        self.event.position
    }
}

impl Chunk {
    /// Where an event stands, by its place in the chunk.
    pub fn position(&self, event: u32) -> Position {
        self.events[event as usize].position
    }
}

/// One member alone is told with as many events at once as one that is told with others.
const GROUP_EVENTS_MIN: usize = 8;

impl Hub {
    /// Tells what the shards have sent of events below `bound`.
    pub(super) fn merge(&mut self, bound: Position, outlet: &mut impl Outlet) {
        self.tell_flush(outlet);
        while self.flush.is_none()
            && let Some(last) = self.take_chunk(bound)
        {
            for number in std::mem::take(&mut self.interests.touched) {
                self.tell_interest(number, outlet);
            }
            match self.chunk.flush.take() {
                Some(event) => {
                    self.wake_all_watchers(event.position);
                    self.merged = event.position;
                    self.flush = Some(Flush { event, left: self.members.slots().into_iter() });
                    self.tell_flush(outlet);
                }
                None => self.merged = last.next(),
            }
        }
    }

    /// Tells as many members of a flush as the turn still may. It is merged once all of them know of it.
    fn tell_flush(&mut self, outlet: &mut impl Outlet) {
        let Some(mut flush) = self.flush.take() else { return };
        self.chunk.events.clear();
        self.chunk.events.push(flush.event);
        let next = flush.position().next();
        while self.may_flush > 0
            && let Some(slot) = flush.left.next()
        {
            let Some(index) = self.members.at(slot) else { continue };
            self.may_flush -= 1;
            self.tell_alone(index, &[0], 0, outlet);
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

    /// Takes the next events, up to a flush. Answers the last one's position; none where there is none.
    fn take_chunk(&mut self, bound: Position) -> Option<Position> {
        let Hub { feeds, interests, chunk, merged, .. } = self;
        chunk.events.clear();
        let mut last = None;
        while chunk.events.len() < CHUNK_EVENTS
            && let Some(next) = feeds.next(bound)
        {
            let event = next.event;
            // Read by everyone before it was live for anyone; or a flush, which each shard sends.
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

    /// Tells what the chunk has for an interest to all who share it.
    fn tell_interest(&mut self, number: u32, outlet: &mut impl Outlet) {
        let events = self.interests.take_found(number);
        let first = self.chunk.position(events[0]);
        self.wake_watchers(number, &events);
        let mut alike = std::mem::take(&mut self.chunk.alike);
        let mut singles = std::mem::take(&mut self.chunk.singles);
        for &index in self.interests.members(number) {
            let member = &mut self.members[index];
            match member.alike(first).filter(|_| member.may_tell(outlet)) {
                None => singles.push(index),
                Some(common) => alike.push((common, index)),
            }
        }
        // Sorted, so that each member is compared a few times only, however many groups there are.
        alike.sort_unstable_by_key(|member| member.0);
        for group in alike.chunk_by(|one, other| one.0 == other.0) {
            match group {
                [(_, index)] if events.len() < GROUP_EVENTS_MIN => singles.push(*index),
                _ => self.tell_group(group, &events, outlet),
            }
        }
        alike.clear();
        for index in singles.drain(..) {
            self.tell_alone(index, &events, 0, outlet);
        }
        (self.chunk.alike, self.chunk.singles) = (alike, singles);
        self.interests.give_back(number, events);
    }

    /// Tells events to members that are told alike, as long as all of them have room; then to each by itself.
    fn tell_group(&mut self, group: &[(Alike, u32)], events: &[u32], outlet: &mut impl Outlet) {
        let Hub { members, live_lookups, chunk, counts, .. } = self;
        let (alike, first) = group[0];
        let clients: Vec<ClientId> = group.iter().map(|(_, index)| members[*index].client).collect();
        let teller = &mut members[first];
        let before = teller.last_checkpoint();
        let (mut told, mut bytes) = (0, 0);
        outlet.begin_shared(&clients, alike.id);
        while told < events.len() && bytes < SHARED_BYTES {
            let waiting = chunk.events[events[told] as usize];
            let Some(record) = find(live_lookups, waiting) else { break };
            teller.tell(&record, To::AllAlike, outlet);
            bytes += record.bytes().len() as u64;
            told += 1;
        }
        outlet.end_shared();
        counts.events += (told * group.len()) as u64;
        let last_checkpoint = Some(teller.last_checkpoint()).filter(|last| *last > before);
        for &(_, index) in group {
            members[index].note_told(told > 0, last_checkpoint);
        }
        if told < events.len() {
            for &(_, index) in group {
                self.tell_alone(index, events, told, outlet);
            }
        }
    }

    /// Tells an interest's events of the chunk to one member, but for the first of them, which it was told; or lets them
    /// wait for it.
    fn tell_alone(&mut self, index: u32, events: &[u32], first: usize, outlet: &mut impl Outlet) {
        let Hub { members, interests, live_lookups, chunk, limits, counts, .. } = self;
        let member = &mut members[index];
        let queue = &mut interests.row_mut(member.interest).queue;
        let told = Told { chunk: &chunk.events, places: events };
        for place in first..events.len() {
            if !member.offer((&told, place), queue, live_lookups, limits, counts, outlet) {
                if member.phase == Phase::Live {
                    // Everything before it was told, or waits.
                    member.cursor = told.get(place).position;
                    self.fall_behind(index, outlet);
                } else {
                    // It is the shards' answers that came late: it reads on, and how far behind it is then says whether it
                    // is slow.
                    self.leave_live(index);
                }
                return;
            }
        }
    }
}

/// The record of an event, if it is still there.
pub(super) fn find(lookups: &mut [RingLookup], waiting: Waiting) -> Option<Record<'_>> {
    lookups[waiting.shard.0 as usize].get(waiting.offset).ok().flatten()
}

impl Interests {
    /// Notes that an event of the chunk is wanted.
    #[inline]
    fn note(&mut self, number: u32, shard: crate::position::ShardId, event: u32) {
        let Some(row) = self.row_on(number, shard) else { return };
        let is_first = row.found.is_empty();
        row.found.push(event);
        if is_first {
            self.touched.push(number);
        }
    }

    /// Takes the events of the chunk that are wanted; they are at least one.
    fn take_found(&mut self, number: u32) -> Vec<u32> {
        std::mem::take(&mut self.row_mut(number).found)
    }

    /// Gives the memory of those back, where the interest is still there.
    fn give_back(&mut self, number: u32, mut found: Vec<u32>) {
        found.clear();
        if let Some(row) = self.get_mut(number) {
            row.found = found;
        }
    }
}

impl Member {
    /// What it has in common with those that are told alike, from an event at `first` on; none where it is told by
    /// itself.
    fn alike(&self, first: Position) -> Option<Alike> {
        let is_ready = self.phase == Phase::Live && self.waiting.is_empty() && first >= self.cursor;
        (is_ready && self.is_plain()).then(|| self.common())
    }

    /// Tells an event that the shards have found, or lets it wait. False where it can do neither; also where the event was
    /// overwritten before it was told: who waits for it reads on, and meets the gap.
    #[inline]
    fn offer(
        &mut self,
        (told, place): (&Told<'_>, usize),
        queue: &mut Queue,
        lookups: &mut [RingLookup],
        limits: &SubscriptionLimits,
        counts: &mut HubCounts,
        outlet: &mut impl Outlet,
    ) -> bool {
        let waiting = told.get(place);
        let may_tell = match self.phase {
            Phase::Asked | Phase::Reading => return true,
            Phase::Joining(from) if waiting.position < from => return true,
            Phase::Live if waiting.position < self.cursor => return true,
            Phase::Joining(_) => false,
            Phase::Live => self.waiting.is_empty() && self.may_tell(outlet),
        };
        if may_tell {
            let Some(record) = find(lookups, waiting) else { return false };
            counts.events += 1;
            self.tell(&record, To::Itself, outlet);
            return true;
        }
        // Behind something that waits, everything does.
        queue.add(&mut self.waiting, told, place, limits)
    }
}
