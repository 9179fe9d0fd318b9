//! A storage for tests that writes files as usual and records every operation. From the record it rebuilds the files as a
//! power loss or a kill would leave them, at any moment of the run.
//!
//! A power loss leaves what the operating system guarantees and no more:
//!
//! * Synced data, and everything that [`Storage`] defines as durable on return.
//! * Of unsynced writes, each page of 4,096 bytes as it was at some moment between the last sync and the end, each page at a
//!   moment of its own: so any subset of the pages of any write. Some pages are torn: each 512 bytes of them have a moment
//!   of their own.
//! * An operation on names that was in progress has happened or not.
//!
//! A kill loses nothing that was written; the write in progress is there up to some byte.

use super::storage::{LogFile, Prepare, RealStorage, Storage};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// The unit in which the page cache writes, in bytes.
const PAGE_BYTES: usize = 4096;

/// The unit that a disk writes atomically, in bytes.
const SECTOR_BYTES: usize = 512;

/// One of this many pages is torn.
const TORN_ONE_IN: u32 = 16;

/// How the run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// The power is lost. The seed decides what is left of unsynced writes.
    PowerLoss {
        /// Any number.
        seed: u64,
    },
    /// The process is killed. The seed decides how far the operation in progress got.
    Kill {
        /// Any number.
        seed: u64,
    },
}

/// A fault to inject from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No fault.
    None,
    /// No file can be created or replaced: the disk is full.
    Full,
    /// No file can be created: no descriptor is left.
    Create,
    /// A write to an open file writes the first half of the bytes and fails.
    Write,
    /// A sync fails, and makes nothing durable.
    Sync,
}

/// Identifies a file, independent of its current name.
type FileId = usize;

enum Operation {
    /// A file with this content gets this name, replacing any other.
    Put(PathBuf, FileId, Vec<u8>),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    Directory(PathBuf),
    Write {
        file: FileId,
        at: usize,
        bytes: Vec<u8>,
    },
    /// The writes to the file among the operations before `began` are durable.
    Sync {
        file: FileId,
        began: usize,
    },
}

#[derive(Default)]
struct OperationJournal {
    operations: Vec<Operation>,
    /// The current names of the files.
    names: BTreeMap<PathBuf, FileId>,
    files: usize,
    fault: Option<Fault>,
}

/// Files below one directory, written as usual, with a journal of all operations. Clones share the journal.
#[derive(Clone)]
pub struct RecordingStorage {
    root: PathBuf,
    journal: Arc<Mutex<OperationJournal>>,
}

/// The content of a file at one moment of a run: the durable bytes, and the writes since.
#[derive(Clone, Default)]
struct Content {
    durable: Vec<u8>,
    /// The number of the operation, the byte of the file, and the bytes; in order.
    unsynced: Vec<(usize, usize, Vec<u8>)>,
}

