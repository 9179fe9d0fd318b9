//! Why a directory cannot be used, and what to do about it.

use super::layout::META_COPY;
use crate::store::meta::MetaError;
use std::io;
use std::path::{Path, PathBuf};

/// Why a directory cannot be used. The text says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another server has it.
    #[error("{path}: another keytide{} uses this directory: stop it, or give another one", process(.pid))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The other server's process, if it is known.
        pid: Option<u32>,
    },
    /// `meta.toml` is not what it should be.
    #[error("{path}: {source}{}", remedy(.path, .source))]
    Meta {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: MetaError,
    },
    /// There is history, and nothing that says what it is.
    #[error("{path} is missing, but {found} is there: run `keytide check --repair {}`, put it back from a backup, or give an empty directory", dir(.path))]
    MetaMissing {
        /// Where `meta.toml` should be.
        path: PathBuf,
        /// What stands beside it.
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
    /// There is nothing of ours.
    #[error("{path}: there is no meta.toml: this is no directory of keytide")]
    NotOurs {
        /// The directory.
        path: PathBuf,
    },
    /// The system refuses something.
    #[error("{path}: cannot {what}: {source}")]
    System {
        /// The file or directory.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
}

fn process(pid: &Option<u32>) -> String {
    pid.map_or(String::new(), |pid| format!(" (process {pid})"))
}

/// The directory that a file of it is in.
fn dir(path: &Path) -> std::path::Display<'_> {
    path.parent().unwrap_or(path).display()
}

/// What helps against damage, behind what is wrong.
fn remedy(path: &Path, source: &MetaError) -> String {
    match source {
        MetaError::Damaged(_) => format!("; run `keytide check --repair {}`", dir(path)),
        MetaError::Format { .. } => String::new(),
    }
}

/// A failure of the system, as `map_err` takes it.
pub(super) fn system(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> DirectoryError {
    let path = path.to_owned();
    move |source| DirectoryError::System { path, what, source }
}
