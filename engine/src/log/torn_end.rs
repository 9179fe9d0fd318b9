//! What lies behind a place of a segment at which there is no whole record: records, which say that it is damaged, or none
//! that anybody could tell, as behind a write that was never finished.
//!
//! A record starts at a multiple of 8 bytes, has a length that fits, a position that comes later, and a checksum that is
//! made of its place too. So each such place is looked at, from the bad record to the end of the file: nothing that a
//! damaged length says is believed.

use super::scan::{RUN_BYTES, ScanError, SegmentFile};
use crate::position::{Position, RingOffset};
use crate::ring::{Record, record};
use std::fmt;

/// Sums at most so many bytes of what may be records. A torn end has next to nothing to sum. What takes more was made to
/// look like records, and counts as such.
const SUMMED_BYTES_MAX: u64 = 1 << 30;

/// The first record behind a bad one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Where it lies.
    pub offset: RingOffset,
    /// Its position.
    pub position: Position,
}

impl fmt::Display for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole record follows at offset {}, position {}", self.offset, self.position)
    }
}

impl SegmentFile {
    /// The first whole record from `from` on whose position is behind `after`; none where there is none.
    ///
    /// # Errors
    /// Whatever reading meets.
    pub fn first_record(&self, from: RingOffset, after: Position) -> Result<Option<Behind>, ScanError> {
        let limit = self.limit();
        let (mut at, mut summed) = (from, 0);
        let (mut run, mut long) = (Vec::new(), Vec::new());
        while at.0 + record::HEADER_BYTES <= limit.0 {
            self.read(at, limit, RUN_BYTES, &mut run)?;
            // A place of which the header is not read whole is looked at with the next run.
            let places = (run.len() as u64 - record::HEADER_BYTES) / 8 + 1;
            for place in 0..places {
                let (offset, bytes) = (RingOffset(at.0 + place * 8), &run[place as usize * 8..]);
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
                if record.is_intact(self.header.checksum()) || summed > SUMMED_BYTES_MAX {
                    return Ok(Some(Behind { offset, position: record.position() }));
                }
            }
            at.0 += places * 8;
        }
        Ok(None)
    }

    /// The offset behind the last byte from `from` on that is not zero; `from` where all are.
    ///
    /// # Errors
    /// Whatever reading meets.
    pub fn used_end(&self, from: RingOffset) -> Result<RingOffset, ScanError> {
        let limit = self.limit();
        let (mut at, mut end, mut run) = (from, from, Vec::new());
        while at < limit {
            self.read(at, limit, RUN_BYTES, &mut run)?;
            if let Some(last) = run.iter().rposition(|byte| *byte != 0) {
                end = RingOffset(at.0 + last as u64 + 1);
            }
            at.0 += run.len() as u64;
        }
        Ok(end)
    }

    /// Whether the record that is not whole at `at` looks as a write leaves it that was under way when the process was
    /// killed: the system takes it page by page, up to the end of one, and what is behind that is zeros.
    ///
    /// # Errors
    /// Whatever reading meets.
    pub fn looks_unfinished(&self, at: RingOffset) -> Result<bool, ScanError> {
        /// What the system takes at once, in bytes of the file.
        const PAGE_BYTES: u64 = 4096;
        let (limit, mut head) = (self.limit(), Vec::new());
        if at >= limit {
            return Ok(false);
        }
        self.read(at, limit, record::HEADER_BYTES as usize, &mut head)?;
        let length = record::length(&head);
        let used = self.file_at(self.used_end(at)?);
        let page = used.next_multiple_of(PAGE_BYTES);
        // Up to seven zeros end a record that is there as a whole, whatever its damaged length says.
        let is_page_full = page - used < 8;
        Ok(is_page_full
            && length.is_multiple_of(8)
            && length <= limit.0 - at.0
            && page + 8 <= self.file_at(at) + length)
    }
}
