//! The directory of `--dir`: used by one server at a time; its metadata, its layout, and where positions continue.
//!
//! # Positions are never reused
//!
//! `limit`, in `meta.toml`, is raised durably before any position at or beyond it is handed out. So whatever ends a run, no
//! position at or beyond the limit was ever published. Where the next run begins depends on how the last one ended:
//!
//! | the last run | the next run begins at |
//! |---|---|
//! | there was none | microseconds since 2025 × 16, beyond every run in memory ([`Position::first_of_run`]) |
//! | ended in order | its end, to which the limit was set |
//! | was killed, the system kept running | the position after the last record: records are written before they are published, so a position without a record was never published |
//! | ended with the system, and synced every turn before publishing it (`--fsync always`) | the same |
//! | ended with the system otherwise | the limit: positions below it may have been published although their records are lost |
//! | this is a copy (`--restored`) | the limit or microseconds × 16, whichever is higher: the original may have continued |

mod error;
mod existing;
mod layout;
mod lock;
mod loss;
mod meta_file;
mod repair;
#[cfg(test)]
mod tests;

pub use error::DirectoryError;

use super::meta::{Generation, Lost, Meta, new_history_id};
use super::recovery::Visibility;
use crate::clock::{self, Clocks};
use crate::log::storage::{RealStorage, Storage};
use crate::position::{Position, ShardId};
use error::system;
use layout::GENERATION;
use lock::lock;
use meta_file::{read_or_make, write};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// By how many positions the limit is raised at a time. A power loss skips up to this many; at 16 million events per second
/// the limit is raised every 16 seconds, and with a power loss each hour positions last for 3,000 years.
pub const LIMIT_STEP: u64 = 1 << 28;

/// The limit is raised when fewer positions than this are left below it. At 16 million events per second that leaves eight
/// seconds.
pub const LIMIT_AHEAD: u64 = LIMIT_STEP / 2;

/// How the previous run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreviousShutdown {
    /// There was no previous run: the directory is new.
    None,
    /// In order, with everything synced.
    Clean,
    /// The process crashed or was killed, and the system kept running. Everything written is in the files.
    Killed,
    /// The system crashed too, and every turn was synced before it was published. Everything published is in the files.
    SyncedPowerLoss,
    /// The system crashed too, the directory is a copy, or its log had failed. Any part of what was not synced may be missing.
    PowerLoss,
}

/// How a directory is opened.
#[derive(Clone)]
pub struct DirectoryOptions {
    /// The directory is a copy or was restored from one: it gets a new history id, and positions jump ahead.
    pub restored: bool,
    /// The id of this boot of the system; empty where it is unknown.
    pub boot_id: String,
    /// Whether the run that begins syncs every turn before it is published.
    pub fsync_always: bool,
    /// How files are written.
    pub storage: Arc<dyn Storage>,
}

impl Default for DirectoryOptions {
    fn default() -> DirectoryOptions {
        // With an unknown boot id, every end of a run that was not in order counts as a power loss.
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
        DirectoryOptions { restored: false, boot_id, fsync_always: false, storage: Arc::new(RealStorage) }
    }
}

/// A directory in exclusive use by this process until it is dropped.
pub struct Directory {
    path: PathBuf,
    storage: Arc<dyn Storage>,
    boot_id: String,
    restored: bool,
    fsync_always: bool,
    previous_shutdown: Mutex<PreviousShutdown>,
    /// The visibility of what this start has cut off the logs.
    cut: Mutex<Visibility>,
    meta: Mutex<Meta>,
    /// Locked; the kernel releases the lock with the process.
    _lock: File,
}

impl Directory {
    /// Opens a directory, or creates it for `shards` shards where there is none. Changes nothing else before
    /// [`Directory::begin_run`].
    ///
    /// # Errors
    /// Where another server uses the directory, its format is unknown, its metadata is damaged, or the file system reports an
    /// error.
    pub fn open(path: &Path, shards: u16, options: DirectoryOptions) -> Result<Directory, DirectoryError> {
        let DirectoryOptions { restored, boot_id, fsync_always, storage } = options;
        storage.create_directory(path).map_err(system(path, "create the directory"))?;
        let lock = lock(path)?;
        let mut meta = read_or_make(path, shards, &*storage)?;
        let is_same_boot = !boot_id.is_empty() && meta.boot == boot_id;
        let previous_shutdown = match meta {
            Meta { limit: Position(0), .. } => PreviousShutdown::None,
            Meta { clean: true, .. } => PreviousShutdown::Clean,
            // A copy of a directory in use is like one after a power loss, even on the same system.
            _ if restored => PreviousShutdown::PowerLoss,
            _ if is_same_boot => PreviousShutdown::Killed,
            Meta { fsync_always: true, .. } => PreviousShutdown::SyncedPowerLoss,
            _ => PreviousShutdown::PowerLoss,
        };
        if restored {
            meta.history = new_history_id();
        }
        let (path, meta) = (path.to_owned(), Mutex::new(meta));
        let (previous_shutdown, cut) = (Mutex::new(previous_shutdown), Mutex::default());
        Ok(Directory { path, storage, boot_id, restored, fsync_always, previous_shutdown, cut, meta, _lock: lock })
    }

