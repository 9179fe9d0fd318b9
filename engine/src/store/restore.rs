//! Restores one shard from its directory: recovers its log, loads its newest snapshot, replays the rest, and starts it.

use super::recovery::{Cut, RecoveredLog, RecoveryError, RecoveryOptions, recover_log, root};
use super::set_aside::set_aside;
use crate::event::EventType;
use crate::history::ShardHistory;
use crate::log::failure::LogFailure;
use crate::log::keeper::Keeper;
use crate::log::storage::Storage;
use crate::log::{LogError, LogIdentity, LogOptions, LogWriter};
use crate::position::{Position, RingOffset};
use crate::ring::{self, RingStart};
use crate::sequencer::Sequencer;
use crate::shard::{LentShard, ReplayError, Shard};
use crate::snapshot::{self, SnapshotError, snapshot_files};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use thiserror::Error;

/// Why a shard cannot be restored or started.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// The log cannot be recovered.
    #[error(transparent)]
    Log(#[from] RecoveryError),
    /// A record cannot be replayed: it contradicts the records before it.
    #[error("{directory}: {source}; run `keytide check {root}`", root = root(directory, 2).display())]
    Replay {
        /// The shard's directory.
        directory: PathBuf,
        /// Which record, and why.
        source: ReplayError,
    },
    /// The records before the start of the log are gone, and no snapshot has their keys.
    #[error(
        "{directory}: the log begins at offset {head}, and there is no snapshot to begin from; run `keytide check {root}`",
        root = root(directory, 2).display()
    )]
    NoSnapshot {
        /// The shard's directory.
        directory: PathBuf,
        /// The offset where the log begins.
        head: RingOffset,
    },
    /// There is no memory for the ring, or no thread for the log.
    #[error("{what}: {source}")]
    Start {
        /// What is missing, for the text.
        what: &'static str,
        /// The error.
        source: io::Error,
    },
    /// The log cannot be continued.
    #[error(transparent)]
    Write(#[from] LogError),
}

/// A restored shard that is not started yet.
pub struct RestoredShard {
    shard: LentShard,
    identity: LogIdentity,
    log: RecoveredLog,
    floor: RingOffset,
    last_flush: Position,
    /// The number of replayed records.
    pub replayed: u64,
}

impl RestoredShard {
    /// The position of the last record; 0 where there is none.
    pub fn last(&self) -> Position {
        self.log.end.last
    }

    /// The position of the last flush that the log still has; 0 where it has none.
    pub fn last_flush(&self) -> Position {
        self.last_flush
    }

    /// The shard.
    pub fn shard(&self) -> &Shard {
        &self.shard.0
    }

    /// The log.
    pub fn log(&self) -> &RecoveredLog {
        &self.log
    }

    /// The offset behind the last record.
    pub fn end(&self) -> RingOffset {
        self.log.end.end
    }

    /// What was cut off the end of the log.
    pub fn cut(&self) -> Cut {
        self.log.cut
    }

    /// Syncs the log.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn sync(&self) -> Result<(), RestoreError> {
        Ok(self.log.sync()?)
    }

    /// Closes the log, for a change to another generation, and returns the shard with its keys.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn close(self, storage: &dyn Storage) -> Result<LentShard, RestoreError> {
        self.log.close(&self.identity.directory, storage)?;
        Ok(self.shard)
    }

    /// Starts the shard with an empty ring of `ring_bytes` bytes that continues at the end of the log.
    ///
    /// # Errors
    /// Where there is no memory for the ring, no thread for the log, or no space for a segment.
    pub fn start(
        self,
        storage: &Arc<dyn Storage>,
        options: LogOptions,
        (sequencer, failure): (&Arc<Sequencer>, &LogFailure),
        ring_bytes: u64,
    ) -> Result<(LentShard, ShardHistory), RestoreError> {
        let RestoredShard { mut shard, identity, log, floor, .. } = self;
        let (end, last) = (log.end.end, log.end.last);
        let start = RingStart { offset: end, last: (last != Position(0)).then_some(last) };
        let (writer, ring) = ring::create_after(ring_bytes, start)
            .map_err(|source| RestoreError::Start { what: "no memory for a ring", source })?;
        let keeper = Keeper::start(storage.clone(), identity.clone(), options, (floor, log.synced), failure.clone())
            .map_err(|source| RestoreError::Start { what: "no thread for a log", source })?;
        let log = LogWriter::new(identity, options, log.end, keeper)?;
        let history = ShardHistory::with_log(ring, log.segments().clone());
        shard.0.attach(sequencer.clone(), writer, log);
        Ok((shard, history))
    }
}

