//! The part of a core's groups that outlives the process: every change of a turn as one [frame](super::frame), and groups
//! made of frames again.
//!
//! A journal is the whole state, a frame for each group, and then a frame for each turn that changed something. Frames
//! are whole or nothing: what a turn delivered and how far the cursor moved for it stand or fall together, so that no
//! crash lets the cursor pass an event that was delivered to nobody. An invalid frame ends the journal. Where no valid frame
//! follows, it was being written, and its clients never had their replies. Where one follows, the journal is damaged:
//! [`GroupTable::salvage`] takes from such a journal what is sure.
//!
//! A journal keeps options, cursor, pending and parked entries, consumers and counters. When a consumer was last heard of
//! it keeps only as the consumer's last delivery. A cursor that passes over events which are not for the group it keeps
//! only now and then, because the group can pass over them again.

use super::changes::{Tag, Urgency};
use super::codec::{Damaged, Input};
use super::frame::{ENDED, begin_frame, end_frame, first_frame, split_frame};
use super::journal::{Journal, put_group};
use super::table::GroupTable;
use crate::position::Position;
use std::collections::BTreeMap;
use std::ops::Range;

/// What was made of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// How many bytes they were.
    pub bytes: usize,
    /// How many frames.
    pub frames: usize,
    /// Whether the last of them says that the server stopped in order.
    pub is_ended: bool,
}

impl GroupTable {
    /// Keeps from now on what changes, to be taken by [`GroupTable::write_changes`].
    pub fn start_journal(&mut self) {
        self.journal = Some(Journal::default());
        for named in self.groups.values_mut() {
            named.group.changes.start(named.group.cursor);
        }
    }

    /// Writes what has changed since this was called last behind `out`, as one frame, and tells how soon it must be
    /// where no crash loses it; none where nothing has changed.
    pub fn write_changes(&mut self, out: &mut Vec<u8>) -> Option<Urgency> {
        let GroupTable { journal, groups, .. } = self;
        let journal = journal.as_mut().filter(|journal| !journal.touched.is_empty() || !journal.bytes.is_empty())?;
        let start = begin_frame(out);
        let mut urgency = if journal.bytes.is_empty() { Urgency::Soon } else { Urgency::Now };
        // Numbers are given once, so what groups have noted may stand behind all that were created and destroyed.
        out.append(&mut journal.bytes);
        for number in journal.touched.drain(..) {
            // One that was destroyed needs nothing.
            if let Some(named) = groups.get_mut(&number) {
                urgency = urgency.max(named.group.changes.take(number, out));
            }
        }
        end_frame(out, start).then_some(urgency)
    }

    /// Notes where all groups read on, which [`GroupTable::write_changes`] then writes: for a server that stops.
    pub fn note_cursors(&mut self) {
        let Some(journal) = &mut self.journal else { return };
        for (number, named) in &mut self.groups {
            named.group.changes.read_to(named.group.cursor, true);
            journal.touched(*number);
        }
    }

    /// Writes all groups behind `out`: what a journal starts with. To be called when the changes have been written.
    pub fn write_state(&self, out: &mut Vec<u8>) {
        debug_assert!(self.journal.as_ref().is_none_or(|journal| journal.bytes.is_empty()));
        for (number, named) in &self.groups {
            debug_assert!(named.group.changes.is_empty());
            let start = begin_frame(out);
            put_group(out, *number, (&named.key_pattern, &named.name), &named.group);
            end_frame(out, start);
        }
    }

    /// Makes of frames what they were made of, on top of what the table has. The first that is none ends it. The frames
    /// begin at byte `place` of their file; none where they are not placed.
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

    /// Makes of damaged frames what is sure, on top of what the table has; answers the bytes that were no frames. Groups
    /// that were there before the damage are as they were then, for it may have changed any of them: what they were given
    /// later is delivered again. Groups that were created behind it are as they were at the end.
    pub fn salvage(&mut self, bytes: &[u8], place: Option<u64>) -> Vec<Range<usize>> {
        let (mut at, mut lost) = (0, Vec::new());
        // By number, each group as it was before the first damage that it has met.
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
                debug_assert!(false, "what was just written can be read");
            }
        }
        lost
    }

    /// Applies the changes of a frame: all of them or, where one is invalid, none.
    fn apply(&mut self, changes: &[u8]) -> Result<(), Damaged> {
        self.check(changes)?;
        let mut input = Input(changes);
        let mut number = None;
        while !input.is_empty() {
            let tag = Tag::of(input.byte()?).ok_or(Damaged)?;
            match tag {
                Tag::Group => self.apply_group(&mut input)?,
                Tag::Destroyed => self.remove_numbered(input.number()?),
                Tag::Of => number = Some(input.number()?),
                Tag::Cursor
                | Tag::Consumer
                | Tag::ConsumerRemoved
                | Tag::Delivered
                | Tag::Redelivered
                | Tag::Acknowledged
                | Tag::Parked
                | Tag::Replayed
                | Tag::GivenBack
                | Tag::Lost => {
                    let named = number.and_then(|number| self.groups.get_mut(&number)).ok_or(Damaged)?;
                    named.group.apply(tag, &mut input)?;
                }
            }
        }
        Ok(())
    }

    /// Lets the groups go on with another history, of which their positions say nothing: all that was pending or parked
    /// counts as lost, and the next read of each begins with a gap.
    pub fn forget_positions(&mut self) {
        self.groups.values_mut().for_each(|named| named.group.forget_positions());
    }

    /// Sets cursors back that are beyond the position that the next event gets.
    pub fn hold_below(&mut self, next: Position) {
        self.groups.values_mut().for_each(|named| named.group.cursor = named.group.cursor.min(next));
    }
}
