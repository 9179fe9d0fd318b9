//! All shards of a directory, brought back together and set going.

use super::directory::{Directory, DirectoryError, DirectoryOptions, LIMIT_AHEAD, Start};
use super::meta::Generation;
use super::older::{self, Retirement};
use super::recovery::{Opening, RecoveryError};
use super::reshard::reshard;
use super::restore::{RestoreError, Restored, restore};
use crate::clock;
use crate::history::{History, OlderHistory, ShardHistory};
use crate::log::failure::LogFailure;
use crate::log::writer::{Fsync, LogIdentity, LogOptions};
use crate::position::{Position, ShardId};
use crate::sequencer::Sequencer;
use crate::shard::LentShard;
use std::io;
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
    /// How many shards the directory had, where that was another number.
    pub resharded_from: Option<u16>,
}

impl Report {
    pub(super) fn of(directory: &Directory, restored: &[Restored]) -> Report {
        Report {
            start: directory.start(),
            replayed: restored.iter().map(|shard| shard.replayed).sum(),
            cut_records: restored.iter().map(|shard| shard.cut().records).sum(),
            cut_bytes: restored.iter().map(|shard| shard.cut().bytes).sum(),
            resharded_from: None,
        }
    }

    /// The position behind all that a generation has recorded.
    pub(super) fn next(generation: &Generation, restored: &[Restored]) -> Position {
        let last = restored.iter().map(Restored::last).max().unwrap_or_default();
        last.next().max(generation.first)
    }
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
    let next = directory.begin_run(Report::next(&generation, &restored), clock::unix_micros())?;
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

/// How many ranges of lost positions one power loss is told by, beside the one behind everything that is left. Where
/// there are more, the last one reaches up to the end of all of them: what is there between them is told as lost too.
const LOST_RANGES_MAX: usize = 1_000;

/// Notes what a power loss has taken between what is left, before the run begins: who is interrupted does it again.
pub(super) fn note_lost(directory: &Directory, restored: &[Restored]) -> Result<(), StoreError> {
    if directory.start() != Start::PowerLoss {
        return Ok(());
    }
    let first = directory.current_generation().first;
    Ok(directory.record_lost(&join_beyond(lost_between(restored, first)?, LOST_RANGES_MAX))?)
}

/// So many ranges at the most: those beyond are joined with the last one.
fn join_beyond(mut ranges: Vec<Range<Position>>, max: usize) -> Vec<Range<Position>> {
    let end = ranges.last().map(|last| last.end);
    ranges.truncate(max);
    if let (Some(last), Some(end)) = (ranges.last_mut(), end) {
        last.end = end;
    }
    ranges
}

/// The positions that are missing between those that are there: after a power loss one shard may have lost what came
/// before another's last records. A log loses its end only, so up to the least of the shards' last positions all is there.
/// `first` is where the history begins.
fn lost_between(restored: &[Restored], first: Position) -> Result<Vec<Range<Position>>, StoreError> {
    let after = restored.iter().map(Restored::last).min().unwrap_or_default();
    let mut ranges = Vec::new();
    for (number, shard) in restored.iter().enumerate() {
        let failed = |error: RecoveryError| StoreError::Shard { shard: ShardId(number as u16), source: error.into() };
        ranges.extend(shard.log().positions_behind(after).map_err(failed)?);
    }
    Ok(holes(after.next().max(first), ranges))
}

/// What lies from `from` on before and between ranges, which may overlap.
pub(super) fn holes(from: Position, mut ranges: Vec<Range<Position>>) -> Vec<Range<Position>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let (mut holes, mut end) = (Vec::new(), from);
    for range in ranges {
        if range.start > end {
            holes.push(end..range.start);
        }
        end = end.max(range.end);
    }
    holes
}

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

/// Raises the limit of positions in time and retires older generations, as long as it lives.
pub struct LimitKeeper {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl LimitKeeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the system has none left.
    pub fn start(
        directory: Arc<Directory>,
        sequencer: Arc<Sequencer>,
        failure: LogFailure,
        mut retirement: Retirement,
    ) -> Result<LimitKeeper, StoreError> {
        /// With fewer positions left than this the limit has to be raised, or writing ends: some seconds' worth.
        const LEAST_AHEAD: u64 = LIMIT_AHEAD / 4;
        /// Far more often than the limit is reached: see [`LIMIT_AHEAD`].
        const PERIOD: Duration = Duration::from_millis(200);
        let (stop, stopped) = channel::<()>();
        let mut is_failure_noted = false;
        let work = move || {
            while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                if let Some(limit) = directory.limit_wanted(sequencer.next())
                    && let Err(error) = directory.raise_limit(limit)
                {
                    tracing::error!(%error, "the limit of positions cannot be raised");
                    if sequencer.next().0 + LEAST_AHEAD > directory.limit().0 {
                        failure.set(&format!("the limit of positions cannot be raised: {error}"));
                    }
                }
                retirement.run();
                if failure.is_set() && !is_failure_noted {
                    is_failure_noted = true;
                    // Tried once more when the run ends.
                    if let Err(error) = directory.note_failure() {
                        tracing::error!(%error, "the directory cannot say that its log has failed");
                    }
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
        assert_eq!(holes(Position(5), ranges.clone()), [range(12, 30)]);
        assert_eq!(holes(Position(3), ranges), [range(3, 5), range(12, 30)]);
        assert_eq!(holes(Position(3), Vec::new()), []);
    }

    #[test]
    fn what_is_lost_beyond_so_many_ranges_is_told_by_the_last_of_them() {
        let range = |start, end| Position(start)..Position(end);
        let ranges = vec![range(1, 2), range(4, 5), range(7, 9)];
        assert_eq!(join_beyond(ranges.clone(), 3), ranges);
        assert_eq!(join_beyond(ranges.clone(), 2), [range(1, 2), range(4, 9)]);
        assert_eq!(join_beyond(Vec::new(), 2), []);
    }
}
