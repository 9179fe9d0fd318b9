//! A cursor in one shard's history: copies a run of records at a time, which a merge of several shards then takes one by
//! one.

use super::shard::{ShardHistory, ShardReader};
use crate::log::SegmentError;
use crate::log::streams::StreamBits;
use crate::position::{Position, RingOffset};
use crate::ring::record::{self, Record};

/// A place in one shard's history, with the run of records that was copied from there.
pub struct HistoryCursor {
    reader: ShardReader,
    offset: RingOffset,
    /// The records that were copied last.
    run: Vec<u8>,
    /// The part of the run that is not consumed yet.
    at: usize,
    end: usize,
    /// The only stream that is wanted besides flushes; none where others are.
    stream: Option<StreamBits>,
}

impl HistoryCursor {
    /// A cursor at the oldest record.
    pub fn new(history: &ShardHistory) -> HistoryCursor {
        HistoryCursor { reader: history.reader(), offset: history.head(), run: Vec::new(), at: 0, end: 0, stream: None }
    }

    /// Moves to the first record whose position is `position` or more, without copying it. With a stream, the cursor may
    /// skip records of other streams, but no flush.
    ///
    /// # Errors
    /// Where a segment cannot be read.
    pub fn seek(&mut self, position: Position, stream: Option<StreamBits>) -> Result<(), SegmentError> {
        (self.at, self.end) = (0, 0);
        self.stream = stream;
        self.offset = self.reader.seek(position)?;
        Ok(())
    }

    /// Copies the next run of records, of about `max_bytes`, if the previous one is used up. Returns whether it was.
    ///
    /// # Errors
    /// Where the record at the cursor is gone, or cannot be read.
    #[inline]
    pub fn fill(&mut self, max_bytes: usize) -> Result<bool, SegmentError> {
        if self.at != self.end {
            return Ok(false);
        }
        self.refill(max_bytes)?;
        Ok(true)
    }

    #[cold]
    fn refill(&mut self, max_bytes: usize) -> Result<(), SegmentError> {
        if let Some(stream) = self.stream {
            self.offset = self.reader.skip(self.offset, stream)?;
        }
        (self.at, self.end) = (0, 0);
        self.end = self.reader.read(self.offset, max_bytes)?;
        self.reader.swap_scratch(&mut self.run);
        Ok(())
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
        &self.run[self.at..self.end]
    }

    /// The record at a known place, if the history still has it. The cursor stays where it is, and loses its run.
    ///
    /// # Errors
    /// Where the record is gone, or cannot be read.
    pub fn record_at(&mut self, offset: RingOffset) -> Result<Option<Record<'_>>, SegmentError> {
        /// Most records are no longer than this, so one copy suffices without reading the length first.
        const GUESS_BYTES: usize = 512;
        (self.at, self.end) = (0, 0);
        let bytes = self.reader.read(offset, GUESS_BYTES)?;
        Ok(Record::parse(&self.reader.scratch()[..bytes], offset))
    }
}
