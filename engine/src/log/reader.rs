//! Reading a shard's segments: find a position, copy a run of whole records, check each, lend them.

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

/// A reader of one shard's segments. It keeps one of them open, and what it copied last.
pub struct SegmentReader {
    segments: Segments,
    list: SegmentList,
    version: u64,
    open: Option<Open>,
    scratch: Vec<u8>,
    /// Up to which byte of the open file the system was asked to read ahead.
    ahead: u64,
}

struct Open {
    segment: Arc<Segment>,
    map: MappedFile,
    index: Option<Arc<SparseIndex>>,
    /// Which streams are where; loaded when somebody reads one.
    streams: OnceCell<Option<StreamBlocks>>,
}

/// Why records cannot be read from a log.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SegmentError {
    /// Retention has taken them.
    #[error(transparent)]
    Lapped(#[from] Lapped),
    /// The file cannot be read, or holds something else than what was written.
    #[error("{path}: {reason}; run `keytide check` on the directory")]
    Damaged {
        /// The segment's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// How much is asked of the system ahead of the reader, in bytes.
const AHEAD_BYTES: u64 = 2 << 20;

impl SegmentReader {
    /// A reader that has nothing open yet.
    pub fn new(segments: &Segments) -> SegmentReader {
        let (version, list) = segments.list();
        SegmentReader { segments: segments.clone(), list, version, open: None, scratch: Vec::new(), ahead: 0 }
    }

    /// Hands out what was copied last, for memory that the next copy may use.
    pub fn swap_scratch(&mut self, other: &mut Vec<u8>) {
        std::mem::swap(&mut self.scratch, other);
    }

    /// What was copied last.
    pub fn scratch(&self) -> &[u8] {
        &self.scratch
    }

    fn refresh(&mut self) {
        if self.segments.is_newer_than(self.version) {
            (self.version, self.list) = self.segments.list();
        }
    }

    /// The start of the oldest record, and what was lost before it.
    fn lapped(&self) -> Lapped {
        let head = self.list.first().map_or(RingOffset(0), |segment| segment.base);
        Lapped { head, evicted_through: self.segments.evicted_through().unwrap_or_default() }
    }

    /// Opens a segment, unless it is open.
    fn open(&mut self, at: usize) -> Result<&Open, SegmentError> {
        if self.open.as_ref().is_none_or(|open| open.segment.number != self.list[at].number) {
            let segment = self.list[at].clone();
            self.open = None;
            self.ahead = 0;
            let map = match MappedFile::open(&segment.path) {
                Ok(map) => map,
                Err(error) => {
                    self.refresh();
                    // Retention takes a segment from the list first, then its file.
                    let is_gone = self.list.first().is_none_or(|oldest| segment.number < oldest.number);
                    return Err(if is_gone { self.lapped().into() } else { damaged(&segment, error.to_string()) });
                }
            };
            let index = segment.index();
            self.open = Some(Open { segment, map, index, streams: OnceCell::new() });
        }
        match &self.open {
            Some(open) => Ok(open),
            None => unreachable!("it was just opened"),
        }
    }

    /// Where the first record is, among those before `tail`, whose position is `position` or more; `tail` where there
    /// is none. Whether something before it was lost is for [`Segments::evicted_through`] to say.
    ///
    /// # Errors
    /// Where a segment cannot be read.
    pub fn seek(&mut self, position: Position, tail: RingOffset) -> Result<RingOffset, SegmentError> {
        self.refresh();
        if self.list.is_empty() {
            return Ok(tail);
        }
        // The records of a segment are beyond what came before it.
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

    /// Where to go on from `from`, where a record starts, for who wants the records of one stream and flushes: at `from` or
    /// later, with none of them between. Looks at a few segments at the most.
    ///
    /// # Errors
    /// Where a segment cannot be read.
    pub fn skip(&mut self, from: RingOffset, stream: StreamBits, tail: RingOffset) -> Result<RingOffset, SegmentError> {
        /// Each takes about a millisecond.
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

    /// Copies whole records from `from` on, about `max_bytes` of them and at least one where there is one before
    /// `tail`; answers how many bytes they take. A run ends where its segment does. `from` is where a record starts.
    ///
    /// # Errors
    /// Where the record at `from` was taken by retention, or a segment cannot be read.
    pub fn read(&mut self, from: RingOffset, max_bytes: usize, tail: RingOffset) -> Result<usize, SegmentError> {
        if from >= tail {
            return Ok(0);
        }
        self.refresh();
        // Who is in the middle of a segment goes on to its end, even if retention has taken it meanwhile.
        let is_here = |open: &Open| from >= open.segment.base && from < open.segment.end(tail);
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
        if file_at + AHEAD_BYTES / 2 > self.ahead {
            self.ahead = file_at + AHEAD_BYTES;
            open.map.advise_will_need(file_at, AHEAD_BYTES);
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

impl Open {
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

fn copy(open: &Open, from: RingOffset, out: &mut [u8]) -> Result<(), SegmentError> {
    let at = open.segment.file_at(from);
    open.map.copy(at, out).map_err(|error| damaged(&open.segment, error.to_string()))
}

/// A length that a record before `end` can have.
fn check_length(open: &Open, from: RingOffset, length: u64, end: RingOffset) -> Result<u64, SegmentError> {
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
    fn a_segment_that_retention_takes_while_it_is_opened_is_gone_and_not_damaged() {
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
        assert!(matches!(reader.open(0).err(), Some(SegmentError::Damaged { .. })), "it is not there, and should be");
        // The reader has the list of before.
        segments.drop_before(2);
        let gone = Lapped { head: RingOffset(200), evicted_through: Position(20) };
        assert_eq!(reader.open(0).err(), Some(SegmentError::Lapped(gone)));
    }
}
