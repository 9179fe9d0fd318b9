//! All shards of a directory, brought back together and set going.

use super::directory::{Directory, DirectoryError, DirectoryOptions, Start};
use super::failure::LogFailure;
use super::recovery::RecoveryError;
use super::restore::{RestoreError, Restored, restore};
use super::storage::Storage;
use super::writer::{LogIdentity, LogOptions};
use crate::clock;
use crate::history::ShardHistory;
use crate::position::{Position, ShardId};
use crate::sequencer::Sequencer;
use crate::shard::LentShard;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use thiserror::Error;

/// How a directory is used.
#[derive(Clone)]
pub struct StoreOptions {
    /// Where it is.
    pub path: PathBuf,
    /// How it is opened.
    pub directory: DirectoryOptions,
    /// How many shards there are to be.
    pub shards: u16,
    /// How each shard's log is kept.
    pub log: LogOptions,
    /// The bytes of each shard's ring.
    pub ring_bytes: u64,
    /// The streams of absent keys whose revision counter each shard keeps.
    pub absent_streams: usize,
}

/// Why a directory cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A shard.
    #[error("shard {shard}: {source}")]
    Shard {
        /// Its number.
        shard: ShardId,
        /// Why it cannot be brought back.
        source: RestoreError,
    },
    /// The number of shards is another one than the directory's.
    #[error("the directory is of {found} shards, not {wanted}: start with --shards {found}")]
    Shards {
        /// How many it has.
        found: u16,
        /// How many were wanted.
        wanted: u16,
    },
    /// The system has no thread left.
    #[error("no thread left: {0}")]
    Thread(std::io::Error),
}

/// A directory in use, with its shards.
pub struct Store {
    /// The shards, in order.
    pub shards: Vec<LentShard>,
    /// Their histories.
    pub histories: Vec<ShardHistory>,
    /// The order of all events.
    pub sequencer: Arc<Sequencer>,
    /// The directory; it stays locked as long as this lives.
    pub directory: Arc<Directory>,
    /// Whether a log has failed.
    pub failure: LogFailure,
    /// What was found.
    pub found: Report,
}

/// What a start has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// How the run before ended.
    pub start: Start,
    /// How many records were replayed.
    pub replayed: u64,
    /// How many whole records were cut off the ends of logs.
    pub cut_records: u64,
    /// How many bytes that were no record.
    pub cut_bytes: u64,
}

/// Opens a directory and brings its shards back, each on a thread of its own. `progress` is told of a shard how many
/// records were replayed so far.
///
/// # Errors
/// Why it cannot be used.
pub fn open(options: &StoreOptions, progress: &(dyn Fn(ShardId, u64) + Sync)) -> Result<Store, StoreError> {
    let directory = Directory::open(&options.path, options.shards, options.directory.clone())?;
    let generation = directory.current_generation();
    if generation.shards != options.shards {
        return Err(StoreError::Shards { found: generation.shards, wanted: options.shards });
    }
    directory.create_shard_directories(generation.number, generation.shards)?;
    let storage = directory.storage().clone();
    let restored = restore_all(options, &directory, &*storage, progress)?;
    let last = restored.iter().map(Restored::last).max().unwrap_or_default();
    let report = Report {
        start: directory.start(),
        replayed: restored.iter().map(|shard| shard.replayed).sum(),
        cut_records: restored.iter().map(|shard| shard.cut().records).sum(),
        cut_bytes: restored.iter().map(|shard| shard.cut().bytes).sum(),
    };
    if report.start == Start::PowerLoss {
        // Before the run begins: who is interrupted here does it again.
        for lost in lost_between(&restored)?.iter().take(LOST_RANGES_MAX) {
            directory.record_lost(lost.start, lost.end)?;
        }
    }
    let next = directory.begin_run(last.next(), clock::unix_micros())?;
    let first = directory.generations().first().map_or(next, |generation| generation.first);
    let lost: Vec<_> = directory.lost().iter().map(|lost| lost.from..lost.to).collect();
    let sequencer = Arc::new(Sequencer::resumed(first, &lost, next, options.shards as usize));
    let mut store = Store {
        shards: Vec::new(),
        histories: Vec::new(),
        sequencer,
        directory: Arc::new(directory),
        failure: LogFailure::default(),
        found: report,
    };
    let flush = restored.iter().map(Restored::last_flush).max().unwrap_or_default();
    for (number, shard) in restored.into_iter().enumerate() {
        let is_flushed = shard.last() >= flush;
        let failed = |source| StoreError::Shard { shard: ShardId(number as u16), source };
        let (mut shard, history) = shard
            .start(&storage, options.log, (&store.sequencer, &store.failure), options.ring_bytes)
            .map_err(failed)?;
        if !is_flushed {
            // The process ended between two shards' records of the one flush.
            shard.0.flush_again(flush);
        }
        store.shards.push(shard);
        store.histories.push(history);
    }
    Ok(store)
}

