//! `meta.toml` put back from its copy. The copy is written first, so it says the same, or what a change was about to say
//! that was interrupted: nobody has acted on either.

use super::{Directory, DirectoryError, DirectoryOptions, META, META_COPY, lock, read, system, write};
use crate::log::damaged::set_aside;
use std::path::Path;

impl Directory {
    /// Puts `meta.toml` back where it is damaged or missing, and makes its copy anew where that is damaged. Answers what
    /// was done, in words; nothing where both are sound. No server may have the directory meanwhile.
    ///
    /// # Errors
    /// Where a server uses it, where neither file is sound, or both are of a later version, and where the system refuses.
    pub fn repair_meta(path: &Path, options: &DirectoryOptions) -> Result<Option<String>, DirectoryError> {
        let (file, copy) = (path.join(META), path.join(META_COPY));
        if !file.exists() && !copy.exists() {
            // Whoever opens it says what it is.
            return Ok(None);
        }
        let _held = lock(path)?;
        let storage = &*options.storage;
        let is_damage =
            |error: &DirectoryError| matches!(error, DirectoryError::Meta { source: super::MetaError::Damaged(_), .. });
        let (found, other) = (read(&file), read(&copy));
        match (found, other) {
            (Ok(Some(_)), Ok(_)) => Ok(None),
            (Ok(Some(meta)), Err(error)) if is_damage(&error) => {
                write(path, &meta, storage)?;
                Ok(Some(format!("{} is made anew", copy.display())))
            }
            (Ok(Some(_)), Err(error)) => Err(error),
            (Err(error), _) if !is_damage(&error) => Err(error),
            (Ok(None) | Err(_), Ok(Some(meta))) => {
                if file.exists() {
                    set_aside(storage, &file).map_err(system(&file, "rename the file"))?;
                }
                write(path, &meta, storage)?;
                Ok(Some(format!("{} is put back from {}: nothing of it is lost", file.display(), copy.display())))
            }
            (Ok(None) | Err(_), Ok(None) | Err(_)) => Err(DirectoryError::MetaLost { path: file }),
        }
    }

    /// What is wrong with the copy of `meta.toml`; nothing where it is sound, or a version before this has made none.
    pub fn copy_problem(&self) -> Option<DirectoryError> {
        read(&self.path.join(META_COPY)).err()
    }
}
