//! The bounds on the time that automata take from a shard.
//!
//! Two bounds: a share of the wall time, over windows of [`REGEX_WINDOW_NS`], and a bound per turn that grows with its
//! records. Past either, the most expensive patterns are stopped at once. The turn's bound is then extended, each time
//! by half as much, so that the turn ends, however many have to be stopped.
//!
//! The wall clock is cheap to read, and wrong when the thread is preempted. So a suspiciously long time counts little,
//! and for a while the thread's CPU time is measured too.

use crate::clock::{monotonic_ns, thread_cpu_ns};
use crate::limits::{REGEX_RECORD_NS, REGEX_SUSPECT_NS, REGEX_TURN_NS, REGEX_WINDOW_NS, REGEX_WINDOW_SPENT_NS};

/// A source of time in nanoseconds that never goes back.
pub trait Clock: Send {
    /// The wall clock, monotonic.
    fn wall_ns(&mut self) -> u64;
    /// The time for which this thread has run. Expensive to read.
    fn cpu_ns(&mut self) -> u64;
}

/// The system's clocks.
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall_ns(&mut self) -> u64 {
        monotonic_ns()
    }

    fn cpu_ns(&mut self) -> u64 {
        thread_cpu_ns()
    }
}

/// After a suspicious time, laps that are measured by CPU time too.
const CAREFUL: u32 = 32;

/// Everything is stopped when a bound is passed for the fourth time in one turn.
const PASSED_MAX: u32 = 4;

/// Everything: the denominator of [`Governor::stop`]'s result.
pub const ALL: u64 = 256;

/// A running time measurement.
#[derive(Clone, Copy)]
pub struct Lap {
    wall: u64,
    cpu: Option<u64>,
}

/// A cost in the last window in which it occurred, plus those of the windows before, halved with each.
#[derive(Clone, Copy, Default)]
pub struct Spent {
    ns: u64,
    window: u64,
}

impl Spent {
    /// Adds a cost.
    pub fn add(&mut self, ns: u64, window: u64) {
        *self = Spent { ns: self.at(window) + ns, window };
    }

    /// The decayed cost as of this window, in nanoseconds.
    pub fn at(self, window: u64) -> u64 {
        self.ns >> (window - self.window).min(63)
    }
}

/// The account of matching time.
pub struct Governor {
    clock: Box<dyn Clock>,
    careful: u32,
    window_start: u64,
    /// The number of windows so far.
    window: u64,
    window_spent: u64,
    turn_spent: u64,
    turn_bound: u64,
    /// How often a bound was passed in this turn.
    passed: u32,
}

impl Governor {
    /// Nothing spent yet.
    pub fn new(clock: Box<dyn Clock>) -> Governor {
        Governor {
            clock,
            careful: 0,
            window_start: 0,
            window: 0,
            window_spent: 0,
            turn_spent: 0,
            turn_bound: REGEX_TURN_NS,
            passed: 0,
        }
    }

    /// Starts a measurement.
    #[inline]
    pub fn start(&mut self) -> Lap {
        Lap { wall: self.clock.wall_ns(), cpu: (self.careful > 0).then(|| self.clock.cpu_ns()) }
    }

    /// Accounts for the time since `lap`, which stands for `times` runs of its kind, and restarts the measurement.
    /// Returns that time in nanoseconds.
    pub fn lap(&mut self, lap: &mut Lap, times: u64) -> u64 {
        let now = self.clock.wall_ns();
        let wall = now.saturating_sub(lap.wall);
        let ns = match lap.cpu {
            Some(cpu) => {
                self.careful -= 1;
                wall.min(self.clock.cpu_ns().saturating_sub(cpu)) * times
            }
            None if wall > REGEX_SUSPECT_NS => {
                self.careful = CAREFUL;
                REGEX_SUSPECT_NS
            }
            None => wall * times,
        };
        if now.saturating_sub(self.window_start) >= REGEX_WINDOW_NS {
            self.window_start = now;
            self.window_spent = 0;
            self.window += 1;
        }
        self.window_spent += ns;
        self.turn_spent += ns;
        *lap = Lap { wall: now, cpu: (self.careful > 0).then(|| self.clock.cpu_ns()) };
        ns
    }

