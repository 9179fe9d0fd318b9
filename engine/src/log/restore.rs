//! A shard brought back from its directory, and set going again.

use super::keeper::Keeper;
use super::recovery::{Cut, FoundLog, RecoveryError, find_log};
use super::storage::Storage;
use super::writer::{LogError, LogIdentity, LogOptions, LogWriter};
use crate::history::ShardHistory;
use crate::position::{Position, RingOffset};
use crate::ring::{self, RingStart};
use crate::sequencer::Sequencer;
use crate::shard::{LentShard, ReplayError, Shard};
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
    #[error("{directory}: {source}; run `keytide check` on the directory")]
    Replay {
        /// The shard's directory.
        directory: PathBuf,
        /// Which, and why.
        source: ReplayError,
    },
    /// What came before the log is not there.
    #[error("{directory}: the log begins at offset {head}, and there is no snapshot to begin from")]
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
    /// How many records were replayed.
    pub replayed: u64,
}

impl Restored {
    /// The position of the last record; 0 where there is none.
    pub fn last(&self) -> Position {
        self.log.end.last
    }

    /// What was cut off the end of the log.
    pub fn cut(&self) -> Cut {
        self.log.cut
    }

    /// Sets the shard going again, with an empty ring of so many bytes behind its log.
    ///
    /// # Errors
    /// Where there is no memory, no thread, or no space.
    pub fn start(
        self,
        storage: &Arc<dyn Storage>,
        options: LogOptions,
        sequencer: &Arc<Sequencer>,
        ring_bytes: u64,
    ) -> Result<(LentShard, ShardHistory), RestoreError> {
        let Restored { mut shard, identity, log, floor, .. } = self;
        let (end, last) = (log.end.end, log.end.last);
        let start = RingStart { offset: end, last: (last != Position(0)).then_some(last) };
        let (writer, ring) = ring::create_after(ring_bytes, start)
            .map_err(|source| RestoreError::Start { what: "no memory for a ring", source })?;
        let keeper = Keeper::start(storage.clone(), identity.clone(), options, floor, log.synced)
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
    absent_max: usize,
    mut progress: impl FnMut(u64),
) -> Result<Restored, RestoreError> {
    /// How many records are replayed between two words on progress.
    const PROGRESS_RECORDS: u64 = 100_000;
    let log = find_log(&identity, storage, false)?;
    let unused = Arc::new(Sequencer::new(Position(1), identity.shards as usize));
    let mut shard = Shard::new(identity.shard, unused, None, absent_max);
    let from = RingOffset(0);
    if log.head() > from {
        return Err(RestoreError::NoSnapshot { directory: identity.directory, head: log.head() });
    }
    let mut replayed = 0;
    log.replay(from, |record| -> Result<(), RestoreError> {
        replayed += 1;
        if replayed % PROGRESS_RECORDS == 0 {
            progress(replayed);
        }
        let directory = || identity.directory.clone();
        shard.replay(record).map_err(|source| RestoreError::Replay { directory: directory(), source })
    })?;
    Ok(Restored { shard: LentShard(Box::new(shard)), identity, log, floor: from, replayed })
}
