//! The bounds of client-side caching.

/// The keys that are remembered as read by clients that cache, on all shards, `--tracking-table-max-keys`; as in Redis.
pub const TRACKING_TABLE_KEYS_DEFAULT: u64 = 1_000_000;
