//! The open loop's schedule: when each command is due, whatever the server does.
//!
//! Commands are due at equal intervals. A command's latency counts from its due time and not from when it could be
//! sent, so a server that stalls does not slow down its own measurement (no coordinated omission).

/// The due times of one thread's commands, in nanoseconds since the start of the run.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    first_ns: f64,
    interval_ns: f64,
}

impl Schedule {
    /// The share of thread `thread` of `threads`, which together issue `rate` commands per second, in turn.
    pub fn new(rate: f64, thread: usize, threads: usize) -> Schedule {
        let between_ns = 1e9 / rate;
        Schedule { first_ns: between_ns * thread as f64, interval_ns: between_ns * threads as f64 }
    }

    /// When command `index` (from 0) is due.
    #[inline]
    pub fn due_ns(&self, index: u64) -> u64 {
        // Rounded up, so that a command is due at a time exactly if `due_count` of that time includes it.
        (self.first_ns + index as f64 * self.interval_ns).ceil() as u64
    }

    /// The number of commands that are due at this time.
    #[inline]
    pub fn due_count(&self, now_ns: u64) -> u64 {
        // Because of rounding, this quotient may make a command due a nanosecond early or late.
        let intervals = (now_ns as f64 - self.first_ns) / self.interval_ns;
        if intervals < 0.0 { 0 } else { intervals as u64 + 1 }
    }

    /// The number of commands that are due before this time.
    pub fn count_before(&self, end_ns: u64) -> u64 {
        end_ns.checked_sub(1).map_or(0, |last| self.due_count(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_due_at_equal_distances() {
        let schedule = Schedule::new(1000.0, 0, 1);
        assert_eq!([0, 1, 2, 5000].map(|index| schedule.due_ns(index)), [0, 1_000_000, 2_000_000, 5_000_000_000]);
        assert_eq!([0, 999_999, 1_000_000, 5_500_000].map(|now| schedule.due_count(now)), [1, 1, 2, 6]);
        assert_eq!(schedule.count_before(5_000_000_000), 5000);
    }

    #[test]
    fn the_threads_together_issue_the_whole_rate_in_turn() {
        let mut due: Vec<u64> = Vec::new();
        for thread in 0..3 {
            let schedule = Schedule::new(3_000.0, thread, 3);
            let count = schedule.count_before(1_000_000_000);
            due.extend((0..count).map(|index| schedule.due_ns(index)));
        }
        due.sort_unstable();
        assert_eq!(due.len(), 3000);
        assert!(due.windows(2).all(|pair| (333_333..=333_334).contains(&(pair[1] - pair[0]))));
    }

    #[test]
    fn the_commands_before_a_time_are_those_that_are_due_before_it() {
        for rate in [3.0, 7_000.0, 123_457.0, 3_000_001.0] {
            for thread in 0..3 {
                let schedule = Schedule::new(rate, thread, 3);
                for end in [1, 1000, 999_999_999, 5_000_000_000] {
                    let count = schedule.count_before(end);
                    assert!(schedule.due_ns(count) >= end && (count == 0 || schedule.due_ns(count - 1) < end));
                }
            }
        }
    }

    #[test]
    fn a_late_look_finds_every_command_that_was_due_meanwhile() {
        let schedule = Schedule::new(700_000.0, 0, 1);
        let (mut issued, mut now) = (0, 0);
        while now < 3_600_000_000_000 {
            let due = schedule.due_count(now);
            assert!(due >= issued);
            issued = due;
            assert!(schedule.due_ns(issued - 1) <= now + 1 && schedule.due_ns(issued) + 1 >= now);
            now = now * 2 + 12_345;
        }
    }
}
