//! The start of a subscription, and how the hub finds its place in the history.
//!
//! ```text
//!   Start, End ──► Anywhere ─────────────────────────── first event ──┐
//!   Position ────┬───────────────────────────────────────────────────┴─► Found
//!                └► Ahead ──► dropped                                 ▲
//!   Revision ────► Asked ─┬► Ahead ──► dropped                        │
//!                         └► Seeking ─ revision found, or a gap sent ─┘
//! ```

use crate::event::EventType;
use crate::position::{Position, Revision};
use crate::ring::Record;
use crate::subscription::{Reason, Start};

/// How far a subscription has resolved its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// It starts at the first available event, and was sent none yet. A gap before its first event is no error.
    Anywhere,
    /// It starts behind a revision of its stream, and the stream's shard is asked which revision comes next.
    Asked {
        /// The revision.
        after: Revision,
        /// The position that would have been handed out next when the subscription was made.
        made_at: Position,
    },
    /// It reads the history to find the event of that revision.
    Seeking(Seek),
    /// It is resolved: the subscription wants each event from its cursor on that its filter matches.
    Found,
    /// It lies ahead of everything that had happened when the subscription was made: the subscription is to be dropped.
    Ahead(Reason),
}

impl Begin {
    /// How a subscription begins that is made when `next` is the position that would be handed out next, and its cursor.
    pub fn of(start: Start, next: Position) -> (Begin, Position) {
        match start {
            Start::Start | Start::End | Start::Position(Position(0)) => (Begin::Anywhere, Position(0)),
            Start::Position(position) => {
                let cursor = Position(position.0.saturating_add(1));
                // The first wanted event must exist or be the next one. Otherwise the subscription would silently skip
                // the events before it.
                (if cursor > next { Begin::Ahead(Reason::PositionAhead) } else { Begin::Found }, cursor)
            }
            Start::Revision(after) => (Begin::Asked { after, made_at: next }, Position(0)),
        }
    }

    /// The shard's answer: the stream's next event gets revision `next`, and a position of at least `from`.
    pub fn answer(self, next: u64, from: Position) -> Begin {
        match self {
            // As with positions: the first wanted event must exist or be the next one.
            Begin::Asked { after, .. } if after.0 >= next => Begin::Ahead(Reason::RevisionAhead),
            Begin::Asked { after, made_at } => {
                Begin::Seeking(Seek { after: after.0, made_at, next, from, flush: Position(0) })
            }
            Begin::Anywhere | Begin::Seeking(_) | Begin::Found | Begin::Ahead(_) => self,
        }
    }

    /// The search for the start, while it is under way.
    pub fn seek(self) -> Option<Seek> {
        match self {
            Begin::Seeking(seek) => Some(seek),
            Begin::Anywhere | Begin::Asked { .. } | Begin::Found | Begin::Ahead(_) => None,
        }
    }
}

/// A search for the event of a revision, behind which a subscription starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seek {
    /// The revision.
    after: u64,
    /// The position that would have been handed out next when the subscription was made.
    made_at: Position,
    /// The revision that the stream's next event was to get when the shard was asked; greater than `after`.
    next: u64,
    /// The position of that event is at least this.
    from: Position,
    /// The last flush that the search has passed; 0 where it has passed none.
    flush: Position,
}

/// An event's place relative to a start behind a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FromStart {
    /// Before the revision: not wanted.
    Before,
    /// At the revision: not wanted, and everything behind it is.
    At,
    /// Right behind the revision: wanted.
    Behind,
    /// Further behind it: wanted, and the events between are gone.
    BehindGap,
}

impl Seek {
    /// The event's place relative to the start.
    pub fn place(&self, record: &Record<'_>) -> FromStart {
        // An event later than the shard's answer lies behind the start, even where the stream was forgotten since and its
        // revisions began anew.
        if self.is_past(record.position()) {
            return if self.is_at_end() { FromStart::Behind } else { FromStart::BehindGap };
        }
        // Until the search ends, no flush can be placed before or behind the event of the revision.
        if record.event_type() == EventType::FlushDb {
            return FromStart::Before;
        }
        match record.revision().0 {
            revision if revision < self.after => FromStart::Before,
            revision if revision == self.after => FromStart::At,
            revision if revision == self.after + 1 => FromStart::Behind,
            _ => FromStart::BehindGap,
        }
    }

    /// The search behind a flush that it has passed.
    pub fn behind_flush(self, position: Position) -> Seek {
        Seek { flush: position, ..self }
    }

    /// Whether the search has passed a flush behind a position.
    pub fn has_passed_flush(&self, behind: Position) -> bool {
        self.flush > behind
    }

    /// Whether everything before a position had happened when the shard answered.
    pub fn is_past(&self, position: Position) -> bool {
        position >= self.from
    }

    /// Whether the stream had no event behind the revision when the shard answered.
    pub fn is_at_end(&self) -> bool {
        self.next <= self.after + 1
    }

    /// Whether an event at or before the revision happened only after the subscription was made. Then the start was ahead
    /// of the stream, and skipping the event would lose it. Flushes have no key and do not count.
    pub fn is_ahead(&self, record: &Record<'_>) -> bool {
        record.position() >= self.made_at && !record.key().is_empty()
    }

    /// Whether a gap of positions up to `last` is to be sent. Losses before the subscription was made show as missing
    /// revisions of the stream; later ones, and those after the shard's answer, show only as a gap of positions.
    pub fn has_gap(&self, last: Position) -> bool {
        last >= self.made_at || self.is_at_end() && self.is_past(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_lies_at_most_one_ahead_of_the_last_event() {
        let next = Position(10);
        for start in [Start::Start, Start::End, Start::Position(Position(0))] {
            assert_eq!(Begin::of(start, next), (Begin::Anywhere, Position(0)), "{start:?}");
        }
        assert_eq!(Begin::of(Start::Position(Position(9)), next), (Begin::Found, Position(10)));
        assert_eq!(Begin::of(Start::Position(Position(10)), next).0, Begin::Ahead(Reason::PositionAhead));
        assert_eq!(Begin::of(Start::Position(Position::END), next).0, Begin::Ahead(Reason::PositionAhead));
        let (asked, cursor) = Begin::of(Start::Revision(Revision(3)), next);
        assert_eq!((asked.seek(), cursor), (None, Position(0)));
        assert_eq!(asked.answer(3, next), Begin::Ahead(Reason::RevisionAhead));
        assert!(asked.answer(4, next).seek().is_some_and(|seek| seek.is_at_end()));
        assert!(asked.answer(5, next).seek().is_some_and(|seek| !seek.is_at_end()));
    }
}
