//! All shards of a directory, brought back together and set going.

use super::directory::{Directory, DirectoryOptions};
use super::error::StoreError;
use super::lost::note_lost;
use super::older::{self, Retirement};
use super::options::StoreOptions;
use super::report::Report;
use super::reshard::reshard;
use super::restore::Restored;
use super::restore_all::{next_position, restore_all};
use crate::clock;
use crate::history::{History, OlderHistory, ShardHistory};
use crate::log::{Fsync, LogFailure};
use crate::position::ShardId;
use crate::sequencer::Sequencer;
use crate::shard::LentShard;
use std::sync::Arc;

/// A directory in use, with its shards.
pub struct Store {
    /// The shards, in order.
    pub shards: Vec<LentShard>,
    /// Their histories.
    pub histories: Vec<ShardHistory>,
    /// What shards of other numbers have recorded before, the oldest first.
    pub older: Vec<OlderHistory>,
    /// Takes that away as retention wants it; for the [`LimitKeeper`].
    pub retirement: Retirement,
    /// The order of all events.
    pub sequencer: Arc<Sequencer>,
    /// The directory; it stays locked as long as this lives.
    pub directory: Arc<Directory>,
    /// Whether a log has failed.
    pub failure: LogFailure,
    /// What was found.
    pub found: Report,
}

/// Opens a directory and brings its shards back, each on a thread of its own. `progress` is told of a shard how many
/// records were replayed so far.
///
/// # Errors
/// Why it cannot be used.
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
        // Readers are about to be shown what a run before has written and may not have synced.
        for (number, shard) in restored.iter().enumerate() {
            shard.sync().map_err(|source| StoreError::Shard { shard: ShardId(number as u16), source })?;
        }
    }
    note_lost(&directory, &restored)?;
    let older = older::open_all(&directory)?;
    let found = resharded.unwrap_or_else(|| Report::of(&directory, &restored));
    let next = directory.begin_run(next_position(&generation, &restored), clock::unix_micros())?;
    let first = directory.generations().first().map_or(next, |generation| generation.first);
    let lost: Vec<_> = directory.lost().iter().map(|lost| lost.from..lost.to).collect();
    let sequencer = Arc::new(Sequencer::resumed(first, &lost, next, options.shards as usize));
    let (directory, failure) = (Arc::new(directory), LogFailure::default());
    let (mut shards, mut histories) = (Vec::new(), Vec::new());
    let flush = restored.iter().map(Restored::last_flush).max().unwrap_or_default();
    for (number, shard) in restored.into_iter().enumerate() {
        let is_flushed = shard.last() >= flush;
        let failed = |source| StoreError::Shard { shard: ShardId(number as u16), source };
        let (mut shard, history) = shard
            .start(directory.storage(), options.log, (&sequencer, &failure), options.ring_bytes)
            .map_err(failed)?;
        if !is_flushed {
            // The process ended between two shards' records of the one flush.
            shard.0.set_now_ms(clock::unix_millis());
            shard.0.flush_again(flush);
        }
        shards.push(shard);
        histories.push(history);
    }
    let histories_before: Vec<_> = older.iter().map(|older| older.history.clone()).collect();
    let mut retirement = Retirement::new(directory.clone(), older, histories.clone(), options.log);
    retirement.run();
    // Readers of what retention has taken are told of that.
    let first = History::new(sequencer.clone(), &histories).with_older(&histories_before).first_available();
    directory.forget_lost_before(first)?;
    Ok(Store { shards, histories, older: histories_before, retirement, sequencer, directory, failure, found })
}
