//! A directory that is there, opened by who looks at it and serves nobody.

use super::files::{META, first_generation_name, read};
use super::{Directory, DirectoryError, DirectoryOptions, LOCK, Start, lock, system};
use crate::position::Position;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::Mutex;

impl Directory {
    /// Opens a directory without changing anything in it; with `changes`, what is called on it may. No server may have
    /// it meanwhile.
    ///
    /// # Errors
    /// Where there is none, where a server uses it, where it is of another version or damaged, and where the system
    /// refuses.
    pub fn open_existing(path: &Path, changes: bool, options: DirectoryOptions) -> Result<Directory, DirectoryError> {
        let DirectoryOptions { restored, boot_id, fsync_always, storage } = options;
        fs::read_dir(path).map_err(system(path, "list the directory"))?;
        let held = if changes { lock(path)? } else { hold(path)? };
        let file = path.join(META);
        let Some(meta) = read(&file)? else {
            return Err(match first_generation_name(path)? {
                Some(found) => DirectoryError::MetaMissing { path: file, found },
                None => DirectoryError::NotOurs { path: path.to_owned() },
            });
        };
        let start = match meta.clean || meta.limit == Position(0) {
            true => Start::Clean,
            false if !boot_id.is_empty() && meta.boot == boot_id => Start::SameBoot,
            false if meta.fsync_always => Start::Synced,
            false => Start::PowerLoss,
        };
        let (path, start, meta) = (path.to_owned(), Mutex::new(start), Mutex::new(meta));
        let cut = Mutex::default();
        Ok(Directory { path, storage, boot_id, restored, fsync_always, start, cut, meta, _lock: held })
    }
}

/// Locks the directory without a word in it about who did. A copy may lack the file; then nobody else has it.
fn hold(directory: &Path) -> Result<File, DirectoryError> {
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
