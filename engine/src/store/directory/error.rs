//! Why a directory cannot be opened or used.

use super::layout::META_COPY;
use crate::store::meta::MetaError;
use std::io;
use std::path::{Path, PathBuf};

/// Why a directory cannot be used. The text includes the remedy.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another server uses the directory.
    #[error("{path}: another keytide{} uses this directory: stop it, or give another one", process(.pid))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process id of the other server, if it is known.
        pid: Option<u32>,
    },
    /// `meta.toml` is damaged or has an unknown format.
    #[error("{path}: {source}{}", remedy(.path, .source))]
    Meta {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: MetaError,
    },
    /// There are generations, but no `meta.toml`.
    #[error("{path} is missing, but {found} is there: run `keytide check --repair {}`, put it back from a backup, or give an empty directory", dir(.path))]
    MetaMissing {
        /// Where `meta.toml` should be.
        path: PathBuf,
        /// The name of a generation's directory.
        found: String,
    },
    /// `meta.toml` is damaged or missing, and so is its copy.
    #[error(
        "{path} and {META_COPY} beside it are damaged or missing: put one of them back from a backup of the same directory"
    )]
    MetaLost {
        /// Where `meta.toml` is, or should be.
        path: PathBuf,
    },
    /// There is no `meta.toml` and no generation.
    #[error("{path}: there is no meta.toml: this is no directory of keytide")]
    NotOurs {
        /// The directory.
        path: PathBuf,
    },
    /// An error of the file system.
    #[error("{path}: cannot {what}: {source}")]
    System {
        /// The file or directory.
        path: PathBuf,
        /// What failed, for the text.
        what: &'static str,
        /// The error.
        source: io::Error,
    },
}

fn process(pid: &Option<u32>) -> String {
    pid.map_or(String::new(), |pid| format!(" (process {pid})"))
}

/// The parent of a file, for error texts.
fn dir(path: &Path) -> std::path::Display<'_> {
    path.parent().unwrap_or(path).display()
}

/// The remedy, as the end of the error's text.
fn remedy(path: &Path, source: &MetaError) -> String {
    match source {
        MetaError::Damaged(_) => format!("; run `keytide check --repair {}`", dir(path)),
        MetaError::Format { .. } => String::new(),
    }
}

/// Makes a [`DirectoryError::System`], for `map_err`.
pub(super) fn system(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> DirectoryError {
    let path = path.to_owned();
    move |source| DirectoryError::System { path, what, source }
}
