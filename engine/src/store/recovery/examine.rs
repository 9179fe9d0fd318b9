//! Examines a shard's log without changing it: which segments follow each other, where the log ends, and whether what
//! follows is torn or damaged. A start and `keytide check` use the same examination.

use super::error::{Evidence, RecoveryError};
use super::trust::{Cut, Trust, Visibility};
use crate::log::LogIdentity;
use crate::log::index::{Sealed, SparseIndex};
use crate::log::scan::{Extent, ScanError, SegmentFile, is_zero};
use crate::log::segment::{FORMAT_VERSION, HeaderError, SegmentHeader, segment_number, segment_path};
use crate::log::storage::is_unfinished;
use crate::log::synced::{self, Mark};
use crate::position::{Position, RingOffset};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A segment of the log under examination.
pub(super) struct ExaminedSegment {
    pub file: SegmentFile,
    pub sealed: Sealed,
    /// None where the segment has a valid index: then it was valid when it was sealed, and is not scanned.
    pub extent: Option<Extent>,
    pub index: Arc<SparseIndex>,
}

impl ExaminedSegment {
    /// The offset behind the last complete command, and the position of its last record.
    pub fn end(&self) -> (RingOffset, Position) {
        self.extent.map_or((self.sealed.end, self.sealed.last), |extent| extent.whole)
    }
}

/// The result of an examination.
pub(super) struct ExaminedLog {
    /// The durable mark; none where it is missing or damaged.
    pub mark: Option<Mark>,
    /// The segments of the log, oldest first.
    pub segments: Vec<ExaminedSegment>,
    /// What is to be cut off the end of the log.
    pub cut: Cut,
    /// The segments that are not part of the log, and whether each is empty.
    pub dropped: Vec<(PathBuf, bool)>,
    /// The segments that retention has dropped.
    pub retired: Vec<PathBuf>,
    /// Files that were never completed, and files derived from a segment that is gone.
    pub leftovers: Vec<PathBuf>,
}

impl ExaminedLog {
    /// The offset up to which the log was on the disk, by the durable mark.
    pub fn synced(&self) -> RingOffset {
        self.mark.unwrap_or_default().synced
    }
}

/// Examines the log of a shard.
///
/// # Errors
/// Damage that the end of a run does not explain under this trust, and any error of the file system.
pub(super) fn examine(identity: &LogIdentity, trust: Trust) -> Result<ExaminedLog, RecoveryError> {
    let directory = &identity.directory;
    let mark = match synced::read(directory) {
        Ok(mark) => mark,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => match trust {
            Trust::Nothing => None,
            Trust::All | Trust::Written | Trust::Synced => {
                return Err(RecoveryError::Mark { path: directory.join("synced") });
            }
        },
        Err(source) => return Err(RecoveryError::Io { path: directory.join("synced"), source }),
    };
    // A log without a mark is a copy of one that was being written.
    let trust = if mark.is_none() { trust.max(Trust::Synced) } else { trust };
    let log = ExaminedLog {
        mark,
        segments: Vec::new(),
        cut: Cut::default(),
        dropped: Vec::new(),
        retired: Vec::new(),
        leftovers: Vec::new(),
    };
    let mut examination = Examination { identity, trust, log };
    let files = examination.list_segments()?;
    examination.check_numbers(&files)?;
    let mut files = files.into_iter();
    for (number, path) in files.by_ref() {
        if !examination.append(number, &path)? {
            examination.drop_file(&path)?;
            break;
        }
    }
    // Everything behind a hole is dropped.
    for (_, path) in files {
        examination.drop_file(&path)?;
    }
    examination.find_end()?;
    Ok(examination.log)
}

struct Examination<'i> {
    identity: &'i LogIdentity,
    trust: Trust,
    log: ExaminedLog,
}

