//! Restores `meta.toml` from its copy. The copy is written first, so it has the same content or that of an interrupted
//! change, which had no effect yet.

use super::error::{DirectoryError, system};
use super::layout::{META, META_COPY};
use super::lock::lock;
use super::meta_file::{read, write};
use super::{Directory, DirectoryOptions};
use crate::store::meta::MetaError;
use crate::store::set_aside::set_aside;
use std::path::Path;

impl Directory {
    /// Restores `meta.toml` where it is damaged or missing, and rewrites its copy where that is damaged. Returns a text about
    /// what was done; none where both files are valid. No server can use the directory meanwhile.
    ///
    /// # Errors
    /// Where a server uses the directory, neither file is valid, a file has a later format, or the file system reports an
    /// error.
    pub fn repair_meta(path: &Path, options: &DirectoryOptions) -> Result<Option<String>, DirectoryError> {
        let (file, copy) = (path.join(META), path.join(META_COPY));
        if !file.exists() && !copy.exists() {
            // RecoveryOptions the directory reports what it is.
            return Ok(None);
        }
        let _lock = lock(path)?;
        let storage = &*options.storage;
        let is_damage =
            |error: &DirectoryError| matches!(error, DirectoryError::Meta { source: MetaError::Damaged(_), .. });
        let (found, other) = (read(&file), read(&copy));
        match (found, other) {
            (Ok(Some(_)), Ok(_)) => Ok(None),
            (Ok(Some(meta)), Err(error)) if is_damage(&error) => {
                write(path, &meta, storage)?;
                Ok(Some(format!("{} is rewritten", copy.display())))
            }
            (Ok(Some(_)), Err(error)) => Err(error),
            (Err(error), _) if !is_damage(&error) => Err(error),
            (Ok(None) | Err(_), Ok(Some(meta))) => {
                if file.exists() {
                    set_aside(storage, &file).map_err(system(&file, "rename the file"))?;
                }
                write(path, &meta, storage)?;
                Ok(Some(format!("{} is restored from {}: nothing of it is lost", file.display(), copy.display())))
            }
            (Ok(None) | Err(_), Ok(None) | Err(_)) => Err(DirectoryError::MetaLost { path: file }),
        }
    }

    /// What is wrong with the copy of `meta.toml`; none where it is valid, or missing because an earlier version wrote none.
    pub fn meta_copy_error(&self) -> Option<DirectoryError> {
        read(&self.path.join(META_COPY)).err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::storage::tests::Scratch;
    use std::fs;

    fn options() -> DirectoryOptions {
        DirectoryOptions { boot_id: "this one".to_owned(), ..DirectoryOptions::default() }
    }

    #[test]
    fn a_damaged_or_missing_file_is_restored_from_the_other_one() {
        let scratch = Scratch::new();
        let directory = Directory::open(&scratch.0, 1, options()).expect("a new directory");
        directory.create_shard_directories(1, 1).expect("made");
        drop(directory);
        let meta = scratch.0.join("meta.toml");
        let text = fs::read(&meta).expect("it is there");
        let copy = scratch.0.join("meta-copy.toml");
        assert_eq!(fs::read(&copy).expect("it is there"), text, "it says the same");
        for damage in [Some(&b"format = 1"[..]), None] {
            damage.map_or_else(
                || fs::remove_file(&meta).expect("it is there"),
                |text| fs::write(&meta, text).expect("it is ours"),
            );
            let error = Directory::open(&scratch.0, 1, options()).err().expect("it is damaged or missing").to_string();
            assert!(error.contains("run `keytide check --repair "), "{error}");
            let done = Directory::repair_meta(&scratch.0, &options()).expect("the copy is sound");
            assert!(done.is_some_and(|done| done.contains("restored")));
            assert_eq!(fs::read(&meta).expect("it is there"), text);
        }
        fs::write(&copy, "format = 2\n").expect("it is ours");
        assert!(
            Directory::open_existing(&scratch.0, false, options()).expect("it is sound").meta_copy_error().is_some()
        );
        let done = Directory::repair_meta(&scratch.0, &options()).expect("the other is sound");
        assert!(done.is_some_and(|done| done.contains("rewritten")));
        fs::remove_file(&copy).expect("it is there");
        fs::remove_file(&meta).expect("it is there");
        assert!(Directory::repair_meta(&scratch.0, &options()).expect("nothing to repair").is_none());
        fs::write(&copy, "").expect("it is ours");
        let lost = Directory::repair_meta(&scratch.0, &options());
        assert!(matches!(lost, Err(DirectoryError::MetaLost { .. })));
    }
}
