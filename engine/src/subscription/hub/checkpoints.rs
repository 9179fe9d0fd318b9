//! Checkpoints of live members that get no events. They are sent in rounds over all members, a bounded part in each turn,
//! so that a turn's cost does not grow with the number of subscriptions.

use super::Hub;
use super::member::{Audience, Phase};
use crate::limits::{CHECKPOINT_EACH_MAX, CHECKPOINT_SCAN_MAX, CHECKPOINTS_PER_TURN};
use crate::position::Position;
use crate::subscription::Outlet;

/// The progress of the rounds.
pub(super) struct Checkpoints {
    /// The index of the next member of the round; none between rounds.
    round: Option<u32>,
    /// The earliest position at which a member that the round has visited is due again.
    round_due: Position,
    /// The merged position from which the next round is needed.
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

    /// Sends some of the checkpoints that are due. Returns whether more are.
    pub(super) fn send_due_checkpoints(&mut self, outlet: &mut impl Outlet) -> bool {
        let Hub { checkpoints, members, merged, .. } = self;
        if checkpoints.round.is_none() && *merged >= checkpoints.next_due {
            (checkpoints.round, checkpoints.round_due) = (Some(0), Position::END);
        }
        let Some(from) = checkpoints.round else { return false };
        let is_few = members.places() <= CHECKPOINT_EACH_MAX;
        let (mut sent, mut index) = (0, from);
        let end = members.places().min(from.saturating_add(CHECKPOINT_SCAN_MAX));
        while index < end && sent < CHECKPOINTS_PER_TURN {
            if let Some(member) = members.get_mut(index)
                && member.phase == Phase::Live
                && let Some(due) = member.checkpoint_due()
            {
                if due <= *merged && member.waiting.is_empty() && outlet.has_room(member.client) {
                    if is_few {
                        member.checkpoint_each(*merged, Audience::One, outlet);
                    } else {
                        // The last checkpoint includes the earlier ones.
                        member.checkpoint_now(*merged, Audience::One, outlet);
                    }
                    sent += 1;
                }
                // A client without room gets the checkpoint when it has room, or before its next event.
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
