//! Reading a shard's segments: seek to a position, copy a run of complete records, check each, lend them.

use super::index::SparseIndex;
use super::map::MappedFile;
use super::segments::{Segment, SegmentList, Segments};
use super::streams::{StreamBits, StreamBlocks, streams_path};
use crate::limits::SCRATCH_KEEP_BYTES;
use crate::position::{Position, RingOffset};
use crate::ring::{Lapped, Record, record};
use std::cell::OnceCell;
use std::path::PathBuf;
use std::sync::Arc;
use thiserror::Error;

/// A reader of one shard's segments. It keeps one of them open, and the records that it copied last.
pub struct SegmentReader {
    segments: Segments,
    list: SegmentList,
    version: u64,
    open: Option<OpenSegment>,
    scratch: Vec<u8>,
    /// The byte of the open file up to which the kernel was asked to read ahead.
    requested: u64,
}

struct OpenSegment {
    segment: Arc<Segment>,
    map: MappedFile,
    index: Option<Arc<SparseIndex>>,
    /// The streams of the segment; loaded by the first reader of one stream.
    streams: OnceCell<Option<StreamBlocks>>,
}

/// Why records of a log cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SegmentError {
    /// Retention has dropped them.
    #[error(transparent)]
    Lapped(#[from] Lapped),
    /// The file cannot be read, or its content is not what was written.
    #[error("{path}: {reason}; run `keytide check` on the directory")]
    Damaged {
        /// The segment's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// How far ahead of the reader the kernel is asked to read, in bytes.
const READAHEAD_BYTES: u64 = 2 << 20;

impl SegmentReader {
    /// A reader that has no segment open yet.
    pub fn new(segments: &Segments) -> SegmentReader {
        let (version, list) = segments.list();
        SegmentReader { segments: segments.clone(), list, version, open: None, scratch: Vec::new(), requested: 0 }
    }

    /// Exchanges the buffer with the records copied last for one that the next copy may reuse.
    pub fn swap_scratch(&mut self, other: &mut Vec<u8>) {
        std::mem::swap(&mut self.scratch, other);
    }

    /// The records copied last, as bytes.
    pub fn scratch(&self) -> &[u8] {
        &self.scratch
    }

    fn refresh(&mut self) {
        if self.segments.is_newer_than(self.version) {
            (self.version, self.list) = self.segments.list();
        }
    }

    /// The offset of the oldest record, and the position of the newest record dropped before it.
    fn lapped(&self) -> Lapped {
        let head = self.list.first().map_or(RingOffset(0), |segment| segment.base);
        Lapped { head, evicted_through: self.segments.evicted_through().unwrap_or_default() }
    }

    /// Opens a segment, unless it is open.
    fn open(&mut self, at: usize) -> Result<&OpenSegment, SegmentError> {
        if self.open.as_ref().is_none_or(|open| open.segment.number != self.list[at].number) {
            let segment = self.list[at].clone();
            self.open = None;
            self.requested = 0;
            let map = match MappedFile::open(&segment.path) {
                Ok(map) => map,
                Err(error) => {
                    self.refresh();
                    // Retention drops a segment from the list before it removes the file.
                    let is_gone = self.list.first().is_none_or(|oldest| segment.number < oldest.number);
                    return Err(if is_gone { self.lapped().into() } else { damaged(&segment, error.to_string()) });
                }
            };
            let index = segment.index();
            self.open = Some(OpenSegment { segment, map, index, streams: OnceCell::new() });
        }
        match &self.open {
            Some(open) => Ok(open),
            None => unreachable!("it was just opened"),
        }
    }

    /// The offset of the first record before `tail` whose position is at least `position`; `tail` where there is none.
    /// Whether records before it were dropped, [`Segments::evicted_through`] tells.
    ///
    /// # Errors
    /// Where a segment cannot be read.
    pub fn seek(&mut self, position: Position, tail: RingOffset) -> Result<RingOffset, SegmentError> {
        self.refresh();
        if self.list.is_empty() {
            return Ok(tail);
        }
        // All records of a segment are beyond `after`.
        let mut at = self.list.partition_point(|segment| segment.after < position).saturating_sub(1);
        loop {
            let open = self.open(at)?;
            let end = open.segment.end(tail);
            let mut offset = open.index.as_ref().map_or(open.segment.base, |index| index.before(position));
            while offset < end {
                let mut head = [0; 16];
                copy(open, offset, &mut head)?;
                let length = check_length(open, offset, record::length(&head), end)?;
                if record::position(&head).is_some_and(|at| at >= position) {
                    return Ok(offset);
                }
                offset.0 += length;
            }
            at += 1;
            if end >= tail || at >= self.list.len() {
                return Ok(end);
            }
        }
    }

    /// Skips records for a reader of one stream: an offset of a record at or after `from`, where a record starts, with no
    /// record of the stream and no flush in between. Examines a few segments at the most.
    ///
    /// # Errors
    /// Where a segment cannot be read.
    pub fn skip(&mut self, from: RingOffset, stream: StreamBits, tail: RingOffset) -> Result<RingOffset, SegmentError> {
        /// How many segments one call examines; each takes about a millisecond.
        const SEGMENTS_MAX: usize = 2;
        self.refresh();
        let mut from = from;
        for _ in 0..SEGMENTS_MAX {
            let Some(at) = self.list.partition_point(|segment| segment.base <= from).checked_sub(1) else { break };
            let sealed = self.list[at].as_sealed().map(|sealed| sealed.end);
            let Some(end) = sealed.filter(|end| from < *end && *end <= tail) else { break };
            let open = self.open(at)?;
            let (Some(blocks), Some(index)) = (open.streams(), &open.index) else { break };
            match blocks.next(from, stream) {
                Some(next) if next == from => break,
                Some(next) => {
                    from = index.first_from(next).unwrap_or(end);
                    break;
                }
                None => from = end,
            }
        }
        Ok(from)
    }

    /// Copies complete records from `from`, where a record starts: about `max_bytes` bytes, and at least one record where
    /// there is one before `tail`. Returns how many bytes of [`SegmentReader::scratch`] they take. A run ends at the end of
    /// its segment.
    ///
    /// # Errors
    /// Where retention has dropped the record at `from`, or a segment cannot be read.
    pub fn read(&mut self, from: RingOffset, max_bytes: usize, tail: RingOffset) -> Result<usize, SegmentError> {
        if from >= tail {
            return Ok(0);
        }
        self.refresh();
        // A reader inside a segment may read it to its end, even if retention has dropped it meanwhile.
        let is_here = |open: &OpenSegment| from >= open.segment.base && from < open.segment.end(tail);
        if !self.open.as_ref().is_some_and(is_here) {
            let at = self.list.partition_point(|segment| segment.base <= from).checked_sub(1);
            let Some(at) = at else { return Err(self.lapped().into()) };
            if from >= self.list[at].end(tail) {
                return Ok(0);
            }
            self.open(at)?;
        }
        let Some(open) = &self.open else { return Ok(0) };
        let end = open.segment.end(tail);
        let available = end.0 - from.0;
        let file_at = open.segment.file_at(from);
        if file_at + READAHEAD_BYTES / 2 > self.requested {
            self.requested = file_at + READAHEAD_BYTES;
            open.map.advise_will_need(file_at, READAHEAD_BYTES);
        }
        let budget = (max_bytes as u64).max(record::HEADER_BYTES).min(available);
        if self.scratch.capacity() > SCRATCH_KEEP_BYTES && budget as usize <= SCRATCH_KEEP_BYTES {
            self.scratch = Vec::new();
        }
        self.scratch.resize(budget as usize, 0);
        copy(open, from, &mut self.scratch)?;
        let length = check_length(open, from, record::length(&self.scratch), end)?;
        if length > budget {
            // The first record alone is longer than the budget.
            self.scratch.resize(length as usize, 0);
            copy(open, from, &mut self.scratch)?;
        }
        let mut whole = 0;
        while let Some(record) = Record::parse(&self.scratch[whole..], RingOffset(from.0 + whole as u64)) {
            if !record.is_intact(open.segment.checksum) {
                return Err(damaged(&open.segment, format!("the record at offset {} is damaged", record.offset())));
            }
            whole += record.bytes().len();
        }
        match whole {
            0 => Err(damaged(&open.segment, format!("there is no record at offset {from}"))),
            _ => Ok(whole),
        }
    }
}

impl OpenSegment {
    fn streams(&self) -> Option<&StreamBlocks> {
        let load = || {
            let bytes = std::fs::read(streams_path(&self.segment.path)).ok()?;
            StreamBlocks::decode(&bytes, self.segment.base)
        };
        self.streams.get_or_init(load).as_ref()
    }
}

fn damaged(segment: &Segment, reason: String) -> SegmentError {
    SegmentError::Damaged { path: segment.path.clone(), reason }
}

fn copy(open: &OpenSegment, from: RingOffset, out: &mut [u8]) -> Result<(), SegmentError> {
    let at = open.segment.file_at(from);
    open.map.copy(at, out).map_err(|error| damaged(&open.segment, error.to_string()))
}

/// The length of a record at `from`, checked to be possible before `end`.
fn check_length(open: &OpenSegment, from: RingOffset, length: u64, end: RingOffset) -> Result<u64, SegmentError> {
    if length < record::HEADER_BYTES || !length.is_multiple_of(8) || length > end.0 - from.0 {
        return Err(damaged(&open.segment, format!("there is no record at offset {from}")));
    }
    Ok(length)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::log::segment::{FORMAT_VERSION, SegmentHeader};
    use crate::log::storage::tests::Scratch;
    use crate::position::ShardId;
    use std::sync::Arc;

    #[test]
    fn a_segment_that_retention_drops_while_it_is_opened_is_gone_and_not_damaged() {
        let scratch = Scratch::new();
        let segment = |number: u64| {
            let (base, after) = (RingOffset(number * 100), Position(number * 10));
            let (version, file_bytes) = (FORMAT_VERSION, 4096);
            let header =
                SegmentHeader { version, generation: 1, shard: ShardId(0), shards: 1, number, base, after, file_bytes };
            Arc::new(Segment::new(&header, scratch.path(&number.to_string()), 4096))
        };
        let segments = Segments::new(vec![segment(1), segment(2)]);
        let mut reader = SegmentReader::new(&segments);
        assert!(matches!(reader.open(0).err(), Some(SegmentError::Damaged { .. })), "a listed segment is missing");
        // The reader still has the old list.
        segments.drop_before(2);
        let gone = Lapped { head: RingOffset(200), evicted_through: Position(20) };
        assert_eq!(reader.open(0).err(), Some(SegmentError::Lapped(gone)));
    }
}
