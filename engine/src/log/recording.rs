//! For tests: files that are written as usual while a journal is kept, from which the files as they are after a power
//! loss can be made, wherever in the run it comes.
//!
//! What a power loss leaves is what the system promises and no more:
//!
//! * What was synced is there, and so is what [`Storage`] says is durable when it returns.
//! * Of what was written and not synced, each page of 4,096 bytes stands as it was at some moment between the last sync
//!   and the end, each at a moment of its own: so any subset of the pages of any write is there. Now and then a page is
//!   torn, and the same goes for each 512 bytes of it.
//! * An operation on names that was under way has happened, or not.
//!
//! A process that is killed loses nothing that was written; of the write that was under way a first part is there.

use super::storage::{LogFile, Prepare, RealStorage, Storage};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// What the page cache writes at once, in bytes.
const PAGE_BYTES: usize = 4096;

/// What a disk writes all or none of, in bytes.
const SECTOR_BYTES: usize = 512;

/// One page in so many is torn.
const TORN_ONE_IN: u32 = 16;

/// What ended the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The power was lost. The seed decides what is left of what was not synced.
    PowerLoss {
        /// Any number.
        seed: u64,
    },
    /// The process was killed. The seed decides what happened of the operation that was under way.
    Kill {
        /// Any number.
        seed: u64,
    },
}

/// What goes wrong from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// No new file and no new contents: the disk is full.
    Full,
    /// No new file: there are no descriptors left.
    Create,
    /// A write to an open file writes half of the bytes and fails.
    Write,
    /// A sync fails, and what was written before it is not safe.
    Sync,
}

/// A file, whatever its name is at the moment.
type FileId = usize;

enum Operation {
    /// A file of that content has that name, instead of any other.
    Put(PathBuf, FileId, Vec<u8>),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    Directory(PathBuf),
    Write {
        file: FileId,
        at: usize,
        bytes: Vec<u8>,
    },
    /// What was written to the file by the operations before `began` is durable.
    Sync {
        file: FileId,
        began: usize,
    },
}

#[derive(Default)]
struct Journal {
    operations: Vec<Operation>,
    /// Names now, for those who open a file.
    names: BTreeMap<PathBuf, FileId>,
    files: usize,
    fault: Option<Fault>,
}

/// Files below one directory, written as usual, with a journal. Clones share it.
#[derive(Clone)]
pub struct RecordingStorage {
    root: PathBuf,
    journal: Arc<Mutex<Journal>>,
}

/// A file as a run leaves it: what is durable, and what was written to it since.
#[derive(Clone, Default)]
struct Content {
    durable: Vec<u8>,
    /// By the number of the operation, in its order.
    unsynced: Vec<(usize, usize, Vec<u8>)>,
}

impl RecordingStorage {
    /// Records what happens below `root`. What is there already is taken to be durable.
    ///
    /// # Errors
    /// Where what is there cannot be read.
    pub fn new(root: &Path) -> io::Result<RecordingStorage> {
        let recording = RecordingStorage { root: root.to_owned(), journal: Arc::default() };
        recording.take_in(root)?;
        Ok(recording)
    }

    fn take_in(&self, directory: &Path) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                self.journal().operations.push(Operation::Directory(self.inner(&path)));
                self.take_in(&path)?;
            } else {
                let contents = fs::read(&path)?;
                self.journal().put(self.inner(&path), contents);
            }
        }
        Ok(())
    }

    /// How many operations there were. The number is a moment to give to [`RecordingStorage::rebuild`].
    pub fn operations(&self) -> usize {
        self.journal().operations.len()
    }

    /// What goes wrong from now on.
    pub fn set_fault(&self, fault: Fault) {
        self.journal().fault = Some(fault);
    }

    /// Makes, in the directory `into`, the files as they are when the run ends after `operations`, while the next one
    /// is under way. More than there were means after the last.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn rebuild(&self, operations: usize, end: End, into: &Path) -> io::Result<()> {
        let journal = self.journal();
        let whole = operations.min(journal.operations.len());
        let mut rng = fastrand::Rng::with_seed(match end {
            End::PowerLoss { seed } | End::Kill { seed } => seed,
        });
        let mut world = World::default();
        for (number, operation) in journal.operations[..whole].iter().enumerate() {
            world.apply(number, operation);
        }
        match journal.operations.get(whole) {
            None | Some(Operation::Sync { .. }) => {}
            Some(Operation::Write { file, at, bytes }) => {
                let bytes = match end {
                    End::PowerLoss { .. } => bytes.clone(),
                    End::Kill { .. } => bytes[..rng.usize(..=bytes.len())].to_vec(),
                };
                world.apply(whole, &Operation::Write { file: *file, at: *at, bytes });
            }
            Some(
                operation @ (Operation::Put(..)
                | Operation::Rename(..)
                | Operation::Remove(_)
                | Operation::Directory(_)),
            ) => {
                if rng.bool() {
                    world.apply(whole, operation);
                }
            }
        }
        fs::create_dir_all(into)?;
        for directory in &world.directories {
            fs::create_dir_all(into.join(directory))?;
        }
        for (name, file) in &world.names {
            let content = &world.files[file];
            let found = match end {
                End::PowerLoss { .. } => content.after_power_loss(&mut rng),
                End::Kill { .. } => content.written(),
            };
            fs::write(into.join(name), found)?;
        }
        Ok(())
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        // A test that panicked while it held the journal has failed already.
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

impl Journal {
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
        // A sync that begins from here on covers it; one that is under way may or may not, and so it is not counted on.
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

/// All files at one moment of a run.
#[derive(Default)]
struct World {
    directories: Vec<PathBuf>,
    names: BTreeMap<PathBuf, FileId>,
    files: BTreeMap<FileId, Content>,
}

impl World {
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
    /// What was written by the operations before `began` is durable.
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
        // Some losses leave almost all, some next to nothing.
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

/// Writes beyond the end make the file longer, with zeros between.
fn put(found: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    found.resize(found.len().max(at + bytes.len()), 0);
    found[at..at + bytes.len()].copy_from_slice(bytes);
}

/// The bytes cut at every multiple of `size` of the file.
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
