//! The pending entries of a group, by position. So that a read need not scan all of them, entries that are not due yet are
//! also ordered by the time at which they will be, and due entries by position. An entry that a consumer holds and that is
//! not due is *in flight*: these are counted for each consumer, and for each pin.

use super::consumer::ConsumerId;
use crate::position::{Position, RingOffset, ShardId};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Which events have to go to the same consumer: a hash of what they have in common, such as their stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pin(pub(super) u16);

/// An event that was delivered, or is about to be, and is not acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// The place of its record; none where the entry was restored from a journal and its record not found yet.
    pub(super) place: Option<(ShardId, RingOffset)>,
    /// The consumer that holds it; none where it was released.
    pub(super) consumer: Option<ConsumerId>,
    /// The number of its deliveries; 0 where it waits for its first one.
    pub(super) deliveries: u32,
    /// The time of its last delivery, Unix milliseconds; 0 before the first one.
    pub(super) delivered_ms: u64,
    /// Its pin. `None` if the group does not pin, or if the group has not examined the entry since the server started.
    pub(super) pin: Option<Pin>,
}

impl Entry {
    /// The time since its last delivery, in milliseconds; 0 before the first one.
    pub(super) fn idle_ms(&self, now_ms: u64) -> u64 {
        if self.is_new() { 0 } else { now_ms.saturating_sub(self.delivered_ms) }
    }

    /// Whether it waits for its first delivery.
    pub(super) fn is_new(&self) -> bool {
        self.deliveries == 0 && self.delivered_ms == 0
    }
}

#[derive(Default)]
pub(super) struct PendingEntries {
    entries: BTreeMap<Position, Pending>,
    /// The entries that are not due yet, by the time at which they will be, Unix milliseconds.
    waiting: BTreeSet<(u64, Position)>,
    /// The entries that are to be delivered again.
    due: BTreeSet<Position>,
    /// How many entries are in flight to each consumer.
    in_flight: HashMap<ConsumerId, usize>,
    /// The consumer to which the entries of a pin are in flight, and their number.
    pinned: HashMap<Pin, (ConsumerId, usize)>,
}

struct Pending {
    entry: Entry,
    /// Its key in `waiting`; none where it is in `due`.
    due_ms: Option<u64>,
}

