//! One shard's history: its ring, and below the ring's head the segments of its log, if it has one. Both hold the same
//! records at the same offsets, so a reader can continue from one to the other.

use crate::log::streams::StreamBits;
use crate::log::{SegmentError, SegmentReader, Segments};
use crate::position::{Position, RingOffset};
use crate::ring::{Lapped, Ring, RingReader};

/// A handle to one shard's history, for readers on any core. Cheap to clone.
#[derive(Clone)]
pub struct ShardHistory {
    ring: Ring,
    segments: Option<Segments>,
}

/// A reader of one shard's history. It has buffers, but no position: see [`HistoryCursor`](super::HistoryCursor).
pub struct ShardReader {
    ring: RingReader,
    segments: Option<SegmentReader>,
    /// Whether the last copy came from a segment.
    is_from_segments: bool,
}

impl From<Ring> for ShardHistory {
    fn from(ring: Ring) -> ShardHistory {
        ShardHistory { ring, segments: None }
    }
}

impl ShardHistory {
    /// The history of a shard with a log.
    pub fn with_log(ring: Ring, segments: Segments) -> ShardHistory {
        ShardHistory { ring, segments: Some(segments) }
    }

    /// The shard's ring.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// The segments of the shard's log.
    pub fn segments(&self) -> Option<&Segments> {
        self.segments.as_ref()
    }

    /// The position of the newest lost record; none where nothing was lost.
    pub fn evicted_through(&self) -> Option<Position> {
        self.segments.as_ref().map_or_else(|| self.ring.evicted_through(), Segments::evicted_through)
    }

    /// The offset of the oldest record.
    pub fn head(&self) -> RingOffset {
        self.segments.as_ref().map_or_else(|| self.ring.head(), Segments::head)
    }

    /// A reader.
    pub fn reader(&self) -> ShardReader {
        let segments = self.segments.as_ref().map(SegmentReader::new);
        ShardReader { ring: self.ring.reader(), segments, is_from_segments: false }
    }
}

impl ShardReader {
    /// Swaps the buffer of the last copy with another, which the next copy may use.
    pub fn swap_scratch(&mut self, other: &mut Vec<u8>) {
        match &mut self.segments {
            Some(segments) if self.is_from_segments => segments.swap_scratch(other),
            _ => self.ring.swap_scratch(other),
        }
    }

    /// The bytes of the last copy.
    pub fn scratch(&self) -> &[u8] {
        match &self.segments {
            Some(segments) if self.is_from_segments => segments.scratch(),
            _ => self.ring.scratch(),
        }
    }

    /// The offset of the first published record whose position is `position` or more; the tail where there is none yet.
    /// Does not report lost records: see [`ShardHistory::evicted_through`].
    ///
    /// # Errors
    /// Where a segment cannot be read.
    pub fn seek(&mut self, position: Position) -> Result<RingOffset, SegmentError> {
        let found = self.ring.seek(position);
        // Checked after the seek, because the ring may have overwritten the wanted record meanwhile.
        match &mut self.segments {
            Some(segments) if self.ring.ring().evicted_through() >= Some(position) => {
                segments.seek(position, self.ring.ring().tail())
            }
            _ => Ok(found),
        }
    }

    /// The offset of a record at or behind `from`, before which there is no record of the stream and no flush. A record
    /// starts at `from`.
    ///
    /// # Errors
    /// Where a segment cannot be read.
    pub fn skip(&mut self, from: RingOffset, stream: StreamBits) -> Result<RingOffset, SegmentError> {
        match &mut self.segments {
            Some(segments) if from < self.ring.ring().head() => segments.skip(from, stream, self.ring.ring().head()),
            _ => Ok(from),
        }
    }

    /// Copies complete records from `from` on: about `max_bytes`, and at least one where there is one. Returns their length
    /// in bytes.
    ///
    /// # Errors
    /// Where the record at `from` is gone, or a segment cannot be read.
    pub fn read(&mut self, from: RingOffset, max_bytes: usize) -> Result<usize, SegmentError> {
        let Some(segments) = &mut self.segments else { return Ok(self.ring.read(from, max_bytes)?.bytes()) };
        self.is_from_segments = from < self.ring.ring().head();
        if !self.is_from_segments {
            match self.ring.read(from, max_bytes).map(|batch| batch.bytes()) {
                Ok(bytes) => return Ok(bytes),
                Err(Lapped { .. }) => self.is_from_segments = true,
            }
        }
        // Records from the ring's head on are in memory.
        segments.read(from, max_bytes, self.ring.ring().head())
    }
}
