//! What calls are owed at a time: the end of one whose deadline is over, a ping where the client is silent, and the end of all
//! where the server stops.

use super::{Calls, Slot};
use crate::grpc::deadline;
use crate::grpc::status::{Code, Status};

/// What is known of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It is looked at again then, steady milliseconds.
    Until(u64),
    /// The same; and there is a ping to send.
    Asked(u64),
    /// It gives no sign of life.
    Over,
}

impl Calls {
    /// No call's deadline is earlier, steady milliseconds; `u64::MAX` where none has one.
    pub fn next_deadline_ms(&self) -> u64 {
        self.next_deadline_ms
    }

    /// Ends calls whose deadlines are over. Returns whether there were any.
    pub fn end_late(&mut self, now_ms: u64) -> bool {
        if now_ms < self.next_deadline_ms {
            return false;
        }
        let before = self.dirty.len();
        self.next_deadline_ms = u64::MAX;
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let Some(call) = slot.call.as_deref_mut() else { continue };
            match call.deadline_ms {
                Some(at_ms) if at_ms <= now_ms => {
                    call.refuse(deadline::exceeded());
                    // One that has been answered waits no more for its client.
                    call.has_all = true;
                    self.dirty.push(index as u32);
                }
                Some(at_ms) => self.next_deadline_ms = self.next_deadline_ms.min(at_ms),
                None => {}
            }
        }
        self.dirty.len() > before
    }

    /// Looks whether the client gives signs of life; `heard_ms` is when its last bytes came. One that was silent for
    /// `keepalive_ms` is asked for one, and is gone where none comes in twice that time.
    pub fn look_at_life(&mut self, (heard_ms, now_ms): (u64, u64), keepalive_ms: u64) -> Life {
        match self.asked_ms {
            Some(asked_ms) => {
                let end_ms = asked_ms.saturating_add(keepalive_ms.saturating_mul(2));
                if now_ms < end_ms { Life::Until(end_ms) } else { Life::Over }
            }
            None if now_ms < heard_ms.saturating_add(keepalive_ms) => {
                Life::Until(heard_ms.saturating_add(keepalive_ms))
            }
            None => {
                self.asked_ms = Some(now_ms);
                self.http2.ping();
                Life::Asked(now_ms.saturating_add(keepalive_ms.saturating_mul(2)))
            }
        }
    }

    /// Forgets that the client was asked for a sign of life: it may not be able to give one.
    pub fn forget_question(&mut self) {
        self.asked_ms = None;
    }

    /// The server stops: the client is told to begin no more calls, and those end that no shard works on. To be called again
    /// for calls that shards work on now. Returns whether there is anything to send.
    pub fn end_all(&mut self) -> bool {
        let is_first = !std::mem::replace(&mut self.is_ending, true);
        if is_first {
            self.http2.go_away();
        }
        let before = self.dirty.len();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let Some(call) = slot.call.as_deref_mut() else { continue };
            if call.jobs == 0 && !call.is_reading && !(call.has_all && call.status.is_some()) {
                call.has_all = true;
                call.refuse(Status::new(Code::Unavailable, "Server is shutting down"));
                self.dirty.push(index as u32);
            }
        }
        is_first || self.dirty.len() > before
    }

    /// Whether shards work for any of its calls.
    pub fn has_jobs(&self) -> bool {
        self.slots.iter().any(|Slot { call, .. }| call.as_ref().is_some_and(|call| call.jobs > 0))
    }
}
