//! The one failure after which no shard of a directory takes writes: a write or a sync that the system refused. Nothing
//! is tried again, for nobody knows what is on the disk then, and a second sync that succeeds does not tell.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Whether a log of the directory has failed, and how. Shared by all its shards.
#[derive(Clone, Debug, Default)]
pub struct LogFailure(Arc<Failure>);

#[derive(Debug, Default)]
struct Failure {
    is_set: AtomicBool,
    reason: OnceLock<String>,
}

impl LogFailure {
    /// Says that a log has failed. Only the first reason is kept: it is the one that says what is wrong.
    pub fn set(&self, reason: &str) {
        let _ = self.0.reason.set(reason.to_owned());
        // Release, paired with the acquire in `is_set`.
        self.0.is_set.store(true, Ordering::Release);
    }

    /// Whether a log has failed.
    #[inline]
    pub fn is_set(&self) -> bool {
        // Acquire, paired with the release in `set`: the reason is there.
        self.0.is_set.load(Ordering::Acquire)
    }

    /// What has failed, and how.
    pub fn reason(&self) -> Option<String> {
        self.0.reason.get().cloned()
    }
}
