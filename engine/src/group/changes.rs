//! What has changed in one group, as bytes: what a journal keeps of a turn.
//!
//! A change is one byte that says what kind it is, and its numbers. Entries that fared alike follow each other in one
//! *run*: each position as its distance from the one before plus 1, and 0 at the end. Only positions are kept, no places:
//! where a record lies is found when it is needed.

use super::codec::{distance, put_bytes, put_number};
use super::consumer::ConsumerId;
use crate::position::Position;

/// The first byte of a change. The numbers stand in files: none is ever given another meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// A group, whole.
    Group = 1,
    /// A group was destroyed.
    Destroyed = 2,
    /// What follows is about this group.
    Of = 3,
    /// The group reads on from here.
    Cursor = 4,
    /// A consumer is new.
    Consumer = 5,
    /// A consumer was removed, and its entries were given back.
    ConsumerRemoved = 6,
    /// The runs.
    Delivered = 7,
    Redelivered = 8,
    Acknowledged = 9,
    Parked = 10,
    Replayed = 11,
    GivenBack = 12,
    Lost = 13,
}

impl Tag {
    pub(super) fn of(byte: u8) -> Option<Tag> {
        use Tag::*;
        let all = [
            Group,
            Destroyed,
            Of,
            Cursor,
            Consumer,
            ConsumerRemoved,
            Delivered,
            Redelivered,
            Acknowledged,
            Parked,
            Replayed,
            GivenBack,
            Lost,
        ];
        all.into_iter().find(|tag| *tag as u8 == byte)
    }
}

/// How entries fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Given to a consumer for the first time, at this Unix millisecond.
    Delivered(ConsumerId, u64),
    /// Given to a consumer again.
    Redelivered(ConsumerId, u64),
    /// Acknowledged or skipped.
    Acknowledged,
    Parked,
    /// No longer parked: pending, to be delivered at once.
    Replayed,
    /// Nobody's, to be delivered at once.
    GivenBack,
    /// Its record is gone.
    Lost,
}

/// How soon changes must be where no crash loses them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Where they are lost, events are delivered once more.
    #[default]
    Soon,
    /// Where they are lost, what an administrator was told is not so: a group was created, destroyed or repositioned,
    /// entries were parked or replayed.
    Now,
}

/// The changes of one group since they were taken last; none are kept unless that is asked for.
#[derive(Default)]
pub(super) struct Changes {
    is_on: bool,
    bytes: Vec<u8>,
    /// The run that is not ended yet, with its last position.
    run: Option<(Fate, Position)>,
    urgency: Urgency,
    /// The cursor that was written last.
    cursor: Position,
}

/// A group that only passes over events that are not for it writes its cursor once it has moved so far: where that is
/// lost they are passed over again.
const CURSOR_STEP: u64 = 65_536;

/// More memory than this is given back.
const BYTES_KEEP: usize = 4 << 10;

impl Changes {
    /// Keeps changes from now on, for a group whose state was written with this cursor.
    pub(super) fn start(&mut self, cursor: Position) {
        (self.is_on, self.cursor) = (true, cursor);
    }

    /// Notes how an entry fared.
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
            Fate::GivenBack => (Tag::GivenBack, None),
            Fate::Lost => (Tag::Lost, None),
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

    /// Notes where the group reads on after a read that gave something or did not.
    pub(super) fn read_to(&mut self, cursor: Position, gave: bool) {
        if self.is_on && cursor != self.cursor && (gave || cursor.0.wrapping_sub(self.cursor.0) >= CURSOR_STEP) {
            self.put_cursor(cursor);
        }
    }

    /// Notes where the group was told to read on.
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

    /// Notes that a consumer was removed and its entries were given back.
    pub(super) fn consumer_removed(&mut self, id: ConsumerId) {
        if self.is_on {
            self.end_run();
            self.bytes.push(Tag::ConsumerRemoved as u8);
            put_number(&mut self.bytes, id.0);
        }
    }

    /// Moves what was noted behind `out`, as changes of the group with this number. Writes nothing where nothing was.
    pub(super) fn take(&mut self, number: u64, out: &mut Vec<u8>) -> Urgency {
        self.end_run();
        if self.bytes.is_empty() {
            return Urgency::Soon;
        }
        out.push(Tag::Of as u8);
        put_number(out, number);
        out.append(&mut self.bytes);
        self.bytes.shrink_to(BYTES_KEEP);
        std::mem::take(&mut self.urgency)
    }

    /// Whether nothing was noted.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}
