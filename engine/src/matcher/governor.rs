//! How much of a shard's time the automata take, and when it is too much.
//!
//! Two bounds: a share of the wall time, over windows of [`REGEX_WINDOW_NS`], and a bound per turn that grows with its
//! records. Past either, whoever is most expensive has to stop at once. The bound of the turn is then extended, each time
//! by half as much, so that the turn ends, however many there are to stop.
//!
//! The wall clock is cheap to read, and wrong when the thread is taken off its core. So a time that is suspiciously long
//! counts little, and for a while the thread's own time is measured beside it.

use crate::clock::{monotonic_ns, thread_cpu_ns};
use crate::limits::{REGEX_RECORD_NS, REGEX_SUSPECT_NS, REGEX_TURN_NS, REGEX_WINDOW_NS, REGEX_WINDOW_SPENT_NS};

/// What tells the time, in nanoseconds that never go back.
pub trait Clock: Send {
    /// On the wall.
    fn wall_ns(&mut self) -> u64;
    /// For which this thread has run. Dear.
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

/// After a suspicious time so many more are measured by the thread's own time.
const CAREFUL: u32 = 32;

/// The fourth time in one turn.
const PASSED_MAX: u32 = 4;

/// Everything, in the parts that [`Governor::stop`] tells.
pub const ALL: u64 = 256;

/// A time that is being measured.
#[derive(Clone, Copy)]
pub struct Lap {
    wall: u64,
    cpu: Option<u64>,
}

/// What somebody has cost in the last window that it ran in, and in those before, halved with each.
#[derive(Clone, Copy, Default)]
pub struct Spent {
    ns: u64,
    window: u64,
}

impl Spent {
    /// Adds to it.
    pub fn add(&mut self, ns: u64, window: u64) {
        *self = Spent { ns: self.at(window) + ns, window };
    }

    /// What it comes to in this window, in nanoseconds.
    pub fn at(self, window: u64) -> u64 {
        self.ns >> (window - self.window).min(63)
    }
}

/// The account of the time.
pub struct Governor {
    clock: Box<dyn Clock>,
    careful: u32,
    window_start: u64,
    /// How many windows there have been.
    window: u64,
    window_spent: u64,
    turn_spent: u64,
    turn_bound: u64,
    /// How often the bound was passed in this turn.
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

    /// Begins to measure.
    #[inline]
    pub fn start(&mut self) -> Lap {
        Lap { wall: self.clock.wall_ns(), cpu: (self.careful > 0).then(|| self.clock.cpu_ns()) }
    }

    /// Counts the time since `lap`, which is of one in `times` of its kind, and begins to measure anew. Tells it, in
    /// nanoseconds.
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

    /// As [`Governor::lap`], for what ran for the first times and built up what it runs on. That counts an eighth, up to
    /// what is suspicious: it does not come again.
    pub fn cold_lap(&mut self, lap: &mut Lap) -> u64 {
        let (window, turn) = (self.window_spent, self.turn_spent);
        let ns = self.lap(lap, 1);
        let counted = if ns > REGEX_SUSPECT_NS { ns } else { ns / 8 };
        self.window_spent = self.window_spent.min(window + counted);
        self.turn_spent = turn + counted;
        counted
    }

    /// One more record was looked at.
    #[inline]
    pub fn saw_record(&mut self) {
        self.turn_bound += REGEX_RECORD_NS;
    }

    /// Which window it is.
    pub fn window(&self) -> u64 {
        self.window
    }

    /// Whether a bound is passed.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.window_spent > REGEX_WINDOW_SPENT_NS || self.turn_spent > self.turn_bound
    }

    /// Whether so much is spent that it has to be known on whom.
    #[inline]
    pub fn is_close(&self) -> bool {
        self.window_spent > REGEX_WINDOW_SPENT_NS / 4 * 3 || self.turn_spent > self.turn_bound / 2
    }

    /// To be called where a bound is passed: tells which part of what was spent is to be stopped, in parts of [`ALL`]:
    /// half, then three quarters, then seven eighths, then all, each time in one turn.
    pub fn stop(&mut self) -> u64 {
        self.passed = (self.passed + 1).min(PASSED_MAX);
        self.turn_bound = self.turn_spent + (REGEX_TURN_NS >> self.passed);
        self.window_spent = self.window_spent.min(REGEX_WINDOW_SPENT_NS - (REGEX_WINDOW_SPENT_NS >> self.passed));
        if self.passed == PASSED_MAX { ALL } else { ALL - (ALL >> self.passed) }
    }

    /// A turn has ended.
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

    /// Two clocks that a test sets. Everything is on one thread, so that any ordering does.
    #[derive(Clone, Default)]
    struct Set(Arc<[AtomicU64; 2]>);

    impl Set {
        fn pass(&self, wall: u64, cpu: u64) {
            // Relaxed: read on this thread only.
            self.0[0].fetch_add(wall, Ordering::Relaxed);
            self.0[1].fetch_add(cpu, Ordering::Relaxed);
        }
    }

    impl Clock for Set {
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
        let clock = Set::default();
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
    fn the_core_given_to_others_is_nobodys_cost() {
        let clock = Set::default();
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
    fn the_more_often_a_turn_is_too_long_the_more_is_stopped() {
        let mut governor = Governor::new(Box::new(Set::default()));
        let parts: Vec<u64> = (0..5).map(|_| governor.stop()).collect();
        assert_eq!(parts, [128, 192, 224, ALL, ALL]);
        governor.end_turn();
        assert_eq!(governor.stop(), 128);
    }
}
