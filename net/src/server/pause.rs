//! CLIENT PAUSE: until when no commands run, or none that may write, on any core.

use std::sync::atomic::{AtomicU64, Ordering};

/// A pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// When it ends, steady milliseconds.
    pub until_ms: u64,
    /// Whether no command runs; if not, none that may write.
    pub is_of_all: bool,
}

/// The pause, for all cores: its end and its kind in a word.
#[derive(Debug, Default)]
pub struct SharedPause(AtomicU64);

impl SharedPause {
    /// The word: 0 without a pause. It changes with every change of the pause.
    #[inline]
    pub fn word(&self) -> u64 {
        // Relaxed: a value by itself. Who was told of a pause has its commands taken up by a core that looks after that.
        self.0.load(Ordering::Relaxed)
    }

    /// The pause, if there is one that is not over.
    #[inline]
    pub fn get(&self, now_ms: u64) -> Option<Pause> {
        match self.word() {
            0 => None,
            word => {
                Some(Pause { until_ms: word >> 1, is_of_all: word & 1 == 1 }).filter(|pause| pause.until_ms > now_ms)
            }
        }
    }

    /// The same; one that is over is forgotten, so that commands do not look at it any more.
    pub fn look(&self, now_ms: u64) -> Option<Pause> {
        let (word, pause) = (self.word(), self.get(now_ms));
        if pause.is_none() && word != 0 {
            // Relaxed, both: as above. One that has just begun stays.
            let _ = self.0.compare_exchange(word, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
        pause
    }

    /// Begins a pause. One that is not over is not made shorter, nor of fewer commands.
    pub fn begin(&self, pause: Pause, now_ms: u64) {
        let before = self.get(now_ms);
        let until_ms = before.map_or(0, |before| before.until_ms).max(pause.until_ms).min(u64::MAX >> 1);
        let is_of_all = pause.is_of_all || before.is_some_and(|before| before.is_of_all);
        // Relaxed: as above. Of two that begin at the same moment either may win.
        self.0.store(until_ms << 1 | u64::from(is_of_all), Ordering::Relaxed);
    }

    /// Ends it.
    pub fn end(&self) {
        // Relaxed: as above.
        self.0.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_not_shortened_by_another() {
        let (shared, pause) = (SharedPause::default(), |until_ms, is_of_all| Pause { until_ms, is_of_all });
        assert_eq!(shared.get(0), None);
        shared.begin(pause(100, false), 10);
        shared.begin(pause(50, true), 10);
        assert_eq!((shared.get(99), shared.get(100)), (Some(pause(100, true)), None));
        assert_eq!((shared.look(99), shared.word()), (Some(pause(100, true)), 100 << 1 | 1));
        assert_eq!((shared.look(100), shared.word()), (None, 0));
        shared.begin(pause(150, false), 120);
        assert_eq!(shared.get(120), Some(pause(150, false)));
        shared.begin(pause(u64::MAX, false), 120);
        assert_eq!(shared.get(120), Some(pause(u64::MAX >> 1, false)));
        shared.end();
        assert_eq!(shared.get(0), None);
    }
}