    /// The path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How files in the directory are written.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// How the previous run ended.
    pub fn previous_shutdown(&self) -> PreviousShutdown {
        *lock_unpoisoned(&self.previous_shutdown)
    }

    /// The id of this history, 40 hexadecimal digits. A cursor with another id does not belong to it.
    pub fn history_id(&self) -> String {
        self.meta().history.clone()
    }

    /// All generations, oldest first; the last one is current.
    pub fn generations(&self) -> Vec<Generation> {
        self.meta().generations.clone()
    }

    /// The current generation.
    pub fn current_generation(&self) -> Generation {
        self.meta().current().clone()
    }

    /// The limit of positions: none at or beyond it may be handed out before the limit is raised.
    pub fn limit(&self) -> Position {
        self.meta().limit
    }

    /// The directory with the files of a shard.
    pub fn shard_directory(&self, generation: u32, shard: ShardId) -> PathBuf {
        self.generation_directory(generation).join(format!("shard-{:04}", shard.0))
    }

    /// The directory with the directories of a generation's shards.
    pub fn generation_directory(&self, generation: u32) -> PathBuf {
        self.path.join(format!("{GENERATION}{generation:04}"))
    }

    /// The directory with the consumer groups.
    pub fn groups_directory(&self) -> PathBuf {
        self.path.join("groups")
    }

