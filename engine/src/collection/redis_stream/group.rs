//! A consumer group of a Redis stream: how far it has delivered, its consumers, and the entries that are delivered and not
//! acknowledged. It has nothing to do with the groups that consume events ([`crate::group`]).

use super::id::EntryId;
use crate::collection::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// A consumer within its group: its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerNumber(u32);

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingEntry {
    /// The consumer to which it was delivered last.
    pub consumer: ConsumerNumber,
    /// When it was delivered last, Unix time in milliseconds.
    pub delivered_ms: u64,
    /// How often it was delivered.
    pub times: u64,
}

/// How the number of an entry's deliveries changes as it is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// By one more.
    More,
    /// Not at all.
    Same,
    /// To this number.
    Are(u64),
}

/// One consumer.
#[derive(Clone, Debug)]
pub struct GroupConsumer {
    name: Bytes,
    /// When it was created, or last was given an entry; Unix time in milliseconds.
    seen_ms: u64,
    /// When it last asked for entries and got none. Not recorded, and forgotten by a restart, as in Redis.
    asked_ms: u64,
    pending: BTreeSet<EntryId>,
}

impl GroupConsumer {
    /// The name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// When it was heard of last, Unix time in milliseconds.
    pub fn seen_ms(&self) -> u64 {
        self.seen_ms.max(self.asked_ms)
    }

    /// The same, as far as it is recorded.
    pub(super) fn recorded_ms(&self) -> u64 {
        self.seen_ms
    }

    /// The number of entries that it has.
    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// Those of them in a range of ids, both included.
    pub fn pending(&self, from: EntryId, to: EntryId) -> impl Iterator<Item = EntryId> + '_ {
        self.pending.range(bounds(from, to)).copied()
    }
}

/// A range of ids; an empty one where it begins behind its end.
fn bounds(from: EntryId, to: EntryId) -> (Bound<EntryId>, Bound<EntryId>) {
    if from <= to { (Bound::Included(from), Bound::Included(to)) } else { (Bound::Excluded(to), Bound::Included(to)) }
}

/// What counts for the memory of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub pending: usize,
    pub consumers: usize,
    /// What names have on the heap, in bytes.
    pub names: usize,
}

/// See the description of this file.
#[derive(Clone, Debug)]
pub struct StreamGroup {
    /// The greatest id that it has delivered.
    pub(super) last_delivered: EntryId,
    /// How many of all entries ever added are at or before that id, if known.
    pub(super) entries_read: Option<u64>,
    pending: BTreeMap<EntryId, PendingEntry>,
    /// The consumers by number; numbers of removed ones are used again.
    consumers: Vec<Option<GroupConsumer>>,
    by_name: BTreeMap<Bytes, u32>,
    names_bytes: usize,
}

impl StreamGroup {
    /// A group without consumers.
    pub(super) fn new(last_delivered: EntryId, entries_read: Option<u64>) -> StreamGroup {
        StreamGroup {
            last_delivered,
            entries_read,
            pending: BTreeMap::new(),
            consumers: Vec::new(),
            by_name: BTreeMap::new(),
            names_bytes: 0,
        }
    }

    /// The greatest id that it has delivered.
    pub fn last_delivered(&self) -> EntryId {
        self.last_delivered
    }

    /// How many of all entries ever added are at or before that id, if known.
    pub fn entries_read(&self) -> Option<u64> {
        self.entries_read
    }

