//! One shard's history: the ring, and below its head the segments of the log, where there is one. Both hold the same
//! records at the same offsets, so a reader goes from one to the other without noticing.

use crate::log::streams::StreamBits;
use crate::log::{SegmentError, SegmentReader, Segments};
use crate::position::{Position, RingOffset};
use crate::ring::{Lapped, Ring, RingReader};

/// One shard's history, as its readers hold it on any core. Cheap to clone.
#[derive(Clone)]
pub struct ShardHistory {
    ring: Ring,
    segments: Option<Segments>,
}

/// A reader of one shard's history. It remembers no place, only its scratch space.
pub struct ShardReader {
    ring: RingReader,
    segments: Option<SegmentReader>,
    /// Which of the two has copied last.
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

    /// Its ring.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// The segments of its log.
    pub fn segments(&self) -> Option<&Segments> {
        self.segments.as_ref()
    }

    /// The position of the newest record that is gone for good; none as long as nothing is.
    pub fn evicted_through(&self) -> Option<Position> {
        self.segments.as_ref().map_or_else(|| self.ring.evicted_through(), Segments::evicted_through)
    }

    /// Where the oldest record starts.
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
    /// Hands out what was copied last, for memory that the next copy may use.
    pub fn swap_scratch(&mut self, other: &mut Vec<u8>) {
        match &mut self.segments {
            Some(segments) if self.is_from_segments => segments.swap_scratch(other),
            _ => self.ring.swap_scratch(other),
        }
    }

    /// What was copied last.
    pub fn scratch(&self) -> &[u8] {
        match &self.segments {
            Some(segments) if self.is_from_segments => segments.scratch(),
            _ => self.ring.scratch(),
        }
    }

    /// Where the first record is, among those published, whose position is `position` or more; the tail where there is
    /// none yet. What is gone for good is for [`ShardHistory::evicted_through`] to say.
    ///
    /// # Errors
    /// Where a segment cannot be read.
    pub fn seek(&mut self, position: Position) -> Result<RingOffset, SegmentError> {
        let found = self.ring.seek(position);
        // Looked at afterwards: what the ring has lost meanwhile may have been what is looked for.
        match &mut self.segments {
            Some(segments) if self.ring.ring().evicted_through() >= Some(position) => {
                segments.seek(position, self.ring.ring().tail())
            }
            _ => Ok(found),
        }
    }

    /// Where to go on from `from`, where a record starts, for who wants the records of one stream and flushes.
    ///
    /// # Errors
    /// Where a segment cannot be read.
    pub fn skip(&mut self, from: RingOffset, stream: StreamBits) -> Result<RingOffset, SegmentError> {
        match &mut self.segments {
            Some(segments) if from < self.ring.ring().head() => segments.skip(from, stream, self.ring.ring().head()),
            _ => Ok(from),
        }
    }

    /// Copies whole records from `from` on, about `max_bytes` of them and at least one where there is one; answers how
    /// many bytes they take.
    ///
    /// # Errors
    /// Where the record at `from` is gone for good, or a segment cannot be read.
    pub fn read(&mut self, from: RingOffset, max_bytes: usize) -> Result<usize, SegmentError> {
        let Some(segments) = &mut self.segments else { return Ok(self.ring.read(from, max_bytes)?.bytes()) };
        self.is_from_segments = from < self.ring.ring().head();
        if !self.is_from_segments {
            match self.ring.read(from, max_bytes).map(|batch| batch.bytes()) {
                Ok(bytes) => return Ok(bytes),
                Err(Lapped { .. }) => self.is_from_segments = true,
            }
        }
        // Never beyond the ring's head: what lies there is in memory.
        segments.read(from, max_bytes, self.ring.ring().head())
    }
}