impl RecordingStorage {
    /// Records the operations below `root`. The files that exist already count as durable.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn new(root: &Path) -> io::Result<RecordingStorage> {
        let recording = RecordingStorage { root: root.to_owned(), journal: Arc::default() };
        recording.record_existing(root)?;
        Ok(recording)
    }

    fn record_existing(&self, directory: &Path) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                self.journal().operations.push(Operation::Directory(self.inner(&path)));
                self.record_existing(&path)?;
            } else {
                let contents = fs::read(&path)?;
                self.journal().put(self.inner(&path), contents);
            }
        }
        Ok(())
    }

    /// How many operations were recorded: the current moment of the run, for [`RecordingStorage::rebuild`].
    pub fn operations(&self) -> usize {
        self.journal().operations.len()
    }

    /// Injects a fault from now on.
    pub fn set_fault(&self, fault: Fault) {
        self.journal().fault = Some(fault);
    }

    /// Writes into the directory `into` the files as they are when the run ends after `operations` operations, with the next
    /// one in progress. A number beyond the last operation means after the last.
    ///
    /// # Errors
    /// Where the files cannot be written.
    pub fn rebuild(&self, operations: usize, end: RunEnd, into: &Path) -> io::Result<()> {
        let journal = self.journal();
        let whole = operations.min(journal.operations.len());
        let mut rng = fastrand::Rng::with_seed(match end {
            RunEnd::PowerLoss { seed } | RunEnd::Kill { seed } => seed,
        });
        let mut state = FileState::default();
        for (number, operation) in journal.operations[..whole].iter().enumerate() {
            state.apply(number, operation);
        }
        match journal.operations.get(whole) {
            None | Some(Operation::Sync { .. }) => {}
            Some(Operation::Write { file, at, bytes }) => {
                let bytes = match end {
                    RunEnd::PowerLoss { .. } => bytes.clone(),
                    RunEnd::Kill { .. } => bytes[..rng.usize(..=bytes.len())].to_vec(),
                };
                state.apply(whole, &Operation::Write { file: *file, at: *at, bytes });
            }
            Some(
                operation @ (Operation::Put(..)
                | Operation::Rename(..)
                | Operation::Remove(_)
                | Operation::Directory(_)),
            ) => {
                if rng.bool() {
                    state.apply(whole, operation);
                }
            }
        }
        fs::create_dir_all(into)?;
        for directory in &state.directories {
            fs::create_dir_all(into.join(directory))?;
        }
        for (name, file) in &state.names {
            let content = &state.files[file];
            let found = match end {
                RunEnd::PowerLoss { .. } => content.after_power_loss(&mut rng),
                RunEnd::Kill { .. } => content.written(),
            };
            fs::write(into.join(name), found)?;
        }
        Ok(())
    }

    fn journal(&self) -> MutexGuard<'_, OperationJournal> {
        // A test that panicked with the lock has failed already.
        self.journal.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn inner(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).unwrap_or(path).to_owned()
    }

    fn refuse_if_full(&self) -> io::Result<()> {
        match self.journal().fault.unwrap_or(Fault::None) {
            Fault::Full => Err(io::ErrorKind::StorageFull.into()),
            Fault::None | Fault::Create | Fault::Write | Fault::Sync => Ok(()),
        }
    }

    fn file(&self, file: FileId, real: Box<dyn LogFile>) -> Box<dyn LogFile> {
        Box::new(RecordingFile { storage: self.clone(), file, real })
    }
}

impl OperationJournal {
    fn put(&mut self, path: PathBuf, contents: Vec<u8>) -> FileId {
        let file = self.files;
        self.files += 1;
        self.names.insert(path.clone(), file);
        self.operations.push(Operation::Put(path, file, contents));
        file
    }
}

impl Storage for RecordingStorage {
    fn create(&self, path: &Path, bytes: u64, prepare: Prepare) -> io::Result<Box<dyn LogFile>> {
        self.refuse_if_full()?;
        if self.journal().fault == Some(Fault::Create) {
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        let real = RealStorage.create(path, bytes, prepare)?;
        let file = self.journal().put(self.inner(path), vec![0; bytes as usize]);
        Ok(self.file(file, real))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let real = RealStorage.open(path)?;
        let Some(file) = self.journal().names.get(&self.inner(path)).copied() else {
            return Err(io::Error::other(format!("{} was not made here", path.display())));
        };
        Ok(self.file(file, real))
    }

    fn replace(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        self.refuse_if_full()?;
        RealStorage.replace(path, contents)?;
        self.journal().put(self.inner(path), contents.to_vec());
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealStorage.rename(from, to)?;
        let (from, to) = (self.inner(from), self.inner(to));
        let mut journal = self.journal();
        if let Some(file) = journal.names.remove(&from) {
            journal.names.insert(to.clone(), file);
        }
        journal.operations.push(Operation::Rename(from, to));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealStorage.remove(path)?;
        let mut journal = self.journal();
        journal.names.remove(&self.inner(path));
        journal.operations.push(Operation::Remove(self.inner(path)));
        Ok(())
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        RealStorage.create_directory(path)?;
        self.journal().operations.push(Operation::Directory(self.inner(path)));
        Ok(())
    }
}

struct RecordingFile {
    storage: RecordingStorage,
    file: FileId,
    real: Box<dyn LogFile>,
}

impl LogFile for RecordingFile {
    fn write_at(&self, parts: &[&[u8]], at: u64) -> io::Result<()> {
        let mut bytes = parts.concat();
        let fails = self.storage.journal().fault == Some(Fault::Write);
        if fails {
            bytes.truncate(bytes.len() / 2);
        }
        self.real.write_at(&[&bytes], at)?;
        // A sync that begins from here on covers this write; one in progress need not, and the model assumes the worst.
        self.storage.journal().operations.push(Operation::Write { file: self.file, at: at as usize, bytes });
        if fails { Err(io::Error::other("a write that is to fail")) } else { Ok(()) }
    }

