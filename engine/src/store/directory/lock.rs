//! One process at a time has a directory.

use super::error::{DirectoryError, system};
use super::layout::LOCK;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;

/// Takes the directory for this process, and says in the file which one that is.
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

/// Locks the directory without a word in it about who did. A copy may lack the file; then nobody else has it.
pub(super) fn hold(directory: &Path) -> Result<File, DirectoryError> {
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
