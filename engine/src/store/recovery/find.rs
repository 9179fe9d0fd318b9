//! The log of a shard found in its directory, and what is torn or damaged cut off it. First all is
//! [examined](super::examine), then something changes: a start that refuses has changed nothing.

use super::error::RecoveryError;
use super::examine::{Examined, Looked, examine};
use super::found::FoundLog;
use super::trust::{Cut, Seen, Trust};
use crate::log::LogIdentity;
use crate::log::removal::{remove_made, remove_segment};
use crate::log::scan::ScanError;
use crate::log::segment::index_path;
use crate::log::segments::Segment;
use crate::log::storage::Storage;
use crate::log::synced::{self, Mark};
use crate::log::writer::{LogEnd, Resumed};
use crate::position::{Position, RingOffset};
use crate::store::set_aside::set_aside;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// How a log is to be found.
#[derive(Clone, Copy)]
pub struct Opening<'n> {
    /// What is surely there.
    pub trust: Trust,
    /// Called before anything is cut off that somebody can have seen, and has to make durable that positions go on
    /// beyond it.
    pub note_cut: &'n (dyn Fn(Seen) -> io::Result<()> + Sync),
}

/// Finds the log of a shard in its directory, and cuts off what was torn.
///
/// # Errors
/// Damage, and whatever the system says.
pub fn find_log(
    identity: &LogIdentity,
    storage: &dyn Storage,
    opening: Opening<'_>,
) -> Result<FoundLog, RecoveryError> {
    let found = examine(identity, opening.trust)?;
    if found.cut.seen > Seen::Never {
        let path = identity.directory.clone();
        (opening.note_cut)(found.cut.seen).map_err(|source| RecoveryError::Io { path, source })?;
    }
    Apply { identity, storage, found }.finish()
}

/// Looks at the log of a shard as a start does, and changes nothing.
///
/// # Errors
/// Why a start would refuse it.
pub fn look_at_log(identity: &LogIdentity, trust: Trust) -> Result<Cut, RecoveryError> {
    Ok(examine(identity, trust)?.cut)
}

/// Makes of what was looked at a log that goes on.
struct Apply<'s> {
    identity: &'s LogIdentity,
    storage: &'s dyn Storage,
    found: Examined,
}

impl Apply<'_> {
    fn finish(mut self) -> Result<FoundLog, RecoveryError> {
        let storage = self.storage;
        // A segment of an earlier version gets no more records; one that has none is of no use.
        let is_useless =
            |looked: &Looked| looked.end().0 == looked.file.header.base && !looked.file.header.is_writable();
        let mut end = self.found.looked.last().map_or((RingOffset(0), Position(0)), Looked::end);
        if let Some(useless) = self.found.looked.pop_if(|looked| is_useless(looked)) {
            let is_empty = useless.extent.is_none_or(|extent| extent.records == 0 && extent.residue == 0);
            self.found.dropped.push((useless.file.path, is_empty));
        }
        let synced = self.found.synced().min(end.0);
        self.write_mark(synced)?;
        self.clear()?;
        let mut active = None;
        if let Some(last) = self.found.looked.last_mut()
            && let Some(extent) = last.extent
        {
            end = extent.whole;
            if extent.residue > 0 || extent.end != end.0 {
                cut_off(storage, last, &mut self.found.cut)?;
                // Without what was cut off.
                let (extent, index) = last.file.measure()?;
                (last.index, last.sealed) = (Arc::new(index), extent.sealed());
            }
        }
        let last = self.found.looked.pop_if(|looked| looked.file.header.is_writable());
        let (mut files, mut sealed) = (Vec::new(), Vec::new());
        for looked in self.found.looked.drain(..) {
            let segment = Segment::new(&looked.file.header, looked.file.path.clone(), looked.file.file_bytes);
            segment.seal(looked.sealed);
            if looked.extent.is_some() {
                // Nobody knows whether the run before has synced it, and from now on only what comes later is synced.
                let refused = |source| RecoveryError::Io { path: looked.file.path.clone(), source };
                storage.open(&looked.file.path).and_then(|file| file.sync()).map_err(refused)?;
                let (path, bytes) = (index_path(&looked.file.path), looked.index.encode(&looked.sealed));
                storage.replace(&path, &bytes).map_err(|source| RecoveryError::Io { path, source })?;
            }
            sealed.push(Arc::new(segment));
            files.push((looked.file, looked.sealed.end));
        }
        if let Some(last) = last {
            let refused = |source| RecoveryError::Io { path: last.file.path.clone(), source };
            // It is active again.
            remove_made(storage, &last.file.path).map_err(refused)?;
            let file = storage.open(&last.file.path).map_err(refused)?.into();
            let segment = Arc::new(Segment::new(&last.file.header, last.file.path.clone(), last.file.file_bytes));
            files.push((last.file, end.0));
            active = Some(Resumed { segment, index: last.index, file });
        }
        let next_number = files.last().map_or(1, |(file, _)| file.header.number + 1);
        let end = LogEnd { active, end: end.0, last: end.1, sealed, next_number };
        Ok(FoundLog { end, synced, cut: self.found.cut, files })
    }

    /// Has the mark tell what is kept, before anything else is gone. What comes behind the end from now on is on the disk
    /// when it is synced, not before.
    fn write_mark(&mut self, synced: RingOffset) -> Result<(), RecoveryError> {
        let numbers = |at: Option<&Looked>| at.map(|looked| looked.file.header.number);
        let segments = numbers(self.found.looked.first()).zip(numbers(self.found.looked.last()));
        let mark = Mark { synced, segments };
        // Whoever has nothing has no mark either.
        if self.found.mark == Some(mark) || self.found.mark.is_none() && segments.is_none() {
            return Ok(());
        }
        let directory = &self.identity.directory;
        synced::write(self.storage, directory, mark)
            .map_err(|source| RecoveryError::Io { path: directory.join("synced"), source })
    }

    /// Takes out of use what is no part of the log. What holds anything stays under another name.
    fn clear(&self) -> Result<(), RecoveryError> {
        let storage = self.storage;
        let refused = |path: &PathBuf| {
            let path = path.clone();
            |source| RecoveryError::Io { path, source }
        };
        for path in &self.found.leftovers {
            storage.remove(path).map_err(refused(path))?;
        }
        for path in &self.found.retired {
            remove_segment(storage, path).map_err(refused(path))?;
        }
        // The last ones first: whoever is interrupted finds no hole.
        for (path, is_empty) in self.found.dropped.iter().rev() {
            remove_made(storage, path).map_err(refused(path))?;
            match is_empty {
                true => storage.remove(path).map_err(refused(path))?,
                false => set_aside(storage, path).map(drop).map_err(refused(path))?,
            }
        }
        Ok(())
    }
}

impl Looked {
    /// The offset behind its last whole command, and the position of that.
    fn end(&self) -> (RingOffset, Position) {
        self.extent.map_or((self.sealed.end, self.sealed.last), |extent| extent.whole)
    }
}

/// Overwrites what lies behind the last whole command with zeros.
fn cut_off(storage: &dyn Storage, last: &Looked, cut: &mut Cut) -> Result<(), RecoveryError> {
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
