//! The sending side of the lanes from one core to the others.

use super::lane::LaneSender;
use super::message::Batch;
use crate::limits::{BATCH_BYTES, LANE_BATCHES, LANE_BYTES_MAX};
use std::collections::VecDeque;

/// The lane to one other core, with what this turn wants to send.
///
/// A core always takes what its lanes bring, whatever it waits for itself; so a full lane empties, and no circle of
/// full lanes can form. What finds its lane full waits here. That is bounded by what may be asked for: every message
/// belongs to a command of a connection, of which so many may be under way.
pub struct Outbound {
    sender: LaneSender<Batch>,
    batch: Batch,
    backlog: VecDeque<Batch>,
    /// The bytes of each batch that the other core has not taken, those in the lane first.
    untaken: VecDeque<usize>,
    untaken_bytes: usize,
    /// Whether the lane was full when it was last sent to.
    is_backed_up: bool,
    /// Emptied batches, to be filled again.
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

    /// The batch that this turn fills.
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

    /// Whether the other core has so much to take that no more is to be made for it. The lane is looked at only where it
    /// may be so.
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

    /// Keeps an emptied batch for later.
    pub fn keep(&mut self, batch: Batch) {
        if self.spares.len() < 4 {
            self.spares.push(batch);
        }
    }

    /// Sends what the turn has written; tells whether the other core has something new to read.
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

    /// Whether something found the lane full when it was last sent to. A turn that sends much waits here until its end,
    /// and is not that.
    pub fn is_backed_up(&self) -> bool {
        self.is_backed_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::lane::lane;
    use crate::mesh::message::ReplyTo;
    use crate::net_ring::ConnectionId;

    #[test]
    fn only_what_finds_the_lane_full_backs_up() {
        let (sender, mut receiver) = lane(2);
        let mut outbound = Outbound::new(sender);
        let fill = |outbound: &mut Outbound| {
            let to = ReplyTo { connection: ConnectionId::from_u64(1), number: 0, part: 0 };
            outbound.batch().reply(to, |out| out.resize(BATCH_BYTES, b'x'));
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
            outbound.batch().reply(to, |out| out.resize(LANE_BYTES_MAX / 2 + 1, b'x'));
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
        // What is small is forgotten too.
        for _ in 0..3 * LANE_BATCHES {
            outbound.batch().reply(to, |out| out.push(b'x'));
            outbound.flush();
            assert!(receiver.pop().is_some());
        }
        assert!(outbound.untaken.len() <= LANE_BATCHES);
    }
}
