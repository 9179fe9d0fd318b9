//! Why the shards of a directory cannot be restored and started.

use super::directory::DirectoryError;
use super::restore::RestoreError;
use crate::position::ShardId;
use thiserror::Error;

/// Why the shards of a directory cannot be restored and started.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The directory cannot be opened or changed.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A shard cannot be restored or started.
    #[error("shard {shard}: {source}")]
    Shard {
        /// The shard.
        shard: ShardId,
        /// Why.
        source: RestoreError,
    },
    /// A thread cannot be started.
    #[error("no thread left: {0}")]
    Thread(std::io::Error),
}
