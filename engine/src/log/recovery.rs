//! What a start finds of a shard: its newest snapshot that the log still reaches, and the log behind it.
//!
//! ```text
//!   segments, oldest first ─► each whole? ─► the end of the log ─► snapshot ─► replay ─► keys, and where to go on
//!                                 │ no
//!                                 ├─ above the mark of what was synced: a torn end, cut off and told
//!                                 └─ at or below it: damage, and the start stops
//! ```

use super::damaged::set_aside;
use super::found::{Cut, FoundLog};
use super::index::{Sealed, SparseIndex};
use super::removal::remove_made;
use super::scan::{Extent, ScanError, SegmentFile, is_zero};
use super::segment::{HeaderError, index_path, root, segment_number};
use super::segments::Segment;
use super::storage::{Storage, is_aside};
use super::synced;
use super::writer::{LogEnd, LogIdentity, Resumed};
use crate::position::{Position, RingOffset};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Why the history of a shard cannot be used as it is.
#[derive(Debug, Error)]
pub enum RecoveryError {
    /// The system refuses.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be scanned.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// Something is wrong with what was once on the disk.
    #[error(
        "{path}: {what} at offset {offset}, though everything up to offset {synced} was on the disk; \
         run `keytide check {root}`", root = root(path, 3).display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
        /// Where.
        offset: RingOffset,
        /// How far the log was surely on the disk.
        synced: RingOffset,
    },
    /// The mark of what was on the disk is damaged.
    #[error("{path}: damaged; run `keytide check {root}`", root = root(path, 3).display())]
    Mark {
        /// The file.
        path: PathBuf,
    },
}

/// One segment while its log is looked at.
struct Looked {
    file: SegmentFile,
    sealed: Sealed,
    /// None where its index was there: then it was looked at when it was sealed.
    extent: Option<Extent>,
    index: Arc<SparseIndex>,
}

/// Finds the log of a shard in its directory, and cuts off what was torn. With `repair`, whatever is damaged is cut off
/// as well, with everything behind it.
///
/// # Errors
/// Damage of what was on the disk, and whatever the system says.
pub fn find_log(identity: &LogIdentity, storage: &dyn Storage, repair: bool) -> Result<FoundLog, RecoveryError> {
    let directory = &identity.directory;
    let refused = |source| RecoveryError::Io { path: directory.clone(), source };
    let synced = match synced::read(directory) {
        Ok(synced) => synced,
        Err(_) if repair => RingOffset(0),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(RecoveryError::Mark { path: directory.join("synced") });
        }
        Err(source) => return Err(RecoveryError::Io { path: directory.join("synced"), source }),
    };
    let mut paths = segment_files(directory, storage).map_err(refused)?;
    paths.sort_unstable();
    let next_number = paths.last().map_or(1, |(number, _)| number + 1);
    let mut look = Look { storage, directory, synced, repair, looked: Vec::new(), cut: Cut::default() };
    let mut paths = paths.into_iter();
    for (number, path) in paths.by_ref() {
        if !look.take(identity, number, &path)? {
            look.drop_file(&path)?;
            break;
        }
    }
    // Everything behind what is missing is worth nothing.
    for (_, path) in paths {
        look.drop_file(&path)?;
    }
    look.finish(next_number)
}

/// The log of a shard that was [closed](FoundLog::close), its segments listed, the oldest first, with where it ends.
/// Nothing is changed.
///
/// # Errors
/// Damage, and whatever the system says.
pub fn find_closed(identity: &LogIdentity) -> Result<(Vec<Arc<Segment>>, RingOffset, Position), RecoveryError> {
    let refused = |source| RecoveryError::Io { path: identity.directory.clone(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(&identity.directory).map_err(refused)? {
        let path = entry.map_err(refused)?.path();
        paths.extend(segment_number(&path).map(|number| (number, path)));
    }
    paths.sort_unstable();
    let mut found = Vec::new();
    let (mut end, mut last) = (RingOffset(0), Position(0));
    for (number, path) in paths {
        let file = SegmentFile::open(&path)?;
        let header = &file.header;
        let damaged = |what: String| RecoveryError::Damaged { path: path.clone(), what, offset: end, synced: end };
        if !identity.owns(header, number) || !found.is_empty() && (header.base, header.after) != (end, last) {
            let what = format!("the segment does not follow: it begins at {} after {}", header.base, header.after);
            return Err(damaged(what));
        }
        let sealed = match SparseIndex::beside(&path, header.base) {
            Some((_, sealed)) => sealed,
            None => {
                let (extent, _) = file.measure()?;
                if extent.residue > 0 {
                    return Err(damaged(format!("a damaged record at offset {}", extent.end)));
                }
                extent.sealed()
            }
        };
        (end, last) = (sealed.end, sealed.last);
        let segment = Segment::new(header, path, file.file_bytes);
        segment.seal(sealed);
        found.push(Arc::new(segment));
    }
    Ok((found, end, last))
}

/// The segments of a directory. Files that were not complete when the process ended are removed.
fn segment_files(directory: &Path, storage: &dyn Storage) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if is_aside(&path) {
            storage.remove(&path)?;
        } else if let Some(number) = segment_number(&path) {
            found.push((number, path));
        }
    }
    Ok(found)
}

