//! Why a directory cannot be used.

use super::directory::DirectoryError;
use super::restore::RestoreError;
use crate::position::ShardId;
use thiserror::Error;

/// Why a directory cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A shard.
    #[error("shard {shard}: {source}")]
    Shard {
        /// Its number.
        shard: ShardId,
        /// Why it cannot be brought back.
        source: RestoreError,
    },
    /// The system has no thread left.
    #[error("no thread left: {0}")]
    Thread(std::io::Error),
}
