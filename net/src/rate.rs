//! How many commands per second this core runs: those of the last second of the clock that is over.

/// Counts by seconds of the clock.
#[derive(Debug, Default)]
pub struct Rate {
    /// The second that runs.
    pub second: u64,
    /// What was counted in it so far.
    pub running: u64,
    /// What was counted in the one before.
    pub last: u64,
    /// The count when the running second began.
    at_start: u64,
}

impl Rate {
    /// Takes the number of commands that the core has ever run.
    pub fn note(&mut self, now_ms: u64, commands: u64) {
        let second = now_ms / 1000;
        if second != self.second {
            self.last = if second == self.second + 1 { self.running } else { 0 };
            // A turn that passes from one second to the next counts to the first.
            (self.second, self.at_start) = (second, self.at_start + self.running);
        }
        self.running = commands - self.at_start;
    }

    /// The commands of the last whole second, at this time.
    pub fn per_second(second: u64, running: u64, last: u64, now_ms: u64) -> u64 {
        match (now_ms / 1000).checked_sub(second) {
            Some(0) => last,
            // The core has slept since: its second is over.
            Some(1) => running,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_second_counts() {
        let mut rate = Rate::default();
        let at = |rate: &Rate, now_ms| Rate::per_second(rate.second, rate.running, rate.last, now_ms);
        rate.note(10_500, 40);
        assert_eq!((at(&rate, 10_900), at(&rate, 11_000), at(&rate, 12_000)), (0, 40, 0));
        rate.note(10_999, 50);
        rate.note(11_001, 60);
        assert_eq!((at(&rate, 11_001), at(&rate, 12_500)), (50, 10));
        rate.note(13_000, 61);
        assert_eq!((at(&rate, 13_000), at(&rate, 14_000)), (0, 1), "there was none in the second before");
    }
}
