//! A segment read from record to record, each checked: as a start and `keytide check` read a log. By read calls, not
//! through a map, since every byte is read once and in order.

use super::index::{Sealed, SparseIndex};
use super::segment::{self, HEADER_BYTES, HeaderError, SegmentHeader};
use crate::position::{Position, RingOffset};
use crate::ring::{Record, record};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// How much one read call reads, in bytes.
pub(super) const READ_BYTES: usize = 1 << 20;

/// The file of a segment, open for scanning.
pub struct SegmentFile {
    /// The path of the file.
    pub path: PathBuf,
    /// The header of the segment.
    pub header: SegmentHeader,
    /// The length of the file in bytes.
    pub file_bytes: u64,
    /// Whether both copies of the header are valid.
    pub is_header_whole: bool,
    file: File,
}

/// Where the valid records of a segment end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The offset behind the last valid record.
    pub end: RingOffset,
    /// The position of that record; where the segment has none, of the last record before the segment.
    pub last: Position,
    /// The time of that record in Unix milliseconds; 0 where there is none.
    pub last_ms: u64,
    /// The offset behind the last complete command, and the position of its last record. Differs from `end` where the last
    /// record is marked as followed by more records of its command.
    pub whole: (RingOffset, Position),
    /// The number of records.
    pub records: u64,
    /// The number of nonzero bytes from `end` to the end of the file: torn or damaged records.
    pub residue: u64,
}

impl Extent {
    /// The end of the segment, as its index states it.
    pub fn sealed(&self) -> Sealed {
        Sealed { end: self.end, last: self.last, last_ms: self.last_ms }
    }
}

/// Why a segment cannot be scanned.
#[derive(Debug, Error)]
pub enum ScanError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The header is invalid.
    #[error("{path}: {source}")]
    Header {
        /// The file.
        path: PathBuf,
        /// Why.
        source: HeaderError,
    },
}

/// Whether a file has nothing but zeros.
///
/// # Errors
/// Any error of reading the file.
pub fn is_zero(path: &Path) -> Result<bool, ScanError> {
    let refused = |source| ScanError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(refused)?;
    let mut run = vec![0; READ_BYTES];
    loop {
        match file.read(&mut run).map_err(refused)? {
            0 => return Ok(true),
            bytes if run[..bytes].iter().any(|byte| *byte != 0) => return Ok(false),
            _ => {}
        }
    }
}

impl SegmentFile {
    /// Opens the file of a segment.
    ///
    /// # Errors
    /// Where the file cannot be read or its header is invalid.
    pub fn open(path: &Path) -> Result<SegmentFile, ScanError> {
        let refused = |source| ScanError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(refused)?;
        let file_bytes = file.metadata().map_err(refused)?.len();
        if file_bytes < HEADER_BYTES {
            let source = HeaderError::Cut { bytes: file_bytes };
            return Err(ScanError::Header { path: path.to_owned(), source });
        }
        let mut page = vec![0; HEADER_BYTES as usize];
        file.read_exact_at(&mut page, 0).map_err(refused)?;
        let header =
            SegmentHeader::decode(&page).map_err(|source| ScanError::Header { path: path.to_owned(), source })?;
        let is_header_whole = page == header.encode();
        Ok(SegmentFile { path: path.to_owned(), header, file_bytes, is_header_whole, file })
    }

