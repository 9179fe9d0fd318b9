//! How much of a turn goes to subscriptions that read the history: a share of what the turn's other work took, so that
//! those who write keep theirs however many read. What one slice takes too much is taken off the next turns.

use crate::limits::{CATCH_UP_PART, DEMOTED_PART, READING_IDLE_NS, READING_SAVED_NS_MAX};
use keytide_engine::subscription::Reading;
use std::time::Instant;

/// The account of one core.
#[derive(Default)]
pub struct ReadingTime {
    catch_up: Account,
    demoted: Account,
    /// Whose slice is under way, since when.
    under_way: Option<(Reading, Instant)>,
}

/// What may still be spent, in nanoseconds; below 0 where a slice took more than there was.
#[derive(Default)]
struct Account(i64);

impl Account {
    fn add(&mut self, ns: u64) {
        self.0 = (self.0 + ns as i64).min(READING_SAVED_NS_MAX);
    }

    fn spend(&mut self, ns: u64) {
        self.0 -= ns as i64;
    }
}

impl ReadingTime {
    /// The turn, which has begun at `started`, has done its other work, if there was any.
    pub fn begin(&mut self, started: Instant, worked: bool) {
        let elapsed = started.elapsed().as_nanos() as u64;
        if worked {
            self.catch_up.add(elapsed / CATCH_UP_PART);
            self.demoted.add(elapsed / DEMOTED_PART);
        } else {
            // Nobody waits; but what comes in is to be seen soon.
            for account in [&mut self.catch_up, &mut self.demoted] {
                account.0 = READING_IDLE_NS;
            }
        }
    }

    /// Whether there is time for another slice, which then begins.
    pub fn allows(&mut self, reading: Reading) -> bool {
        let now = Instant::now();
        self.settle(now);
        let account = match reading {
            Reading::CatchUp => &self.catch_up,
            Reading::Demoted => &self.demoted,
        };
        let allows = account.0 > 0;
        self.under_way = allows.then_some((reading, now));
        allows
    }

    /// The turn's reading is over.
    pub fn end(&mut self) {
        if self.under_way.is_some() {
            self.settle(Instant::now());
        }
    }

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
    fn what_a_slice_takes_too_much_is_taken_off_the_next_turns() {
        let mut time = ReadingTime::default();
        time.demoted.add(100);
        assert!(time.allows(Reading::Demoted));
        // A slice is never shorter than the clock can tell.
        std::thread::sleep(std::time::Duration::from_micros(50));
        assert!(!time.allows(Reading::Demoted));
        let debt = time.demoted.0;
        assert!(debt < -40_000, "{debt}");
        time.begin(Instant::now(), true);
        assert!(!time.allows(Reading::Demoted), "one short turn does not pay it");
        time.begin(Instant::now(), false);
        assert!(time.allows(Reading::Demoted), "nobody waits in a turn without other work");
    }

    #[test]
    fn nobody_saves_up_for_long() {
        let mut account = Account::default();
        (0..1_000).for_each(|_| account.add(1_000_000));
        assert_eq!(account.0, READING_SAVED_NS_MAX);
    }
}
