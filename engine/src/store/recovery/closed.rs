//! The closed log of a shard of an older generation, which is only read.

use super::error::{Evidence, RecoveryError};
use crate::log::LogIdentity;
use crate::log::index::SparseIndex;
use crate::log::scan::SegmentFile;
use crate::log::segment::{segment_number, segment_path};
use crate::log::segments::Segment;
use crate::log::synced;
use crate::position::{Position, RingOffset};
use std::io;
use std::sync::Arc;

/// Opens a log that was [closed](super::RecoveredLog::close): its segments, oldest first, the offset behind the last record,
/// and its position. Changes nothing.
///
/// # Errors
/// Damage, and any error of the file system.
pub fn open_closed_log(identity: &LogIdentity) -> Result<(Vec<Arc<Segment>>, RingOffset, Position), RecoveryError> {
    let directory = &identity.directory;
    let refused = |source| RecoveryError::Io { path: directory.clone(), source };
    let mark = match synced::read(directory) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(RecoveryError::Mark { path: directory.join("synced") });
        }
        mark => mark.map_err(refused)?,
    };
    let segments = mark.and_then(|mark| mark.segments);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(refused)? {
        let path = entry.map_err(refused)?.path();
        let number = segment_number(&path).filter(|number| segments.is_none_or(|(first, _)| *number >= first));
        paths.extend(number.map(|number| (number, path)));
    }
    paths.sort_unstable();
    if let Some((first, _)) = segments
        && paths.first().is_none_or(|(number, _)| *number > first)
    {
        let path = segment_path(directory, first);
        let (what, offset) = ("the segment is missing".to_owned(), RingOffset(0));
        return Err(RecoveryError::Damaged { path, what, offset, evidence: Evidence::Complete });
    }
    let mut found = Vec::new();
    let (mut end, mut last) = (RingOffset(0), Position(0));
    for (number, path) in paths {
        let damaged =
            |what: String, offset, evidence| RecoveryError::Damaged { path: path.clone(), what, offset, evidence };
        let file = SegmentFile::open(&path)?;
        let header = &file.header;
        if !identity.owns(header, number) || !found.is_empty() && (header.base, header.after) != (end, last) {
            let what = format!("the segment does not follow: it begins at {} after {}", header.base, header.after);
            return Err(damaged(what, end, Evidence::Synced(end)));
        }
        if !header.has_length(file.file_bytes) {
            let what = format!("the file has {} of its {} bytes, cut", file.file_bytes, header.file_bytes);
            return Err(damaged(what, header.base, Evidence::Complete));
        }
        let sealed = match SparseIndex::load(&path, header.base) {
            Some((_, sealed)) => sealed,
            None => {
                let (extent, _) = file.measure()?;
                if extent.residue > 0 {
                    return Err(damaged("a damaged record".to_owned(), extent.end, Evidence::Synced(extent.end)));
                }
                extent.sealed()
            }
        };
        (end, last) = (sealed.end, sealed.last);
        let segment = Segment::new(header, path, file.file_bytes);
        segment.seal(sealed);
        found.push(Arc::new(segment));
    }
    match mark.filter(|mark| end < mark.synced) {
        Some(mark) => {
            let (path, what) = (directory.join("synced"), "the log ends".to_owned());
            Err(RecoveryError::Damaged { path, what, offset: end, evidence: Evidence::Synced(mark.synced) })
        }
        None => Ok((found, end, last)),
    }
}
