//! A segment read from one record to the next, each checked: what a start does with the log, and what `keytide check`
//! does. By read calls, not through a map: everything is looked at once, in order.

use super::index::{Sealed, SparseIndex};
use super::segment::{self, HEADER_BYTES, HeaderError, SegmentHeader};
use crate::position::{Position, RingOffset};
use crate::ring::{Record, record};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// How much is read at a time, in bytes.
pub(super) const RUN_BYTES: usize = 1 << 20;

/// A segment's file, open for scanning.
pub struct SegmentFile {
    /// Where it is.
    pub path: PathBuf,
    /// What its header says.
    pub header: SegmentHeader,
    /// How long it is, in bytes.
    pub file_bytes: u64,
    /// Whether both copies of the header are there.
    pub is_header_whole: bool,
    file: File,
}

/// How far the records of a segment go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The offset behind the last whole record.
    pub end: RingOffset,
    /// The position of that record; that of the record before the segment where it has none.
    pub last: Position,
    /// When it happened, Unix milliseconds; 0 where there is none.
    pub last_ms: u64,
    /// The offset behind the last whole command, and the position of its last record. Differs from `end` where the last
    /// record says that more of its command follows.
    pub whole: (RingOffset, Position),
    /// How many records there are.
    pub records: u64,
    /// How many bytes that are not zero follow, up to the end of the file: what was torn or damaged.
    pub residue: u64,
}

impl Extent {
    /// What is known of a segment that ends so.
    pub fn sealed(&self) -> Sealed {
        Sealed { end: self.end, last: self.last, last_ms: self.last_ms }
    }
}

/// Why a file cannot be scanned.
#[derive(Debug, Error)]
pub enum ScanError {
    /// The system refuses.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no segment.
    #[error("{path}: {source}")]
    Header {
        /// The file.
        path: PathBuf,
        /// Why.
        source: HeaderError,
    },
}

/// Whether a file holds nothing but zeros.
///
/// # Errors
/// Whatever reading meets.
pub fn is_zero(path: &Path) -> Result<bool, ScanError> {
    let refused = |source| ScanError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(refused)?;
    let mut run = vec![0; RUN_BYTES];
    loop {
        match file.read(&mut run).map_err(refused)? {
            0 => return Ok(true),
            bytes if run[..bytes].iter().any(|byte| *byte != 0) => return Ok(false),
            _ => {}
        }
    }
}

impl SegmentFile {
    /// Opens a segment.
    ///
    /// # Errors
    /// Where it cannot be read or its header is none.
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

    /// Opens a file as if it had this header.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(crate) fn assume(path: &Path, header: SegmentHeader) -> Result<SegmentFile, ScanError> {
        let refused = |source| ScanError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(refused)?;
        let file_bytes = file.metadata().map_err(refused)?.len();
        Ok(SegmentFile { path: path.to_owned(), header, file_bytes, is_header_whole: false, file })
    }

    /// Visits the records from `from`, where one starts, up to `until`, or to the first that is not whole: because there
    /// is none, it is cut off, or its checksum or position does not fit.
    ///
    /// # Errors
    /// Whatever reading meets, and whatever the visitor answers.
    pub fn scan<E: From<ScanError>>(
        &self,
        (from, after): (RingOffset, Position),
        until: Option<RingOffset>,
        mut visit: impl FnMut(&Record<'_>) -> Result<(), E>,
    ) -> Result<Extent, E> {
        let until = until.map_or(self.limit(), |until| until.min(self.limit()));
        let mut extent = Extent { end: from, last: after, last_ms: 0, whole: (from, after), records: 0, residue: 0 };
        let mut run = Vec::new();
        // Of a file that was cut, `from` may lie behind the end.
        while extent.end < until {
            self.read_records(extent.end, until, RUN_BYTES, &mut run)?;
            let before = extent.end;
            let mut rest = &run[..];
            while let Some(record) = Record::parse(rest, extent.end) {
                if record.position() <= extent.last || !record.is_intact(self.header.checksum()) {
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

    /// The byte of the file at which what is at `offset` stands.
    pub fn file_at(&self, offset: RingOffset) -> u64 {
        segment::file_at(self.header.base, offset)
    }

    /// Reads about so many bytes, and the first record whole where there is one.
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

    /// Visits the records up to `end`, which this process has written itself: whether they are still intact is found out
    /// by whoever reads them.
    ///
    /// # Errors
    /// Whatever reading meets.
    pub fn skim(&self, end: RingOffset, mut visit: impl FnMut(&Record<'_>)) -> Result<(), ScanError> {
        /// What a core's own cache holds.
        const SKIM_BYTES: usize = 128 << 10;
        let (mut at, mut run) = (self.header.base, Vec::new());
        let end = end.min(self.limit());
        while at < end {
            self.read_records(at, end, SKIM_BYTES, &mut run)?;
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

    /// Goes through the whole segment: how far its records go, the index of them, and what lies behind.
    ///
    /// # Errors
    /// Whatever reading meets.
    pub fn measure(&self) -> Result<(Extent, SparseIndex), ScanError> {
        let index = SparseIndex::new(self.header.base, self.file_bytes);
        let start = (self.header.base, self.header.after);
        let mut extent = self.scan::<ScanError>(start, None, |record| {
            if record.offset() >= index.due() {
                index.note(record.offset(), record.position());
            }
            Ok(())
        })?;
        extent.residue = self.residue(extent.end)?;
        Ok((extent, index))
    }

    /// How many bytes from `from` on are not zero.
    ///
    /// # Errors
    /// Whatever reading meets.
    pub fn residue(&self, from: RingOffset) -> Result<u64, ScanError> {
        let limit = self.limit();
        let (mut at, mut residue, mut run) = (from, 0, Vec::new());
        while at < limit {
            self.read(at, limit, RUN_BYTES, &mut run)?;
            residue += run.iter().filter(|byte| **byte != 0).count() as u64;
            at.0 += run.len() as u64;
        }
        Ok(residue)
    }
}
