//! A shard's log looked at before anything is changed: which segments follow each other, where the log ends, and whether
//! what lies behind that is torn or damaged. A start and `keytide check` look with the same eyes.

use super::error::{RecoveryError, Why};
use super::trust::{Cut, Seen, Trust};
use crate::log::LogIdentity;
use crate::log::index::{Sealed, SparseIndex};
use crate::log::scan::{Extent, ScanError, SegmentFile, is_zero};
use crate::log::segment::{FORMAT_VERSION, HeaderError, SegmentHeader, segment_number, segment_path};
use crate::log::storage::is_aside;
use crate::log::synced::{self, Mark};
use crate::position::{Position, RingOffset};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One segment while its log is looked at.
pub(super) struct Looked {
    pub file: SegmentFile,
    pub sealed: Sealed,
    /// None where its index was there: then it was looked at when it was sealed.
    pub extent: Option<Extent>,
    pub index: Arc<SparseIndex>,
}

/// A shard's log as it lies there.
pub(super) struct Examined {
    /// The mark; none where there is none, or it is damaged.
    pub mark: Option<Mark>,
    /// The segments that make up the log, the oldest first.
    pub looked: Vec<Looked>,
    /// What is to be cut off, and whether anybody can have seen it.
    pub cut: Cut,
    /// Segments that are no part of the log, and whether they are empty.
    pub dropped: Vec<(PathBuf, bool)>,
    /// Segments that retention has taken.
    pub retired: Vec<PathBuf>,
    /// Files that were never completed, or made from a segment that is gone.
    pub leftovers: Vec<PathBuf>,
}

impl Examined {
    /// The offset up to which everything was surely on the disk.
    pub fn synced(&self) -> RingOffset {
        self.mark.unwrap_or_default().synced
    }
}

/// Looks at the log of a shard.
///
/// # Errors
/// Damage, where what is trusted does not explain it, and whatever the system says.
pub(super) fn examine(identity: &LogIdentity, trust: Trust) -> Result<Examined, RecoveryError> {
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
    // Without its mark it is a copy of a log that was being written.
    let trust = if mark.is_none() { trust.max(Trust::Synced) } else { trust };
    let found = Examined {
        mark,
        looked: Vec::new(),
        cut: Cut::default(),
        dropped: Vec::new(),
        retired: Vec::new(),
        leftovers: Vec::new(),
    };
    let mut look = Look { identity, trust, found };
    let segments = look.list()?;
    look.check_numbers(&segments)?;
    let mut segments = segments.into_iter();
    for (number, path) in segments.by_ref() {
        if !look.take(number, &path)? {
            look.drop_file(&path)?;
            break;
        }
    }
    // Nothing is left behind what is missing.
    for (_, path) in segments {
        look.drop_file(&path)?;
    }
    look.look_at_end()?;
    Ok(look.found)
}

struct Look<'i> {
    identity: &'i LogIdentity,
    trust: Trust,
    found: Examined,
}

