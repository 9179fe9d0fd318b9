//! Applies the changes of a journal to a table, which restores its groups.

use super::changes::Fate;
use super::check::Checked;
use super::codec::Damaged;
use super::decode::{GroupChange, NewConsumer, Whole};
use super::pending::Entry;
use super::table::GroupTable;
use super::{Group, add};
use crate::position::Position;

impl GroupTable {
    /// Applies the changes of a frame: all of them or, where one is invalid, none.
    pub(super) fn apply(&mut self, changes: &[u8]) -> Result<(), Damaged> {
        for change in self.check(changes)? {
            match change {
                Checked::Group(made) => {
                    let (mut group, whole) = *made;
                    let (number, key_pattern, name) = (whole.number, whole.key_pattern, whole.name);
                    group.fill(whole);
                    self.put(number, key_pattern, name, group);
                }
                Checked::Destroyed(number) => self.remove_numbered(number),
                Checked::Spec(number, made) => match self.groups.get_mut(&number) {
                    Some(named) => named.group.set_spec(made.0, made.1),
                    None => debug_assert!(false, "the check has found that group {number} exists"),
                },
                Checked::OfGroup(number, change) => match self.groups.get_mut(&number) {
                    Some(named) => named.group.apply(change),
                    None => debug_assert!(false, "the check has found that group {number} exists"),
                },
            }
        }
        Ok(())
    }
}

impl GroupTable {
    /// Limits all times to `now_ms`, Unix milliseconds: a clock that was set back between two runs then does not delay
    /// redelivery.
    pub fn bound_times(&mut self, now_ms: u64) {
        for group in self.groups.values_mut().map(|named| &mut named.group) {
            let is_later = |entry: &Entry| entry.delivered_ms > now_ms;
            let later: Vec<_> = group.pending.iter().filter(|(_, entry)| is_later(entry)).collect();
            let later: Vec<_> = later.into_iter().map(|(position, entry)| (position, *entry)).collect();
            for (position, entry) in later {
                let due_ms = entry.consumer.map(|_| now_ms.saturating_add(group.options.idle_ms));
                group.pending.put(position, Entry { delivered_ms: now_ms, ..entry }, due_ms);
            }
            group.parked.values_mut().for_each(|entry| entry.delivered_ms = entry.delivered_ms.min(now_ms));
            group.consumers.bound_times(now_ms);
        }
    }
}

/// An entry before its first delivery, whose record is not found yet.
const NEW: Entry = Entry { place: None, consumer: None, deliveries: 0, delivered_ms: 0, pin: None };

impl Group {
    /// Gives an empty group its state.
    fn fill(&mut self, whole: Whole<'_>) {
        (self.cursor, self.counts) = (whole.cursor, whole.counts);
        self.consumers.continue_from(whole.next_consumer);
        for NewConsumer { id, name, seen_ms } in whole.consumers {
            self.consumers.put(id, name, seen_ms);
        }
        for (position, entry) in whole.pending {
            // A released entry is due at once.
            let due_ms = entry.consumer.map(|_| entry.delivered_ms.saturating_add(self.options.idle_ms));
            self.pending.put(position, entry, due_ms);
        }
        self.parked.extend(whole.parked);
    }

    /// Applies one change.
    fn apply(&mut self, change: GroupChange<'_>) {
        match change {
            GroupChange::Cursor(position) => self.cursor = position,
            GroupChange::Consumer(NewConsumer { id, name, seen_ms }) => self.consumers.put(id, name, seen_ms),
            GroupChange::ConsumerRemoved(id) => drop(self.note_consumer_removed(id)),
            GroupChange::Attached(id) => {
                // One that is gone holds nothing.
                if self.consumers.get(id).is_some() {
                    self.attached.insert(id);
                }
            }
            GroupChange::Creator(name) => self.creator = name.into(),
            GroupChange::Spec(_) => debug_assert!(false, "the check makes an interest of it"),
            GroupChange::Run(fate, positions) => {
                if let Fate::Delivered(consumer, at_ms) | Fate::Redelivered(consumer, at_ms) = fate {
                    self.consumers.set_seen(consumer, at_ms);
                }
                positions.for_each(|position| self.apply_entry(fate, position));
            }
        }
    }

    fn apply_entry(&mut self, fate: Fate, position: Position) {
        match fate {
            Fate::Delivered(consumer, at_ms) => {
                let entry = Entry { consumer: Some(consumer), deliveries: 1, delivered_ms: at_ms, ..NEW };
                self.pending.put(position, entry, Some(at_ms.saturating_add(self.options.idle_ms)));
                add(&mut self.counts.delivered, 1);
            }
            Fate::Redelivered(consumer, at_ms) => {
                if let Some(entry) = self.pending.get(position).copied() {
                    self.note_redelivered(position, entry, consumer, at_ms);
                }
            }
            Fate::Acknowledged => {
                self.note_acknowledged(position);
            }
            Fate::Parked => {
                self.note_parked(position);
            }
            Fate::Replayed => {
                if let Some(entry) = self.parked.remove(&position) {
                    self.note_replayed(position, entry);
                }
            }
            Fate::Released => {
                self.release(position);
            }
            Fate::Lost => self.note_lost(position),
            Fate::Waiting => self.pending.put(position, NEW, None),
        }
    }

    /// See [`GroupTable::forget_positions`].
    pub(super) fn forget_positions(&mut self) {
        add(&mut self.counts.lost, (self.pending.len() + self.parked.len()) as u64);
        self.pending = Default::default();
        self.parked.clear();
        self.last_seen = None;
        self.cursor = self.cursor.min(Position(1));
    }
}
