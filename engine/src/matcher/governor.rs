//! How much of a shard's time the automata take, and when it is too much.
//!
//! Two bounds: a share of the wall time, over windows of [`REGEX_WINDOW_NS`], and a bound per turn that grows with its
//! records. Past either, whoever is most expensive has to stop at once. The bound of the turn is then extended by half
//! as much each time, so that the turn ends, however many there are to stop.

use crate::limits::{REGEX_RECORD_NS, REGEX_TURN_NS, REGEX_WINDOW_NS, REGEX_WINDOW_SPENT_NS};

/// Tells nanoseconds that never go back.
pub type Clock = Box<dyn FnMut() -> u64 + Send>;

/// The fourth time in one turn.
const PASSED_MAX: u32 = 4;

/// Everything, in the parts that [`Governor::stop`] tells.
pub const ALL: u64 = 256;

/// The account of the time.
pub struct Governor {
    clock: Clock,
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
    pub fn new(clock: Clock) -> Governor {
        Governor {
            clock,
            window_start: 0,
            window: 0,
            window_spent: 0,
            turn_spent: 0,
            turn_bound: REGEX_TURN_NS,
            passed: 0,
        }
    }

    /// The time.
    #[inline]
    pub fn now(&mut self) -> u64 {
        (self.clock)()
    }

    /// One more record was looked at.
    #[inline]
    pub fn saw_record(&mut self) {
        self.turn_bound += REGEX_RECORD_NS;
    }

    /// Counts `ns` that have ended `now`. Tells whether a bound is passed.
    pub fn spend(&mut self, now: u64, ns: u64) -> bool {
        if now - self.window_start.min(now) >= REGEX_WINDOW_NS {
            self.window_start = now;
            self.window_spent = 0;
            self.window += 1;
        }
        self.window_spent += ns;
        self.turn_spent += ns;
        self.window_spent > REGEX_WINDOW_SPENT_NS || self.turn_spent > self.turn_bound
    }

    /// Which window it is.
    pub fn window(&self) -> u64 {
        self.window
    }

    /// Whether so much is spent that it has to be known on whom.
    #[inline]
    pub fn is_close(&self) -> bool {
        self.window_spent > REGEX_WINDOW_SPENT_NS / 2 || self.turn_spent > self.turn_bound / 2
    }

    /// To be called where a bound is passed: tells which part of what was spent is to be stopped, in 256ths: half, then
    /// three quarters, then seven eighths, then all, each time in one turn.
    pub fn stop(&mut self) -> u64 {
        self.passed = (self.passed + 1).min(PASSED_MAX);
        self.turn_bound = self.turn_spent + (REGEX_TURN_NS >> self.passed);
        self.window_spent = self.window_spent.min(REGEX_WINDOW_SPENT_NS - (REGEX_WINDOW_SPENT_NS >> self.passed));
        if self.passed == PASSED_MAX { ALL } else { ALL - (ALL >> self.passed) }
    }

    /// A turn has ended.
    pub fn end_turn(&mut self) {
        self.turn_spent = 0;
        self.turn_bound = REGEX_TURN_NS;
        self.passed = 0;
    }
}
