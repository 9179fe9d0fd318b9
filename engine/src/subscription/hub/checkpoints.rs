//! Checkpoints for those who are live and are told nothing else: in rounds, so that many subscriptions cost a turn no
//! more than a few.

use super::Hub;
use super::member::{Phase, To};
use crate::limits::{CHECKPOINT_EACH_MAX, CHECKPOINT_LOOKS, CHECKPOINTS_PER_TURN};
use crate::position::Position;
use crate::subscription::Outlet;

/// Where the rounds are.
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

impl Hub {
    /// Notes when the next checkpoint of a member that is now live is due.
    pub(super) fn note_checkpoint(&mut self, index: u32) {
        if let Some(due) = self.members[index].checkpoint_due() {
            self.checkpoints.next_due = self.checkpoints.next_due.min(due);
            self.checkpoints.round_due = self.checkpoints.round_due.min(due);
        }
    }

    /// Tells some of the checkpoints that are due. Tells whether others are.
    pub(super) fn checkpoint_some(&mut self, outlet: &mut impl Outlet) -> bool {
        let Hub { checkpoints, members, merged, .. } = self;
        if checkpoints.round.is_none() && *merged >= checkpoints.next_due {
            (checkpoints.round, checkpoints.round_due) = (Some(0), Position::END);
        }
        let Some(from) = checkpoints.round else { return false };
        let is_few = members.places() <= CHECKPOINT_EACH_MAX;
        let (mut told, mut index) = (0, from);
        let end = members.places().min(from.saturating_add(CHECKPOINT_LOOKS));
        while index < end && told < CHECKPOINTS_PER_TURN {
            if let Some(member) = members.get_mut(index)
                && member.phase == Phase::Live
                && let Some(due) = member.checkpoint_due()
            {
                if due <= *merged && member.waiting.is_empty() && outlet.has_room(member.client) {
                    if is_few {
                        member.checkpoint_each(*merged, To::Itself, outlet);
                    } else {
                        // The last one says all that those before it would.
                        member.checkpoint_now(*merged, To::Itself, outlet);
                    }
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
