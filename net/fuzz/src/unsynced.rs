//! A storage that never syncs, since no fuzz target loses power.

use keytide_engine::log::storage::{LogFile, Prepare, RealStorage, Storage};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The files of the system, without syncs.
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

/// A directory that is removed when the check ends.
pub struct Scratch(pub PathBuf);

impl Scratch {
    /// A new one in the directory for temporary files.
    pub fn new() -> Scratch {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // Relaxed: only uniqueness matters.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("keytide-fuzz-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a temporary directory can be made");
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
