//! How a directory is used.

use super::directory::DirectoryOptions;
use crate::log::LogOptions;
use std::path::PathBuf;

/// How a directory is used.
#[derive(Clone)]
pub struct StoreOptions {
    /// The path of the directory.
    pub path: PathBuf,
    /// How the directory is opened.
    pub directory: DirectoryOptions,
    /// The number of shards. Keys are resharded where the directory has another number.
    pub shards: u16,
    /// How each shard's log is written and retained.
    pub log: LogOptions,
    /// The size of each shard's ring in bytes.
    pub ring_bytes: u64,
    /// The most streams of absent keys whose revision counter each shard retains.
    pub absent_streams: usize,
}