    /// As [`Governor::lap`], for first runs, which also build states. Up to the suspicious threshold that counts an
    /// eighth: it does not recur.
    pub fn cold_lap(&mut self, lap: &mut Lap) -> u64 {
        let (window, turn) = (self.window_spent, self.turn_spent);
        let ns = self.lap(lap, 1);
        let counted = if ns > REGEX_SUSPECT_NS { ns } else { ns / 8 };
        self.window_spent = self.window_spent.min(window + counted);
        self.turn_spent = turn + counted;
        counted
    }

    /// Counts a record, which extends the turn's bound.
    #[inline]
    pub fn count_record(&mut self) {
        self.turn_bound += REGEX_RECORD_NS;
    }

    /// The current window.
    pub fn window(&self) -> u64 {
        self.window
    }

    /// Whether a bound is passed.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.window_spent > REGEX_WINDOW_SPENT_NS || self.turn_spent > self.turn_bound
    }

    /// Whether so much is spent that the next costs must be attributed precisely.
    #[inline]
    pub fn is_close(&self) -> bool {
        self.window_spent > REGEX_WINDOW_SPENT_NS / 4 * 3 || self.turn_spent > self.turn_bound / 2
    }

    /// To be called when a bound is passed: returns which part of the cost is to be stopped, in parts of [`ALL`]: half,
    /// then three quarters, then seven eighths, then all, within one turn.
    pub fn stop(&mut self) -> u64 {
        self.passed = (self.passed + 1).min(PASSED_MAX);
        self.turn_bound = self.turn_spent + (REGEX_TURN_NS >> self.passed);
        self.window_spent = self.window_spent.min(REGEX_WINDOW_SPENT_NS - (REGEX_WINDOW_SPENT_NS >> self.passed));
        if self.passed == PASSED_MAX { ALL } else { ALL - (ALL >> self.passed) }
    }

    /// Ends a turn.
    #[inline]
    pub fn end_turn(&mut self) {
        self.turn_spent = 0;
        self.turn_bound = REGEX_TURN_NS;
        self.passed = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Two clocks that a test sets. Everything runs on one thread, so any ordering is right.
    #[derive(Clone, Default)]
    struct ManualClock(Arc<[AtomicU64; 2]>);

    impl ManualClock {
        fn pass(&self, wall: u64, cpu: u64) {
            // Relaxed: read on this thread only.
            self.0[0].fetch_add(wall, Ordering::Relaxed);
            self.0[1].fetch_add(cpu, Ordering::Relaxed);
        }
    }

    impl Clock for ManualClock {
        fn wall_ns(&mut self) -> u64 {
            // Relaxed: written on this thread only.
            self.0[0].load(Ordering::Relaxed)
        }

        fn cpu_ns(&mut self) -> u64 {
            // Relaxed: written on this thread only.
            self.0[1].load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_share_of_the_wall_time_is_allowed_and_no_more() {
        let clock = ManualClock::default();
        let mut governor = Governor::new(Box::new(clock.clone()));
        let mut run = |busy: u64, idle: u64| {
            let mut lap = governor.start();
            clock.pass(busy, busy);
            governor.lap(&mut lap, 1);
            governor.end_turn();
            clock.pass(idle, 0);
            governor.is_over()
        };
        assert!((0..10_000).all(|_| !run(10_000, 40_000)), "a fifth");
        assert!((0..10_000).any(|_| run(20_000, 40_000)), "a third");
    }

    #[test]
    fn preemption_is_no_patterns_cost() {
        let clock = ManualClock::default();
        let mut governor = Governor::new(Box::new(clock.clone()));
        for _ in 0..8 {
            let mut lap = governor.start();
            clock.pass(4_000_000, 1_000);
            governor.lap(&mut lap, 1);
        }
        assert!(!governor.is_over());
        let mut lap = governor.start();
        clock.pass(4_000_000, 4_000_000);
        governor.lap(&mut lap, 1);
        assert!(governor.is_over(), "what follows a suspicious time is measured by the thread's own");
    }

    #[test]
    fn repeated_overruns_of_a_turn_stop_more() {
        let mut governor = Governor::new(Box::new(ManualClock::default()));
        let parts: Vec<u64> = (0..5).map(|_| governor.stop()).collect();
        assert_eq!(parts, [128, 192, 224, ALL, ALL]);
        governor.end_turn();
        assert_eq!(governor.stop(), 128);
    }
}
