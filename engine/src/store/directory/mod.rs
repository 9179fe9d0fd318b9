//! The directory of `--dir`: one server at a time, what it is, where in it things are, and where positions go on.
//!
//! # Positions never come twice
//!
//! `limit`, in `meta.toml`, is durable before the first position that reaches it is handed out. So after anything, no
//! position from the limit on was ever seen by anyone. Where a run begins depends on how the last one ended:
//!
//! | the last run | the next begins at |
//! |---|---|
//! | there was none | microseconds since 2025 × 16, beyond every run in memory ([`Position::first_of_run`]) |
//! | ended in order | where it ended: the limit was set to that |
//! | was killed, the system runs on | behind the last record: a position is published after its record is written, so one that was never written was never seen |
//! | the power was lost, and every turn was on the disk before anyone saw it (`--fsync always`) | as if it had been killed |
//! | the power was lost otherwise | the limit: positions below it may have been seen although their records are gone |
//! | this is a copy (`--restored`) | the limit or microseconds × 16, whichever is more: the original may have gone on |

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
use super::recovery::Seen;
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

/// By how many positions the limit is raised at a time. After a power loss up to so many are passed over; at 16 million
/// events per second it is raised every 16 seconds, and positions last, at a loss each hour, for 3,000 years.
pub const LIMIT_STEP: u64 = 1 << 28;

/// With fewer positions left than this below the limit it is to be raised: at 16 million events per second there are
/// eight seconds for it.
pub const LIMIT_AHEAD: u64 = LIMIT_STEP / 2;

/// How the last run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// There was none: the directory is new.
    New,
    /// In order, with everything synced.
    Clean,
    /// The process ended, by itself or killed. Whatever it wrote is there.
    SameBoot,
    /// So did the system. Every turn was on the disk before anyone saw it: whatever was seen is there.
    Synced,
    /// So did the system, or the directory is a copy, or its log had failed. What was not synced may be gone, in any part.
    PowerLoss,
}

/// How a directory is opened.
#[derive(Clone)]
pub struct DirectoryOptions {
    /// It is a copy, or was put back from one: it gets a new history id, and positions jump.
    pub restored: bool,
    /// What names this boot of the system.
    pub boot_id: String,
    /// Whether the run that begins has every turn on the disk before anyone sees it.
    pub fsync_always: bool,
    /// How files are written.
    pub storage: Arc<dyn Storage>,
}

impl Default for DirectoryOptions {
    fn default() -> DirectoryOptions {
        // Where the system doesn't tell, every start that finds no orderly end is taken for one after a power loss.
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
        DirectoryOptions { restored: false, boot_id, fsync_always: false, storage: Arc::new(RealStorage) }
    }
}

/// A directory that this process alone uses, as long as this lives.
pub struct Directory {
    path: PathBuf,
    storage: Arc<dyn Storage>,
    boot_id: String,
    restored: bool,
    fsync_always: bool,
    start: Mutex<Start>,
    /// What this start has cut off the logs.
    cut: Mutex<Seen>,
    meta: Mutex<Meta>,
    /// Locked; the system lets go of it with the process.
    _lock: File,
}

