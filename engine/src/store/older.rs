//! The generations before the one that is written to: their segments are read, and taken away by retention, the oldest
//! first. Recovery needs none of them: the newer generation began with snapshots of all keys.
//!
//! A shard's last segment goes only with its whole generation. So a shard without segments is one that has recorded
//! nothing, and what is listed of a generation is without holes from its first segment on.

use super::directory::Directory;
use super::error::StoreError;
use super::meta::Generation;
use super::recovery::{RecoveryError, find_closed};
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

/// A generation that is history only.
#[derive(Clone)]
pub struct OlderGeneration {
    /// Its number.
    pub number: u32,
    /// Its shards.
    pub history: OlderHistory,
}

/// Lists the older generations of a directory, the oldest first. Those in which nothing was recorded are removed.
///
/// # Errors
/// Damage, and whatever the system says.
pub(super) fn open_all(directory: &Directory) -> Result<Vec<OlderGeneration>, StoreError> {
    directory.clear_removed()?;
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
    drop_snapshots(directory, &path);
    let identity = LogIdentity { directory: path.clone(), generation: number, shard, shards };
    let (list, end, last) =
        find_closed(&identity).map_err(|source| StoreError::Shard { shard, source: source.into() })?;
    // An empty ring behind the log, as a shard has it that was just restored: nothing is ever written to it.
    let start = RingStart { offset: end, last: (last != Position(0)).then_some(last) };
    let (_, ring) = ring::create_after(ring::CAPACITY_BYTES_MIN, start).map_err(refused)?;
    Ok(ShardHistory::with_log(ring, Segments::new(list)))
}

/// Removes the snapshots of an older generation, which nobody needs any more.
fn drop_snapshots(directory: &Directory, path: &Path) {
    let remove = |path: &Path| directory.storage().remove(path);
    let removed = snapshot_files(path).and_then(|found| found.iter().try_for_each(|(_, path)| remove(path)));
    if let Err(error) = removed {
        tracing::warn!(path = %path.display(), %error, "cannot remove snapshots that nobody needs");
    }
}

fn segments(shard: &ShardHistory) -> SegmentList {
    shard.segments().map(|segments| segments.list().1).unwrap_or_default()
}

/// Takes from the older generations what retention no longer keeps.
pub struct Retirement {
    directory: Arc<Directory>,
    /// The oldest first.
    older: Vec<OlderGeneration>,
    current: Vec<ShardHistory>,
    /// Of all generations together.
    retain_bytes: u64,
    retain_ms: Option<u64>,
    removal: Removal,
}

impl Retirement {
    /// For a directory with these generations; the options are those of each shard of the current one.
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

    /// Looks at what is kept. To be called now and then.
    pub fn run(&mut self) {
        // What could not be removed the last time.
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
                    if !self.is_over(bytes, last_ms, oldest_ms) {
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
                    if freed > 0 && !self.is_over(bytes, last_ms, oldest_ms) {
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

    fn is_over(&self, bytes: u64, last_ms: u64, oldest_ms: Option<u64>) -> bool {
        bytes > self.retain_bytes || oldest_ms.is_some_and(|oldest_ms| last_ms < oldest_ms)
    }

    /// Removes the first segment of a shard of the oldest generation; answers what it took, none where it cannot go.
    fn drop_first_segment(&mut self, shard: usize) -> Option<u64> {
        let all = self.older[0].history.shards[shard].segments()?;
        let (_, list) = all.list();
        let [first, second, ..] = &list[..] else { return None };
        let last = list.last().map_or(second.number, |last| last.number);
        let storage = &**self.directory.storage();
        // Nothing goes before the mark says that it may be missing.
        if let Err(error) = raise_first(storage, &first.path, (second.number, last)) {
            tracing::warn!(path = %first.path.display(), %error, "cannot remove what retention no longer keeps");
            return None;
        }
        all.drop_before(second.number);
        self.removal.push(&first.path);
        self.removal.run(storage);
        Some(first.file_bytes)
    }

    /// Removes what is left of the oldest generation; tells whether it could.
    fn drop_oldest(&mut self) -> bool {
        let OlderGeneration { number, history } = &self.older[0];
        let through = Position(history.end.0.saturating_sub(1));
        history.shards.iter().filter_map(ShardHistory::segments).for_each(|segments| segments.drop_all(through));
        if let Err(error) = self.directory.remove_generation(*number) {
            tracing::warn!(%error, "cannot remove what retention no longer keeps");
            return false;
        }
        self.older.remove(0);
        true
    }
}

/// Has the mark beside a segment tell that its shard has only these segments from now on.
fn raise_first(storage: &dyn Storage, segment: &Path, segments: (u64, u64)) -> io::Result<()> {
    let Some(directory) = segment.parent() else { return Ok(()) };
    match synced::read(directory)? {
        Some(mark) => synced::write(storage, directory, Mark { segments: Some(segments), ..mark }),
        None => Ok(()),
    }
}

/// The segment that goes first of a generation, of those behind which their shard has another: its shard, and when its
/// last record happened.
fn next_segment(generation: &OlderGeneration) -> Option<(usize, u64)> {
    let lists = generation.history.shards.iter().map(segments).enumerate();
    let firsts = lists.filter(|(_, list)| list.len() > 1);
    let firsts = firsts.filter_map(|(shard, list)| Some((shard, *list.first()?.as_sealed()?)));
    firsts.min_by_key(|(_, sealed)| sealed.last).map(|(shard, sealed)| (shard, sealed.last_ms))
}
