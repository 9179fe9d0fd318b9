//! Resharding: where the directory has another number of shards than is wanted, all keys are distributed over new shards,
//! each of which begins with a snapshot and an empty log, in a new generation.
//!
//! ```text
//!   old shards, restored ─► a flush that only some have recorded: recorded by all
//!      ─► their logs synced and closed ─► entries distributed ─► snapshots of the new shards ─► the generation is added
//!                                                                                                │ one file replaced
//!                          interrupted before: the old generation is in use ◄────────────────────┴──► after: the new one
//! ```
//!
//! A key keeps its value, its TTL and its revision. The offset of its latest record is meaningless in another generation, so
//! an id that a client gives an event is searched among the events since the change only.

use super::directory::Directory;
use super::error::StoreError;
use super::lost::note_lost;
use super::options::StoreOptions;
use super::report::StartReport;
use super::restore::{RestoreError, RestoredShard};
use super::restore_all::{next_position, restore_all};
use crate::clock;
use crate::log::failure::LogFailure;
use crate::position::{Position, RingOffset, ShardId};
use crate::sequencer::Sequencer;
use crate::shard::{LentShard, Shard, SnapshotProgress, StoredEntry};
use crate::slot::shard_of;
use crate::snapshot::{SnapshotFile, snapshot_path};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// How many bytes of a snapshot are encoded before they are written.
const SLICE_BYTES: usize = 1 << 20;

