//! Telling those who are live what the shards have found, in the order of positions; and how far nothing was found.

use super::member::{Member, Phase, Stands, Waiting, before};
use super::{Hub, HubCounts};
use crate::event::EventType;
use crate::limits::{CHECKPOINT_LOOKS, CHECKPOINTS_PER_TURN, SubscriptionLimits};
use crate::position::Position;
use crate::ring::Record;
use crate::subscription::{OnSlow, Outlet, Push, Reason};

impl Hub {
    /// Tells what the shards have sent of events below `bound`.
    pub(super) fn merge(&mut self, bound: Position, outlet: &mut impl Outlet) {
        while let Some(next) = self.feeds.next(bound) {
            let event = next.event;
            // Read by everyone before it was live for anyone; or a flush, which each shard sends.
            if event.position < self.merged {
                continue;
            }
            self.merged = event.position;
            let Hub { feeds, interests, members, live_lookup, leaving, limits, counts, .. } = self;
            let waiting = Waiting { shard: next.shard, offset: event.offset, position: event.position, bytes: 0 };
            // None where it was overwritten before it was told: those who wait for it read on, and meet the gap.
            let record = live_lookup.get(next.shard, event.offset).ok();
            let mut offer = |index: u32, member: &mut Member| {
                if !member.offer(record.as_ref(), waiting, limits, counts, outlet) {
                    leaving.push(index);
                }
            };
            if event.is_flush {
                members.each(&mut offer);
            } else {
                for &number in feeds.numbers(&next) {
                    for &index in interests.members_on(number, next.shard) {
                        offer(index, &mut members[index]);
                    }
                }
            }
            for index in std::mem::take(&mut self.leaving) {
                self.fall_behind(index, outlet);
            }
            self.merged = event.position.next();
        }
    }

    /// Too much waits for a member: it reads the history again, or is dropped if it wants that.
    pub(super) fn fall_behind(&mut self, index: u32, outlet: &mut impl Outlet) {
        if self.members[index].on_slow == OnSlow::Drop {
            self.drop_member(index, Reason::TooSlow, before(self.stands_at(index)), outlet);
        } else {
            self.leave_live(index);
            self.tell_behind(index, outlet);
        }
    }

    /// Tells a member that it reads the history again.
    pub(super) fn tell_behind(&mut self, index: u32, outlet: &mut impl Outlet) {
        let member = &mut self.members[index];
        if std::mem::take(&mut member.is_caught_up) {
            self.counts.fell_behind += 1;
            outlet.push(member.client, member.id, Push::FellBehind(before(member.cursor)));
        }
    }

    /// Notes when the next checkpoint of a member that is now live is due.
    pub(super) fn note_checkpoint(&mut self, index: u32) {
        if let Some(due) = self.members[index].checkpoint_due() {
            self.checkpoints.next_due = self.checkpoints.next_due.min(due);
            self.checkpoints.round_due = self.checkpoints.round_due.min(due);
        }
    }

    /// Tells checkpoints to those who are live and have not been told anything for long: some in each turn, so that
    /// many subscriptions cost a turn no more than a few. Tells whether others are due.
    pub(super) fn checkpoint_some(&mut self, outlet: &mut impl Outlet) -> bool {
        let Hub { checkpoints, members, merged, .. } = self;
        if checkpoints.round.is_none() && *merged >= checkpoints.next_due {
            (checkpoints.round, checkpoints.round_due) = (Some(0), Position::END);
        }
        let Some(from) = checkpoints.round else { return false };
        let (mut told, mut index) = (0, from);
        let end = members.places().min(from.saturating_add(CHECKPOINT_LOOKS));
        while index < end && told < CHECKPOINTS_PER_TURN {
            if let Some(member) = members.get_mut(index)
                && member.phase == Phase::Live
                && let Some(due) = member.checkpoint_due()
            {
                if due <= *merged && member.queue.is_empty() && outlet.has_room(member.client) {
                    member.checkpoint_now(*merged, outlet);
                    told += 1;
                }
                // One that cannot be told now is told when there is room, or with its next event.
                let next = member.checkpoint_due().filter(|due| due > merged).unwrap_or(merged.next());
                checkpoints.round_due = checkpoints.round_due.min(next);
            }
            index += 1;
        }
        checkpoints.round = Some(index).filter(|index| *index < members.places());
        if checkpoints.round.is_none() {
            checkpoints.next_due = checkpoints.round_due;
        }
        checkpoints.round.is_some() || *merged >= checkpoints.next_due
    }
}

/// The rounds in which checkpoints are told to those who are live.
pub(super) struct Checkpoints {
    /// How far the round has come; none between rounds.
    round: Option<u32>,
    /// When the first one is due of those that the round has passed, exclusive.
    round_due: Position,
    /// Until then no round is needed.
    next_due: Position,
}

impl Default for Checkpoints {
    fn default() -> Checkpoints {
        Checkpoints { round: None, round_due: Position::END, next_due: Position::END }
    }
}

impl Member {
    /// Tells an event that the shards have found, or lets it wait. False where it can do neither; also where the event is
    /// gone already.
    #[inline]
    fn offer(
        &mut self,
        record: Option<&Record<'_>>,
        waiting: Waiting,
        limits: &SubscriptionLimits,
        counts: &mut HubCounts,
        outlet: &mut impl Outlet,
    ) -> bool {
        let may_tell = match self.phase {
            Phase::Asked | Phase::Reading => return true,
            Phase::Joining(from) if waiting.position < from => return true,
            Phase::Live if waiting.position < self.cursor => return true,
            Phase::Joining(_) => false,
            Phase::Live => self.queue.is_empty() && self.may_tell(outlet),
        };
        let Some(record) = record else { return false };
        let is_flush = record.event_type() == EventType::FlushDb;
        if !is_flush && self.stands(record) == Stands::Before {
            return true;
        }
        if may_tell {
            counts.events += 1;
            self.tell(record, outlet);
            return true;
        }
        self.queue(waiting, record.bytes().len() as u64, limits)
    }
}