impl Directory {
    /// Opens a directory, and makes it where there is none, for so many shards. Nothing in it is changed otherwise until
    /// [`Directory::begin_run`].
    ///
    /// # Errors
    /// Where another server uses it, where it is of another version or damaged, and where the system refuses.
    pub fn open(path: &Path, shards: u16, options: DirectoryOptions) -> Result<Directory, DirectoryError> {
        let DirectoryOptions { restored, boot_id, fsync_always, storage } = options;
        storage.create_directory(path).map_err(system(path, "make the directory"))?;
        let lock = lock(path)?;
        let mut meta = read_or_make(path, shards, &*storage)?;
        let is_same_boot = !boot_id.is_empty() && meta.boot == boot_id;
        let start = match meta {
            Meta { limit: Position(0), .. } => Start::New,
            Meta { clean: true, .. } => Start::Clean,
            // A copy of a directory in use is what a power loss would leave, even on the same system.
            _ if restored => Start::PowerLoss,
            _ if is_same_boot => Start::SameBoot,
            Meta { fsync_always: true, .. } => Start::Synced,
            _ => Start::PowerLoss,
        };
        if restored {
            meta.history = new_history_id();
        }
        let (path, start, meta) = (path.to_owned(), Mutex::new(start), Mutex::new(meta));
        let cut = Mutex::default();
        Ok(Directory { path, storage, boot_id, restored, fsync_always, start, cut, meta, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How files in it are written.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// How the run before this one ended.
    pub fn start(&self) -> Start {
        *held(&self.start)
    }

    /// Names this history: a cursor from another one means nothing here. 40 hexadecimal digits.
    pub fn history_id(&self) -> String {
        self.meta().history.clone()
    }

    /// All generations, the oldest first; the last is the one that is written to.
    pub fn generations(&self) -> Vec<Generation> {
        self.meta().generations.clone()
    }

    /// The generation that is written to.
    pub fn current_generation(&self) -> Generation {
        self.meta().current().clone()
    }

    /// No position from here on may be handed out, until it is raised.
    pub fn limit(&self) -> Position {
        self.meta().limit
    }

    /// Where the files of a shard are.
    pub fn shard_directory(&self, generation: u32, shard: ShardId) -> PathBuf {
        self.generation_directory(generation).join(format!("shard-{:04}", shard.0))
    }

    /// Where the directories of a generation's shards are.
    pub fn generation_directory(&self, generation: u32) -> PathBuf {
        self.path.join(format!("{GENERATION}{generation:04}"))
    }

    /// Where the consumer groups are kept.
    pub fn groups_directory(&self) -> PathBuf {
        self.path.join("groups")
    }

    /// Makes the directories of a generation's shards, where they are missing.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn create_shard_directories(&self, generation: u32, shards: u16) -> Result<(), DirectoryError> {
        for shard in 0..shards {
            let path = self.shard_directory(generation, ShardId(shard));
            self.storage.create_directory(&path).map_err(system(&path, "make the directory"))?;
        }
        Ok(())
    }

    /// Begins a run whose records go on at `next`, the position behind the last one that was recovered. Answers the
    /// first position of the run, which is that or a later one. After a power loss the positions between are noted as
    /// lost. It has to be called when what recovery repaired is durable, and with
    /// [`fsync_always`](DirectoryOptions::fsync_always) all that it found: from now on a killed process is told from a
    /// power loss by this run.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn begin_run(&self, next: Position, now_unix_micros: u64) -> Result<Position, DirectoryError> {
        self.begin_run_after_loss(next, next, now_unix_micros)
    }

    /// The same, where a power loss may have taken events from `lost_from` on: of one shard, say, while another one's
    /// later events are there. What is lost and that the run has begun become durable as one: a run that is killed
    /// right after it began must not hide the loss.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn begin_run_after_loss(
        &self,
        next: Position,
        lost_from: Position,
        now_unix_micros: u64,
    ) -> Result<Position, DirectoryError> {
        let (mut first, start) = (next, self.start());
        self.change(|meta| {
            let (jump, _) = Position::first_of_run(Clocks { unix_micros: now_unix_micros, ..clock::now() });
            first = match start {
                Start::New => next.max(jump),
                Start::Clean | Start::PowerLoss => next.max(meta.limit),
                // Where a run began stands in no record if it was killed before its first one. The limit was always set
                // one step from a position that was next.
                Start::SameBoot | Start::Synced => next.max(Position(meta.limit.0.saturating_sub(LIMIT_STEP))),
            };
            if self.restored {
                first = first.max(meta.limit).max(jump);
            }
            if start == Start::New
                && let Some(generation) = meta.generations.last_mut()
            {
                generation.first = first;
            }
            let from = lost_from.min(next);
            // What the original of a copy went on with never happened here.
            let is_told = start == Start::PowerLoss || self.restored && start != Start::New;
            if is_told && from < first {
                meta.add_lost(Lost { from, to: first });
            }
            meta.boot.clone_from(&self.boot_id);
            (meta.clean, meta.fsync_always) = (false, self.fsync_always);
            meta.limit = meta.limit.max(Position(first.0 + LIMIT_STEP));
        })?;
        Ok(first)
    }

