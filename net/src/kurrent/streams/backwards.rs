//! Reading backwards in the order of all events: the history is read forwards in windows, the last one first.

use crate::limits::{READ_SLICE_BYTES, READ_SLICE_EVENTS};
use keytide_engine::filter::Filter;
use keytide_engine::history::{History, Scan};
use keytide_engine::interest::Source;
use keytide_engine::position::{Position, ShardId};
use keytide_engine::ring::Record;

/// A reader that goes backwards.
pub struct Backwards {
    /// What is behind this was read, or is not wanted.
    end: Position,
    /// How many positions the next window has.
    width: u64,
}

/// What a step has found.
pub enum Step<T> {
    /// These, the latest first; there may be more.
    Found(Vec<T>),
    /// Nothing more.
    Over(Vec<T>),
}

impl Backwards {
    /// A reader of what is before `end`.
    pub fn before(end: Position) -> Backwards {
        Backwards { end, width: READ_SLICE_EVENTS as u64 }
    }

    /// Reads nothing from `end` on.
    pub fn bound(&mut self, end: Position) {
        self.end = self.end.min(end);
    }

    /// Reads one window. `take` makes something of each wanted event.
    pub fn step<T>(
        &mut self,
        history: &mut History,
        (source, filter): (&Source, &Filter),
        mut take: impl FnMut(ShardId, &Record<'_>) -> Option<T>,
    ) -> Step<T> {
        let first = history.first_available_in(source);
        if self.end <= first {
            return Step::Over(Vec::new());
        }
        let begin = Position(self.end.0.saturating_sub(self.width)).max(first);
        let mut found = Vec::new();
        let scan = Scan {
            cursor: begin,
            until: Some(self.end),
            count: READ_SLICE_EVENTS,
            bytes: READ_SLICE_BYTES,
            records: 8 * READ_SLICE_EVENTS,
            source,
            filter,
        };
        let page = history.scan(&scan, |_, shard, record| {
            found.extend(take(shard, record));
            record.bytes().len() as u64
        });
        if page.next < self.end && self.width > 1 && !page.is_damaged && !page.is_too_long {
            // The window holds more than a step may read: its later part is first.
            self.width = (self.width / 4).max(1);
            return Step::Found(Vec::new());
        }
        if page.next >= self.end {
            // Fewer and fewer windows where there is little in them.
            self.width = self.width.saturating_mul(2);
        }
        self.end = begin;
        found.reverse();
        if begin <= first || page.is_damaged || page.is_too_long { Step::Over(found) } else { Step::Found(found) }
    }
}
