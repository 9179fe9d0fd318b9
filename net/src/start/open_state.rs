//! Where a server's state is loaded from: nowhere, where it lives in memory only, or the directory of `--dir`.

use super::StartError;
use crate::config::{Config, Durability};
use crate::groups::Groups;
use crate::groups::store::{self as group_store, GroupStoreOptions};
use crate::server::{Kept, OnDisk};
use crate::snapshots::{Board, SnapshotThread};
use keytide_engine::clock;
use keytide_engine::limits::turn_bytes_max;
use keytide_engine::log::{LogFailure, LogOptions};
use keytide_engine::position::{Position, ShardId};
use keytide_engine::ring;
use keytide_engine::sequencer::Sequencer;
use keytide_engine::shard::{LentShard, Shard};
use keytide_engine::store::directory::{Directory, DirectoryOptions};
use keytide_engine::store::{self, LimitKeeper, StartReport, StoreError, StoreOptions};
use std::io::{IsTerminal, Write};
use std::sync::Arc;

/// What a server starts with.
pub(super) struct OpenState {
    /// What all cores share of it.
    pub kept: Kept,
    /// The shards, in order.
    pub shards: Vec<LentShard>,
    /// The consumer groups of each core.
    pub groups: Vec<Groups>,
    /// The directory, where there is one.
    pub store: Option<OpenStore>,
}

/// A directory in use.
pub(super) struct OpenStore {
    directory: Arc<Directory>,
    limit: LimitKeeper,
    failure: LogFailure,
    snapshots: SnapshotThread,
}

impl OpenStore {
    /// Ends the run in order. The shards are gone, and with them everything that writes to the directory.
    pub fn close(self, sequencer: &Sequencer) -> Result<(), StoreError> {
        drop(self.snapshots);
        drop(self.limit);
        if self.failure.is_set() {
            return Ok(self.directory.note_failure()?);
        }
        if !group_store::has_ended(self.directory.path()) {
            tracing::warn!("consumer groups are not written to the end: the next start takes the server for killed");
            return Ok(());
        }
        Ok(self.directory.close_clean(sequencer.next())?)
    }
}

/// Begins a history in memory, or opens the one in the directory.
pub(super) fn open(config: &Config) -> Result<OpenState, StartError> {
    if let (_, Some(doubt)) = Position::first_of_run(clock::now()) {
        tracing::warn!("{doubt}");
    }
    match &config.durability {
        None => open_in_memory(config),
        Some(durability) => open_directory(&store_options(config, durability), durability),
    }
}

fn open_in_memory(config: &Config) -> Result<OpenState, StartError> {
    let (first, _) = Position::first_of_run(clock::now());
    let sequencer = Arc::new(Sequencer::new(first, config.shards as usize));
    let (mut shards, mut histories) = (Vec::new(), Vec::new());
    for shard in (0..config.shards).map(ShardId) {
        let mut writer = None;
        if config.ring_bytes > 0 {
            let refused = |source| StartError::Ring { bytes: config.ring_bytes, source };
            let (ours, ring) = ring::create(config.ring_bytes).map_err(refused)?;
            writer = Some(ours);
            histories.push(ring.into());
        }
        let shard = Shard::new(shard, sequencer.clone(), writer, config.absent_streams);
        shards.push(LentShard(Box::new(shard)));
    }
    let history_id = format!("{:032x}{:08x}", fastrand::u128(..), fastrand::u32(..));
    // They end with the process.
    let groups = shards.iter().map(|_| Groups::default()).collect();
    let kept = Kept { sequencer, histories, older: Vec::new(), log_failure: None, history_id, on_disk: None };
    Ok(OpenState { kept, shards, groups, store: None })
}

fn open_directory(options: &StoreOptions, durability: &Durability) -> Result<OpenState, StartError> {
    let shows_progress = std::io::stderr().is_terminal();
    let progress = |shard: ShardId, records: u64| {
        if shows_progress {
            // Whoever looks has a terminal; where it is gone, there is nobody to tell.
            let _ = write!(std::io::stderr(), "\rkeytide: shard {shard}: {records} records recovered");
        }
    };
    look_at_groups(options)?;
    let opened = store::open(options, &progress).map_err(StartError::Store)?;
    tell(&opened.found, shows_progress);
    let store::Store { shards, histories, older, retirement, sequencer, directory, failure, .. } = opened;
    let limit = LimitKeeper::start(directory.clone(), sequencer.clone(), failure.clone(), retirement)
        .map_err(StartError::Store)?;
    let history_id = directory.history_id();
    let groups = group_store::open(&GroupStoreOptions {
        dir: directory.path(),
        fsync: options.log.fsync,
        history_id: &history_id,
        next: sequencer.next(),
        cores: options.shards,
        trust: directory.trust(),
    })?;
    let snapshots =
        SnapshotThread::start(options.shards).map_err(|error| StartError::Store(StoreError::Thread(error)))?;
    let on_disk = Some(OnDisk {
        logs: shards.iter().filter_map(|shard| Some(shard.0.turn().log()?.keeper().status())).collect(),
        replayed: opened.found.replayed,
        board: Board::new(options.shards, clock::unix_millis()),
        orders: snapshots.orders(),
        shards: options.shards,
        snapshot_bytes: durability.snapshot_bytes,
        snapshots: durability.snapshots,
    });
    let store = Some(OpenStore { directory, limit, failure: failure.clone(), snapshots });
    let kept = Kept { sequencer, histories, older, log_failure: Some(failure), history_id, on_disk };
    Ok(OpenState { kept, shards, groups, store })
}

/// Refuses damaged consumer groups before anything is begun: a start that refuses has changed nothing, and the next one
/// knows as well as this one how the run before has ended.
fn look_at_groups(options: &StoreOptions) -> Result<(), StartError> {
    if !options.path.join("groups").exists() {
        return Ok(());
    }
    let directory = Directory::open_existing(&options.path, false, options.directory.clone())
        .map_err(|error| StartError::Store(error.into()))?;
    Ok(group_store::check(&options.path, directory.trust())?)
}

/// Says what was found where that is more than the orderly end of the run before.
fn tell(found: &StartReport, shows_progress: bool) {
    if shows_progress && found.replayed > 0 {
        let _ = writeln!(std::io::stderr(), "\rkeytide: {} records recovered{:24}", found.replayed, "");
    }
    tracing::info!(previous_shutdown = ?found.previous_shutdown, replayed = found.replayed, "history recovered");
    if let Some(shards) = found.resharded_from {
        tracing::info!(from = shards, "the number of shards has changed: all keys were given to the new ones");
    }
    if found.cut_records > 0 || found.cut_bytes > 0 {
        let StartReport { cut_records: records, cut_bytes: bytes, .. } = found;
        tracing::warn!(records, bytes, "the end of the log was torn and is cut off");
    }
}

/// How the directory is used.
fn store_options(config: &Config, durability: &Durability) -> StoreOptions {
    StoreOptions {
        path: durability.dir.clone(),
        directory: DirectoryOptions { restored: durability.restored, ..DirectoryOptions::default() },
        shards: config.shards,
        log: LogOptions {
            fsync: durability.fsync,
            segment_bytes: durability.segment_bytes,
            turn_bytes: turn_bytes_max(config.ring_bytes),
            retain_bytes: durability.retain_bytes / config.shards as u64,
            retain_ms: durability.retain_ms,
        },
        ring_bytes: config.ring_bytes,
        absent_streams: config.absent_streams,
    }
}
