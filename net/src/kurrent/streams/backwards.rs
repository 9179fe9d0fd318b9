//! Reading backwards in the order of all events: the history is read forwards in windows, the last one first.

use super::super::error::unreadable;
use super::super::links::Links;
use super::all_read::{EventForm, item};
use crate::grpc::{CallContext, Status};
use crate::limits::{READ_SLICE_BYTES, READ_SLICE_EVENTS};
use keytide_engine::filter::Filter;
use keytide_engine::history::{History, Scan};
use keytide_engine::interest::Source;
use keytide_engine::position::Position;
use keytide_engine::ring::Record;

/// A reader that goes backwards.
pub struct Backwards {
    /// What is behind this was read, or is not wanted.
    end: Position,
    /// How many positions the next window has.
    width: u64,
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

    /// Sends the wanted events of one window, the latest first, and at most `left` of them, which it counts down. Returns
    /// whether there is nothing more to send.
    ///
    /// # Errors
    /// The history cannot be read on.
    pub fn send(
        &mut self,
        (context, links): (&mut CallContext<'_>, &mut Links),
        history: &mut History,
        ((source, filter), form): ((&Source, &Filter), EventForm),
        left: &mut u64,
        is_wanted: impl Fn(&Record<'_>) -> bool,
    ) -> Result<bool, Status> {
        let first = history.first_available_in(source);
        if self.end <= first {
            return Ok(true);
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
        let page = history.scan(&scan, |_, _, record| {
            if is_wanted(record) {
                found.push(item(record, source, form));
            }
            record.bytes().len() as u64
        });
        if page.next < self.end && self.width > 1 {
            // The window holds more than a step may read: its later part is first.
            self.width = (self.width / 4).max(1);
            return Ok(false);
        }
        if page.is_damaged || page.is_too_long {
            return Err(unreadable());
        }
        if page.next >= self.end {
            // Fewer and fewer windows where there is little in them.
            self.width = self.width.saturating_mul(2);
        }
        self.end = begin;
        let count = found.len() as u64;
        found.into_iter().rev().take(*left as usize).for_each(|item| links.send(context, item));
        *left = left.saturating_sub(count);
        Ok(begin <= first || *left == 0)
    }
}
