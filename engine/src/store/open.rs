//! Opens a directory: restores all its shards and starts them.

use super::directory::{Directory, DirectoryOptions};
use super::error::StoreError;
use super::lost::note_lost;
use super::older::{self, Retirement};
use super::options::StoreOptions;
use super::report::StartReport;
use super::reshard::reshard;
use super::restore::RestoredShard;
use super::restore_all::{next_position, restore_all};
use crate::clock;
use crate::history::{History, OlderHistory, ShardHistory};
use crate::log::{Fsync, LogFailure};
use crate::position::ShardId;
use crate::sequencer::Sequencer;
use crate::shard::LentShard;
use std::sync::Arc;

/// An open directory with its started shards.
pub struct Store {
    /// The shards, in order.
    pub shards: Vec<LentShard>,
    /// The histories of the shards, in order.
    pub histories: Vec<ShardHistory>,
    /// The histories of older generations, oldest first.
    pub older: Vec<OlderHistory>,
    /// Applies retention to the older generations; for the [`LimitKeeper`](super::LimitKeeper).
    pub retirement: Retirement,
    /// The sequencer of all shards.
    pub sequencer: Arc<Sequencer>,
    /// The directory, locked until it is dropped.
    pub directory: Arc<Directory>,
    /// Whether a log has failed.
    pub failure: LogFailure,
    /// What the start found.
    pub found: StartReport,
}

/// Opens a directory, restores its shards, each on a thread of its own, and starts them. `progress` is called with the number
/// of records that a shard has replayed so far.
///
/// # Errors
/// Why the directory cannot be used, or a shard not restored or started.
pub fn open(options: &StoreOptions, progress: &(dyn Fn(ShardId, u64) + Sync)) -> Result<Store, StoreError> {
    let fsync_always = options.log.fsync == Fsync::Always;
    let directory_options = DirectoryOptions { fsync_always, ..options.directory.clone() };
    let directory = Directory::open(&options.path, options.shards, directory_options)?;
    let resharded = match directory.current_generation().shards == options.shards {
        true => None,
        false => Some(reshard(options, &directory, progress)?),
    };
    let generation = directory.current_generation();
    directory.create_shard_directories(generation.number, generation.shards)?;
    let restored = restore_all(options, &directory, progress)?;
    if fsync_always {
        // Readers will see records that the previous run has written and may not have synced.
        for (number, shard) in restored.iter().enumerate() {
            shard.sync().map_err(|source| StoreError::Shard { shard: ShardId(number as u16), source })?;
        }
    }
    note_lost(&directory, &restored)?;
    let older = older::open_all(&directory)?;
    let found = resharded.unwrap_or_else(|| StartReport::of(&directory, &restored));
    let next = directory.begin_run(next_position(&generation, &restored), clock::unix_micros())?;
    let first = directory.generations().first().map_or(next, |generation| generation.first);
    let lost: Vec<_> = directory.lost().iter().map(|lost| lost.from..lost.to).collect();
    let sequencer = Arc::new(Sequencer::resumed(first, &lost, next, options.shards as usize));
    let (directory, failure) = (Arc::new(directory), LogFailure::default());
    let (mut shards, mut histories) = (Vec::new(), Vec::new());
    let flush = restored.iter().map(RestoredShard::last_flush).max().unwrap_or_default();
    for (number, shard) in restored.into_iter().enumerate() {
        let is_flushed = shard.last() >= flush;
        let failed = |source| StoreError::Shard { shard: ShardId(number as u16), source };
        let (mut shard, history) = shard
            .start(directory.storage(), options.log, (&sequencer, &failure), options.ring_bytes)
            .map_err(failed)?;
        if !is_flushed {
            // The process ended between two shards' records of one flush.
            shard.0.set_now_ms(clock::unix_millis());
            shard.0.flush_again(flush);
        }
        shards.push(shard);
        histories.push(history);
    }
    let histories_before: Vec<_> = older.iter().map(|older| older.history.clone()).collect();
    let mut retirement = Retirement::new(directory.clone(), older, histories.clone(), options.log);
    retirement.run();
    // Readers of positions that retention has dropped get a gap for those anyway.
    let first = History::new(sequencer.clone(), &histories).with_older(&histories_before).first_available();
    directory.forget_lost_before(first)?;
    Ok(Store { shards, histories, older: histories_before, retirement, sequencer, directory, failure, found })
}
