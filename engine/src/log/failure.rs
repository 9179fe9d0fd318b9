//! The failure that ends all writes to a directory: a write or a sync that the system refused. Nothing is retried: the
//! content of the disk is unknown from then on, and a later sync that succeeds does not prove that earlier data is on it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Whether a log of the directory has failed, and why. All shards of a directory share one; clones are cheap.
#[derive(Clone, Debug, Default)]
pub struct LogFailure(Arc<Failure>);

#[derive(Debug, Default)]
struct Failure {
    is_set: AtomicBool,
    reason: OnceLock<String>,
}

impl LogFailure {
    /// Records that a log has failed. Only the first reason is kept: the later ones follow from it.
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

    /// What has failed, and how; none while nothing has.
    pub fn reason(&self) -> Option<String> {
        self.0.reason.get().cloned()
    }
}