impl Examination<'_> {
    /// The numbers and paths of the segments of the directory, in order.
    fn list_segments(&mut self) -> Result<Vec<(u64, PathBuf)>, RecoveryError> {
        let directory = &self.identity.directory;
        let refused = |source| RecoveryError::Io { path: directory.clone(), source };
        let first = self.log.mark.and_then(|mark| mark.segments).map_or(0, |(first, _)| first);
        let mut segments = Vec::new();
        for entry in std::fs::read_dir(directory).map_err(refused)? {
            let path = entry.map_err(refused)?.path();
            let is_derived = path.extension().is_some_and(|end| end == "index" || end == "streams");
            if is_unfinished(&path) || is_derived && !path.with_extension("segment").exists() {
                self.log.leftovers.push(path);
            } else if let Some(number) = segment_number(&path) {
                match number < first {
                    true => self.log.retired.push(path),
                    false => segments.push((number, path)),
                }
            }
        }
        self.log.retired.sort_unstable();
        segments.sort_unstable();
        Ok(segments)
    }

    /// Refuses a log with a missing segment, as far as the durable mark states the numbers.
    fn check_numbers(&self, segments: &[(u64, PathBuf)]) -> Result<(), RecoveryError> {
        let Some((first, last)) = self.log.mark.and_then(|mark| mark.segments) else { return Ok(()) };
        let last = segments.last().map_or(last, |(number, _)| last.max(*number));
        let missing =
            (first..=last).find(|number| segments.binary_search_by_key(number, |(number, _)| *number).is_err());
        match missing {
            Some(number) if self.trust != Trust::Nothing => {
                let path = segment_path(&self.identity.directory, number);
                Err(self.damaged(&path, self.end().0, "the segment is missing", Evidence::Complete))
            }
            _ => Ok(()),
        }
    }

    /// The end of the log so far: the offset behind the last record, and its position.
    fn end(&self) -> (RingOffset, Position) {
        let last = self.log.segments.last();
        last.map_or((RingOffset(0), Position(0)), |segment| (segment.sealed.end, segment.sealed.last))
    }

    fn damaged(&self, path: &Path, offset: RingOffset, what: impl Into<String>, evidence: Evidence) -> RecoveryError {
        RecoveryError::Damaged { path: path.to_owned(), what: what.into(), offset, evidence }
    }

    /// Refuses an invalid record or file at `offset` if it is below the durable mark, or if `was_complete` on the disk once:
    /// no end of a run explains it.
    fn check(
        &self,
        path: &Path,
        offset: RingOffset,
        what: impl Into<String>,
        was_complete: bool,
    ) -> Result<(), RecoveryError> {
        let synced = self.log.synced();
        match self.trust {
            Trust::Nothing => Ok(()),
            _ if was_complete => Err(self.damaged(path, offset, what, Evidence::Complete)),
            _ if offset < synced => Err(self.damaged(path, offset, what, Evidence::Synced(synced))),
            Trust::All | Trust::Written | Trust::Synced => Ok(()),
        }
    }

    /// Refuses an invalid record or file if `following` finds something behind it that no torn end has.
    fn check_following(
        &self,
        (path, offset): (&Path, RingOffset),
        what: impl Into<String>,
        following: impl FnOnce() -> Result<Option<Evidence>, RecoveryError>,
    ) -> Result<(), RecoveryError> {
        if !matches!(self.trust, Trust::All | Trust::Written) {
            return Ok(());
        }
        following()?.map_or(Ok(()), |evidence| Err(self.damaged(path, offset, what, evidence)))
    }

    /// Examines the next segment and appends it to the log if it begins where the previous one ends. Returns whether it does.
    fn append(&mut self, number: u64, path: &Path) -> Result<bool, RecoveryError> {
        let file = match SegmentFile::open(path) {
            Ok(file) => file,
            Err(ScanError::Header { source: source @ HeaderError::Version { .. }, path }) => {
                return Err(ScanError::Header { source, path }.into());
            }
            Err(ScanError::Header { .. }) => return Ok(false),
            Err(error @ ScanError::Io { .. }) => return Err(error.into()),
        };
        if !file.is_header_whole {
            tracing::warn!(path = %path.display(), "one copy of the segment's header is damaged, the other one is used");
        }
        let header = &file.header;
        let (file_bytes, written) = (file.file_bytes, header.file_bytes);
        if !header.has_length(file_bytes) {
            self.check(path, header.base, format!("the file has {file_bytes} of its {written} bytes, cut"), true)?;
        }
        let is_first = self.log.segments.is_empty();
        let follows = is_first || (header.base, header.after) == self.end();
        if !self.identity.owns(header, number) || !follows {
            return Ok(false);
        }
        // Repair trusts no index.
        let index = if self.trust == Trust::Nothing { None } else { SparseIndex::load(path, header.base) };
        let (sealed, extent, index) = match index {
            Some((index, sealed)) => (sealed, None, index),
            None => {
                let (extent, index) = file.measure()?;
                (extent.sealed(), Some(extent), index)
            }
        };
        self.log.segments.push(ExaminedSegment { file, sealed, extent, index: Arc::new(index) });
        Ok(true)
    }

    /// Lists a segment that is not part of the log as dropped, and counts its records. One that is not empty will be set
    /// aside.
    fn drop_file(&mut self, path: &Path) -> Result<(), RecoveryError> {
        let (end, last) = self.end();
        let is_empty = match SegmentFile::open(path) {
            Ok(file) => {
                self.check_follows(&file)?;
                let (extent, _) = file.measure()?;
                self.log.cut.records += extent.records;
                self.log.cut.bytes += extent.residue;
                self.raise_visibility(Visibility::Possible);
                extent.records == 0 && extent.residue == 0
            }
            Err(ScanError::Header { source: source @ HeaderError::Cut { .. }, .. }) => {
                self.check(path, end, source.to_string(), true)?;
                false
            }
            Err(ScanError::Header { source, .. }) => {
                self.check_last()?;
                let what = match source {
                    HeaderError::Unused => {
                        "the segment was never used, or its header is gone, and the log ends".to_owned()
                    }
                    _ => source.to_string(),
                };
                self.check(path, end, what, false)?;
                // The records of the segment, if it has any, begin where the log ends.
                let file = SegmentFile::open_with_header(path, self.header_at(path, end, last))?;
                let following = || Ok(file.first_record(end, last)?.map(Evidence::Record));
                self.check_following((path, end), format!("its header is gone ({source})"), following)?;
                let is_empty = is_zero(path)?;
                if file.used_end(end)? > end {
                    self.raise_visibility(Visibility::Possible);
                }
                is_empty
            }
            Err(error @ ScanError::Io { .. }) => return Err(error.into()),
        };
        self.log.dropped.push((path.to_owned(), is_empty));
        Ok(())
    }

    /// Refuses a segment with a valid header that does not continue the log, unless the missing records may be lost.
    fn check_follows(&self, file: &SegmentFile) -> Result<(), RecoveryError> {
        self.check_last()?;
        let (header, (end, _)) = (&file.header, self.end());
        let what = match header.base {
            base if self.owns(file) => {
                format!("the segment does not follow: it begins at {base} after {}", header.after)
            }
            _ => "the segment belongs to another log".to_owned(),
        };
        self.check(&file.path, end, what.clone(), false)?;
        let last = self.log.segments.last();
        let (place, what) = match last.filter(|_| self.owns(file) && end < header.base) {
            Some(last) => ((&*last.file.path, end), "there is no valid record".to_owned()),
            None => ((&*file.path, end), what),
        };
        self.check_following(place, what, || Ok(Some(Evidence::Segment(file.path.clone()))))
    }

    fn owns(&self, file: &SegmentFile) -> bool {
        segment_number(&file.path).is_some_and(|number| self.identity.owns(&file.header, number))
    }

    /// Refuses an invalid record in the last segment so far, unless it may be the end of the log.
    fn check_last(&self) -> Result<(), RecoveryError> {
        let last = self.log.segments.last();
        let torn = last.and_then(|last| Some((last, last.extent.filter(|extent| extent.residue > 0)?)));
        torn.map_or(Ok(()), |(last, extent)| self.check(&last.file.path, extent.end, "a damaged record", false))
    }

    /// The header of a segment that begins where the log ends.
    fn header_at(&self, path: &Path, base: RingOffset, after: Position) -> SegmentHeader {
        let &LogIdentity { generation, shard, shards, .. } = self.identity;
        let number = segment_number(path).unwrap_or_default();
        SegmentHeader { version: FORMAT_VERSION, generation, shard, shards, number, base, after, file_bytes: 0 }
    }

    fn raise_visibility(&mut self, visibility: Visibility) {
        self.log.cut.visibility = self.log.cut.visibility.max(visibility);
    }

    /// Finds the end of the log: behind its last complete command.
    fn find_end(&mut self) -> Result<(), RecoveryError> {
        let Some(at) = self.log.segments.len().checked_sub(1) else {
            let mark = self.identity.directory.join("synced");
            return self.check(&mark, RingOffset(0), "there is no segment, and the log ends", false);
        };
        let extent = self.measure(at)?;
        let last = &self.log.segments[at].file;
        self.check(&last.path, extent.end, "a damaged record", false)?;
        if extent.residue > 0 {
            let from = RingOffset(extent.end.0 + 8);
            let following = || Ok(last.first_record(from, extent.last)?.map(Evidence::Record));
            self.check_following((&last.path, extent.end), "a damaged record", following)?;
            let is_unfinished = last.looks_unfinished(extent.end)?;
            self.raise_visibility(match self.trust {
                // Everything that was published is below the durable mark.
                Trust::All => Visibility::None,
                Trust::Written if is_unfinished => Visibility::Unlikely,
                Trust::Written | Trust::Synced | Trust::Nothing => Visibility::Possible,
            });
        }
        // Where the last command is incomplete, the log ends where that command begins, possibly some segments before.
        // Records are appended to the last segment again, whether it was sealed or not.
        while let Some(at) = self.log.segments.len().checked_sub(1) {
            let extent = self.measure(at)?;
            let base = self.log.segments[at].file.header.base;
            if at == 0 || extent.whole.0 > base {
                break;
            }
            if extent.records == 0 {
                let before = self.measure(at - 1)?;
                if before.whole.0 == before.end {
                    break;
                }
            }
            // No command ends in the segment: its records, if it has any, belong to one that begins before.
            let Some(dropped) = self.log.segments.pop() else { break };
            self.log.cut.records += extent.records;
            self.log.cut.bytes += extent.residue;
            let is_empty = extent.records == 0 && extent.residue == 0;
            self.log.dropped.push((dropped.file.path, is_empty));
        }
        Ok(())
    }

    /// Scans a segment as if it had never been sealed, unless that was done before.
    fn measure(&mut self, at: usize) -> Result<Extent, RecoveryError> {
        let segment = &mut self.log.segments[at];
        if let Some(extent) = segment.extent {
            return Ok(extent);
        }
        let (extent, index) = segment.file.measure()?;
        segment.sealed = extent.sealed();
        segment.extent = Some(extent);
        segment.index = Arc::new(index);
        Ok(extent)
    }
}
