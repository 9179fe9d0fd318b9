//! Restores all shards of the current generation, each on a thread of its own.

use super::directory::Directory;
use super::error::StoreError;
use super::meta::Generation;
use super::options::StoreOptions;
use super::recovery::RecoveryOptions;
use super::restore::{RestoredShard, restore};
use crate::log::LogIdentity;
use crate::position::{Position, ShardId};
use std::io;

/// Restores all shards of the current generation, in order. `progress` is called with the number of records that a shard has
/// replayed so far.
pub(super) fn restore_all(
    options: &StoreOptions,
    directory: &Directory,
    progress: &(dyn Fn(ShardId, u64) + Sync),
) -> Result<Vec<RestoredShard>, StoreError> {
    let generation = directory.current_generation();
    let trust = directory.trust();
    let restore_one = |shard: ShardId| {
        let identity = LogIdentity {
            directory: directory.shard_directory(generation.number, shard),
            generation: generation.number,
            shard,
            shards: generation.shards,
        };
        let progress = |records| progress(shard, records);
        let note_cut = |visibility| directory.note_cut(visibility).map_err(io::Error::other);
        let recovery = RecoveryOptions { trust, note_cut: &note_cut };
        restore(identity, &**directory.storage(), recovery, options.absent_streams, progress)
            .map_err(|source| StoreError::Shard { shard, source })
    };
    std::thread::scope(|scope| {
        let restore_one = &restore_one;
        let threads: Vec<_> =
            (0..generation.shards).map(|shard| scope.spawn(move || restore_one(ShardId(shard)))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| match thread.join() {
            Ok(restored) => restored,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        threads.into_iter().map(join).collect()
    })
}

/// The position after all events of a generation.
pub(super) fn next_position(generation: &Generation, restored: &[RestoredShard]) -> Position {
    let last = restored.iter().map(RestoredShard::last).max().unwrap_or_default();
    last.next().max(generation.first)
}
