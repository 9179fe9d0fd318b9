//! The changes of one group as bytes, as a journal keeps them.
//!
//! A change is a tag of one byte, and its numbers. Consecutive entries with the same change form one *run*: each position is
//! encoded as its distance from the one before plus 1, and 0 ends the run. Only positions are kept: the place of a record in
//! a ring is found again when it is needed.

use super::codec::{distance, put_bytes, put_number};
use super::consumer::ConsumerId;
use crate::position::Position;

/// The first byte of a change. The numbers are part of the file format: their meaning never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// The complete state of a group.
    Group = 1,
    /// A group was destroyed.
    Destroyed = 2,
    /// The following changes are of this group.
    Select = 3,
    /// The group's cursor has moved.
    Cursor = 4,
    /// A consumer was added.
    Consumer = 5,
    /// A consumer was removed, and its entries were released.
    ConsumerRemoved = 6,
    /// The runs, one tag for each [`Fate`].
    Delivered = 7,
    Redelivered = 8,
    Acknowledged = 9,
    Parked = 10,
    Replayed = 11,
    Released = 12,
    Lost = 13,
    Waiting = 14,
    /// What the selected group is made of.
    Spec = 15,
    /// A consumer of the selected group is attached.
    Attached = 16,
    /// The name of the user who created the selected group.
    Creator = 17,
}

impl Tag {
    pub(super) fn of(byte: u8) -> Option<Tag> {
        use Tag::*;
        let all = [
            Group,
            Destroyed,
            Select,
            Cursor,
            Consumer,
            ConsumerRemoved,
            Delivered,
            Redelivered,
            Acknowledged,
            Parked,
            Replayed,
            Released,
            Lost,
            Waiting,
            Spec,
            Attached,
            Creator,
        ];
        all.into_iter().find(|tag| *tag as u8 == byte)
    }
}

/// What happened to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Delivered to a consumer for the first time, at this Unix millisecond.
    Delivered(ConsumerId, u64),
    /// Delivered to a consumer again, at this Unix millisecond.
    Redelivered(ConsumerId, u64),
    /// Acknowledged or skipped.
    Acknowledged,
    Parked,
    /// No longer parked: pending, to be delivered at once.
    Replayed,
    /// Held by no consumer any more, to be delivered again at once.
    Released,
    /// Removed because its record is gone.
    Lost,
    /// Pending before its first delivery: it waits for its consumer.
    Waiting,
}

/// Encodes that a consumer is attached.
pub(super) fn put_attached(out: &mut Vec<u8>, id: ConsumerId) {
    out.push(Tag::Attached as u8);
    put_number(out, id.0);
}

/// How soon changes must be safe from a crash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// If they are lost, some events are delivered once more.
    #[default]
    Soon,
    /// If they are lost, a reply to an administrator becomes wrong: a group was created, destroyed or repositioned, or
    /// entries were parked or replayed.
    Now,
}

/// The changes of one group since they were last taken. Empty until [`Changes::start`].
#[derive(Default)]
pub(super) struct Changes {
    is_on: bool,
    bytes: Vec<u8>,
    /// The run that is not ended yet, with its last position.
    run: Option<(Fate, Position)>,
    urgency: Urgency,
    /// The last cursor that was written.
    cursor: Position,
}

/// A group that has only passed over events of others writes its cursor after this many positions. If an unwritten cursor is
/// lost, the group passes over these events again.
const CURSOR_STEP: u64 = 65_536;

/// The memory that is kept for later changes, in bytes.
const BYTES_KEEP: usize = 4 << 10;

impl Changes {
    /// Starts to keep changes of a group whose state was written with this cursor.
    pub(super) fn start(&mut self, cursor: Position) {
        (self.is_on, self.cursor) = (true, cursor);
    }

    /// Notes what happened to an entry.
    #[inline]
    pub(super) fn entry(&mut self, fate: Fate, position: Position) {
        if self.is_on {
            self.put_entry(fate, position);
        }
    }

