//! Messages between a core with subscribers and a shard.

use crate::interest::Interest;
use crate::limits::BATCH_EVENTS_KEEP;
use crate::position::{Position, RingOffset};
use crate::ring::Record;
use std::sync::Arc;

/// A request of a core with subscribers to a shard.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Makes an interest live. The core chooses the number, which is free; the answer carries the token.
    Add {
        /// The core's number for the interest.
        number: u32,
        /// Distinguishes this request from earlier ones with the same number.
        token: u64,
        /// The interest.
        interest: Arc<Interest>,
    },
    /// Ends an interest. Events that were found for it before may still arrive.
    Remove {
        /// The core's number for it.
        number: u32,
    },
    /// Asks for the revision of a stream's next event.
    Revision {
        /// The subscription that asks.
        subscription: u64,
        /// The stream.
        stream: Box<[u8]>,
    },
}

/// A message from a shard to a core besides records. In the order in which they arose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An interest is live: its events are in this batch or in later ones.
    Live {
        /// The core's number for it.
        number: u32,
        /// The token of the request.
        token: u64,
        /// The shard matches records against it from this position on.
        from: Position,
    },
    /// An interest is no longer live because matching it costs the shard too much. Its events in this batch are
    /// incomplete.
    Demoted {
        /// The core's number for it.
        number: u32,
    },
    /// The answer to [`Ask::Revision`].
    Revision {
        /// The subscription that asked.
        subscription: u64,
        /// The revision of the stream's next event; 0 if there was none.
        next: u64,
        /// The next event's position is at least this.
        from: Position,
    },
}

/// A record that an interest of the core wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FannedEvent {
    /// Its position.
    pub position: Position,
    /// Its offset in the shard's ring.
    pub offset: RingOffset,
    /// Its length in bytes.
    pub bytes: u32,
    /// The end of this event's interests in [`Fanned::numbers`]; they begin where the previous event's end.
    pub numbers_end: u32,
    /// Whether it is a flush, which is for every subscription of the core.
    pub is_flush: bool,
}

/// A shard's message to a core with subscribers: at most one per turn. The records stay in the shard's ring, where any
/// core reads them.
#[derive(Clone, Debug, Default)]
pub struct Fanned {
    /// Published records before this offset have been matched.
    pub scanned: RingOffset,
    /// Records from `scanned` on have at least this position.
    pub next: Position,
    /// The matching events, in order.
    pub events: Vec<FannedEvent>,
    /// The interests that want the events, by the core's numbers.
    pub numbers: Vec<u32>,
    /// Messages besides events; to be handled before the events.
    pub notices: Vec<Notice>,
    /// Whether records were skipped: before this batch, this core's subscribers have a gap in the shard's events.
    pub has_lost: bool,
}

impl Fanned {
    pub(super) fn event(&mut self, record: &Record<'_>, number: u32) {
        if self.has_lost {
            return;
        }
        self.numbers.push(number);
        let numbers_end = self.numbers.len() as u32;
        match self.events.last_mut() {
            Some(last) if last.offset == record.offset() => last.numbers_end = numbers_end,
            _ => self.events.push(FannedEvent {
                position: record.position(),
                offset: record.offset(),
                bytes: record.bytes().len() as u32,
                numbers_end,
                is_flush: false,
            }),
        }
    }

    pub(super) fn flush(&mut self, record: &Record<'_>) {
        if !self.has_lost {
            let numbers_end = self.numbers.len() as u32;
            let (position, offset, bytes) = (record.position(), record.offset(), record.bytes().len() as u32);
            self.events.push(FannedEvent { position, offset, bytes, numbers_end, is_flush: true });
        }
    }

    /// Clears it for reuse, keeping its memory unless that has grown large.
    pub(super) fn clear(&mut self) {
        self.events.clear();
        self.events.shrink_to(BATCH_EVENTS_KEEP);
        self.numbers.clear();
        self.numbers.shrink_to(BATCH_EVENTS_KEEP);
        self.notices.clear();
        self.has_lost = false;
    }

    /// Skips the records of this turn, and drops those of earlier turns that were not sent.
    pub(super) fn lose(&mut self) {
        self.has_lost = true;
        self.events.clear();
        self.numbers.clear();
    }
}