    fn sync(&self) -> io::Result<()> {
        let (began, fails) = {
            let journal = self.storage.journal();
            (journal.operations.len(), journal.fault == Some(Fault::Sync))
        };
        if fails {
            return Err(io::Error::other("a sync that is to fail"));
        }
        self.real.sync()?;
        self.storage.journal().operations.push(Operation::Sync { file: self.file, began });
        Ok(())
    }
}

/// The files at one moment of a run.
#[derive(Default)]
struct FileState {
    directories: Vec<PathBuf>,
    names: BTreeMap<PathBuf, FileId>,
    files: BTreeMap<FileId, Content>,
}

impl FileState {
    fn apply(&mut self, number: usize, operation: &Operation) {
        match operation {
            Operation::Put(path, file, contents) => {
                self.names.insert(path.clone(), *file);
                self.files.insert(*file, Content { durable: contents.clone(), unsynced: Vec::new() });
            }
            Operation::Rename(from, to) => {
                if let Some(file) = self.names.remove(from) {
                    self.names.insert(to.clone(), file);
                }
            }
            Operation::Remove(path) => {
                self.names.remove(path);
            }
            Operation::Directory(path) => self.directories.push(path.clone()),
            Operation::Write { file, at, bytes } => {
                self.files.entry(*file).or_default().unsynced.push((number, *at, bytes.clone()));
            }
            Operation::Sync { file, began } => self.files.entry(*file).or_default().sync(*began),
        }
    }
}

impl Content {
    /// Makes the writes among the operations before `began` durable.
    fn sync(&mut self, began: usize) {
        let covered = self.unsynced.partition_point(|(number, ..)| *number < began);
        for (_, at, bytes) in self.unsynced.drain(..covered) {
            put(&mut self.durable, at, &bytes);
        }
    }

    fn written(&self) -> Vec<u8> {
        let mut found = self.durable.clone();
        self.unsynced.iter().for_each(|(_, at, bytes)| put(&mut found, *at, bytes));
        found
    }

    fn after_power_loss(&self, rng: &mut fastrand::Rng) -> Vec<u8> {
        let mut found = self.durable.clone();
        let mut pages: BTreeMap<usize, Vec<(usize, &[u8])>> = BTreeMap::new();
        for (_, at, bytes) in &self.unsynced {
            for (at, bytes) in pieces(*at, bytes, PAGE_BYTES) {
                pages.entry(at / PAGE_BYTES).or_default().push((at, bytes));
            }
        }
        // Some losses leave almost everything, some next to nothing.
        let chance = rng.f64();
        for writes in pages.values() {
            let mut moment = || if rng.f64() < chance { writes.len() } else { rng.usize(..writes.len()) };
            let whole = moment();
            let sectors: [usize; PAGE_BYTES / SECTOR_BYTES] = std::array::from_fn(|_| moment());
            let is_torn = rng.u32(..TORN_ONE_IN) == 0;
            for (number, (at, bytes)) in writes.iter().enumerate() {
                for (at, bytes) in pieces(*at, bytes, SECTOR_BYTES) {
                    let until = if is_torn { sectors[at % PAGE_BYTES / SECTOR_BYTES] } else { whole };
                    if number < until {
                        put(&mut found, at, bytes);
                    }
                }
            }
        }
        found
    }
}

/// Writes into a file's content; a write beyond the end extends it with zeros.
fn put(found: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    found.resize(found.len().max(at + bytes.len()), 0);
    found[at..at + bytes.len()].copy_from_slice(bytes);
}

/// The bytes, cut at every multiple of `size` of the file.
fn pieces(at: usize, bytes: &[u8], size: usize) -> impl Iterator<Item = (usize, &[u8])> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let place = at + from;
        let piece = &bytes[from..bytes.len().min(from + size - place % size)];
        from += piece.len();
        (!piece.is_empty()).then_some((place, piece))
    })
}

#[cfg(test)]
mod tests;
