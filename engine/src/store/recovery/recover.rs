//! Recovers the log of a shard. The whole log is [examined](super::examine) before anything is changed: a start that is
//! refused has changed nothing.

use super::error::RecoveryError;
use super::examine::{ExaminedLog, ExaminedSegment, examine};
use super::recovered::RecoveredLog;
use super::trust::{Cut, Trust, Visibility};
use crate::log::LogIdentity;
use crate::log::removal::{remove_derived, remove_segment};
use crate::log::scan::ScanError;
use crate::log::segment::index_path;
use crate::log::segments::Segment;
use crate::log::storage::Storage;
use crate::log::synced::{self, Mark};
use crate::log::writer::{LogEnd, ResumedSegment};
use crate::position::{Position, RingOffset};
use crate::store::set_aside::set_aside;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// How a log is recovered.
#[derive(Clone, Copy)]
pub struct RecoveryOptions<'n> {
    /// How far the files are trusted.
    pub trust: Trust,
    /// Called before records are cut off that may have been published. Has to make durable that positions continue beyond
    /// them.
    pub note_cut: &'n (dyn Fn(Visibility) -> io::Result<()> + Sync),
}

/// Recovers the log of a shard from its directory, and cuts off its torn end.
///
/// # Errors
/// Damage, and any error of the file system.
pub fn recover_log(
    identity: &LogIdentity,
    storage: &dyn Storage,
    options: RecoveryOptions<'_>,
) -> Result<RecoveredLog, RecoveryError> {
    let log = examine(identity, options.trust)?;
    if log.cut.visibility > Visibility::None {
        let path = identity.directory.clone();
        (options.note_cut)(log.cut.visibility).map_err(|source| RecoveryError::Io { path, source })?;
    }
    Recovery { identity, storage, log }.finish()
}

/// Examines the log of a shard as a start would, without changing it. Returns what a start would cut off.
///
/// # Errors
/// Why a start would refuse the log.
pub fn examine_log(identity: &LogIdentity, trust: Trust) -> Result<Cut, RecoveryError> {
    Ok(examine(identity, trust)?.cut)
}

/// The changes that make an examined log usable again.
struct Recovery<'s> {
    identity: &'s LogIdentity,
    storage: &'s dyn Storage,
    log: ExaminedLog,
}