    /// The limit to raise to, when the next position to be handed out has come close to it.
    pub fn limit_wanted(&self, next: Position) -> Option<Position> {
        (next.0 + LIMIT_AHEAD > self.limit().0).then(|| Position(next.0 + LIMIT_STEP))
    }

    /// Raises the limit; it is durable when this returns. One that is higher already stays.
    ///
    /// # Errors
    /// Where the system refuses; the limit is what it was.
    pub fn raise_limit(&self, to: Position) -> Result<(), DirectoryError> {
        match self.limit() < to {
            true => self.change(|meta| meta.limit = meta.limit.max(to)),
            false => Ok(()),
        }
    }

    /// Ends the run in order: everything is synced, and `next` is the position that was not handed out.
    ///
    /// # Errors
    /// Where the system refuses; the next start finds that this run did not end in order.
    pub fn close_clean(&self, next: Position) -> Result<(), DirectoryError> {
        self.change(|meta| {
            meta.clean = true;
            meta.limit = next;
        })
    }

    /// Makes room for the next generation: the directories of its shards, empty, whatever an interrupted attempt has
    /// left there. Answers its number. It counts once [`Directory::add_generation`] has returned.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn prepare_generation(&self, shards: u16) -> Result<u32, DirectoryError> {
        let number = self.current_generation().number + 1;
        self.clear(&self.generation_directory(number))?;
        self.create_shard_directories(number, shards)?;
        Ok(number)
    }

    /// Ends the current generation before position `first`, and lets the next one, which was prepared, begin there.
    ///
    /// # Errors
    /// Where the system refuses; the current generation goes on.
    pub fn add_generation(&self, shards: u16, first: Position) -> Result<Generation, DirectoryError> {
        self.change(|meta| {
            let number = meta.current().number + 1;
            if let Some(current) = meta.generations.last_mut() {
                // One that never ran has no events.
                current.first = current.first.min(first);
                current.end = Some(first);
            }
            meta.generations.push(Generation { number, shards, first, end: None });
        })?;
        Ok(self.current_generation())
    }

    /// Removes an older generation of which retention has left nothing, with its directory.
    ///
    /// # Errors
    /// Where the system refuses; it is gone from the list then, or still there.
    pub fn remove_generation(&self, number: u32) -> Result<(), DirectoryError> {
        self.change(|meta| {
            let current = meta.current().number;
            meta.generations.retain(|generation| generation.number != number || number == current);
        })?;
        match self.current_generation().number == number {
            true => Ok(()),
            false => self.clear(&self.generation_directory(number)),
        }
    }

    /// Removes what is left of generations that were removed from the list by a process that ended meanwhile.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn clear_removed(&self) -> Result<(), DirectoryError> {
        let first = self.generations().first().map_or(0, |generation| generation.number);
        let list = |source| system(&self.path, "list the directory")(source);
        for entry in fs::read_dir(&self.path).map_err(list)? {
            let path = entry.map_err(list)?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let number = name.and_then(|name| name.strip_prefix(GENERATION)).and_then(|digits| digits.parse().ok());
            if number.is_some_and(|number: u32| number < first) {
                self.clear(&path)?;
            }
        }
        Ok(())
    }

    /// Removes a generation's files through the storage, which knows of files only, and then its directories.
    fn clear(&self, path: &Path) -> Result<(), DirectoryError> {
        let entries = match fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(system(path, "list the directory"))?,
        };
        for entry in entries {
            let inner = entry.map_err(system(path, "list the directory"))?.path();
            match inner.is_dir() {
                true => self.clear(&inner)?,
                false => self.storage.remove(&inner).map_err(system(&inner, "remove the file"))?,
            }
        }
        fs::remove_dir(path).map_err(system(path, "remove the directory"))
    }

    /// Changes the file, and what is held of it once that is durable.
    fn change(&self, change: impl FnOnce(&mut Meta)) -> Result<(), DirectoryError> {
        let mut meta = self.meta();
        let mut changed = meta.clone();
        change(&mut changed);
        write(&self.path, &changed, &*self.storage)?;
        *meta = changed;
        Ok(())
    }

    fn meta(&self) -> MutexGuard<'_, Meta> {
        held(&self.meta)
    }
}

/// What is locked here is assigned whole, so a thread that panicked has left it whole.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
