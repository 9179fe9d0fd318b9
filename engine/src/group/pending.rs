//! The pending entries of a group, by position. So that a read need not scan all of them, entries that are not due yet are
//! also ordered by the time at which they will be, and due entries by position.

use super::consumer::ConsumerId;
use crate::position::{Position, RingOffset, ShardId};
use std::collections::{BTreeMap, BTreeSet};

/// An event that was delivered and is not acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// The place of its record; none where the entry was restored from a journal and its record not found yet.
    pub(super) place: Option<(ShardId, RingOffset)>,
    /// The consumer that holds it; none where it was released.
    pub(super) consumer: Option<ConsumerId>,
    /// The number of its deliveries.
    pub(super) deliveries: u32,
    /// The time of its last delivery, Unix milliseconds.
    pub(super) delivered_ms: u64,
}

impl Entry {
    /// The time since its last delivery, in milliseconds.
    pub(super) fn idle_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.delivered_ms)
    }
}

#[derive(Default)]
pub(super) struct PendingEntries {
    entries: BTreeMap<Position, Pending>,
    /// The entries that are not due yet, by the time at which they will be, Unix milliseconds.
    waiting: BTreeSet<(u64, Position)>,
    /// The entries that are to be delivered again.
    due: BTreeSet<Position>,
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
            self.unqueue(position, before.due_ms);
        }
        match due_ms {
            Some(due_ms) => self.waiting.insert((due_ms, position)),
            None => self.due.insert(position),
        };
    }

    pub(super) fn remove(&mut self, position: Position) -> Option<Entry> {
        let pending = self.entries.remove(&position)?;
        self.unqueue(position, pending.due_ms);
        Some(pending.entry)
    }

    fn unqueue(&mut self, position: Position, due_ms: Option<u64>) {
        match due_ms {
            Some(due_ms) => self.waiting.remove(&(due_ms, position)),
            None => self.due.remove(&position),
        };
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
            }
        }
        let mut now_due: BTreeSet<Position> = now_due.into_iter().map(|(_, position)| position).collect();
        self.due.append(&mut now_due);
    }

    /// The first entry that is due.
    pub(super) fn first_due(&self) -> Option<Position> {
        self.due.first().copied()
    }

    /// The time at which the next entry is due, Unix milliseconds; 0 where one is due now.
    pub(super) fn next_due_ms(&self) -> Option<u64> {
        if self.due.is_empty() { self.waiting.first().map(|&(due_ms, _)| due_ms) } else { Some(0) }
    }

    /// Checks that the orders agree.
    #[cfg(test)]
    pub(super) fn assert_consistent(&self) {
        let queued = |due: bool| self.entries.iter().filter(move |(_, pending)| pending.due_ms.is_none() == due);
        assert!(queued(true).map(|(position, _)| position).eq(self.due.iter()));
        let waiting: BTreeSet<(u64, Position)> =
            queued(false).filter_map(|(position, pending)| Some((pending.due_ms?, *position))).collect();
        assert_eq!(waiting, self.waiting);
    }
}
