//! The operations of administrators on a group: inspect it, set its cursor, replay parked entries, remove consumers.

use super::changes::Fate;
use super::consume::Nack;
use super::consumer::ConsumerId;
use super::pending::Entry;
use super::spec::GroupSpec;
use super::{Group, GroupCounts, GroupError, GroupOptions, Start};
use crate::history::History;
use crate::log::SegmentError;
use crate::position::{Position, Revision};
use std::collections::BTreeMap;

/// A pending or parked entry in a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingRow<'a> {
    /// The event's position.
    pub position: Position,
    /// The consumer that holds it, or held it when it was parked; empty where it was released.
    pub consumer: &'a [u8],
    /// The number of its deliveries.
    pub deliveries: u32,
    /// The time since its last delivery, in milliseconds.
    pub idle_ms: u64,
}

/// The state of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    /// The position from which the group reads on.
    pub cursor: Position,
    /// The first pending entry, else the cursor: all events below were acknowledged, skipped, parked or lost.
    pub floor: Position,
    /// The number of pending entries.
    pub pending: usize,
    /// The number of parked entries.
    pub parked: usize,
    /// The number of consumers.
    pub consumers: usize,
    /// Its options.
    pub options: GroupOptions,
    /// Its totals.
    pub counts: GroupCounts,
    /// The number of pending entries that consumers hold and that are not due again.
    pub in_flight: usize,
    /// The number of pending entries that are to be delivered.
    pub due: usize,
    /// The number of attached consumers.
    pub attached: usize,
    /// Position and revision of the last event that the group has got since the start of the server.
    pub last_seen: Option<(Position, Revision)>,
}

/// The state of a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerInfo<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// The number of pending entries that it holds.
    pub pending: usize,
    /// The time since its last read or claim, in milliseconds.
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
            in_flight: self.pending.all_in_flight(),
            due: self.pending.due(),
            attached: self.seats.len(),
            last_seen: self.last_seen,
        }
    }

    /// The last event before the first one that is not processed, as far as that is known: its position, and its revision in
    /// the stream of the first one that is not processed. None where nothing was processed.
    ///
    /// # Errors
    /// Where the record of that event cannot be read.
    pub fn checkpoint(&self, history: &mut History) -> Result<Option<(Position, Option<Revision>)>, SegmentError> {
        let GroupCounts { acknowledged, lost, parked, .. } = self.counts;
        if acknowledged == 0 && lost == 0 && parked == 0 {
            return Ok(None);
        }
        let Some((position, entry)) = self.pending.iter().next().filter(|(position, _)| *position < self.cursor) else {
            let seen = self.last_seen.map(|(position, revision)| (position, Some(revision)));
            return Ok(seen.or(self.cursor.0.checked_sub(1).map(|before| (Position(before), None))));
        };
        let before = position.0.checked_sub(1).map(Position);
        let place = match entry.place {
            Some(place) => Some(place),
            None if history.is_older(position) => None,
            None => history.find(position)?,
        };
        let Some((shard, offset)) = place else { return Ok(before.map(|before| (before, None))) };
        let revision = history.record_at(shard, offset, |record| record.revision())?;
        Ok(match revision.map(|revision| revision.0.checked_sub(1)) {
            Some(None) => None,
            Some(revision) => before.map(|before| (before, revision.map(Revision))),
            None => before.map(|before| (before, None)),
        })
    }

    /// What the group is made of.
    pub fn spec(&self) -> &GroupSpec {
        &self.spec
    }

    /// The consumers, by name. Scans all pending entries.
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

    /// The time at which the next entry is due again, Unix milliseconds; 0 where one is due now. A read that waits for
    /// events must try again then.
    pub fn next_due_ms(&self) -> Option<u64> {
        self.pending.next_due_ms()
    }

    /// The time at which the next entry that is in flight is due again, Unix milliseconds.
    pub fn next_timeout_ms(&self) -> Option<u64> {
        self.pending.next_timeout_ms()
    }

    /// Makes the parked entries at `positions`, or all where that is none, pending again: to be delivered at once, with
    /// their deliveries counted from 0. They may exceed the maximum of pending entries, which then holds back new events
    /// only. Returns the number of entries.
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

    /// Sets the cursor. Pending and parked entries stay as they are, and are not delivered as new events again.
    ///
    /// # Errors
    /// Where the start is beyond the head of the history.
    pub fn set_cursor(&mut self, start: Start, history: &History) -> Result<(), GroupError> {
        self.cursor = start.cursor(history)?;
        (self.last_seen, self.suspected) = (None, None);
        self.changes.set_to(self.cursor);
        Ok(())
    }

    /// Removes a consumer and releases its entries. Returns their number; none where there is no such consumer.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let id = self.consumers.id(name)?;
        if self.attached.contains(&id) {
            // The consumer stays. Its events are delivered to the next consumer that has room, which may be this one.
            let held = self.held_by(id);
            return Some(self.nack(Nack::Retry, held));
        }
        self.changes.consumer_removed(id);
        Some(self.note_consumer_removed(id))
    }

    pub(super) fn note_consumer_removed(&mut self, id: ConsumerId) -> usize {
        self.consumers.remove(id);
        if self.attached.remove(&id) {
            // What it had was released before.
            return 0;
        }
        let held = self.held_by(id);
        for position in &held {
            self.release(*position);
        }
        held.len()
    }

    fn held_by(&self, id: ConsumerId) -> Vec<Position> {
        self.pending.iter().filter(|(_, entry)| entry.consumer == Some(id)).map(|(position, _)| position).collect()
    }

    /// Whether events that the group has not read or not acknowledged are lost or soon will be: the history is discarding
    /// events, and less than a tenth of what it keeps lies before the group's floor.
    pub fn retention_warning(&self, history: &History) -> bool {
        history.warning_mark().is_some_and(|mark| self.floor() < mark)
    }

    fn floor(&self) -> Position {
        self.pending.first().map_or(self.cursor, |first| first.min(self.cursor))
    }
}
