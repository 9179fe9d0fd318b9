//! Older generations: their segments are read, and dropped by retention, oldest first. Recovery does not need them, since
//! the next generation began with snapshots of all keys.
//!
//! A shard's last segment is dropped only with its whole generation. So a shard without segments has no events, and the
//! segments of a generation have no holes from the first one on.

use super::directory::Directory;
use super::error::StoreError;
use super::meta::Generation;
use super::recovery::{RecoveryError, open_closed_log};
use crate::clock;
use crate::history::{OlderHistory, ShardHistory};
use crate::log::removal::Removal;
use crate::log::segments::{SegmentList, Segments};
use crate::log::storage::Storage;
use crate::log::synced::{self, Mark};
use crate::log::{LogIdentity, LogOptions};
use crate::position::{Position, ShardId};
use crate::ring::{self, RingStart};
use crate::snapshot::snapshot_files;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// An older generation, which is only read.
#[derive(Clone)]
pub struct OlderGeneration {
    /// The number of the generation.
    pub number: u32,
    /// The histories of its shards.
    pub history: OlderHistory,
}

/// Opens the older generations of a directory, oldest first. Generations without events are removed.
///
/// # Errors
/// Damage, and any error of the file system.
pub(super) fn open_all(directory: &Directory) -> Result<Vec<OlderGeneration>, StoreError> {
    directory.remove_leftover_generations()?;
    let mut found = Vec::new();
    for generation in directory.generations() {
        let Some(end) = generation.end else { continue };
        let shards = (0..generation.shards).map(|shard| open(directory, &generation, ShardId(shard)));
        let history = OlderHistory { end, shards: shards.collect::<Result<_, _>>()? };
        if history.shards.iter().all(|shard| segments(shard).is_empty()) {
            directory.remove_generation(generation.number)?;
            continue;
        }
        found.push(OlderGeneration { number: generation.number, history });
    }
    Ok(found)
}

fn open(directory: &Directory, generation: &Generation, shard: ShardId) -> Result<ShardHistory, StoreError> {
    let path = directory.shard_directory(generation.number, shard);
    let (number, shards) = (generation.number, generation.shards);
    let refused = |source| {
        let source = RecoveryError::Io { path: path.clone(), source };
        StoreError::Shard { shard, source: source.into() }
    };
    remove_snapshots(directory, &path);
    let identity = LogIdentity { directory: path.clone(), generation: number, shard, shards };
    let (list, end, last) =
        open_closed_log(&identity).map_err(|source| StoreError::Shard { shard, source: source.into() })?;
    // An empty ring behind the log, like that of a shard that was just restored. Nothing is ever written to it.
    let start = RingStart { offset: end, last: (last != Position(0)).then_some(last) };
    let (_, ring) = ring::create_after(ring::CAPACITY_BYTES_MIN, start).map_err(refused)?;
    Ok(ShardHistory::with_log(ring, Segments::new(list)))
}

/// Removes the snapshots of a shard of an older generation, which recovery does not need.
fn remove_snapshots(directory: &Directory, path: &Path) {
    let remove = |path: &Path| directory.storage().remove(path);
    let removed = snapshot_files(path).and_then(|found| found.iter().try_for_each(|(_, path)| remove(path)));
    if let Err(error) = removed {
        tracing::warn!(path = %path.display(), %error, "cannot remove snapshots of an older generation");
    }
}

fn segments(shard: &ShardHistory) -> SegmentList {
    shard.segments().map(|segments| segments.list().1).unwrap_or_default()
}

/// Applies retention to the older generations.
pub struct Retirement {
    directory: Arc<Directory>,
    /// Oldest first.
    older: Vec<OlderGeneration>,
    current: Vec<ShardHistory>,
    /// The bound of all generations together, in bytes.
    retain_bytes: u64,
    retain_ms: Option<u64>,
    removal: Removal,
}

impl Retirement {
    /// Retention for a directory with these generations, under the options of each shard of the current one.
    pub(super) fn new(
        directory: Arc<Directory>,
        older: Vec<OlderGeneration>,
        current: Vec<ShardHistory>,
        options: LogOptions,
    ) -> Retirement {
        let retain_bytes = options.retain_bytes.saturating_mul(current.len() as u64);
        Retirement {
            directory,
            older,
            current,
            retain_bytes,
            retain_ms: options.retain_ms,
            removal: Removal::default(),
        }
    }

