//! A storage that never syncs, for tests that do not end with a power loss. The fuzz targets include this file as well:
//! `super::storage` is the log's storage in both packages.

use super::storage::{LogFile, Prepare, RealStorage, Storage};
use std::io;
use std::path::Path;

/// The system's files, without syncs.
pub struct Unsynced;

impl Storage for Unsynced {
    fn create(&self, path: &Path, bytes: u64, prepare: Prepare) -> io::Result<Box<dyn LogFile>> {
        RealStorage.create(path, bytes, prepare)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(UnsyncedFile(RealStorage.open(path)?)))
    }

    fn replace(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        std::fs::write(path, contents)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if path.exists() { std::fs::remove_file(path) } else { Ok(()) }
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }
}

struct UnsyncedFile(Box<dyn LogFile>);

impl LogFile for UnsyncedFile {
    fn write_at(&self, parts: &[&[u8]], at: u64) -> io::Result<()> {
        self.0.write_at(parts, at)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
