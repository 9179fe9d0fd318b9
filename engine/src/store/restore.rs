//! A shard brought back from its directory, and set going again.

use super::recovery::{Cut, FoundLog, Opening, RecoveryError, find_log, root};
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

/// Why a shard cannot be brought back.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// Its log.
    #[error(transparent)]
    Log(#[from] RecoveryError),
    /// A record of the log makes no sense on what was before it.
    #[error("{directory}: {source}; run `keytide check {root}`", root = root(directory, 2).display())]
    Replay {
        /// The shard's directory.
        directory: PathBuf,
        /// Which, and why.
        source: ReplayError,
    },
    /// What came before the log is not there.
    #[error(
        "{directory}: the log begins at offset {head}, and there is no snapshot to begin from; run `keytide check {root}`",
        root = root(directory, 2).display()
    )]
    NoSnapshot {
        /// The shard's directory.
        directory: PathBuf,
        /// Where the log begins.
        head: RingOffset,
    },
    /// There is no memory for its ring, or no thread for its log.
    #[error("{what}: {source}")]
    Start {
        /// What was asked for.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// Its log cannot go on.
    #[error(transparent)]
    Write(#[from] LogError),
}

/// A shard as its directory has it: its keys are there, and its log knows where to go on.
pub struct Restored {
    shard: LentShard,
    identity: LogIdentity,
    log: FoundLog,
    floor: RingOffset,
    last_flush: Position,
    /// How many records were replayed.
    pub replayed: u64,
}

impl Restored {
    /// The position of the last record; 0 where there is none.
    pub fn last(&self) -> Position {
        self.log.end.last
    }

    /// The position of the last flush, as far as the log still has it; 0 where it has none.
    pub fn last_flush(&self) -> Position {
        self.last_flush
    }

    /// The shard, which is not going yet.
    pub fn shard(&self) -> &Shard {
        &self.shard.0
    }

    /// The log.
    pub fn log(&self) -> &FoundLog {
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

    /// Has all of the log on the disk.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn sync(&self) -> Result<(), RestoreError> {
        Ok(self.log.sync()?)
    }

    /// Ends the shard's log, for good if what comes next succeeds, and gives its keys away.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn close(self, storage: &dyn Storage) -> Result<LentShard, RestoreError> {
        self.log.close(&self.identity.directory, storage)?;
        Ok(self.shard)
    }

    /// Sets the shard going again, with an empty ring of so many bytes behind its log.
    ///
    /// # Errors
    /// Where there is no memory, no thread, or no space.
    pub fn start(
        self,
        storage: &Arc<dyn Storage>,
        options: LogOptions,
        (sequencer, failure): (&Arc<Sequencer>, &LogFailure),
        ring_bytes: u64,
    ) -> Result<(LentShard, ShardHistory), RestoreError> {
        let Restored { mut shard, identity, log, floor, .. } = self;
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

/// Brings a shard back from its directory. `progress` is told now and then how many records were replayed.
///
/// # Errors
/// Why it cannot be.
pub fn restore(
    identity: LogIdentity,
    storage: &dyn Storage,
    opening: Opening<'_>,
    absent_max: usize,
    mut progress: impl FnMut(u64),
) -> Result<Restored, RestoreError> {
    /// How many records are replayed between two words on progress.
    const PROGRESS_RECORDS: u64 = 100_000;
    let log = find_log(&identity, storage, opening)?;
    let (mut shard, from) = load_snapshot(&identity, &log, storage, absent_max)?;
    let floor = floor(&identity, &log, from).map_err(|source| in_directory(&identity, source))?;
    // A flush before the snapshot is in it; others may have to make up for it all the same.
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
    Ok(Restored { shard: LentShard(Box::new(shard)), identity, log, floor, last_flush, replayed })
}

/// The keys of the newest snapshot that can be read and that the log reaches, and from where the log is to be replayed.
fn load_snapshot(
    identity: &LogIdentity,
    log: &FoundLog,
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
            // It may be there the next time.
            Err(SnapshotError::Io(error)) => {
                tracing::warn!(path = %path.display(), %error, "an older snapshot is used");
                continue;
            }
            Err(error) => tracing::warn!(path = %path.display(), %error, "an older snapshot is used"),
        }
        // The log goes on with other records at the offsets of which it tells: nobody may ever load it again.
        set_aside(storage, path).map_err(refused)?;
    }
    match log.head() {
        // A later generation begins with a snapshot of what was before it.
        RingOffset(0) if identity.generation == 1 => Ok((empty(), RingOffset(0))),
        head => Err(RestoreError::NoSnapshot { directory: identity.directory.clone(), head }),
    }
}

/// From where on the log is needed: by the snapshot that was loaded, whose replay begins at `from`, and by older ones
/// that are kept in case that one is damaged.
fn floor(identity: &LogIdentity, log: &FoundLog, from: RingOffset) -> io::Result<RingOffset> {
    let starts = snapshot_files(&identity.directory)?.into_iter().map(|(start, _)| start);
    Ok(starts.filter(|start| *start >= log.head()).min().map_or(from, |oldest| oldest.min(from)))
}

fn in_directory(identity: &LogIdentity, source: io::Error) -> RestoreError {
    RecoveryError::Io { path: identity.directory.clone(), source }.into()
}
