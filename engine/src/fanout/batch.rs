//! What passes between a core with subscribers and a shard.

use crate::limits::BATCH_EVENTS_KEEP;
use crate::position::{Position, RingOffset};
use crate::ring::Record;
use crate::subscription::Interest;
use std::sync::Arc;

/// What a core with subscribers asks of a shard.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Let an interest be live from now on. The core chooses the number, which is free; the answer carries the token.
    Add {
        /// The core's number for the interest.
        number: u32,
        /// Tells this request from earlier ones with the same number.
        token: u64,
        /// What is wanted.
        interest: Arc<Interest>,
    },
    /// Let it be live no longer. What was found for it before may still come.
    Remove {
        /// The core's number for it.
        number: u32,
    },
    /// Tell which revision a stream's next event gets.
    Revision {
        /// Whose answer it is.
        subscription: u64,
        /// The stream.
        stream: Box<[u8]>,
    },
}

/// What a shard tells a core beside records. In the order in which it came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An interest is live: what is found for it is in this batch or in later ones.
    Live {
        /// The core's number for it.
        number: u32,
        /// The token that it was asked with.
        token: u64,
        /// The shard's records from this position on are run through it.
        from: Position,
    },
    /// An interest is live no longer because matching it costs the shard too much. What this batch has for it is not
    /// all.
    Demoted {
        /// The core's number for it.
        number: u32,
    },
    /// The answer to [`Ask::Revision`].
    Revision {
        /// Whose answer it is.
        subscription: u64,
        /// What the stream's next event gets; 0 where there has been none.
        next: u64,
        /// That event's position is at least this.
        from: Position,
    },
}

/// A record that somebody on the core wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FannedEvent {
    /// Its position.
    pub position: Position,
    /// Where it lies in the shard's ring.
    pub offset: RingOffset,
    /// How long it is, in bytes.
    pub bytes: u32,
    /// Where in [`Fanned::numbers`] those of the interests that want it end; they begin where the event's before end.
    pub numbers_end: u32,
    /// Whether it is a flush, which everyone on the core gets.
    pub is_flush: bool,
}

/// What a shard sends a core with subscribers: at most once a turn. The records stay in the shard's ring, where any
/// core reads them.
#[derive(Clone, Debug, Default)]
pub struct Fanned {
    /// The published records before this were looked at.
    pub scanned: RingOffset,
    /// The records from `scanned` on have at least this position.
    pub next: Position,
    /// What was found, in order.
    pub events: Vec<FannedEvent>,
    /// The interests that want the events, by the core's numbers.
    pub numbers: Vec<u32>,
    /// What is to be known beside. Comes before the events.
    pub notices: Vec<Notice>,
    /// Whether records were passed over: what this core's subscribers get from the shard has a hole before this batch.
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

    /// Empties it for another use, keeping its memory unless that has grown large.
    pub(super) fn clear(&mut self) {
        self.events.clear();
        self.events.shrink_to(BATCH_EVENTS_KEEP);
        self.numbers.clear();
        self.numbers.shrink_to(BATCH_EVENTS_KEEP);
        self.notices.clear();
        self.has_lost = false;
    }

    /// Passes over the records of this turn, and gives up those of earlier ones that have not left.
    pub(super) fn lose(&mut self) {
        self.has_lost = true;
        self.events.clear();
        self.numbers.clear();
    }
}
