//! `meta.toml` put back from its copy. The copy is written first, so it says the same, or what a change was about to say
//! that was interrupted: nobody has acted on either.

use super::error::{DirectoryError, system};
use super::layout::{META, META_COPY};
use super::lock::lock;
use super::meta_file::{read, write};
use super::{Directory, DirectoryOptions};
use crate::store::meta::MetaError;
use crate::store::set_aside::set_aside;
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
            |error: &DirectoryError| matches!(error, DirectoryError::Meta { source: MetaError::Damaged(_), .. });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::storage::tests::Scratch;
    use std::fs;

    fn options() -> DirectoryOptions {
        DirectoryOptions { boot_id: "this one".to_owned(), ..DirectoryOptions::default() }
    }

    #[test]
    fn what_is_damaged_or_missing_is_made_of_the_other_one_and_of_neither_nothing() {
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
            assert!(done.is_some_and(|done| done.contains("put back")));
            assert_eq!(fs::read(&meta).expect("it is there"), text);
        }
        fs::write(&copy, "format = 2\n").expect("it is ours");
        assert!(Directory::open_existing(&scratch.0, false, options()).expect("it is sound").copy_problem().is_some());
        let done = Directory::repair_meta(&scratch.0, &options()).expect("the other is sound");
        assert!(done.is_some_and(|done| done.contains("made anew")));
        fs::remove_file(&copy).expect("it is there");
        fs::remove_file(&meta).expect("it is there");
        assert!(Directory::repair_meta(&scratch.0, &options()).expect("nothing to repair").is_none());
        fs::write(&copy, "").expect("it is ours");
        let lost = Directory::repair_meta(&scratch.0, &options());
        assert!(matches!(lost, Err(DirectoryError::MetaLost { .. })));
    }
}