    /// Opens a file whose header is gone as if it had `header`.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub(crate) fn open_with_header(path: &Path, header: SegmentHeader) -> Result<SegmentFile, ScanError> {
        let refused = |source| ScanError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(refused)?;
        let file_bytes = file.metadata().map_err(refused)?.len();
        Ok(SegmentFile { path: path.to_owned(), header, file_bytes, is_header_whole: false, file })
    }

    /// Visits the records from `from`, where one starts, to `until` (exclusive) or to the first invalid one: zeros, a record
    /// that is cut off, or one whose checksum or position does not match. Positions must exceed `after`, and be below
    /// [`Position::END`].
    ///
    /// # Errors
    /// Any error of reading the file, and errors of the visitor, which end the scan.
    pub fn scan<E: From<ScanError>>(
        &self,
        (from, after): (RingOffset, Position),
        until: Option<RingOffset>,
        mut visit: impl FnMut(&Record<'_>) -> Result<(), E>,
    ) -> Result<Extent, E> {
        let until = until.map_or(self.limit(), |until| until.min(self.limit()));
        let mut extent = Extent { end: from, last: after, last_ms: 0, whole: (from, after), records: 0, residue: 0 };
        let mut run = Vec::new();
        // In a file that was cut, `from` may be beyond the end.
        while extent.end < until {
            self.read_records(extent.end, until, READ_BYTES, &mut run)?;
            let before = extent.end;
            let mut rest = &run[..];
            while let Some(record) = Record::parse(rest, extent.end) {
                let is_next = record.position() > extent.last && record.position() < Position::END;
                if !is_next || !record.is_intact(self.header.checksum()) {
                    return Ok(extent);
                }
                visit(&record)?;
                rest = &rest[record.bytes().len()..];
                extent.end = record.end();
                extent.last = record.position();
                extent.last_ms = record.timestamp_ms();
                extent.records += 1;
                if !record.has_more() {
                    extent.whole = (extent.end, extent.last);
                }
            }
            if extent.end == before {
                break;
            }
        }
        Ok(extent)
    }

    /// The offset at which the file ends.
    pub(super) fn limit(&self) -> RingOffset {
        segment::limit(self.header.base, self.file_bytes)
    }

    /// The byte of the file that corresponds to `offset`.
    pub fn file_at(&self, offset: RingOffset) -> u64 {
        segment::file_at(self.header.base, offset)
    }

    /// Reads about `bytes` bytes, and always the first record completely where its length fits.
    fn read_records(
        &self,
        from: RingOffset,
        until: RingOffset,
        bytes: usize,
        run: &mut Vec<u8>,
    ) -> Result<(), ScanError> {
        self.read(from, until, bytes, run)?;
        let first = record::length(run);
        if first as usize > run.len() && first <= until.0 - from.0 {
            self.read(from, until, first as usize, run)?;
        }
        Ok(())
    }

    pub(super) fn read(
        &self,
        from: RingOffset,
        until: RingOffset,
        bytes: usize,
        run: &mut Vec<u8>,
    ) -> Result<(), ScanError> {
        run.resize(bytes.min((until.0 - from.0) as usize), 0);
        self.file
            .read_exact_at(run, self.file_at(from))
            .map_err(|source| ScanError::Io { path: self.path.clone(), source })
    }

    /// Visits the records up to `end` without checking them. For records that this process has written itself; readers of
    /// the log check them again.
    ///
    /// # Errors
    /// Any error of reading the file.
    pub fn scan_unchecked(&self, end: RingOffset, mut visit: impl FnMut(&Record<'_>)) -> Result<(), ScanError> {
        /// How much one read call reads, in bytes: less than a core's second-level cache.
        const UNCHECKED_READ_BYTES: usize = 128 << 10;
        let (mut at, mut run) = (self.header.base, Vec::new());
        let end = end.min(self.limit());
        while at < end {
            self.read_records(at, end, UNCHECKED_READ_BYTES, &mut run)?;
            let (before, mut rest) = (at, &run[..]);
            while let Some(record) = Record::parse(rest, at) {
                visit(&record);
                rest = &rest[record.bytes().len()..];
                at = record.end();
            }
            if at == before {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Scans the whole segment: where its valid records end, and their index.
    ///
    /// # Errors
    /// Any error of reading the file.
    pub fn measure(&self) -> Result<(Extent, SparseIndex), ScanError> {
        let index = SparseIndex::new(self.header.base, self.file_bytes);
        let start = (self.header.base, self.header.after);
        let mut extent = self.scan::<ScanError>(start, None, |record| {
            if record.offset() >= index.due() {
                index.add(record.offset(), record.position());
            }
            Ok(())
        })?;
        extent.residue = self.residue(extent.end)?;
        Ok((extent, index))
    }

    /// The number of nonzero bytes from `from` to the end of the file.
    ///
    /// # Errors
    /// Any error of reading the file.
    pub fn residue(&self, from: RingOffset) -> Result<u64, ScanError> {
        let limit = self.limit();
        let (mut at, mut residue, mut run) = (from, 0, Vec::new());
        while at < limit {
            self.read(at, limit, READ_BYTES, &mut run)?;
            residue += run.iter().filter(|byte| **byte != 0).count() as u64;
            at.0 += run.len() as u64;
        }
        Ok(residue)
    }
}
