//! The journal of a core's groups: writes the changes of a turn as one [frame](super::frame), and restores groups from
//! frames.
//!
//! A journal begins with the complete state, one frame for each group. A frame follows for each turn that changed something.
//! A frame is applied completely or not at all: a turn's deliveries and the moves of cursors stay together, so that no crash
//! lets a cursor pass an event that was never delivered. An invalid frame ends the journal. If no valid frame follows, the
//! server was writing it, and no client got the replies of that turn. If a valid frame follows, the journal is damaged:
//! [`GroupTable::salvage`] restores what is certain.
//!
//! A journal keeps options, cursor, pending and parked entries, consumers and counters. Of the time at which a consumer was
//! last seen it keeps that of its last delivery. A cursor that passes over events of others is written only now and then,
//! because the group can pass over them again.

use super::changes::Urgency;
use super::frame::{ENDED, begin_frame, end_frame, first_frame, split_frame};
use super::journal::{Journal, put_group};
use super::table::GroupTable;
use crate::position::Position;
use std::collections::BTreeMap;
use std::ops::Range;

/// The result of a replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// The length of the applied frames in bytes.
    pub bytes: usize,
    /// The number of applied frames.
    pub frames: usize,
    /// Whether the last frame marks an orderly shutdown.
    pub is_ended: bool,
}

impl GroupTable {
    /// Starts to note changes for [`GroupTable::write_changes`].
    pub fn start_journal(&mut self) {
        self.journal = Some(Journal::default());
        for named in self.groups.values_mut() {
            named.group.changes.start(named.group.cursor);
        }
    }

    /// Appends the changes since the last call to `out`, as one frame. Returns how soon they must be safe from a crash; none
    /// where nothing has changed.
    pub fn write_changes(&mut self, out: &mut Vec<u8>) -> Option<Urgency> {
        let GroupTable { journal, groups, .. } = self;
        let journal = journal.as_mut().filter(|journal| !journal.touched.is_empty() || !journal.bytes.is_empty())?;
        let start = begin_frame(out);
        let mut urgency = if journal.bytes.is_empty() { Urgency::Soon } else { Urgency::Now };
        // A number is never used again, so the groups' changes may follow behind all creations and destructions.
        out.append(&mut journal.bytes);
        for number in journal.touched.drain(..) {
            // A destroyed group has no further changes.
            if let Some(named) = groups.get_mut(&number) {
                urgency = urgency.max(named.group.changes.take(number, out));
            }
        }
        end_frame(out, start).then_some(urgency)
    }

    /// Notes the cursors of all groups, which [`GroupTable::write_changes`] then writes: for a server that stops.
    pub fn note_cursors(&mut self) {
        let Some(journal) = &mut self.journal else { return };
        for (number, named) in &mut self.groups {
            named.group.changes.read_to(named.group.cursor, true);
            journal.touched(*number);
        }
    }

    /// Appends the complete state to `out`, with which a journal begins. To be called after the changes were written.
    pub fn write_state(&self, out: &mut Vec<u8>) {
        debug_assert!(self.journal.as_ref().is_none_or(|journal| journal.bytes.is_empty()));
        for (number, named) in &self.groups {
            debug_assert!(named.group.changes.is_empty());
            let start = begin_frame(out);
            put_group(out, *number, (&named.key_pattern, &named.name), &named.group);
            end_frame(out, start);
        }
    }

    /// Applies frames to the table, up to the first invalid one. The frames begin at byte `place` of their file; none where
    /// they are not placed.
    pub fn replay(&mut self, bytes: &[u8], place: Option<u64>) -> Replayed {
        let mut replayed = Replayed::default();
        while let Some((changes, behind)) = split_frame(bytes, replayed.bytes, place) {
            let is_end = changes == ENDED;
            if !is_end && self.apply(changes).is_err() {
                break;
            }
            replayed.is_ended = is_end;
            replayed.bytes = behind;
            replayed.frames += 1;
        }
        replayed
    }

    /// Applies a damaged journal as far as its content is certain. Returns the ranges of bytes that are not valid frames.
    /// Groups that existed before the damage are restored as they were then, because a lost frame may have changed any of
    /// them: later deliveries of theirs are repeated. Groups that were created behind the damage are restored completely.
    pub fn salvage(&mut self, bytes: &[u8], place: Option<u64>) -> Vec<Range<usize>> {
        let (mut at, mut lost) = (0, Vec::new());
        // The state of each group before the first damage of its time, by number.
        let mut held: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        while at < bytes.len() {
            let frame = split_frame(bytes, at, place);
            if let Some((changes, behind)) = frame
                && (changes == ENDED || self.apply(changes).is_ok())
            {
                at = behind;
                continue;
            }
            for (number, named) in &self.groups {
                held.entry(*number).or_insert_with(|| {
                    let mut state = Vec::new();
                    put_group(&mut state, *number, (&named.key_pattern, &named.name), &named.group);
                    state
                });
            }
            let from = at;
            at = frame.map_or_else(|| first_frame(bytes, at + 1, place).unwrap_or(bytes.len()), |(_, behind)| behind);
            lost.push(from..at);
        }
        for (number, state) in held {
            if self.groups.contains_key(&number) && self.apply(&state).is_err() {
                debug_assert!(false, "a state that was just encoded is valid");
            }
        }
        lost
    }

    /// Adapts the groups to another history, in which their positions mean nothing: pending and parked entries count as
    /// lost, and the next read of each group begins with a gap.
    pub fn forget_positions(&mut self) {
        self.groups.values_mut().for_each(|named| named.group.forget_positions());
    }

    /// Removes the consumers that were attached in an earlier run, and releases what they had.
    pub fn detach_all(&mut self) {
        self.groups.values_mut().for_each(|named| named.group.detach_all());
    }

    /// Sets cursors back that are beyond the position of the next event.
    pub fn cap_cursors(&mut self, next: Position) {
        self.groups.values_mut().for_each(|named| named.group.cursor = named.group.cursor.min(next));
    }
}