    #[cfg(test)]
    pub(super) fn set_retain_ms(&mut self, retain_ms: Option<u64>) {
        self.retain_ms = retain_ms;
    }

    /// Applies retention once. To be called periodically.
    pub fn run(&mut self) {
        // Segments that could not be removed at the last call.
        self.removal.run(&**self.directory.storage());
        if self.older.is_empty() {
            return;
        }
        let oldest_ms = self.retain_ms.map(|age_ms| clock::unix_millis().saturating_sub(age_ms));
        let shards = self.older.iter().flat_map(|older| &older.history.shards).chain(&self.current);
        let mut bytes: u64 =
            shards.map(|shard| segments(shard).iter().map(|segment| segment.file_bytes).sum::<u64>()).sum();
        while let Some(oldest) = self.older.first() {
            let freed = match next_segment(oldest) {
                Some((shard, last_ms)) => {
                    if !self.exceeds_bounds(bytes, last_ms, oldest_ms) {
                        return;
                    }
                    match self.drop_first_segment(shard) {
                        Some(freed) => freed,
                        None => return,
                    }
                }
                None => {
                    let lists = oldest.history.shards.iter().map(segments);
                    let lasts =
                        lists.filter_map(|list| Some((list.first()?.file_bytes, list.first()?.as_sealed()?.last_ms)));
                    let (freed, last_ms) = lasts.fold((0, 0), |all, one| (all.0 + one.0, all.1.max(one.1)));
                    if freed > 0 && !self.exceeds_bounds(bytes, last_ms, oldest_ms) {
                        return;
                    }
                    if !self.drop_oldest() {
                        return;
                    }
                    freed
                }
            };
            bytes = bytes.saturating_sub(freed);
        }
    }

    fn exceeds_bounds(&self, bytes: u64, last_ms: u64, oldest_ms: Option<u64>) -> bool {
        bytes > self.retain_bytes || oldest_ms.is_some_and(|oldest_ms| last_ms < oldest_ms)
    }

    /// Removes the first segment of a shard of the oldest generation. Returns the size of the file in bytes; none where it
    /// cannot be removed.
    fn drop_first_segment(&mut self, shard: usize) -> Option<u64> {
        let all = self.older[0].history.shards[shard].segments()?;
        let (_, list) = all.list();
        let [first, second, ..] = &list[..] else { return None };
        let last = list.last().map_or(second.number, |last| last.number);
        let storage = &**self.directory.storage();
        // No file is removed before the durable mark allows it to be missing.
        if let Err(error) = set_marked_segments(storage, &first.path, (second.number, last)) {
            tracing::warn!(path = %first.path.display(), %error, "cannot remove a segment or generation that retention has dropped");
            return None;
        }
        all.drop_before(second.number);
        self.removal.push(&first.path);
        self.removal.run(storage);
        Some(first.file_bytes)
    }

    /// Removes the oldest generation. Returns whether that succeeded.
    fn drop_oldest(&mut self) -> bool {
        let OlderGeneration { number, history } = &self.older[0];
        let through = Position(history.end.0.saturating_sub(1));
        history.shards.iter().filter_map(ShardHistory::segments).for_each(|segments| segments.drop_all(through));
        if let Err(error) = self.directory.remove_generation(*number) {
            tracing::warn!(%error, "cannot remove a segment or generation that retention has dropped");
            return false;
        }
        self.older.remove(0);
        true
    }
}

/// Sets the first and last segment in the durable mark beside a segment.
fn set_marked_segments(storage: &dyn Storage, segment: &Path, segments: (u64, u64)) -> io::Result<()> {
    let Some(directory) = segment.parent() else { return Ok(()) };
    match synced::read(directory)? {
        Some(mark) => synced::write(storage, directory, Mark { segments: Some(segments), ..mark }),
        None => Ok(()),
    }
}

/// The segment of a generation that retention drops next, of those that are not the last of their shard: the shard, and the
/// time of the last record in Unix milliseconds.
fn next_segment(generation: &OlderGeneration) -> Option<(usize, u64)> {
    let lists = generation.history.shards.iter().map(segments).enumerate();
    let firsts = lists.filter(|(_, list)| list.len() > 1);
    let firsts = firsts.filter_map(|(shard, list)| Some((shard, *list.first()?.as_sealed()?)));
    firsts.min_by_key(|(_, sealed)| sealed.last).map(|(shard, sealed)| (shard, sealed.last_ms))
}
