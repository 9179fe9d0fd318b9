//! A reader that remembers its place: what a merge of several rings looks at record by record.

use super::Ring;
use super::reader::RingReader;
use super::record::{self, Record};
use super::words::Lapped;
use crate::position::{Position, RingOffset};

/// A place in one ring, with the run of records that was copied from there.
pub struct RingCursor {
    reader: RingReader,
    offset: RingOffset,
    /// The part of the reader's scratch space that is still to be looked at.
    at: usize,
    end: usize,
}

impl RingCursor {
    /// A cursor at the oldest record.
    pub fn new(ring: &Ring) -> RingCursor {
        RingCursor { reader: ring.reader(), offset: ring.head(), at: 0, end: 0 }
    }

    /// Goes to the first record whose position is `position` or more. Nothing is copied yet.
    pub fn seek(&mut self, position: Position) {
        self.offset = self.reader.seek(position);
        (self.at, self.end) = (0, 0);
    }

    /// Copies the run of records that comes next, about `max_bytes` of them, where the one before is used up; tells
    /// whether it was.
    ///
    /// # Errors
    /// Where the record at the cursor was overwritten.
    #[inline]
    pub fn fill(&mut self, max_bytes: usize) -> Result<bool, Lapped> {
        let is_used_up = self.at == self.end;
        if is_used_up {
            let bytes = self.reader.read(self.offset, max_bytes)?.bytes();
            (self.at, self.end) = (0, bytes);
        }
        Ok(is_used_up)
    }

    /// The record at the cursor; none where the copied run is used up.
    #[inline]
    pub fn peek(&self) -> Option<Record<'_>> {
        Record::parse(self.rest(), self.offset)
    }

    /// Steps over the record at the cursor.
    #[inline]
    pub fn advance(&mut self) {
        let length = record::length(self.rest());
        self.at += length as usize;
        self.offset.0 += length;
    }

    /// The position of the record at the cursor; none where the copied run is used up.
    #[inline]
    pub fn position(&self) -> Option<Position> {
        record::position(self.rest())
    }

    #[inline]
    fn rest(&self) -> &[u8] {
        &self.reader.scratch()[self.at..self.end]
    }

    /// The record at a place that is known, if the ring still has it. The cursor stays where it is, without its run.
    pub fn record_at(&mut self, offset: RingOffset) -> Option<Record<'_>> {
        (self.at, self.end) = (0, 0);
        self.reader.record_at(offset).ok().flatten()
    }
}