    /// Creates the missing directories of a generation's shards.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn create_shard_directories(&self, generation: u32, shards: u16) -> Result<(), DirectoryError> {
        for shard in 0..shards {
            let path = self.shard_directory(generation, ShardId(shard));
            self.storage.create_directory(&path).map_err(system(&path, "create the directory"))?;
        }
        Ok(())
    }

    /// Begins a run. `next` is the position after the last recovered record, `now_unix_micros` the time in Unix microseconds.
    /// Returns the first position of the run, `next` or later; after a power loss the positions in between are recorded as
    /// lost. Requires that everything recovery has changed is durable, and with
    /// [`fsync_always`](DirectoryOptions::fsync_always) the whole log: from now on the previous shutdown is that of this run.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn begin_run(&self, next: Position, now_unix_micros: u64) -> Result<Position, DirectoryError> {
        self.begin_run_after_loss(next, next, now_unix_micros)
    }

    /// Begins a run like [`Directory::begin_run`], where a power loss may have lost events from `lost_from` on. The lost range
    /// and the begin of the run become durable together: a kill right after the begin must not hide the loss.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn begin_run_after_loss(
        &self,
        next: Position,
        lost_from: Position,
        now_unix_micros: u64,
    ) -> Result<Position, DirectoryError> {
        let (mut first, previous_shutdown) = (next, self.previous_shutdown());
        self.change(|meta| {
            let (jump, _) = Position::first_of_run(Clocks { unix_micros: now_unix_micros, ..clock::now() });
            first = match previous_shutdown {
                PreviousShutdown::None => next.max(jump),
                PreviousShutdown::Clean | PreviousShutdown::PowerLoss => next.max(meta.limit),
                // A run that was killed before its first record leaves no record of where it began. Its limit was set one
                // step beyond that.
                PreviousShutdown::Killed | PreviousShutdown::SyncedPowerLoss => {
                    next.max(Position(meta.limit.0.saturating_sub(LIMIT_STEP)))
                }
            };
            if self.restored {
                first = first.max(meta.limit).max(jump);
            }
            if previous_shutdown == PreviousShutdown::None
                && let Some(generation) = meta.generations.last_mut()
            {
                generation.first = first;
            }
            let from = lost_from.min(next);
            // Events that the original of a copy recorded later are lost here too.
            let may_have_lost = previous_shutdown == PreviousShutdown::PowerLoss
                || self.restored && previous_shutdown != PreviousShutdown::None;
            if may_have_lost && from < first {
                meta.add_lost(Lost { from, to: first });
            }
            meta.boot.clone_from(&self.boot_id);
            (meta.clean, meta.fsync_always) = (false, self.fsync_always);
            meta.limit = meta.limit.max(Position(first.0 + LIMIT_STEP));
        })?;
        Ok(first)
    }

    /// The limit to raise to; none while `next`, the next position to be handed out, is far enough from the limit.
    pub fn limit_wanted(&self, next: Position) -> Option<Position> {
        (next.0 + LIMIT_AHEAD > self.limit().0).then(|| Position(next.0 + LIMIT_STEP))
    }

    /// Raises the limit durably; never lowers it.
    ///
    /// # Errors
    /// Any error of the file system; the limit is unchanged then.
    pub fn raise_limit(&self, to: Position) -> Result<(), DirectoryError> {
        match self.limit() < to {
            true => self.change(|meta| meta.limit = meta.limit.max(to)),
            false => Ok(()),
        }
    }

    /// Ends the run in order: everything is synced, and `next` is the first position that was not handed out.
    ///
    /// # Errors
    /// Any error of the file system; the next start then finds that this run did not end in order.
    pub fn close_clean(&self, next: Position) -> Result<(), DirectoryError> {
        self.change(|meta| {
            meta.clean = true;
            meta.limit = next;
        })
    }

    /// Creates the empty directories of the next generation, removing what an interrupted attempt has left. Returns the number
    /// of the generation, which is in use once [`Directory::add_generation`] has returned.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn prepare_generation(&self, shards: u16) -> Result<u32, DirectoryError> {
        let number = self.current_generation().number + 1;
        self.remove_tree(&self.generation_directory(number))?;
        self.create_shard_directories(number, shards)?;
        Ok(number)
    }

    /// Ends the current generation before position `first`, where the prepared generation begins, and returns the latter.
    ///
    /// # Errors
    /// Any error of the file system; the current generation stays in use then.
    pub fn add_generation(&self, shards: u16, first: Position) -> Result<Generation, DirectoryError> {
        self.change(|meta| {
            let number = meta.current().number + 1;
            if let Some(current) = meta.generations.last_mut() {
                // A generation that never ran has no events.
                current.first = current.first.min(first);
                current.end = Some(first);
            }
            meta.generations.push(Generation { number, shards, first, end: None });
        })?;
        Ok(self.current_generation())
    }

    /// Removes an older generation, first from the metadata, then its directory.
    ///
    /// # Errors
    /// Any error of the file system; the generation may be removed from the metadata then.
    pub fn remove_generation(&self, number: u32) -> Result<(), DirectoryError> {
        self.change(|meta| {
            let current = meta.current().number;
            meta.generations.retain(|generation| generation.number != number || number == current);
        })?;
        match self.current_generation().number == number {
            true => Ok(()),
            false => self.remove_tree(&self.generation_directory(number)),
        }
    }

    /// Removes the directories of generations that an interrupted process has removed from the metadata only.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn remove_leftover_generations(&self) -> Result<(), DirectoryError> {
        let first = self.generations().first().map_or(0, |generation| generation.number);
        let list = |source| system(&self.path, "list the directory")(source);
        for entry in fs::read_dir(&self.path).map_err(list)? {
            let path = entry.map_err(list)?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let number = name.and_then(|name| name.strip_prefix(GENERATION)).and_then(|digits| digits.parse().ok());
            if number.is_some_and(|number: u32| number < first) {
                self.remove_tree(&path)?;
            }
        }
        Ok(())
    }

    /// Removes a directory: its files through the storage, which has no operation for directories.
    fn remove_tree(&self, path: &Path) -> Result<(), DirectoryError> {
        let entries = match fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(system(path, "list the directory"))?,
        };
        for entry in entries {
            let inner = entry.map_err(system(path, "list the directory"))?.path();
            match inner.is_dir() {
                true => self.remove_tree(&inner)?,
                false => self.storage.remove(&inner).map_err(system(&inner, "remove the file"))?,
            }
        }
        fs::remove_dir(path).map_err(system(path, "remove the directory"))
    }

    /// Changes the metadata: first the file, then the copy in memory.
    fn change(&self, change: impl FnOnce(&mut Meta)) -> Result<(), DirectoryError> {
        let mut meta = self.meta();
        let mut changed = meta.clone();
        change(&mut changed);
        write(&self.path, &changed, &*self.storage)?;
        *meta = changed;
        Ok(())
    }

    fn meta(&self) -> MutexGuard<'_, Meta> {
        lock_unpoisoned(&self.meta)
    }
}

/// Locks a mutex, poisoned or not: a value behind one is replaced in one step, so a panic cannot leave half of it.
fn lock_unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
