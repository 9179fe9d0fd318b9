//! The recovered log of one shard: what a start reads of it before records are appended.

use super::error::{Evidence, RecoveryError};
use super::trust::Cut;
use crate::log::index::Sealed;
use crate::log::scan::{ScanError, SegmentFile};
use crate::log::segment::index_path;
use crate::log::storage::Storage;
use crate::log::streams::{StreamBlocks, streams_path};
use crate::log::synced::{self, Mark};
use crate::log::writer::LogEnd;
use crate::position::{Position, RingOffset};
use crate::ring::Record;
use std::ops::Range;
use std::path::Path;

/// The recovered log of one shard.
pub struct RecoveredLog {
    /// The end of the log, where the writer continues.
    pub end: LogEnd,
    /// The offset up to which the log was on the disk.
    pub synced: RingOffset,
    /// What was cut off the end of the log.
    pub cut: Cut,
    /// The segments for the replay, oldest first, each with the offset where it ends.
    pub(super) files: Vec<(SegmentFile, RingOffset)>,
}

impl RecoveredLog {
    /// The offset of the oldest record.
    pub fn head(&self) -> RingOffset {
        self.files.first().map_or(self.end.end, |(file, _)| file.header.base)
    }

    /// Syncs the last segment; the others were synced by the recovery.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn sync(&self) -> Result<(), RecoveryError> {
        let Some(active) = &self.end.active else { return Ok(()) };
        active.file.sync().map_err(|source| RecoveryError::Io { path: active.segment.path.clone(), source })
    }

    /// The offsets where the segments begin, and the end of the log, each with the position of the last record before it. In
    /// order.
    pub fn landmarks(&self) -> Vec<(RingOffset, Position)> {
        let starts = self.files.iter().map(|(file, _)| (file.header.base, file.header.after));
        starts.chain([(self.end.end, self.end.last)]).collect()
    }

    /// The positions above `after` of the records in the log, as ranges in order.
    ///
    /// # Errors
    /// Damage, and any error of the file system.
    pub fn positions_after(&self, after: Position) -> Result<Vec<Range<Position>>, RecoveryError> {
        let first = self.files.partition_point(|(file, _)| file.header.after <= after).saturating_sub(1);
        let from = self.files.get(first).map_or(self.end.end, |(file, _)| file.header.base);
        let mut ranges: Vec<Range<Position>> = Vec::new();
        self.replay(from, |record| -> Result<(), RecoveryError> {
            if record.position() <= after {
                return Ok(());
            }
            match ranges.last_mut().filter(|range| range.end == record.position()) {
                Some(range) => range.end = range.end.next(),
                None => ranges.push(record.position()..record.position().next()),
            }
            Ok(())
        })?;
        Ok(ranges)
    }

    /// The position of the record at an offset; none where the log does not have the record, or cannot be read.
    pub fn position_at(&self, offset: RingOffset) -> Option<Position> {
        /// The result of the scan, which ends at its first record.
        enum First {
            Record(Position),
            Nothing,
        }
        impl From<ScanError> for First {
            fn from(_: ScanError) -> First {
                First::Nothing
            }
        }
        let at = self.files.partition_point(|(file, _)| file.header.base <= offset).checked_sub(1)?;
        let (file, end) = self.files.get(at).filter(|(_, end)| offset < *end)?;
        match file.scan((offset, Position(0)), Some(*end), |record| Err(First::Record(record.position()))) {
            Err(First::Record(position)) => Some(position),
            Err(First::Nothing) | Ok(_) => None,
        }
    }

    /// Visits every record from offset `from` on.
    ///
    /// # Errors
    /// Damage, any error of the file system, and errors of the visitor, which end the replay.
    pub fn replay<E: From<RecoveryError>>(
        &self,
        from: RingOffset,
        mut visit: impl FnMut(&Record<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        for (file, end) in self.files.iter().filter(|(_, end)| *end > from) {
            let start = (from.max(file.header.base), Position(0));
            let mut failure = None;
            let extent = file.scan::<ScanError>(start, Some(*end), |record| {
                if failure.is_none() {
                    failure = visit(record).err();
                }
                Ok(())
            });
            if let Some(failure) = failure {
                return Err(failure);
            }
            let extent = extent.map_err(RecoveryError::from)?;
            if extent.end < *end {
                return Err(RecoveryError::Damaged {
                    path: file.path.clone(),
                    what: "a damaged record".to_owned(),
                    offset: extent.end,
                    evidence: Evidence::Synced(self.synced),
                }
                .into());
            }
        }
        Ok(())
    }

    /// Closes the log: syncs all of it, and writes the index of the last segment. Nothing is appended any more, unless the
    /// start that closes it is interrupted before the next generation is in use.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn close(self, directory: &Path, storage: &dyn Storage) -> Result<(), RecoveryError> {
        let number = |at: Option<&(SegmentFile, RingOffset)>| at.map(|(file, _)| file.header.number);
        let segments = number(self.files.first()).zip(number(self.files.last()));
        for (file, _) in self.files.iter().filter(|(_, end)| *end > self.synced) {
            let refused = |source| RecoveryError::Io { path: file.path.clone(), source };
            storage.open(&file.path).and_then(|file| file.sync()).map_err(refused)?;
        }
        if let Some((file, end)) = self.files.last() {
            let (extent, index) = file.measure()?;
            let sealed = Sealed { end: *end, ..extent.sealed() };
            let streams = StreamBlocks::build(file, *end)?;
            for (path, bytes) in
                [(index_path(&file.path), index.encode(&sealed)), (streams_path(&file.path), streams.encode())]
            {
                storage.replace(&path, &bytes).map_err(|source| RecoveryError::Io { path, source })?;
            }
        }
        let refused = |source| RecoveryError::Io { path: directory.join("synced"), source };
        synced::write(storage, directory, Mark { synced: self.end.end, segments }).map_err(refused)
    }
}
