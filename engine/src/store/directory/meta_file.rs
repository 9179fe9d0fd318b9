//! Reads and writes the metadata of a directory and its copy.

use super::error::{DirectoryError, system};
use super::layout::{GENERATION, META, META_COPY};
use crate::log::storage::Storage;
use crate::store::meta::{Meta, MetaError, new_history_id};
use std::fs;
use std::io;
use std::path::Path;

/// Reads the metadata of a directory, or writes that of a new directory for `shards` shards.
pub(super) fn read_or_make(directory: &Path, shards: u16, storage: &dyn Storage) -> Result<Meta, DirectoryError> {
    let path = directory.join(META);
    if let Some(meta) = read(&path)? {
        return Ok(meta);
    }
    if let Some(found) = first_generation_name(directory)? {
        return Err(DirectoryError::MetaMissing { path, found });
    }
    let meta = Meta::new(shards, new_history_id());
    write(directory, &meta, storage)?;
    Ok(meta)
}

/// Reads a file with metadata; none where the file is missing.
pub(super) fn read(path: &Path) -> Result<Option<Meta>, DirectoryError> {
    let damaged = |source| DirectoryError::Meta { path: path.to_owned(), source };
    match fs::read_to_string(path) {
        Ok(text) => Meta::read(&text).map(Some).map_err(damaged),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(damaged(MetaError::Damaged("it is no text".to_owned())))
        }
        Err(source) => Err(system(path, "read the file")(source)),
    }
}

/// Writes the metadata of a directory: first the copy, then the file that counts.
pub(super) fn write(directory: &Path, meta: &Meta, storage: &dyn Storage) -> Result<(), DirectoryError> {
    let text = meta.text();
    for name in [META_COPY, META] {
        let path = directory.join(name);
        storage.replace(&path, text.as_bytes()).map_err(system(&path, "write the file"))?;
    }
    Ok(())
}

/// The name of some generation's directory; none where there is none.
pub(super) fn first_generation_name(directory: &Path) -> Result<Option<String>, DirectoryError> {
    for entry in fs::read_dir(directory).map_err(system(directory, "list the directory"))? {
        let entry = entry.map_err(system(directory, "list the directory"))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(GENERATION) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}