/// How many ranges of lost positions one power loss is told by, beside the one behind everything that is left.
const LOST_RANGES_MAX: usize = 1_000;

/// The positions that are missing between those that are there, above what every shard surely had on the disk: after a
/// power loss one shard may have lost what came before another's last records.
fn lost_between(restored: &[Restored]) -> Result<Vec<Range<Position>>, StoreError> {
    let after = restored.iter().map(|shard| shard.log().surely_through()).min().unwrap_or_default();
    let mut ranges = Vec::new();
    for (number, shard) in restored.iter().enumerate() {
        let failed = |error: RecoveryError| StoreError::Shard { shard: ShardId(number as u16), source: error.into() };
        ranges.extend(shard.log().positions_behind(after).map_err(failed)?);
    }
    Ok(holes(ranges))
}

/// What lies between ranges, which may overlap.
pub(super) fn holes(mut ranges: Vec<Range<Position>>) -> Vec<Range<Position>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut holes = Vec::new();
    let mut end = ranges.first().map_or(Position(0), |range| range.start);
    for range in ranges {
        if range.start > end {
            holes.push(end..range.start);
        }
        end = end.max(range.end);
    }
    holes
}

fn restore_all(
    options: &StoreOptions,
    directory: &Directory,
    storage: &dyn Storage,
    progress: &(dyn Fn(ShardId, u64) + Sync),
) -> Result<Vec<Restored>, StoreError> {
    let generation = directory.current_generation();
    let one = |shard: ShardId| {
        let identity = LogIdentity {
            directory: directory.shard_directory(generation.number, shard),
            generation: generation.number,
            shard,
            shards: generation.shards,
        };
        let told = |records| progress(shard, records);
        restore(identity, storage, options.absent_streams, told).map_err(|source| StoreError::Shard { shard, source })
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

/// Raises the limit of positions in time, as long as it lives.
pub struct LimitKeeper {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl LimitKeeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the system has none left.
    pub fn start(directory: Arc<Directory>, sequencer: Arc<Sequencer>) -> Result<LimitKeeper, StoreError> {
        /// Far more often than the limit is reached: see [`LIMIT_AHEAD`](super::directory::LIMIT_AHEAD).
        const PERIOD: Duration = Duration::from_secs(1);
        let (stop, stopped) = channel::<()>();
        let work = move || {
            while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                if let Some(limit) = directory.limit_wanted(sequencer.next())
                    && let Err(error) = directory.raise_limit(limit)
                {
                    tracing::error!(%error, "the limit of positions cannot be raised: a power loss might reuse some");
                }
            }
        };
        let thread = std::thread::Builder::new().name("limit".to_owned()).spawn(work).map_err(StoreError::Thread)?;
        Ok(LimitKeeper { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for LimitKeeper {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic was told where it happened.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_what_no_range_covers() {
        let range = |start, end| Position(start)..Position(end);
        let ranges = vec![range(30, 40), range(5, 10), range(10, 12), range(8, 11), range(35, 36)];
        assert_eq!(holes(ranges), [range(12, 30)]);
        assert_eq!(holes(Vec::new()), []);
    }
}
