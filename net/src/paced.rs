//! Log lines that clients can cause: one in a while, so that a log is not filled by them.

use crate::limits::LOG_PACE;
use std::time::Instant;

/// When one kind of line was last logged.
#[derive(Debug, Default)]
pub struct Paced(Option<Instant>);

impl Paced {
    /// Whether the line may be logged now; if so, the next one has to wait.
    pub fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.0.is_none_or(|last| now.duration_since(last) >= LOG_PACE);
        if is_due {
            self.0 = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_logged_and_the_next_has_to_wait() {
        let mut paced = Paced::default();
        assert!(paced.is_due() && !paced.is_due());
    }
}
