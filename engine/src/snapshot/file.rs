//! A file that is there whole or not at all.

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

/// A file that is written under another name beside its own, and gets its own once all of it is on the disk. Dropped
/// before that, it is removed.
#[derive(Debug)]
pub struct SnapshotFile {
    path: PathBuf,
    aside: PathBuf,
    /// None once it has its name.
    file: Option<File>,
}

impl SnapshotFile {
    /// Begins the file that is to be at `path`; what an earlier attempt has left beside it is overwritten.
    pub fn create(path: &Path) -> io::Result<SnapshotFile> {
        let mut aside = path.as_os_str().to_owned();
        aside.push(".new");
        let aside = PathBuf::from(aside);
        let file = Some(File::create(&aside)?);
        Ok(SnapshotFile { path: path.to_owned(), aside, file })
    }

    /// Adds bytes at its end.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), |file| file.write_all(bytes))
    }

    /// Syncs the file, gives it its name, in place of one that has it, and syncs the directory.
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
            // What cannot be removed is overwritten by the next attempt.
            let _ = fs::remove_file(&self.aside);
        }
    }
}