impl PendingEntries {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, position: Position) -> Option<&Entry> {
        self.entries.get(&position).map(|pending| &pending.entry)
    }

    /// All entries, by position.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Position, &Entry)> {
        self.entries.iter().map(|(&position, pending)| (position, &pending.entry))
    }

    pub(super) fn first(&self) -> Option<Position> {
        self.entries.keys().next().copied()
    }

    /// Inserts or replaces an entry, which is due at `due_ms`, or at once where that is none.
    pub(super) fn put(&mut self, position: Position, entry: Entry, due_ms: Option<u64>) {
        if let Some(before) = self.entries.insert(position, Pending { entry, due_ms }) {
            self.unqueue(position, &before);
        }
        match due_ms {
            Some(due_ms) => {
                self.waiting.insert((due_ms, position));
                self.count_in(&entry);
            }
            None => _ = self.due.insert(position),
        }
    }

    pub(super) fn remove(&mut self, position: Position) -> Option<Entry> {
        let pending = self.entries.remove(&position)?;
        self.unqueue(position, &pending);
        Some(pending.entry)
    }

    fn unqueue(&mut self, position: Position, pending: &Pending) {
        match pending.due_ms {
            Some(due_ms) => {
                self.waiting.remove(&(due_ms, position));
                self.count_out(&pending.entry);
            }
            None => _ = self.due.remove(&position),
        }
    }

    /// Counts an entry that is in flight from now on.
    fn count_in(&mut self, entry: &Entry) {
        let Some(consumer) = entry.consumer else { return };
        *self.in_flight.entry(consumer).or_insert(0) += 1;
        if let Some(pin) = entry.pin {
            let (holder, count) = self.pinned.entry(pin).or_insert((consumer, 0));
            // A read or a claim may take entries of a pin whose others are in flight to another consumer.
            if *holder == consumer {
                *count += 1;
            }
        }
    }

    /// Counts an entry that is in flight no more.
    fn count_out(&mut self, entry: &Entry) {
        let Some(consumer) = entry.consumer else { return };
        if let Some(count) = self.in_flight.get_mut(&consumer) {
            *count -= 1;
            if *count == 0 {
                self.in_flight.remove(&consumer);
            }
        }
        if let Some(pin) = entry.pin
            && let Some((_, count)) = self.pinned.get_mut(&pin).filter(|(holder, _)| *holder == consumer)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.pinned.remove(&pin);
            }
        }
    }

    /// The number of entries that are in flight to a consumer.
    pub(super) fn in_flight(&self, consumer: ConsumerId) -> usize {
        self.in_flight.get(&consumer).copied().unwrap_or(0)
    }

    /// The number of entries that are in flight.
    pub(super) fn all_in_flight(&self) -> usize {
        self.waiting.len()
    }

    /// The number of entries that are due.
    pub(super) fn due(&self) -> usize {
        self.due.len()
    }

    /// The consumer to which entries of a pin are in flight.
    pub(super) fn holder(&self, pin: Pin) -> Option<ConsumerId> {
        self.pinned.get(&pin).map(|(holder, _)| *holder)
    }

    /// Makes the entries due whose time has come at `now_ms`. The cost is proportional to their number.
    pub(super) fn make_due(&mut self, now_ms: u64) {
        if self.waiting.first().is_none_or(|&(due_ms, _)| due_ms > now_ms) {
            return;
        }
        let later = match now_ms.checked_add(1) {
            Some(next_ms) => self.waiting.split_off(&(next_ms, Position(0))),
            None => BTreeSet::new(),
        };
        let now_due = std::mem::replace(&mut self.waiting, later);
        for &(_, position) in &now_due {
            if let Some(pending) = self.entries.get_mut(&position) {
                pending.due_ms = None;
                let entry = pending.entry;
                self.count_out(&entry);
            }
        }
        let mut now_due: BTreeSet<Position> = now_due.into_iter().map(|(_, position)| position).collect();
        self.due.append(&mut now_due);
    }

    /// The first entry that is due.
    pub(super) fn first_due(&self) -> Option<Position> {
        self.due.first().copied()
    }

    /// The first entry that is due from this position on.
    pub(super) fn due_from(&self, position: Position) -> Option<Position> {
        self.due.range(position..).next().copied()
    }

    /// The time at which the next entry is due, Unix milliseconds; 0 where one is due now.
    pub(super) fn next_due_ms(&self) -> Option<u64> {
        if self.due.is_empty() { self.waiting.first().map(|&(due_ms, _)| due_ms) } else { Some(0) }
    }

    /// The time at which the next entry that is in flight is due, Unix milliseconds.
    pub(super) fn next_timeout_ms(&self) -> Option<u64> {
        self.waiting.first().map(|&(due_ms, _)| due_ms)
    }

    /// Checks that the orders agree.
    #[cfg(test)]
    pub(super) fn assert_consistent(&self) {
        let queued = |due: bool| self.entries.iter().filter(move |(_, pending)| pending.due_ms.is_none() == due);
        assert!(queued(true).map(|(position, _)| position).eq(self.due.iter()));
        let waiting: BTreeSet<(u64, Position)> =
            queued(false).filter_map(|(position, pending)| Some((pending.due_ms?, *position))).collect();
        assert_eq!(waiting, self.waiting);
        let mut in_flight = HashMap::new();
        for consumer in queued(false).filter_map(|(_, pending)| pending.entry.consumer) {
            *in_flight.entry(consumer).or_insert(0) += 1;
        }
        assert_eq!(in_flight, self.in_flight);
        for (pin, (holder, count)) in &self.pinned {
            let of = |entry: &Entry| entry.pin == Some(*pin) && entry.consumer == Some(*holder);
            assert!(*count <= queued(false).filter(|(_, pending)| of(&pending.entry)).count(), "{pin:?}");
        }
    }
}
