//! A slice of a member's work: a page of the history, or the events that have waited for it.

use super::Hub;
use super::begin::Begin;
use super::interests::Row;
use super::live::find;
use super::member::{Audience, Phase, Schedule, before};
use super::page::PageReader;
use crate::filter::Filter;
use crate::history::{History, Scan};
use crate::limits::{DEMOTED_SLICE_RECORDS, PAGE_POSITIONS, SLICE_BYTES, SLICE_RECORDS};
use crate::position::Position;
use crate::subscription::{OnSlow, Outlet, Push, Reason};

impl Hub {
    /// Runs a slice of a member's work. Returns when the member runs its next one.
    pub(super) fn slice(&mut self, index: u32, history: &mut History, outlet: &mut impl Outlet) -> Schedule {
        let limit = match self.members[index].phase {
            Phase::Asked => return Schedule::Idle,
            Phase::Live => return self.deliver_queued(index, outlet),
            Phase::Joining(from) => from.min(self.merged),
            Phase::Reading => self.merged,
        };
        // Nothing was merged yet, so no member can have caught up.
        if self.merged == Position(0) {
            return Schedule::Polling;
        }
        let member = &self.members[index];
        if let Begin::Ahead(reason) = member.begin {
            self.drop_member(index, reason, history.head(), outlet);
            return Schedule::Idle;
        }
        if member.cursor < limit {
            if !member.may_deliver(outlet) {
                return Schedule::Idle;
            }
            let is_read = match self.others_to_read_with(index, limit, outlet) {
                Some(others) => self.read_shared(index, &others, limit, history, outlet),
                None => false,
            };
            if !is_read && !self.read(index, limit, history, outlet) {
                return Schedule::Idle;
            }
            if self.members[index].cursor < limit {
                return self.note_lag(index, limit, outlet);
            }
        }
        self.reach(index, outlet)
    }

    /// Delivers the events that have waited for a live member.
    fn deliver_queued(&mut self, index: u32, outlet: &mut impl Outlet) -> Schedule {
        let mut bytes = 0;
        loop {
            let member = &mut self.members[index];
            let queue = &mut self.interests.row_mut(member.interest).queue;
            let Some(waiting) = queue.first(&member.waiting) else {
                if outlet.has_room(member.client) {
                    member.checkpoint(self.merged, Audience::One, outlet);
                }
                return Schedule::Idle;
            };
            if !member.may_deliver(outlet) {
                return Schedule::Idle;
            }
            if bytes >= SLICE_BYTES {
                return Schedule::Ready;
            }
            let Some(record) = find(&mut self.queue_lookups, waiting) else {
                // The ring has overwritten the event. The member reads the history from there, and finds the gap.
                self.fall_behind(index, outlet);
                return Schedule::Idle;
            };
            queue.remove_first(&mut member.waiting);
            bytes += waiting.bytes;
            member.deliver(&record, Audience::One, outlet);
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

    /// Handles a member that has not reached the limit of its reading. If it was caught up, and lags by more events than
    /// may wait, it has fallen behind.
    fn note_lag(&mut self, index: u32, limit: Position, outlet: &mut impl Outlet) -> Schedule {
        let member = &self.members[index];
        let lags = limit.0 - member.cursor.0 > self.limits.queue_events as u64;
        if member.is_caught_up && lags {
            if member.on_slow == OnSlow::Drop {
                self.drop_member(index, Reason::TooSlow, before(member.cursor), outlet);
                return Schedule::Idle;
            }
            self.push_fell_behind(index, outlet);
        }
        Schedule::Ready
    }

    /// Handles a member that has reached the limit of its reading: it is caught up, and joins or goes live.
    fn reach(&mut self, index: u32, outlet: &mut impl Outlet) -> Schedule {
        let member = &mut self.members[index];
        // A member that seeks its start reads on, at least up to the position of the shard's answer. No member goes live
        // while a flush is being delivered, since it might get the flush twice.
        let may_go_live = |from: Position| member.cursor >= from && self.flush.is_none();
        if member.begin.seek().is_some() || matches!(member.phase, Phase::Joining(from) if !may_go_live(from)) {
            return Schedule::Polling;
        }
        if !member.is_caught_up {
            member.is_caught_up = true;
            member.checkpoint_now(member.cursor, Audience::One, outlet);
            outlet.push(member.client, member.id, Push::CaughtUp(before(member.cursor)));
        }
        if let Phase::Joining(_) = member.phase {
            member.phase = Phase::Live;
            // Events of a gap that it was sent may still wait.
            let queue = &mut self.interests.row_mut(member.interest).queue;
            while queue.first(&member.waiting).is_some_and(|waiting| waiting.position < member.cursor) {
                queue.remove_first(&mut member.waiting);
            }
            self.counts.live += 1;
            let has_waiting = !member.waiting.is_empty();
            self.note_checkpoint(index);
            return if has_waiting { Schedule::Ready } else { Schedule::Idle };
        }
        if self.interests.row(member.interest).is_demoted {
            return Schedule::Polling;
        }
        if !member.is_joined {
            member.is_joined = true;
            let number = member.interest;
            self.interests.join(number);
            // The interest may be live already, for other members.
            self.join(index);
        }
        self.members[index].schedule
    }
}

/// Where a page of the history that starts at `cursor` ends. Members that share an interest end their pages at the same
/// positions, so that those that have fallen behind come to read together.
pub(super) fn page_end(cursor: Position, limit: Position, row: &Row) -> Position {
    // A member that starts at the first available event has cursor 0 at first.
    let is_shared = row.members.len() > 1 && cursor.0 > 0;
    if is_shared { limit.min(Position((cursor.0 / PAGE_POSITIONS + 1) * PAGE_POSITIONS)) } else { limit }
}
