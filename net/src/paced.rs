//! Log lines that clients can cause: at most one of a kind in [`LOG_PACE`], so that clients cannot fill the log.

use crate::limits::LOG_PACE;
use keytide_engine::clock::steady_millis;
use std::sync::atomic::{AtomicU64, Ordering};

/// When one kind of line was last logged. Can be a `static`, for a line of the whole process.
#[derive(Debug, Default)]
pub struct Paced {
    /// In milliseconds of [`steady_millis`]; 0 before the first line.
    logged_ms: AtomicU64,
}

impl Paced {
    /// A kind of line that was never logged.
    pub const fn new() -> Paced {
        Paced { logged_ms: AtomicU64::new(0) }
    }

    /// Whether the line may be logged now. True for one caller only; the next line then has to wait.
    pub fn is_due(&self) -> bool {
        let now_ms = steady_millis();
        // Relaxed, both: the number orders nothing else. The exchange lets one of several threads log.
        let logged_ms = self.logged_ms.load(Ordering::Relaxed);
        let is_due = logged_ms == 0 || u128::from(now_ms.saturating_sub(logged_ms)) >= LOG_PACE.as_millis();
        is_due && self.logged_ms.compare_exchange(logged_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_logged_and_the_next_has_to_wait() {
        let mut paced = Paced::new();
        assert!(paced.is_due() && !paced.is_due());
        let pace_ms = LOG_PACE.as_millis() as u64;
        *paced.logged_ms.get_mut() -= pace_ms;
        assert!(paced.is_due() && !paced.is_due());
    }
}
