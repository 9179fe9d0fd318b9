//! The sending side of the lanes from one core to the others.

use super::lane::LaneSender;
use super::message::Batch;
use crate::limits::{BATCH_BYTES, LANE_BATCHES, LANE_BYTES_MAX};
use std::collections::VecDeque;

/// The lane to one other core, with this turn's messages.
///
/// A core always takes what arrives on its lanes, whatever it waits for itself; so a full lane drains, and no circle of
/// full lanes can form. Batches that do not fit into the lane wait here. They are bounded: every message belongs to a
/// command of a connection, and the number of commands in flight is limited.
pub struct Outbound {
    sender: LaneSender<Batch>,
    batch: Batch,
    backlog: VecDeque<Batch>,
    /// The size of each batch that the other core has not taken, those in the lane first, in bytes.
    untaken: VecDeque<usize>,
    untaken_bytes: usize,
    /// Whether the lane was full at the last send.
    is_backed_up: bool,
    /// Empty batches for reuse.
    spares: Vec<Batch>,
}

impl Outbound {
    /// The sending side of a lane.
    pub fn new(sender: LaneSender<Batch>) -> Outbound {
        Outbound {
            sender,
            batch: Batch::default(),
            backlog: VecDeque::new(),
            untaken: VecDeque::new(),
            untaken_bytes: 0,
            is_backed_up: false,
            spares: Vec::new(),
        }
    }

    /// The batch of this turn.
    #[inline]
    pub fn batch(&mut self) -> &mut Batch {
        if self.batch.byte_count() >= BATCH_BYTES {
            self.end_batch();
        }
        &mut self.batch
    }

    fn end_batch(&mut self) {
        if self.untaken.len() >= LANE_BATCHES {
            self.forget_taken();
        }
        self.untaken.push_back(self.batch.byte_count());
        self.untaken_bytes += self.batch.byte_count();
        let spare = self.spares.pop().unwrap_or_default();
        self.backlog.push_back(std::mem::replace(&mut self.batch, spare));
    }

    /// Whether the other core has so many bytes to take that no more should be produced for it. The lane is checked
    /// only if that is possible.
    #[inline]
    pub fn is_congested(&mut self) -> bool {
        self.untaken_bytes > LANE_BYTES_MAX && {
            self.forget_taken();
            self.untaken_bytes > LANE_BYTES_MAX
        }
    }

    fn forget_taken(&mut self) {
        let untaken = self.sender.len() + self.backlog.len();
        while self.untaken.len() > untaken {
            self.untaken_bytes -= self.untaken.pop_front().unwrap_or(0);
        }
    }

    /// Stores an empty batch for reuse.
    pub fn keep(&mut self, batch: Batch) {
        if self.spares.len() < 4 {
            self.spares.push(batch);
        }
    }

    /// Sends the turn's messages; returns whether the other core has something new to read.
    pub fn flush(&mut self) -> bool {
        if !self.batch.is_empty() {
            self.end_batch();
        }
        let mut sent = false;
        while let Some(batch) = self.backlog.pop_front() {
            match self.sender.push(batch) {
                Ok(()) => sent = true,
                Err(batch) => {
                    self.backlog.push_front(batch);
                    break;
                }
            }
        }
        self.is_backed_up = !self.backlog.is_empty();
        sent
    }

    /// Whether a batch did not fit into the lane at the last send. Batches of a turn that waits for its end do not
    /// count.
    pub fn is_backed_up(&self) -> bool {
        self.is_backed_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::lane::lane;
    use crate::mesh::message::{ReplyForm, ReplyTo};
    use crate::net_ring::ConnectionId;

    #[test]
    fn only_a_full_lane_backs_up() {
        let (sender, mut receiver) = lane(2);
        let mut outbound = Outbound::new(sender);
        let fill = |outbound: &mut Outbound| {
            let to = ReplyTo { connection: ConnectionId::from_u64(1), number: 0, part: 0 };
            outbound.batch().reply(to, ReplyForm::Part, |out| out.resize(BATCH_BYTES, b'x'));
        };
        // Two batches in one turn, and room for both.
        (0..2).for_each(|_| fill(&mut outbound));
        assert!(!outbound.is_backed_up());
        assert!(outbound.flush() && !outbound.is_backed_up());
        fill(&mut outbound);
        assert!(!outbound.flush() && outbound.is_backed_up());
        assert!(receiver.pop().is_some());
        assert!(outbound.is_backed_up(), "until it is sent to again");
        assert!(outbound.flush() && !outbound.is_backed_up());
    }

    #[test]
    fn a_core_that_takes_nothing_is_congested_until_it_does() {
        let (sender, mut receiver) = lane(2);
        let mut outbound = Outbound::new(sender);
        let to = ReplyTo { connection: ConnectionId::from_u64(1), number: 0, part: 0 };
        let half = |outbound: &mut Outbound| {
            outbound.batch().reply(to, ReplyForm::Part, |out| out.resize(LANE_BYTES_MAX / 2 + 1, b'x'));
            outbound.flush();
        };
        half(&mut outbound);
        assert!(!outbound.is_congested());
        // The third finds the lane full, and counts as well.
        (0..2).for_each(|_| half(&mut outbound));
        assert!(outbound.is_congested());
        assert!(receiver.pop().is_some());
        assert!(outbound.is_congested());
        assert!(receiver.pop().is_some());
        assert!(!outbound.is_congested());
        // Small ones are forgotten too.
        for _ in 0..3 * LANE_BATCHES {
            outbound.batch().reply(to, ReplyForm::Part, |out| out.push(b'x'));
            outbound.flush();
            assert!(receiver.pop().is_some());
        }
        assert!(outbound.untaken.len() <= LANE_BATCHES);
    }
}
