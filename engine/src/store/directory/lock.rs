//! The lock of a directory: one process uses it at a time.

use super::error::{DirectoryError, system};
use super::layout::LOCK;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;

/// Locks a directory for this process, and writes the process id into the lock file.
pub(super) fn lock(directory: &Path) -> Result<File, DirectoryError> {
    let path = directory.join(LOCK);
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = open.map_err(system(&path, "open the file"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(DirectoryError::InUse { path: directory.to_owned(), pid });
        }
        Err(TryLockError::Error(source)) => return Err(system(&path, "lock the file")(source)),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(system(&path, "write to the file"))?;
    Ok(file)
}

/// Locks a directory without changing it. Where a copy lacks the lock file, no server uses it.
pub(super) fn lock_unchanged(directory: &Path) -> Result<File, DirectoryError> {
    let path = directory.join(LOCK);
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return File::open(directory).map_err(system(directory, "open the directory"));
        }
        open => open.map_err(system(&path, "open the file"))?,
    };
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let pid = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
            Err(DirectoryError::InUse { path: directory.to_owned(), pid })
        }
        Err(TryLockError::Error(source)) => Err(system(&path, "lock the file")(source)),
    }
}
