//! One shard's ring.
