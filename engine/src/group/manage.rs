//! What administrators do with a group: inspect, reposition, replay what was parked, remove members.

use super::changes::Fate;
use super::consumer::ConsumerId;
use super::pending::Entry;
use super::{Group, GroupCounts, GroupError, GroupOptions, Start};
use crate::history::History;
use crate::position::Position;
use std::collections::BTreeMap;

/// A pending or parked entry, as it is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingRow<'a> {
    /// The event's position.
    pub position: Position,
    /// Who has it, or had it when it was parked; empty where it was given back.
    pub consumer: &'a [u8],
    /// How many times it was delivered.
    pub deliveries: u32,
    /// How long ago it was delivered last, milliseconds.
    pub idle_ms: u64,
}

/// The state of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    /// Where it reads on.
    pub cursor: Position,
    /// Everything below was acknowledged, skipped, parked or lost: the first pending entry, else the cursor.
    pub floor: Position,
    /// How many entries are pending.
    pub pending: usize,
    /// How many are parked.
    pub parked: usize,
    /// How many consumers it has.
    pub consumers: usize,
    /// How it treats its entries.
    pub options: GroupOptions,
    /// What it has counted.
    pub counts: GroupCounts,
}

/// The state of a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerInfo<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// How many pending entries it has.
    pub pending: usize,
    /// How long ago it last read or claimed, milliseconds.
    pub idle_ms: u64,
}

impl Group {
    /// The state of the group.
    pub fn info(&self) -> GroupInfo {
        GroupInfo {
            cursor: self.cursor,
            floor: self.floor(),
            pending: self.pending.len(),
            parked: self.parked.len(),
            consumers: self.consumers.len(),
            options: self.options,
            counts: self.counts,
        }
    }

    /// Its consumers, by name. Looks at all pending entries.
    pub fn consumers(&self, now_ms: u64) -> Vec<ConsumerInfo<'_>> {
        let mut held = BTreeMap::new();
        for consumer in self.pending.iter().filter_map(|(_, entry)| entry.consumer) {
            *held.entry(consumer).or_insert(0) += 1;
        }
        let consumers = self.consumers.iter().map(|(id, consumer)| ConsumerInfo {
            name: &consumer.name,
            pending: held.get(&id).copied().unwrap_or(0),
            idle_ms: now_ms.saturating_sub(consumer.seen_ms),
        });
        consumers.collect()
    }

    /// The pending entries, by position.
    pub fn pending(&self, now_ms: u64) -> impl Iterator<Item = PendingRow<'_>> {
        self.pending.iter().map(move |(position, entry)| self.row(position, entry, now_ms))
    }

    /// The parked entries, by position.
    pub fn parked(&self, now_ms: u64) -> impl Iterator<Item = PendingRow<'_>> {
        self.parked.iter().map(move |(position, entry)| self.row(*position, entry, now_ms))
    }

    fn row(&self, position: Position, entry: &Entry, now_ms: u64) -> PendingRow<'_> {
        PendingRow {
            position,
            consumer: self.consumers.name(entry.consumer),
            deliveries: entry.deliveries,
            idle_ms: entry.idle_ms(now_ms),
        }
    }

    /// When the next entry is due again, Unix milliseconds, 0 where one is: what a read that waits for events must
    /// not sleep beyond.
    pub fn next_due_ms(&self) -> Option<u64> {
        self.pending.next_due_ms()
    }

    /// Makes parked entries pending again, to be delivered at once, their deliveries counted from 0: these, or all
    /// where `positions` is none. May go beyond the bound of pending entries, which then holds back new events only.
    /// Answers how many.
    pub fn replay(&mut self, positions: Option<&[Position]>) -> usize {
        let parked = match positions {
            None => std::mem::take(&mut self.parked),
            Some(positions) => {
                positions.iter().filter_map(|position| Some((*position, self.parked.remove(position)?))).collect()
            }
        };
        let count = parked.len();
        for (position, entry) in parked {
            self.changes.entry(Fate::Replayed, position);
            self.note_replayed(position, entry);
        }
        count
    }

    pub(super) fn note_replayed(&mut self, position: Position, entry: Entry) {
        self.pending.put(position, Entry { consumer: None, deliveries: 0, ..entry }, None);
    }

    /// Reads on from somewhere else. What is pending or parked stays so, and is not delivered as new a second time.
    ///
    /// # Errors
    /// A start beyond the head.
    pub fn set_cursor(&mut self, start: Start, history: &History) -> Result<(), GroupError> {
        self.cursor = start.cursor(history)?;
        self.changes.set_to(self.cursor);
        Ok(())
    }

    /// Removes a consumer; its entries go to whoever reads next. Answers how many, none where there is no such
    /// consumer.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let id = self.consumers.id(name)?;
        self.changes.consumer_removed(id);
        Some(self.note_consumer_removed(id))
    }

    pub(super) fn note_consumer_removed(&mut self, id: ConsumerId) -> usize {
        self.consumers.remove(id);
        let held: Vec<Position> =
            self.pending.iter().filter(|(_, entry)| entry.consumer == Some(id)).map(|(position, _)| position).collect();
        for position in &held {
            self.give_back(*position);
        }
        held.len()
    }

    /// Whether what the group has not read, or not acknowledged, is about to be lost: less than a tenth of what the
    /// history keeps is left before it, and the history is losing events. Also where it is lost already.
    pub fn retention_warning(&self, history: &History) -> bool {
        history.warning_mark().is_some_and(|mark| self.floor() < mark)
    }

    fn floor(&self) -> Position {
        self.pending.first().map_or(self.cursor, |first| first.min(self.cursor))
    }
}