/// Distributes the keys of the current generation over the wanted number of shards, in a new generation. Returns what was
/// found in the old one.
///
/// # Errors
/// Why that is not possible. The old generation stays in use then.
pub(super) fn reshard(
    options: &StoreOptions,
    directory: &Directory,
    progress: &(dyn Fn(ShardId, u64) + Sync),
) -> Result<StartReport, StoreError> {
    let old = directory.current_generation();
    let mut restored = restore_all(options, directory, progress)?;
    note_lost(directory, &restored)?;
    let report = StartReport { resharded_from: Some(old.shards), ..StartReport::of(directory, &restored) };
    if has_unfinished_flush(&restored) {
        finish_flush(options, directory, restored)?;
        restored = restore_all(options, directory, progress)?;
    }
    let next = next_position(&old, &restored);
    let landmarks: Vec<_> = restored.iter().map(|shard| shard.log().landmarks()).collect();
    let close = |(number, shard): (usize, RestoredShard)| {
        let failed = |source| StoreError::Shard { shard: ShardId(number as u16), source };
        shard.close(&**directory.storage()).map_err(failed)
    };
    let shards = restored.into_iter().enumerate().map(close).collect::<Result<Vec<_>, _>>()?;
    let shards = distribute(shards, &landmarks, options, next);
    let number = directory.prepare_generation(options.shards)?;
    let write = |LentShard(mut shard): LentShard| {
        let path = snapshot_path(&directory.shard_directory(number, shard.id()), RingOffset(0));
        write_snapshot(&mut shard, options.shards, &path).map_err(|source| {
            let source = RestoreError::Start { what: "no snapshot of the new shard", source };
            StoreError::Shard { shard: shard.id(), source }
        })
    };
    std::thread::scope(|scope| {
        let write = &write;
        let threads: Vec<_> = shards.into_iter().map(|shard| scope.spawn(move || write(shard))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| match thread.join() {
            Ok(written) => written,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        threads.into_iter().try_for_each(join)
    })?;
    directory.add_generation(options.shards, next)?;
    Ok(report)
}

/// Whether the process ended between two shards' records of one flush.
fn has_unfinished_flush(restored: &[RestoredShard]) -> bool {
    let flush = restored.iter().map(RestoredShard::last_flush).max().unwrap_or_default();
    restored.iter().any(|shard| shard.last() < flush)
}

/// Starts all shards and records the last flush in those that lack it, as a start with the same number of shards would.
fn finish_flush(options: &StoreOptions, directory: &Directory, restored: Vec<RestoredShard>) -> Result<(), StoreError> {
    let flush = restored.iter().map(RestoredShard::last_flush).max().unwrap_or_default();
    let sequencer = Arc::new(Sequencer::new(flush.next(), restored.len()));
    let shared = (&sequencer, &LogFailure::default());
    for (number, shard) in restored.into_iter().enumerate() {
        let is_flushed = shard.last() >= flush;
        let failed = |source| StoreError::Shard { shard: ShardId(number as u16), source };
        let (mut shard, _) =
            shard.start(directory.storage(), options.log, shared, options.ring_bytes).map_err(failed)?;
        if !is_flushed {
            shard.0.set_now_ms(clock::unix_millis());
            shard.0.flush_again(flush);
        }
        if shard.0.turn().has_failed() {
            let source = io::Error::other("the flush that was under way cannot be recorded");
            return Err(failed(RestoreError::Start { what: "no write to the log", source }));
        }
    }
    Ok(())
}

/// An entry without a value, which retains only the revision counter of its stream.
struct Absent {
    /// The approximate position of its latest event.
    position: u64,
    key: Vec<u8>,
    next_revision: u64,
}

/// The approximate position of the record at an offset, interpolated between `landmarks`, offsets with known positions in
/// order. 0 without an offset: the record is of an older generation.
fn approximate_position(offset: RingOffset, landmarks: &[(RingOffset, Position)]) -> u64 {
    let behind = landmarks.partition_point(|(known, _)| *known <= offset);
    let (Some((from, after)), Some((to, last))) = (landmarks[..behind].last(), landmarks.get(behind)) else { return 0 };
    let share = u128::from(offset.0 - from.0) * u128::from(last.0 - after.0) / u128::from(to.0 - from.0);
    after.0 + share as u64
}

/// Distributes the entries of the old shards over new ones. Of the entries without a value each new shard retains the newest,
/// up to the bound of the options.
fn distribute(
    old: Vec<LentShard>,
    landmarks: &[Vec<(RingOffset, Position)>],
    options: &StoreOptions,
    next: Position,
) -> Vec<LentShard> {
    let sequencer = Arc::new(Sequencer::new(next, options.shards as usize));
    let new = |shard| Shard::new(ShardId(shard), sequencer.clone(), None, options.absent_streams);
    let mut shards: Vec<Shard> = (0..options.shards).map(new).collect();
    let (mut flushes, mut absent) = (0, Vec::new());
    for (LentShard(shard), landmarks) in old.into_iter().zip(landmarks) {
        flushes = flushes.max(shard.turn().db_stream().0);
        shard.into_entries(|entry| {
            if entry.value.is_none() {
                let position = approximate_position(entry.last, landmarks);
                absent.push(Absent { position, key: entry.key.to_vec(), next_revision: entry.next_revision });
                return;
            }
            let shard = &mut shards[shard_of(entry.key, options.shards).0 as usize];
            shard.restore(StoredEntry { last: RingOffset::NONE, ..entry });
        });
    }
    absent.sort_unstable_by_key(|absent| std::cmp::Reverse(absent.position));
    let mut kept = vec![0; shards.len()];
    for Absent { key, next_revision, .. } in &absent {
        let shard = shard_of(key, options.shards).0 as usize;
        kept[shard] += 1;
        if kept[shard] <= options.absent_streams {
            let last = RingOffset::NONE;
            shards[shard].restore(StoredEntry {
                key,
                value: None,
                expire_at_ms: 0,
                next_revision: *next_revision,
                last,
            });
        }
    }
    shards.iter_mut().for_each(|shard| shard.end_restore(flushes, RingOffset::NONE));
    shards.into_iter().map(|shard| LentShard(Box::new(shard))).collect()
}

/// Writes a snapshot of a shard that is not started; durable on return.
fn write_snapshot(shard: &mut Shard, shards: u16, path: &Path) -> io::Result<()> {
    let mut file = SnapshotFile::create(path)?;
    let mut out = Vec::with_capacity(2 * SLICE_BYTES);
    shard.begin_snapshot(shards, &mut out).map_err(io::Error::other)?;
    loop {
        let progress = shard.snapshot_slice(&mut out, SLICE_BYTES);
        if progress == SnapshotProgress::Done {
            shard.finish_snapshot(&mut out);
        }
        file.write(&out)?;
        out.clear();
        if progress == SnapshotProgress::Done {
            return file.finish();
        }
    }
}