    fn put_entry(&mut self, fate: Fate, position: Position) {
        let before = match self.run {
            Some((run, last)) if run == fate => last,
            _ => {
                self.end_run();
                self.begin_run(fate);
                Position(0)
            }
        };
        put_number(&mut self.bytes, distance(before.0, position.0) + 1);
        self.run = Some((fate, position));
    }

    fn begin_run(&mut self, fate: Fate) {
        let (tag, delivery) = match fate {
            Fate::Delivered(consumer, at_ms) => (Tag::Delivered, Some((consumer, at_ms))),
            Fate::Redelivered(consumer, at_ms) => (Tag::Redelivered, Some((consumer, at_ms))),
            Fate::Acknowledged => (Tag::Acknowledged, None),
            Fate::Parked => (Tag::Parked, None),
            Fate::Replayed => (Tag::Replayed, None),
            Fate::Released => (Tag::Released, None),
            Fate::Lost => (Tag::Lost, None),
            Fate::Waiting => (Tag::Waiting, None),
        };
        self.bytes.push(tag as u8);
        if let Some((consumer, at_ms)) = delivery {
            put_number(&mut self.bytes, consumer.0);
            put_number(&mut self.bytes, at_ms);
        }
        if matches!(fate, Fate::Parked | Fate::Replayed) {
            self.urgency = Urgency::Now;
        }
    }

    fn end_run(&mut self) {
        if self.run.take().is_some() {
            self.bytes.push(0);
        }
    }

    /// Notes the cursor after a read, and whether the read has `delivered` anything.
    pub(super) fn read_to(&mut self, cursor: Position, delivered: bool) {
        if self.is_on && cursor != self.cursor && (delivered || cursor.0.wrapping_sub(self.cursor.0) >= CURSOR_STEP) {
            self.put_cursor(cursor);
        }
    }

    /// Notes that an administrator has set the cursor.
    pub(super) fn set_to(&mut self, cursor: Position) {
        if self.is_on {
            self.put_cursor(cursor);
            self.urgency = Urgency::Now;
        }
    }

    fn put_cursor(&mut self, cursor: Position) {
        self.end_run();
        self.bytes.push(Tag::Cursor as u8);
        put_number(&mut self.bytes, cursor.0);
        self.cursor = cursor;
    }

    /// Notes a new consumer.
    pub(super) fn consumer(&mut self, id: ConsumerId, name: &[u8], seen_ms: u64) {
        if self.is_on {
            self.end_run();
            self.bytes.push(Tag::Consumer as u8);
            put_number(&mut self.bytes, id.0);
            put_bytes(&mut self.bytes, name);
            put_number(&mut self.bytes, seen_ms);
        }
    }

    /// Notes that a consumer is attached.
    pub(super) fn attached(&mut self, id: ConsumerId) {
        if self.is_on {
            self.end_run();
            put_attached(&mut self.bytes, id);
        }
    }

    /// Forgets what was noted: the complete state is written again, with this cursor.
    pub(super) fn restart(&mut self, cursor: Position) {
        *self = Changes { is_on: self.is_on, cursor, ..Changes::default() };
    }

    /// Notes that a consumer was removed and its entries were released.
    pub(super) fn consumer_removed(&mut self, id: ConsumerId) {
        if self.is_on {
            self.end_run();
            self.bytes.push(Tag::ConsumerRemoved as u8);
            put_number(&mut self.bytes, id.0);
        }
    }

    /// Appends the noted changes to `out`, as changes of the group with this number, and forgets them. Appends nothing
    /// where there are none.
    pub(super) fn take(&mut self, number: u64, out: &mut Vec<u8>) -> Urgency {
        self.end_run();
        if self.bytes.is_empty() {
            return Urgency::Soon;
        }
        out.push(Tag::Select as u8);
        put_number(out, number);
        out.append(&mut self.bytes);
        self.bytes.shrink_to(BYTES_KEEP);
        std::mem::take(&mut self.urgency)
    }

    /// Whether there are no changes.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}
