//! The time of a turn for subscriptions that read the history: a share of the time that the turn's other work took. So
//! commands keep their part of the core, however many subscriptions read. A slice that exceeds the budget is paid back by
//! the next turns.

use crate::limits::{CATCH_UP_PART, DEMOTED_PART, READING_IDLE_NS, READING_SAVED_NS_MAX};
use keytide_engine::subscription::Reading;
use std::time::Instant;

/// The time budgets of one core.
#[derive(Default)]
pub struct ReadingTime {
    /// For subscriptions that catch up.
    catch_up: Budget,
    /// For demoted subscriptions, which always read the history.
    demoted: Budget,
    /// The slice under way, and its start.
    under_way: Option<(Reading, Instant)>,
}

/// The time left, in nanoseconds; negative after a slice that took longer than the time left.
#[derive(Default)]
struct Budget(i64);

impl Budget {
    fn add(&mut self, ns: u64) {
        self.0 = (self.0 + ns as i64).min(READING_SAVED_NS_MAX);
    }

    fn spend(&mut self, ns: u64) {
        self.0 -= ns as i64;
    }
}

impl ReadingTime {
    /// Adds this turn's share. The turn began at `started` and has done its other work; `worked` says whether it had any.
    pub fn begin(&mut self, started: Instant, worked: bool) {
        let elapsed = started.elapsed().as_nanos() as u64;
        if worked {
            self.catch_up.add(elapsed / CATCH_UP_PART);
            self.demoted.add(elapsed / DEMOTED_PART);
        } else {
            // No command waits. The budget is small all the same, so that new commands are seen soon.
            for budget in [&mut self.catch_up, &mut self.demoted] {
                budget.0 = READING_IDLE_NS;
            }
        }
    }

    /// Whether the budget allows another slice. If so, the slice begins now.
    pub fn allows(&mut self, reading: Reading) -> bool {
        let now = Instant::now();
        self.settle(now);
        let budget = match reading {
            Reading::CatchUp => &self.catch_up,
            Reading::Demoted => &self.demoted,
        };
        let allows = budget.0 > 0;
        self.under_way = allows.then_some((reading, now));
        allows
    }

    /// Ends the turn's reading, and charges the slice under way.
    pub fn end(&mut self) {
        if self.under_way.is_some() {
            self.settle(Instant::now());
        }
    }

    /// Charges the slice under way to its budget.
    fn settle(&mut self, now: Instant) {
        if let Some((reading, since)) = self.under_way.take() {
            let ns = (now - since).as_nanos() as u64;
            match reading {
                Reading::CatchUp => self.catch_up.spend(ns),
                Reading::Demoted => self.demoted.spend(ns),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_turns_pay_for_a_slice_that_exceeds_the_budget() {
        let mut time = ReadingTime::default();
        time.demoted.add(100);
        assert!(time.allows(Reading::Demoted));
        // Long enough for the clock to measure.
        std::thread::sleep(std::time::Duration::from_micros(50));
        assert!(!time.allows(Reading::Demoted));
        let debt = time.demoted.0;
        assert!(debt < -40_000, "{debt}");
        time.begin(Instant::now(), true);
        assert!(!time.allows(Reading::Demoted), "one short turn does not pay the debt");
        time.begin(Instant::now(), false);
        assert!(time.allows(Reading::Demoted), "no command waits in a turn without other work");
    }

    #[test]
    fn unused_time_is_saved_up_to_a_limit() {
        let mut budget = Budget::default();
        (0..1_000).for_each(|_| budget.add(1_000_000));
        assert_eq!(budget.0, READING_SAVED_NS_MAX);
    }
}
