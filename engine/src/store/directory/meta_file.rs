//! The files in which a directory says of itself what it is.

use super::error::{DirectoryError, system};
use super::layout::{GENERATION, META, META_COPY};
use crate::log::storage::Storage;
use crate::store::meta::{Meta, MetaError, new_history_id};
use std::fs;
use std::io;
use std::path::Path;

/// What a directory says of itself; one that is new is made for so many shards.
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

/// Reads a file; none where there is none.
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

pub(super) fn write(directory: &Path, meta: &Meta, storage: &dyn Storage) -> Result<(), DirectoryError> {
    let text = meta.text();
    for name in [META_COPY, META] {
        let path = directory.join(name);
        storage.replace(&path, text.as_bytes()).map_err(system(&path, "write the file"))?;
    }
    Ok(())
}

/// The name of a generation's directory, if there is any.
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