    /// The number of entries that are delivered and not acknowledged.
    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// Those of them in a range of ids, both included.
    pub fn pending(&self, from: EntryId, to: EntryId) -> impl Iterator<Item = (EntryId, PendingEntry)> + '_ {
        self.pending.range(bounds(from, to)).map(|(id, entry)| (*id, *entry))
    }

    /// The first and the last of them.
    pub fn pending_ends(&self) -> Option<(EntryId, EntryId)> {
        Some((*self.pending.first_key_value()?.0, *self.pending.last_key_value()?.0))
    }

    /// An entry that is delivered and not acknowledged.
    pub fn pending_entry(&self, id: EntryId) -> Option<PendingEntry> {
        self.pending.get(&id).copied()
    }

    /// The consumers, in the order of their names.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = &GroupConsumer> {
        self.by_name.values().map(|&number| self.by_number(ConsumerNumber(number)))
    }

    /// A consumer by name.
    pub fn consumer(&self, name: &[u8]) -> Option<&GroupConsumer> {
        self.number_of(name).map(|number| self.by_number(number))
    }

    /// A consumer of this group by number.
    pub fn by_number(&self, number: ConsumerNumber) -> &GroupConsumer {
        let slot = self.consumers.get(number.0 as usize);
        slot.and_then(Option::as_ref).expect("a consumer's entries go with it, so its number is not known any more")
    }

    fn by_number_mut(&mut self, number: ConsumerNumber) -> &mut GroupConsumer {
        let slot = self.consumers.get_mut(number.0 as usize);
        slot.and_then(Option::as_mut).expect("a consumer's entries go with it, so its number is not known any more")
    }

    pub(super) fn number_of(&self, name: &[u8]) -> Option<ConsumerNumber> {
        self.by_name.get(name).map(|&number| ConsumerNumber(number))
    }

    /// The consumer of this name, created if there is none; it is heard of now.
    pub(super) fn see(&mut self, name: &[u8], now_ms: u64) -> ConsumerNumber {
        if let Some(number) = self.number_of(name) {
            self.by_number_mut(number).seen_ms = now_ms;
            return number;
        }
        let name = Bytes::from_slice(name);
        self.names_bytes += heap_bytes(&name);
        let free = if self.by_name.len() < self.consumers.len() {
            self.consumers.iter().position(Option::is_none)
        } else {
            None
        };
        let place = free.unwrap_or(self.consumers.len());
        if place == self.consumers.len() {
            self.consumers.push(None);
        }
        let consumer = GroupConsumer { name: name.clone(), seen_ms: now_ms, asked_ms: 0, pending: BTreeSet::new() };
        self.consumers[place] = Some(consumer);
        // There is no memory for 4 billion of them.
        self.by_name.insert(name, place as u32);
        ConsumerNumber(place as u32)
    }

    /// Notes that a consumer has asked and got nothing.
    pub(super) fn note_asked(&mut self, name: &[u8], now_ms: u64) {
        if let Some(number) = self.number_of(name) {
            self.by_number_mut(number).asked_ms = now_ms;
        }
    }

    /// Removes a consumer and its entries; returns how many it had. `None` if there is no such consumer.
    pub(super) fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let number = ConsumerNumber(self.by_name.remove(name)?);
        let consumer = self.consumers[number.0 as usize].take()?;
        self.names_bytes -= heap_bytes(&consumer.name);
        if consumer.pending.len() > self.pending.len() / 8 {
            self.pending.retain(|_, entry| entry.consumer != number);
        } else {
            consumer.pending.iter().for_each(|id| _ = self.pending.remove(id));
        }
        Some(consumer.pending.len())
    }

    /// Makes an entry pending for a consumer. If it was pending for another consumer, that one loses it.
    pub(super) fn give(&mut self, id: EntryId, entry: PendingEntry) {
        if let Some(before) = self.pending.insert(id, entry)
            && before.consumer != entry.consumer
        {
            self.by_number_mut(before.consumer).pending.remove(&id);
        }
        self.by_number_mut(entry.consumer).pending.insert(id);
    }

    /// Takes an entry off the pending ones; returns whether it was one.
    pub(super) fn acknowledge(&mut self, id: EntryId) -> bool {
        let Some(entry) = self.pending.remove(&id) else { return false };
        self.by_number_mut(entry.consumer).pending.remove(&id);
        true
    }

    pub(super) fn size(&self) -> Size {
        Size { pending: self.pending.len(), consumers: self.by_name.len(), names: self.names_bytes }
    }

    /// The same, found by a look at everything.
    pub(super) fn walked_size(&self) -> Size {
        let consumers = self.consumers.iter().flatten();
        Size {
            pending: consumers.clone().map(|consumer| consumer.pending.len()).sum(),
            consumers: consumers.clone().count(),
            names: consumers.map(|consumer| heap_bytes(&consumer.name)).sum(),
        }
    }

    /// Frees up to `most` entries and consumers; returns how many.
    pub(super) fn free_some(&mut self, most: usize) -> usize {
        let mut freed = 0;
        let own = self.consumers.iter_mut().flatten().flat_map(|consumer| {
            let pending = &mut consumer.pending;
            std::iter::from_fn(move || pending.pop_first())
        });
        freed += own.take(most).count();
        while freed < most && self.pending.pop_first().is_some() {
            freed += 1;
        }
        while freed < most && (self.consumers.pop().is_some() || self.by_name.pop_first().is_some()) {
            freed += 1;
        }
        freed
    }
}

/// What a name has on the heap: it is there twice.
pub(super) fn heap_bytes(name: &Bytes) -> usize {
    if name.spilled() { 2 * crate::collection::allocated(name.len()) } else { 0 }
}
