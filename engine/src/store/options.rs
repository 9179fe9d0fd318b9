//! How a directory is used.

use super::directory::DirectoryOptions;
use crate::log::LogOptions;
use std::path::PathBuf;

/// How a directory is used.
#[derive(Clone)]
pub struct StoreOptions {
    /// Where it is.
    pub path: PathBuf,
    /// How it is opened.
    pub directory: DirectoryOptions,
    /// How many shards there are to be.
    pub shards: u16,
    /// How each shard's log is kept.
    pub log: LogOptions,
    /// The bytes of each shard's ring.
    pub ring_bytes: u64,
    /// The streams of absent keys whose revision counter each shard keeps.
    pub absent_streams: usize,
}