impl Look<'_> {
    /// The segments of the directory, in order.
    fn list(&mut self) -> Result<Vec<(u64, PathBuf)>, RecoveryError> {
        let directory = &self.identity.directory;
        let refused = |source| RecoveryError::Io { path: directory.clone(), source };
        let first = self.found.mark.and_then(|mark| mark.segments).map_or(0, |(first, _)| first);
        let mut segments = Vec::new();
        for entry in std::fs::read_dir(directory).map_err(refused)? {
            let path = entry.map_err(refused)?.path();
            let is_made = path.extension().is_some_and(|end| end == "index" || end == "streams");
            if is_aside(&path) || is_made && !path.with_extension("segment").exists() {
                self.found.leftovers.push(path);
            } else if let Some(number) = segment_number(&path) {
                match number < first {
                    true => self.found.retired.push(path),
                    false => segments.push((number, path)),
                }
            }
        }
        self.found.retired.sort_unstable();
        segments.sort_unstable();
        Ok(segments)
    }

    /// Refuses a segment that is missing, where the mark tells which there are.
    fn check_numbers(&self, segments: &[(u64, PathBuf)]) -> Result<(), RecoveryError> {
        let Some((first, last)) = self.found.mark.and_then(|mark| mark.segments) else { return Ok(()) };
        let last = segments.last().map_or(last, |(number, _)| last.max(*number));
        let missing =
            (first..=last).find(|number| segments.binary_search_by_key(number, |(number, _)| *number).is_err());
        match missing {
            Some(number) if self.trust != Trust::Nothing => {
                let path = segment_path(&self.identity.directory, number);
                Err(self.damaged(&path, self.end().0, "the segment is missing", Why::Made))
            }
            _ => Ok(()),
        }
    }

    /// The end of the log so far, and the position of the last record.
    fn end(&self) -> (RingOffset, Position) {
        let last = self.found.looked.last();
        last.map_or((RingOffset(0), Position(0)), |looked| (looked.sealed.end, looked.sealed.last))
    }

    fn damaged(&self, path: &Path, offset: RingOffset, what: impl Into<String>, why: Why) -> RecoveryError {
        RecoveryError::Damaged { path: path.to_owned(), what: what.into(), offset, why }
    }

    /// Refuses what lies below the mark, and what was made whole and is not: no end of a run explains it.
    fn check(
        &self,
        path: &Path,
        offset: RingOffset,
        what: impl Into<String>,
        is_made: bool,
    ) -> Result<(), RecoveryError> {
        let synced = self.found.synced();
        match self.trust {
            Trust::Nothing => Ok(()),
            _ if is_made => Err(self.damaged(path, offset, what, Why::Made)),
            _ if offset < synced => Err(self.damaged(path, offset, what, Why::Synced(synced))),
            Trust::All | Trust::Written | Trust::Synced => Ok(()),
        }
    }

    /// Refuses damage behind which there is something that a torn end has not.
    fn check_behind(
        &self,
        (path, offset): (&Path, RingOffset),
        what: impl Into<String>,
        behind: impl FnOnce() -> Result<Option<Why>, RecoveryError>,
    ) -> Result<(), RecoveryError> {
        if !matches!(self.trust, Trust::All | Trust::Written) {
            return Ok(());
        }
        behind()?.map_or(Ok(()), |why| Err(self.damaged(path, offset, what, why)))
    }

    /// Looks at the next segment; tells whether it goes on where the one before ends.
    fn take(&mut self, number: u64, path: &Path) -> Result<bool, RecoveryError> {
        let file = match SegmentFile::open(path) {
            Ok(file) => file,
            Err(ScanError::Header { source: source @ HeaderError::Version { .. }, path }) => {
                return Err(ScanError::Header { source, path }.into());
            }
            Err(ScanError::Header { .. }) => return Ok(false),
            Err(error @ ScanError::Io { .. }) => return Err(error.into()),
        };
        if !file.is_header_whole {
            tracing::warn!(path = %path.display(), "a part of the segment's header is damaged, the other copy of it is used");
        }
        let header = &file.header;
        let (file_bytes, written) = (file.file_bytes, header.file_bytes);
        if !header.has_length(file_bytes) {
            self.check(path, header.base, format!("the file has {file_bytes} of its {written} bytes, cut"), true)?;
        }
        let is_first = self.found.looked.is_empty();
        let follows = is_first || (header.base, header.after) == self.end();
        if !self.identity.owns(header, number) || !follows {
            return Ok(false);
        }
        // Who repairs believes nothing.
        let known = if self.trust == Trust::Nothing { None } else { SparseIndex::beside(path, header.base) };
        let (sealed, extent, index) = match known {
            Some((index, sealed)) => (sealed, None, index),
            None => {
                let (extent, index) = file.measure()?;
                (extent.sealed(), Some(extent), index)
            }
        };
        self.found.looked.push(Looked { file, sealed, extent, index: Arc::new(index) });
        Ok(true)
    }

    /// Takes note of a segment that is not part of the log, counting what it holds. One that holds anything stays under
    /// another name, for whoever wants to look at it.
    fn drop_file(&mut self, path: &Path) -> Result<(), RecoveryError> {
        let (end, last) = self.end();
        let is_empty = match SegmentFile::open(path) {
            Ok(file) => {
                self.check_follows(&file)?;
                let (extent, _) = file.measure()?;
                self.found.cut.records += extent.records;
                self.found.cut.bytes += extent.residue;
                self.note(Seen::Maybe);
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
                // Its records, if it has any, begin where the log ends.
                let file = SegmentFile::assume(path, self.header_at(path, end, last))?;
                let behind = || Ok(file.first_record(end, last)?.map(Why::Record));
                self.check_behind((path, end), format!("its header is gone ({source})"), behind)?;
                let is_empty = is_zero(path)?;
                if file.used_end(end)? > end {
                    self.note(Seen::Maybe);
                }
                is_empty
            }
            Err(error @ ScanError::Io { .. }) => return Err(error.into()),
        };
        self.found.dropped.push((path.to_owned(), is_empty));
        Ok(())
    }

    /// Refuses a segment that has a header and is no part of the log, where nothing that was written can be missing.
    fn check_follows(&self, file: &SegmentFile) -> Result<(), RecoveryError> {
        self.check_last()?;
        let (header, (end, _)) = (&file.header, self.end());
        let what = match header.base {
            base if self.owns(file) => {
                format!("the segment does not follow: it begins at {base} after {}", header.after)
            }
            _ => "the segment is another's".to_owned(),
        };
        self.check(&file.path, end, what.clone(), false)?;
        let last = self.found.looked.last();
        let (place, what) = match last.filter(|_| self.owns(file) && end < header.base) {
            Some(last) => ((&*last.file.path, end), "there is no whole record".to_owned()),
            None => ((&*file.path, end), what),
        };
        self.check_behind(place, what, || Ok(Some(Why::Segment(file.path.clone()))))
    }

    fn owns(&self, file: &SegmentFile) -> bool {
        segment_number(&file.path).is_some_and(|number| self.identity.owns(&file.header, number))
    }

    /// Refuses a damaged record of the last segment so far, behind which the log may go on.
    fn check_last(&self) -> Result<(), RecoveryError> {
        let last = self.found.looked.last();
        let torn = last.and_then(|last| Some((last, last.extent.filter(|extent| extent.residue > 0)?)));
        torn.map_or(Ok(()), |(last, extent)| self.check(&last.file.path, extent.end, "a damaged record", false))
    }

    /// The header that a segment would have with which the log goes on.
    fn header_at(&self, path: &Path, base: RingOffset, after: Position) -> SegmentHeader {
        let &LogIdentity { generation, shard, shards, .. } = self.identity;
        let number = segment_number(path).unwrap_or_default();
        SegmentHeader { version: FORMAT_VERSION, generation, shard, shards, number, base, after, file_bytes: 0 }
    }

    fn note(&mut self, seen: Seen) {
        self.found.cut.seen = self.found.cut.seen.max(seen);
    }

    /// Finds the end of the log: behind its last whole command.
    fn look_at_end(&mut self) -> Result<(), RecoveryError> {
        let Some(at) = self.found.looked.len().checked_sub(1) else {
            let mark = self.identity.directory.join("synced");
            return self.check(&mark, RingOffset(0), "there is no segment, and the log ends", false);
        };
        let extent = self.measure(at)?;
        let last = &self.found.looked[at].file;
        self.check(&last.path, extent.end, "a damaged record", false)?;
        if extent.residue > 0 {
            let from = RingOffset(extent.end.0 + 8);
            let behind = || Ok(last.first_record(from, extent.last)?.map(Why::Record));
            self.check_behind((&last.path, extent.end), "a damaged record", behind)?;
            let is_unfinished = last.looks_unfinished(extent.end)?;
            self.note(match self.trust {
                // Everything that was published is below the mark.
                Trust::All => Seen::Never,
                Trust::Written if is_unfinished => Seen::Hardly,
                Trust::Written | Trust::Synced | Trust::Nothing => Seen::Maybe,
            });
        }
        // Where the log ends in the middle of a command, the end is where that began: maybe some segments before. The
        // last one gets records again, whether it was sealed or not.
        while let Some(at) = self.found.looked.len().checked_sub(1) {
            let extent = self.measure(at)?;
            let base = self.found.looked[at].file.header.base;
            if at == 0 || extent.whole.0 > base {
                break;
            }
            if extent.records == 0 {
                let before = self.measure(at - 1)?;
                if before.whole.0 == before.end {
                    break;
                }
            }
            // No command ends in it: its records, if it has any, belong to one that began before.
            let Some(gone) = self.found.looked.pop() else { break };
            self.found.cut.records += extent.records;
            self.found.cut.bytes += extent.residue;
            let is_empty = extent.records == 0 && extent.residue == 0;
            self.found.dropped.push((gone.file.path, is_empty));
        }
        Ok(())
    }

    /// Looks through a segment as if it had never been sealed, unless that was done.
    fn measure(&mut self, at: usize) -> Result<Extent, RecoveryError> {
        let looked = &mut self.found.looked[at];
        if let Some(extent) = looked.extent {
            return Ok(extent);
        }
        let (extent, index) = looked.file.measure()?;
        looked.sealed = extent.sealed();
        looked.extent = Some(extent);
        looked.index = Arc::new(index);
        Ok(extent)
    }
}
