//! What follows an invalid record of a segment. Valid records show that the invalid one is damaged; without any, it may be
//! the torn end of a write that was never finished.
//!
//! A record starts at a multiple of 8 bytes, has a length that fits, a higher position, and a checksum that covers its
//! offset. So the search tries every such offset from the invalid record to the end of the file, and does not rely on
//! the invalid record's length.

use super::scan::{READ_BYTES, ScanError, SegmentFile};
use crate::position::{Position, RingOffset};
use crate::ring::{Record, record};
use std::fmt;

/// The most bytes of possible records that the search checksums. A torn end has next to none. Data that exceeds the bound
/// was made to look like records, and counts as a record.
const CHECKSUMMED_BYTES_MAX: u64 = 1 << 30;

/// The first valid record behind an invalid one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowingRecord {
    /// The offset of the record.
    pub offset: RingOffset,
    /// The position of the record.
    pub position: Position,
}

impl fmt::Display for FollowingRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a valid record follows at offset {}, position {}", self.offset, self.position)
    }
}

impl SegmentFile {
    /// The first valid record at or after `from` whose position is above `after`; none where there is none.
    ///
    /// # Errors
    /// Any error of reading the file.
    pub fn first_record(&self, from: RingOffset, after: Position) -> Result<Option<FollowingRecord>, ScanError> {
        let limit = self.limit();
        let (mut at, mut summed) = (from, 0);
        let (mut run, mut long) = (Vec::new(), Vec::new());
        while at.0 + record::HEADER_BYTES <= limit.0 {
            self.read(at, limit, READ_BYTES, &mut run)?;
            // An offset whose header is not completely read is tried with the next run.
            let candidates = (run.len() as u64 - record::HEADER_BYTES) / 8 + 1;
            for candidate in 0..candidates {
                let (offset, bytes) = (RingOffset(at.0 + candidate * 8), &run[candidate as usize * 8..]);
                let length = record::length(bytes);
                let is_plausible = (record::HEADER_BYTES..=limit.0 - offset.0).contains(&length)
                    && length.is_multiple_of(8)
                    && record::position(bytes).is_some_and(|position| position > after && position < Position::END);
                if !is_plausible {
                    continue;
                }
                let bytes = match bytes.get(..length as usize) {
                    Some(bytes) => bytes,
                    None => {
                        self.read(offset, limit, length as usize, &mut long)?;
                        &long
                    }
                };
                let Some(record) = Record::parse(bytes, offset) else { continue };
                summed += length;
                if record.is_intact(self.header.checksum()) || summed > CHECKSUMMED_BYTES_MAX {
                    return Ok(Some(FollowingRecord { offset, position: record.position() }));
                }
            }
            at.0 += candidates * 8;
        }
        Ok(None)
    }

    /// The offset behind the last nonzero byte at or after `from`; `from` where there is none.
    ///
    /// # Errors
    /// Any error of reading the file.
    pub fn used_end(&self, from: RingOffset) -> Result<RingOffset, ScanError> {
        let limit = self.limit();
        let (mut at, mut end, mut run) = (from, from, Vec::new());
        while at < limit {
            self.read(at, limit, READ_BYTES, &mut run)?;
            if let Some(last) = run.iter().rposition(|byte| *byte != 0) {
                end = RingOffset(at.0 + last as u64 + 1);
            }
            at.0 += run.len() as u64;
        }
        Ok(end)
    }

    /// Whether the invalid record at `at` looks like a write that was interrupted by the end of the process: the kernel
    /// copies a write page by page, so the data ends at the end of a page and zeros follow.
    ///
    /// # Errors
    /// Any error of reading the file.
    pub fn looks_unfinished(&self, at: RingOffset) -> Result<bool, ScanError> {
        /// The unit in which the kernel copies a write, in bytes of the file.
        const PAGE_BYTES: u64 = 4096;
        let (limit, mut head) = (self.limit(), Vec::new());
        if at >= limit {
            return Ok(false);
        }
        self.read(at, limit, record::HEADER_BYTES as usize, &mut head)?;
        let length = record::length(&head);
        let used = self.file_at(self.used_end(at)?);
        let page = used.next_multiple_of(PAGE_BYTES);
        // Up to seven zeros may pad the end of a complete record, whatever its damaged length states.
        let is_page_full = page - used < 8;
        Ok(is_page_full
            && length.is_multiple_of(8)
            && length <= limit.0 - at.0
            && page + 8 <= self.file_at(at) + length)
    }
}
