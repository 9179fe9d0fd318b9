//! All shards of the current generation brought back, each on a thread of its own.

use super::directory::Directory;
use super::error::StoreError;
use super::meta::Generation;
use super::options::StoreOptions;
use super::recovery::Opening;
use super::restore::{Restored, restore};
use crate::log::LogIdentity;
use crate::position::{Position, ShardId};
use std::io;

/// Brings all shards of the current generation back.
pub(super) fn restore_all(
    options: &StoreOptions,
    directory: &Directory,
    progress: &(dyn Fn(ShardId, u64) + Sync),
) -> Result<Vec<Restored>, StoreError> {
    let generation = directory.current_generation();
    let trust = directory.trust();
    let one = |shard: ShardId| {
        let identity = LogIdentity {
            directory: directory.shard_directory(generation.number, shard),
            generation: generation.number,
            shard,
            shards: generation.shards,
        };
        let told = |records| progress(shard, records);
        let note_cut = |seen| directory.note_cut(seen).map_err(io::Error::other);
        let opening = Opening { trust, note_cut: &note_cut };
        restore(identity, &**directory.storage(), opening, options.absent_streams, told)
            .map_err(|source| StoreError::Shard { shard, source })
    };
    std::thread::scope(|scope| {
        let one = &one;
        let threads: Vec<_> = (0..generation.shards).map(|shard| scope.spawn(move || one(ShardId(shard)))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| match thread.join() {
            Ok(restored) => restored,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        threads.into_iter().map(join).collect()
    })
}

/// The position behind all that a generation has recorded.
pub(super) fn next_position(generation: &Generation, restored: &[Restored]) -> Position {
    let last = restored.iter().map(Restored::last).max().unwrap_or_default();
    last.next().max(generation.first)
}
