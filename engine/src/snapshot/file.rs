//! The files of snapshots: their names, and how one is written so that it is complete or absent.

use crate::position::RingOffset;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The path of the snapshot from which the log has to be replayed from `start` on.
pub fn snapshot_path(directory: &Path, start: RingOffset) -> PathBuf {
    directory.join(format!("{:020}.snapshot", start.0))
}

/// The snapshots of a directory, in no order, each with the offset from which the log has to be replayed.
///
/// # Errors
/// Where the directory cannot be read.
pub fn snapshot_files(directory: &Path) -> io::Result<Vec<(RingOffset, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".snapshot"));
        if let Some(start) = name.and_then(|name| name.parse().ok()) {
            found.push((RingOffset(start), path));
        }
    }
    Ok(found)
}

/// The end of the name of a snapshot that is not complete yet.
const UNFINISHED: &str = ".snapshot.new";

/// A snapshot is synced after this many bytes while it is written: a single sync at the end would occupy the disk, and
/// syncs of the log would wait for it.
const SYNC_BYTES: usize = 32 << 20;

/// Removes unfinished snapshots from a directory. To be called while none is being written.
///
/// # Errors
/// Where the directory cannot be read, or a file cannot be removed.
pub fn remove_unfinished(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.ends_with(UNFINISHED)) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Removes all snapshots of a directory but the newest `keep`. Returns the offset from which on the remaining ones need the
/// log; none where none remains. A snapshot that cannot be removed counts as kept.
///
/// # Errors
/// Where the directory cannot be read.
pub fn keep_newest(directory: &Path, keep: usize) -> io::Result<Option<RingOffset>> {
    let mut files = snapshot_files(directory)?;
    files.sort_unstable_by_key(|(start, _)| std::cmp::Reverse(*start));
    let mut needed = None;
    for (n, (start, path)) in files.into_iter().enumerate() {
        if n < keep || fs::remove_file(path).is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
            needed = Some(start);
        }
    }
    Ok(needed)
}

/// A file that is written under a temporary name, and renamed once all of it is on the disk. If it is dropped before, it is
/// removed.
#[derive(Debug)]
pub struct SnapshotFile {
    path: PathBuf,
    aside: PathBuf,
    /// None once the file was renamed.
    file: Option<File>,
    /// The number of bytes written since the last sync.
    unsynced: usize,
}

impl SnapshotFile {
    /// Begins a file that will be at `path`. Overwrites the temporary file of an earlier attempt.
    pub fn create(path: &Path) -> io::Result<SnapshotFile> {
        let mut aside = path.as_os_str().to_owned();
        aside.push(".new");
        let aside = PathBuf::from(aside);
        let file = Some(File::create(&aside)?);
        Ok(SnapshotFile { path: path.to_owned(), aside, file, unsynced: 0 })
    }

    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write_all(bytes)?;
        self.unsynced += bytes.len();
        if self.unsynced >= SYNC_BYTES {
            self.unsynced = 0;
            file.sync_data()?;
        }
        Ok(())
    }

    /// Syncs the file, renames it, replacing an earlier one, and syncs the directory.
    pub fn finish(mut self) -> io::Result<()> {
        if let Some(file) = &self.file {
            file.sync_all()?;
        }
        fs::rename(&self.aside, &self.path)?;
        self.file = None;
        let directory = self.path.parent().filter(|directory| !directory.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for SnapshotFile {
    fn drop(&mut self) {
        if self.file.is_some() {
            // The next attempt overwrites a file that cannot be removed.
            let _ = fs::remove_file(&self.aside);
        }
    }
}