impl Recovery<'_> {
    fn finish(mut self) -> Result<RecoveredLog, RecoveryError> {
        let storage = self.storage;
        // Nothing is appended to a segment of an earlier version. An empty one is useless, except where it is the only
        // one: then its header alone states where the log continues.
        let segments = self.log.segments.len();
        let is_useless = |segment: &ExaminedSegment| {
            segments > 1 && segment.end().0 == segment.file.header.base && !segment.file.header.is_writable()
        };
        let mut end = self.log.segments.last().map_or((RingOffset(0), Position(0)), ExaminedSegment::end);
        if let Some(useless) = self.log.segments.pop_if(|segment| is_useless(segment)) {
            let is_empty = useless.extent.is_none_or(|extent| extent.records == 0 && extent.residue == 0);
            self.log.dropped.push((useless.file.path, is_empty));
        }
        let synced = self.log.synced().min(end.0);
        self.write_mark(synced)?;
        self.clear()?;
        let mut active = None;
        if let Some(last) = self.log.segments.last_mut()
            && let Some(extent) = last.extent
        {
            end = extent.whole;
            if extent.residue > 0 || extent.end != end.0 {
                cut_off(storage, last, &mut self.log.cut)?;
                // The extent and index without what was cut off.
                let (extent, index) = last.file.measure()?;
                (last.index, last.sealed) = (Arc::new(index), extent.sealed());
            }
        }
        let last = self.log.segments.pop_if(|segment| segment.file.header.is_writable());
        let (mut files, mut sealed) = (Vec::new(), Vec::new());
        for examined in self.log.segments.drain(..) {
            let segment = Segment::new(&examined.file.header, examined.file.path.clone(), examined.file.file_bytes);
            segment.seal(examined.sealed);
            if examined.extent.is_some() {
                // The previous run may not have synced the segment, and this run syncs only later records.
                let refused = |source| RecoveryError::Io { path: examined.file.path.clone(), source };
                storage.open(&examined.file.path).and_then(|file| file.sync()).map_err(refused)?;
                let (path, bytes) = (index_path(&examined.file.path), examined.index.encode(&examined.sealed));
                storage.replace(&path, &bytes).map_err(|source| RecoveryError::Io { path, source })?;
            }
            sealed.push(Arc::new(segment));
            files.push((examined.file, examined.sealed.end));
        }
        if let Some(last) = last {
            let refused = |source| RecoveryError::Io { path: last.file.path.clone(), source };
            // The segment is active again: its derived files are no longer valid.
            remove_derived(storage, &last.file.path).map_err(refused)?;
            let file = storage.open(&last.file.path).map_err(refused)?.into();
            let segment = Arc::new(Segment::new(&last.file.header, last.file.path.clone(), last.file.file_bytes));
            files.push((last.file, end.0));
            active = Some(ResumedSegment { segment, index: last.index, file });
        }
        let next_number = files.last().map_or(1, |(file, _)| file.header.number + 1);
        let end = LogEnd { active, end: end.0, last: end.1, sealed, next_number };
        Ok(RecoveredLog { end, synced, cut: self.log.cut, files })
    }

    /// Writes the durable mark for the segments that are kept, before any file is removed. Lowers the synced offset to the
    /// end of the log, since later records at the same offsets are not synced yet.
    fn write_mark(&mut self, synced: RingOffset) -> Result<(), RecoveryError> {
        let numbers = |at: Option<&ExaminedSegment>| at.map(|segment| segment.file.header.number);
        let segments = numbers(self.log.segments.first()).zip(numbers(self.log.segments.last()));
        let mark = Mark { synced, segments };
        // A log without segments needs no mark.
        if self.log.mark == Some(mark) || self.log.mark.is_none() && segments.is_none() {
            return Ok(());
        }
        let directory = &self.identity.directory;
        synced::write(self.storage, directory, mark)
            .map_err(|source| RecoveryError::Io { path: directory.join("synced"), source })
    }

    /// Removes the files that are not part of the log; segments that are not empty are set aside.
    fn clear(&self) -> Result<(), RecoveryError> {
        let storage = self.storage;
        let refused = |path: &PathBuf| {
            let path = path.clone();
            |source| RecoveryError::Io { path, source }
        };
        for path in &self.log.leftovers {
            storage.remove(path).map_err(refused(path))?;
        }
        for path in &self.log.retired {
            remove_segment(storage, path).map_err(refused(path))?;
        }
        // In reverse order: after an interruption the remaining segments have no hole.
        for (path, is_empty) in self.log.dropped.iter().rev() {
            remove_derived(storage, path).map_err(refused(path))?;
            match is_empty {
                true => storage.remove(path).map_err(refused(path))?,
                false => set_aside(storage, path).map(drop).map_err(refused(path))?,
            }
        }
        Ok(())
    }
}

/// Overwrites everything behind the last complete command with zeros.
fn cut_off(storage: &dyn Storage, last: &ExaminedSegment, cut: &mut Cut) -> Result<(), RecoveryError> {
    let Some(extent) = last.extent else { return Ok(()) };
    let (whole, _) = extent.whole;
    cut.bytes += extent.residue;
    if whole < extent.end {
        last.file.scan::<ScanError>((whole, Position(0)), Some(extent.end), |_| {
            cut.records += 1;
            Ok(())
        })?;
    }
    let refused = |source| RecoveryError::Io { path: last.file.path.clone(), source };
    let file = storage.open(&last.file.path).map_err(refused)?;
    let zeros = vec![0; 1 << 20];
    let mut at = last.file.file_at(whole);
    while at < last.file.file_bytes {
        let bytes = (last.file.file_bytes - at).min(zeros.len() as u64) as usize;
        file.write_at(&[&zeros[..bytes]], at).map_err(refused)?;
        at += bytes as u64;
    }
    file.sync().map_err(refused)
}