/// Restores a shard from its directory. The shard retains at most `absent_max` revision counters of absent keys. `progress` is
/// called from time to time with the number of records replayed so far.
///
/// # Errors
/// Damage, and any error of the file system.
pub fn restore(
    identity: LogIdentity,
    storage: &dyn Storage,
    recovery: RecoveryOptions<'_>,
    absent_max: usize,
    mut progress: impl FnMut(u64),
) -> Result<RestoredShard, RestoreError> {
    /// How many records are replayed between two calls of `progress`.
    const PROGRESS_RECORDS: u64 = 100_000;
    let log = recover_log(&identity, storage, recovery)?;
    let (mut shard, from) = load_snapshot(&identity, &log, storage, absent_max)?;
    let floor = floor(&identity, &log, from).map_err(|source| in_directory(&identity, source))?;
    // A flush before the snapshot is part of it, but other shards may still have to repeat the flush.
    let (_, flushed_at) = shard.turn().db_stream();
    let mut last_flush = log.position_at(flushed_at).unwrap_or_default();
    let mut replayed = 0;
    log.replay(from, |record| -> Result<(), RestoreError> {
        replayed += 1;
        if record.event_type() == EventType::FlushDb {
            last_flush = record.position();
        }
        if replayed % PROGRESS_RECORDS == 0 {
            progress(replayed);
        }
        let directory = || identity.directory.clone();
        shard.replay(record).map_err(|source| RestoreError::Replay { directory: directory(), source })
    })?;
    Ok(RestoredShard { shard: LentShard(Box::new(shard)), identity, log, floor, last_flush, replayed })
}

/// Loads the newest valid snapshot whose end the log reaches. Returns the shard, and the offset from which the log is
/// replayed.
fn load_snapshot(
    identity: &LogIdentity,
    log: &RecoveredLog,
    storage: &dyn Storage,
    absent_max: usize,
) -> Result<(Shard, RingOffset), RestoreError> {
    let unused = Arc::new(Sequencer::new(Position(1), identity.shards as usize));
    let empty = || Shard::new(identity.shard, unused.clone(), None, absent_max);
    let refused = |source| in_directory(identity, source);
    snapshot::remove_unfinished(&identity.directory).map_err(refused)?;
    let mut snapshots = snapshot_files(&identity.directory).map_err(refused)?;
    snapshots.sort_unstable_by_key(|(start, _)| std::cmp::Reverse(*start));
    for (_, path) in snapshots.iter().filter(|(start, _)| *start >= log.head()) {
        let mut shard = empty();
        let loaded = snapshot::inspect(path, false).and_then(|info| match info.end <= log.end.end {
            true => snapshot::load(path, &mut shard).map(Some),
            false => Ok(None),
        });
        match loaded {
            Ok(Some(info)) => return Ok((shard, info.start)),
            Ok(None) => {
                tracing::warn!(path = %path.display(), "the log does not reach this snapshot, an older one is used");
            }
            // The snapshot may be readable at the next start.
            Err(SnapshotError::Io(error)) => {
                tracing::warn!(path = %path.display(), %error, "an older snapshot is used");
                continue;
            }
            Err(error) => tracing::warn!(path = %path.display(), %error, "an older snapshot is used"),
        }
        // The log continues with other records at the offsets that the snapshot refers to: it must never be loaded.
        set_aside(storage, path).map_err(refused)?;
    }
    match log.head() {
        // A later generation begins with a snapshot of the keys before it.
        RingOffset(0) if identity.generation == 1 => Ok((empty(), RingOffset(0))),
        head => Err(RestoreError::NoSnapshot { directory: identity.directory.clone(), head }),
    }
}

/// The offset from which on the log is needed: by the loaded snapshot, whose replay begins at `from`, and by older snapshots,
/// which are retained in case that one is damaged.
fn floor(identity: &LogIdentity, log: &RecoveredLog, from: RingOffset) -> io::Result<RingOffset> {
    let starts = snapshot_files(&identity.directory)?.into_iter().map(|(start, _)| start);
    Ok(starts.filter(|start| *start >= log.head()).min().map_or(from, |oldest| oldest.min(from)))
}

fn in_directory(identity: &LogIdentity, source: io::Error) -> RestoreError {
    RecoveryError::Io { path: identity.directory.clone(), source }.into()
}
