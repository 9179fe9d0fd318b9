//! Opens an existing directory for a check or a repair.

use super::error::{DirectoryError, system};
use super::layout::META;
use super::lock::{lock, lock_unchanged};
use super::meta_file::{first_generation_name, read};
use super::{Directory, DirectoryOptions, PreviousShutdown};
use crate::position::Position;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

impl Directory {
    /// Opens an existing directory without changing it. Only with `changes` may methods be called that change it. No server
    /// can use the directory meanwhile.
    ///
    /// # Errors
    /// Where there is no such directory, a server uses it, its format is unknown, its metadata is damaged, or the file system
    /// reports an error.
    pub fn open_existing(path: &Path, changes: bool, options: DirectoryOptions) -> Result<Directory, DirectoryError> {
        let DirectoryOptions { restored, boot_id, fsync_always, storage } = options;
        fs::read_dir(path).map_err(system(path, "list the directory"))?;
        let lock = if changes { lock(path)? } else { lock_unchanged(path)? };
        let file = path.join(META);
        let Some(meta) = read(&file)? else {
            return Err(match first_generation_name(path)? {
                Some(found) => DirectoryError::MetaMissing { path: file, found },
                None => DirectoryError::NotOurs { path: path.to_owned() },
            });
        };
        let previous_shutdown = match meta.clean || meta.limit == Position(0) {
            true => PreviousShutdown::Clean,
            false if !boot_id.is_empty() && meta.boot == boot_id => PreviousShutdown::Killed,
            false if meta.fsync_always => PreviousShutdown::SyncedPowerLoss,
            false => PreviousShutdown::PowerLoss,
        };
        let (path, meta) = (path.to_owned(), Mutex::new(meta));
        let (previous_shutdown, cut) = (Mutex::new(previous_shutdown), Mutex::default());
        Ok(Directory { path, storage, boot_id, restored, fsync_always, previous_shutdown, cut, meta, _lock: lock })
    }
}
