//! A directory that is there, opened by who looks at it and serves nobody.

use super::error::{DirectoryError, system};
use super::layout::META;
use super::lock::{hold, lock};
use super::meta_file::{first_generation_name, read};
use super::{Directory, DirectoryOptions, Start};
use crate::position::Position;
use std::fs;
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
