//! The sending side of the lanes from one core to the others.

use super::lane::LaneSender;
use super::message::Batch;
use crate::limits::BATCH_BYTES;
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
    /// Emptied batches, to be filled again.
    spares: Vec<Batch>,
}

impl Outbound {
    /// The sending side of a lane.
    pub fn new(sender: LaneSender<Batch>) -> Outbound {
        Outbound { sender, batch: Batch::default(), backlog: VecDeque::new(), spares: Vec::new() }
    }

    /// The batch that this turn fills.
    #[inline]
    pub fn batch(&mut self) -> &mut Batch {
        if self.batch.byte_count() >= BATCH_BYTES {
            let spare = self.spares.pop().unwrap_or_default();
            self.backlog.push_back(std::mem::replace(&mut self.batch, spare));
        }
        &mut self.batch
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
            let spare = self.spares.pop().unwrap_or_default();
            self.backlog.push_back(std::mem::replace(&mut self.batch, spare));
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
        sent
    }

    /// Whether something found the lane full.
    pub fn is_backed_up(&self) -> bool {
        !self.backlog.is_empty()
    }
}