struct Look<'s> {
    storage: &'s dyn Storage,
    directory: &'s Path,
    synced: RingOffset,
    repair: bool,
    looked: Vec<Looked>,
    cut: Cut,
}

impl Look<'_> {
    /// The end of the log so far, and the position of the last record.
    fn end(&self) -> (RingOffset, Position) {
        self.looked.last().map_or((RingOffset(0), Position(0)), |looked| (looked.sealed.end, looked.sealed.last))
    }

    /// Refuses damage at or below what was synced.
    fn check(&self, path: &Path, offset: RingOffset, what: impl Into<String>) -> Result<(), RecoveryError> {
        if offset >= self.synced || self.repair {
            return Ok(());
        }
        Err(RecoveryError::Damaged { path: path.to_owned(), what: what.into(), offset, synced: self.synced })
    }

    /// Refuses a damaged record behind which the log may go on.
    fn check_last(&self) -> Result<(), RecoveryError> {
        let last = self.looked.last();
        let torn = last.and_then(|last| Some((last, last.extent.filter(|extent| extent.residue > 0)?)));
        torn.map_or(Ok(()), |(last, extent)| self.check(&last.file.path, extent.end, "a damaged record"))
    }

    /// Looks at the next segment; tells whether it goes on where the one before ends.
    fn take(&mut self, identity: &LogIdentity, number: u64, path: &Path) -> Result<bool, RecoveryError> {
        let (end, last) = self.end();
        let file = match SegmentFile::open(path) {
            Ok(file) => file,
            Err(ScanError::Header { source: source @ HeaderError::Version { .. }, path }) => {
                return Err(ScanError::Header { source, path }.into());
            }
            // Everything that was synced lies before it, or it is damaged: looked at where it is taken out.
            Err(ScanError::Header { source: HeaderError::Unused, .. }) => return Ok(false),
            Err(ScanError::Header { source, .. }) => {
                self.check_last()?;
                self.check(path, end, source.to_string())?;
                return Ok(false);
            }
            Err(error @ ScanError::Io { .. }) => return Err(error.into()),
        };
        let header = &file.header;
        let is_ours = identity.owns(header, number);
        let follows = self.looked.is_empty() || (header.base, header.after) == (end, last);
        if !is_ours || !follows {
            let what = format!("the segment does not follow: it begins at {} after {}", header.base, header.after);
            self.check_last()?;
            self.check(path, end, what)?;
            return Ok(false);
        }
        // Who repairs believes nothing.
        let known = if self.repair { None } else { SparseIndex::beside(path, header.base) };
        let (sealed, extent, index) = match known {
            Some((index, sealed)) => (sealed, None, index),
            None => {
                let (extent, index) = file.measure()?;
                (extent.sealed(), Some(extent), index)
            }
        };
        self.looked.push(Looked { file, sealed, extent, index: Arc::new(index) });
        Ok(true)
    }

    /// Takes a segment away that is not part of the log, counting what it held. One that holds anything stays under
    /// another name, for whoever wants to look at it.
    fn drop_file(&mut self, path: &Path) -> Result<(), RecoveryError> {
        let is_empty = match SegmentFile::open(path) {
            Ok(file) => {
                let (extent, _) = file.measure()?;
                let is_empty = extent.records == 0 && extent.residue == 0;
                if !is_empty {
                    self.check(path, self.end().0, "the segment before it is not whole")?;
                }
                self.cut.records += extent.records;
                self.cut.bytes += extent.residue;
                is_empty
            }
            Err(ScanError::Header { source: HeaderError::Unused, .. }) => {
                self.check_last()?;
                let end = self.end().0;
                self.check(path, end, "the segment was never used, or its header is gone, and the log ends")?;
                // A power loss may have taken the header of what is there.
                end >= self.synced && is_zero(path)?
            }
            Err(ScanError::Header { .. }) => false,
            Err(error @ ScanError::Io { .. }) => return Err(error.into()),
        };
        let refused = |source| RecoveryError::Io { path: path.to_owned(), source };
        remove_made(self.storage, path).map_err(refused)?;
        if is_empty {
            self.storage.remove(path).map_err(refused)
        } else {
            set_aside(self.storage, path).map(drop).map_err(refused)
        }
    }

    fn finish(mut self, next_number: u64) -> Result<FoundLog, RecoveryError> {
        // Where the log ends in the middle of a command, the end is where that began: maybe some segments before. The last
        // one gets records again, whether it was sealed or not.
        while let Some(at) = self.looked.len().checked_sub(1) {
            let extent = self.measure(at)?;
            let base = self.looked[at].file.header.base;
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
            let Some(gone) = self.looked.pop() else { break };
            self.drop_file(&gone.file.path)?;
        }
        let Some(mut last) = self.looked.pop() else {
            self.check(
                self.directory.join("synced").as_path(),
                RingOffset(0),
                "there is no segment, and the log ends",
            )?;
            if self.synced > RingOffset(0) {
                self.lower_mark(RingOffset(0))?;
            }
            let end = LogEnd { active: None, end: RingOffset(0), last: Position(0), sealed: Vec::new(), next_number };
            return Ok(FoundLog { end, synced: self.synced, cut: self.cut, files: Vec::new() });
        };
        let mut end = (last.sealed.end, last.sealed.last);
        if let Some(extent) = last.extent {
            end = extent.whole;
            // Of a command that is not whole nothing is damaged.
            self.check(&last.file.path, extent.end, "a damaged record")?;
            if extent.residue > 0 || extent.end != end.0 {
                self.cut_off(&last, &extent)?;
                // Without what was cut off.
                last.index = Arc::new(last.file.measure()?.1);
            }
        }
        let (end, position) = end;
        if end < self.synced {
            self.lower_mark(end)?;
        }
        let mut files = Vec::new();
        let mut sealed = Vec::new();
        for looked in self.looked.drain(..) {
            let segment = Segment::new(&looked.file.header, looked.file.path.clone(), looked.file.file_bytes);
            segment.seal(looked.sealed);
            if looked.extent.is_some() {
                // Nobody knows whether the run before has synced it, and from now on only what comes later is synced.
                let refused = |source| RecoveryError::Io { path: looked.file.path.clone(), source };
                self.storage.open(&looked.file.path).and_then(|file| file.sync()).map_err(refused)?;
                let (path, bytes) = (index_path(&looked.file.path), looked.index.encode(&looked.sealed));
                self.storage.replace(&path, &bytes).map_err(|source| RecoveryError::Io { path, source })?;
            }
            sealed.push(Arc::new(segment));
            files.push((looked.file, looked.sealed.end));
        }
        let refused = |source| RecoveryError::Io { path: last.file.path.clone(), source };
        // It is active again.
        remove_made(self.storage, &last.file.path).map_err(refused)?;
        let file = self.storage.open(&last.file.path).map_err(refused)?;
        let segment = Arc::new(Segment::new(&last.file.header, last.file.path.clone(), last.file.file_bytes));
        files.push((last.file, end));
        let end = LogEnd {
            active: Some(Resumed { segment, index: last.index, file }),
            end,
            last: position,
            sealed,
            next_number,
        };
        Ok(FoundLog { end, synced: self.synced, cut: self.cut, files })
    }

    /// What comes behind the end now is on the disk when it is synced, not before.
    fn lower_mark(&mut self, end: RingOffset) -> Result<(), RecoveryError> {
        self.synced = end;
        synced::write(self.storage, self.directory, end)
            .map_err(|source| RecoveryError::Io { path: self.directory.to_owned(), source })
    }

    /// Looks through a segment as if it had never been sealed, unless that was done.
    fn measure(&mut self, at: usize) -> Result<Extent, RecoveryError> {
        let looked = &mut self.looked[at];
        if let Some(extent) = looked.extent {
            return Ok(extent);
        }
        let (extent, index) = looked.file.measure()?;
        looked.sealed = extent.sealed();
        looked.extent = Some(extent);
        looked.index = Arc::new(index);
        Ok(extent)
    }

    /// Overwrites what lies behind the last whole command with zeros.
    fn cut_off(&mut self, last: &Looked, extent: &Extent) -> Result<(), RecoveryError> {
        let (whole, _) = extent.whole;
        self.cut.bytes += extent.residue;
        if whole < extent.end {
            last.file.scan::<ScanError>((whole, Position(0)), Some(extent.end), |_| {
                self.cut.records += 1;
                Ok(())
            })?;
        }
        let refused = |source| RecoveryError::Io { path: last.file.path.clone(), source };
        let file = self.storage.open(&last.file.path).map_err(refused)?;
        let zeros = vec![0; 1 << 20];
        let mut at = last.file.file_at(whole);
        while at < last.file.file_bytes {
            let bytes = (last.file.file_bytes - at).min(zeros.len() as u64) as usize;
            file.write_at(&[&zeros[..bytes]], at).map_err(refused)?;
            at += bytes as u64;
        }
        file.sync().map_err(refused)
    }
}
