//! The bounds of compact collections, for all shards. CONFIG SET changes them, and each core gives them to its shard at the
//! start of a turn.

use keytide_engine::collection::Thresholds;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Bounds that change at run time.
#[derive(Debug, Default)]
pub struct SharedThresholds {
    values: Mutex<Thresholds>,
    /// How often they were changed.
    version: AtomicU64,
}

impl SharedThresholds {
    /// The bounds now.
    pub fn get(&self) -> Thresholds {
        *self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes them.
    pub fn change(&self, change: impl FnOnce(&mut Thresholds)) {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut values);
        // Relaxed: whoever sees the new number takes the lock, and so sees the new values.
        self.version.fetch_add(1, Ordering::Relaxed);
    }

    /// A number that every change increases.
    #[inline]
    pub fn version(&self) -> u64 {
        // Relaxed: see above.
        self.version.load(Ordering::Relaxed)
    }
}
