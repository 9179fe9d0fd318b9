//! The log of slow commands, newest first: what SLOWLOG shows. Knows no command and no client.
//!
//! One log for all cores, behind a lock that only a slow command takes, and SLOWLOG.

use crate::limits::{SLOW_ARGUMENT_BYTES, SLOW_ARGUMENTS, SLOW_TIMED_ALL_BELOW_US};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A slow command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowCommand {
    /// Its number: larger than those before.
    pub id: u64,
    /// When it ended, Unix seconds.
    pub at_s: u64,
    /// How long it took, microseconds.
    pub took_us: u64,
    /// Its arguments, cut.
    pub args: Vec<Vec<u8>>,
    /// The client's address.
    pub address: String,
    /// The client's name.
    pub name: Vec<u8>,
}

/// The log, with its settings.
#[derive(Debug)]
pub struct SlowLog {
    /// From how many microseconds on a command is slow; none is if it is negative.
    threshold_us: AtomicI64,
    /// How many are kept.
    max: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    next_id: u64,
    /// The newest first.
    commands: VecDeque<SlowCommand>,
}

impl SlowLog {
    /// An empty log.
    pub fn new(threshold_us: i64, max: u64) -> SlowLog {
        SlowLog { threshold_us: AtomicI64::new(threshold_us), max: AtomicU64::new(max), kept: Mutex::default() }
    }

    /// From how many microseconds on a command is slow; none is if it is negative.
    #[inline]
    pub fn threshold_us(&self) -> i64 {
        // Relaxed, here and below: a number by itself.
        self.threshold_us.load(Ordering::Relaxed)
    }

    /// Changes that.
    pub fn set_threshold_us(&self, threshold_us: i64) {
        // Relaxed: as above.
        self.threshold_us.store(threshold_us, Ordering::Relaxed);
    }

    /// How many are kept.
    pub fn max(&self) -> u64 {
        // Relaxed: as above.
        self.max.load(Ordering::Relaxed)
    }

    /// Changes that. As in Redis, what is too many goes with the next slow command.
    pub fn set_max(&self, max: u64) {
        // Relaxed: as above.
        self.max.store(max, Ordering::Relaxed);
    }

    /// Whether so little is slow that every command is to be timed by itself.
    #[inline]
    pub fn times_all(&self) -> bool {
        (0..SLOW_TIMED_ALL_BELOW_US).contains(&self.threshold_us())
    }

    /// Whether a command that took so long is slow.
    #[inline]
    pub fn is_slow(&self, took: Duration) -> bool {
        let threshold_us = self.threshold_us();
        threshold_us >= 0 && took.as_micros() >= threshold_us as u128
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a command, and numbers it.
    pub fn add(&self, command: SlowCommand) {
        let (mut kept, max) = (self.lock(), self.max());
        let id = kept.next_id;
        kept.next_id += 1;
        kept.commands.push_front(SlowCommand { id, ..command });
        kept.commands.truncate(usize::try_from(max).unwrap_or(usize::MAX));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().commands.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all of them.
    pub fn clear(&self) {
        self.lock().commands.clear();
    }

    /// The newest ones.
    pub fn newest(&self, count: usize) -> Vec<SlowCommand> {
        self.lock().commands.iter().take(count).cloned().collect()
    }
}

/// The arguments of a command as the log keeps them: the first ones, and the beginning of long ones, as in Redis.
pub fn cut_arguments<'a>(count: usize, argument: impl Fn(usize) -> Cow<'a, [u8]>) -> Vec<Vec<u8>> {
    let shown = if count > SLOW_ARGUMENTS { SLOW_ARGUMENTS - 1 } else { count };
    let cut = |place| {
        let whole = argument(place);
        match whole.len().checked_sub(SLOW_ARGUMENT_BYTES) {
            None | Some(0) => whole.into_owned(),
            Some(more) => {
                let end = format!("... ({more} more bytes)");
                [&whole[..SLOW_ARGUMENT_BYTES], end.as_bytes()].concat()
            }
        }
    };
    let more = (shown < count).then(|| format!("... ({} more arguments)", count - shown).into_bytes());
    (0..shown).map(cut).chain(more).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_with_growing_numbers() {
        let log = SlowLog::new(10, 3);
        let command = |took_us| SlowCommand {
            id: 0,
            at_s: 1,
            took_us,
            args: Vec::new(),
            address: String::new(),
            name: Vec::new(),
        };
        (0..5).for_each(|took_us| log.add(command(took_us)));
        let rows = |log: &SlowLog, count| log.newest(count).iter().map(|one| (one.id, one.took_us)).collect::<Vec<_>>();
        assert_eq!((rows(&log, 2), log.len()), (vec![(4, 4), (3, 3)], 3));
        log.clear();
        log.add(command(9));
        assert_eq!(rows(&log, 10), [(5, 9)]);
        log.set_max(0);
        log.add(command(9));
        assert!(log.is_empty());
        assert!(log.is_slow(Duration::from_micros(10)) && !log.is_slow(Duration::from_nanos(9_999)) && log.times_all());
        log.set_threshold_us(-1);
        assert!(!log.is_slow(Duration::MAX) && !log.times_all());
    }

    #[test]
    fn arguments_are_cut_as_in_redis() {
        let long = "x".repeat(130);
        let cut = |args: &[&str]| {
            let args = cut_arguments(args.len(), |place| args[place].as_bytes().into());
            args.into_iter().map(|arg| String::from_utf8(arg).expect("only text")).collect::<Vec<_>>()
        };
        assert_eq!(cut(&["a", &long]), ["a".to_owned(), format!("{}... (2 more bytes)", &long[..128])]);
        assert_eq!(cut(&["a"; 32]).len(), 32);
        let many = cut(&["a"; 40]);
        assert_eq!((many.len(), &*many[31]), (32, "... (9 more arguments)"));
    }
}
