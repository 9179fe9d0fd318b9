//! A slice of catching up: a page of the history for one subscription, or what has waited for it.

use super::Hub;
use super::begin::Begin;
use super::interests::Row;
use super::live::find;
use super::member::{Phase, Place, To, before};
use super::page::PageReader;
use crate::filter::Filter;
use crate::history::{History, Scan};
use crate::limits::{DEMOTED_SLICE_RECORDS, PAGE_POSITIONS, SLICE_BYTES, SLICE_RECORDS};
use crate::position::Position;
use crate::subscription::{OnSlow, Outlet, Push, Reason};

impl Hub {
    /// Does a piece of what a member has to do; answers who looks at it next.
    pub(super) fn slice(&mut self, index: u32, history: &mut History, outlet: &mut impl Outlet) -> Place {
        let limit = match self.members[index].phase {
            Phase::Asked => return Place::Rests,
            Phase::Live => return self.tell_waiting(index, outlet),
            Phase::Joining(from) => from.min(self.merged),
            Phase::Reading => self.merged,
        };
        // Nobody has merged anything yet, so nobody can have looked at everything.
        if self.merged == Position(0) {
            return Place::Polls;
        }
        let member = &self.members[index];
        if let Begin::Ahead(reason) = member.begin {
            self.drop_member(index, reason, history.head(), outlet);
            return Place::Rests;
        }
        if member.cursor < limit {
            if !member.may_tell(outlet) {
                return Place::Rests;
            }
            let is_read = match self.others_like(index, limit, outlet) {
                Some(others) => self.read_together(index, &others, limit, history, outlet),
                None => false,
            };
            if !is_read && !self.read(index, limit, history, outlet) {
                return Place::Rests;
            }
            if self.members[index].cursor < limit {
                return self.note_lag(index, limit, outlet);
            }
        }
        self.reach(index, outlet)
    }

    /// Tells what has waited for a member that is live.
    fn tell_waiting(&mut self, index: u32, outlet: &mut impl Outlet) -> Place {
        let mut bytes = 0;
        loop {
            let member = &mut self.members[index];
            let queue = &mut self.interests.row_mut(member.interest).queue;
            let Some(waiting) = queue.first(&member.waiting) else {
                if outlet.has_room(member.client) {
                    member.checkpoint(self.merged, To::Itself, outlet);
                }
                return Place::Rests;
            };
            if !member.may_tell(outlet) {
                return Place::Rests;
            }
            if bytes >= SLICE_BYTES {
                return Place::InLine;
            }
            let Some(record) = find(&mut self.queue_lookups, waiting) else {
                // It reads on from there, and meets the gap.
                self.fall_behind(index, outlet);
                return Place::Rests;
            };
            queue.remove_first(&mut member.waiting);
            bytes += waiting.bytes;
            member.tell(&record, To::Itself, outlet);
            self.counts.events += 1;
        }
    }

    /// Reads a page. False where the subscription has ended.
    fn read(&mut self, index: u32, limit: Position, history: &mut History, outlet: &mut impl Outlet) -> bool {
        let Hub { members, interests, counts, .. } = self;
        let member = &mut members[index];
        let row = interests.row(member.interest);
        let interest = row.interest.clone();
        let first = history.first_available_in(&interest.source);
        if member.checkpointed.0 == 0 {
            // A member without a position starts to read at the first event that is available.
            member.checkpointed = first;
        }
        let everything = Filter::default();
        let scan = Scan {
            cursor: member.cursor,
            until: Some(page_end(member.cursor, limit, row)),
            count: usize::MAX,
            bytes: SLICE_BYTES,
            records: if row.is_demoted { DEMOTED_SLICE_RECORDS } else { SLICE_RECORDS },
            source: &interest.source,
            filter: if member.begin.seek().is_some() { &everything } else { &interest.filter },
        };
        let sequencer = history.sequencer().clone();
        let before_history = (history.first_of_run(), before(first));
        let mut reader = PageReader::new(member, &interest, outlet, &sequencer, before_history);
        let page = history.scan(&scan, |gap, shard, record| reader.record(gap, shard, record));
        let dropped = reader.finish(&page, history.head());
        counts.events += reader.events;
        if let Some((reason, position)) = dropped {
            self.drop_member(index, reason, position, outlet);
        }
        dropped.is_none()
    }

    /// A member has not got as far as it might. One that was caught up has fallen behind if that is more than may wait.
    fn note_lag(&mut self, index: u32, limit: Position, outlet: &mut impl Outlet) -> Place {
        let member = &self.members[index];
        let lags = limit.0 - member.cursor.0 > self.limits.queue_events as u64;
        if member.is_caught_up && lags {
            if member.on_slow == OnSlow::Drop {
                self.drop_member(index, Reason::TooSlow, before(member.cursor), outlet);
                return Place::Rests;
            }
            self.tell_behind(index, outlet);
        }
        Place::InLine
    }

    /// A member has read as far as it might.
    fn reach(&mut self, index: u32, outlet: &mut impl Outlet) -> Place {
        let member = &mut self.members[index];
        // A member that looks for its start reads on up to where its stream was asked for. None goes live while a flush is
        // being told: those that are live are told it once.
        let may_go_live = |from: Position| member.cursor >= from && self.flush.is_none();
        if member.begin.seek().is_some() || matches!(member.phase, Phase::Joining(from) if !may_go_live(from)) {
            return Place::Polls;
        }
        if !member.is_caught_up {
            member.is_caught_up = true;
            member.checkpoint_now(member.cursor, To::Itself, outlet);
            outlet.push(member.client, member.id, Push::CaughtUp(before(member.cursor)));
        }
        if let Phase::Joining(_) = member.phase {
            member.phase = Phase::Live;
            // What it was told of as lost may wait.
            let queue = &mut self.interests.row_mut(member.interest).queue;
            while queue.first(&member.waiting).is_some_and(|waiting| waiting.position < member.cursor) {
                queue.remove_first(&mut member.waiting);
            }
            self.counts.live += 1;
            let has_waiting = !member.waiting.is_empty();
            self.note_checkpoint(index);
            return if has_waiting { Place::InLine } else { Place::Rests };
        }
        if self.interests.row(member.interest).is_demoted {
            return Place::Polls;
        }
        if !member.is_joined {
            member.is_joined = true;
            let number = member.interest;
            self.interests.join(number);
            // Others may have had it looked for before.
            self.join(index);
        }
        self.members[index].place
    }
}

/// Where a page of the history that starts at `cursor` ends. Where several want the same their pages end at the same
/// positions, so that those who have fallen behind together come to read together.
pub(super) fn page_end(cursor: Position, limit: Position, row: &Row) -> Position {
    // Who starts at whatever is there has no cursor yet.
    let is_shared = row.members.len() > 1 && cursor.0 > 0;
    if is_shared { limit.min(Position((cursor.0 / PAGE_POSITIONS + 1) * PAGE_POSITIONS)) } else { limit }
}
