//! Whether to probe the memo first, before the candidates are known: a probe costs about as much as finding that there
//! is nothing to run, and saves running what there is. Whether names recur is only known after a trial.
//!
//! No constant is as good. Processor time per name with the regexes of `bench/regexes.txt`, ns, typical of two or three runs:
//!
//! | names | this | always first | never first |
//! |---|---|---|---|
//! | 20,000, at random | 70 | 67 | 93 |
//! | 1,000,000, at random | 125 | 188 | 117 |

use crate::limits::MEMO_SLOTS;

/// The length of a trial in names: as many as the memo holds.
const TRIAL_NAMES: u64 = MEMO_SLOTS as u64;

/// After a failed trial, the names until the next one.
const REST_NAMES: u64 = 16 * TRIAL_NAMES;

/// Counts since the last review, and the decision that follows from them.
#[derive(Default)]
pub struct MemoUse {
    /// Names that were matched.
    pub names: u32,
    /// Names for which the memo had a complete answer.
    pub recalled: u32,
    /// The work that the others needed, in patterns run.
    pub work: u32,
    /// Names left until the trial, or the rest after it, is over.
    left: u64,
    probes_first: bool,
}

impl MemoUse {
    /// Whether to probe the memo first.
    #[inline]
    pub fn probes_first(&self) -> bool {
        self.probes_first
    }

    /// Decides for the next names, and restarts the counts.
    pub fn review(&mut self) {
        let names = u64::from(self.names);
        self.left = self.left.saturating_sub(names);
        if self.left == 0 {
            if !self.probes_first && u64::from(self.work) * 4 > names {
                (self.probes_first, self.left) = (true, TRIAL_NAMES);
            } else if self.probes_first && u64::from(self.recalled) * 2 < names {
                (self.probes_first, self.left) = (false, REST_NAMES);
            }
        }
        (self.names, self.recalled, self.work) = (0, 0, 0);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn after(memo_use: &mut MemoUse, names: u64, recalled: u64, work: u64) -> bool {
        const STEP: u64 = 8 << 10;
        for _ in 0..names / STEP {
            let part = |of: u64| (of * STEP / names) as u32;
            (memo_use.names, memo_use.recalled, memo_use.work) = (STEP as u32, part(recalled), part(work));
            memo_use.review();
        }
        memo_use.probes_first()
    }

    #[test]
    fn with_little_work_the_memo_is_never_probed_first() {
        assert!(!after(&mut MemoUse::default(), 4 * TRIAL_NAMES, 0, TRIAL_NAMES / 2));
    }

    #[test]
    fn probing_first_continues_while_names_recur_and_else_rests_long() {
        let mut memo_use = MemoUse::default();
        assert!(after(&mut memo_use, 8 << 10, 0, 4 << 10));
        // Names have to come before they can recur.
        assert!(after(&mut memo_use, TRIAL_NAMES - (8 << 10), 0, TRIAL_NAMES));
        assert!(after(&mut memo_use, 4 * TRIAL_NAMES, 3 * TRIAL_NAMES, 0));
        assert!(!after(&mut memo_use, 8 << 10, 0, 8 << 10));
        assert!(!after(&mut memo_use, REST_NAMES - (8 << 10), 0, REST_NAMES));
        assert!(after(&mut memo_use, 8 << 10, 0, 8 << 10), "tried again");
    }
}
