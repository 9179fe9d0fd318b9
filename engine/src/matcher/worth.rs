//! Whether what was found for names before is looked up before all else: that costs about as much as seeing that there
//! is nothing to run, and saves running what there is. Whether names come again is only known once it was tried.

use crate::limits::MEMO_SLOTS;

/// It is tried for so many names: as many as are kept at the most.
const TRIAL_NAMES: u64 = MEMO_SLOTS as u64;

/// Where it was not worth it, it is tried again after so many names.
const REST_NAMES: u64 = 16 * TRIAL_NAMES;

/// What happened at one place since it was looked through, and what follows.
#[derive(Default)]
pub struct Worth {
    /// Names that were looked at.
    pub names: u32,
    /// For how many of them what was found before was enough.
    pub recalled: u32,
    /// How much there was to run for the others.
    pub work: u32,
    /// How many more names it is tried for, or not tried.
    left: u64,
    is_first: bool,
}

impl Worth {
    /// Whether it is looked up first.
    #[inline]
    pub fn is_first(&self) -> bool {
        self.is_first
    }

    /// Decides for the next names, and begins to count anew.
    pub fn review(&mut self) {
        let names = u64::from(self.names);
        self.left = self.left.saturating_sub(names);
        if self.left == 0 {
            if !self.is_first && u64::from(self.work) * 4 > names {
                (self.is_first, self.left) = (true, TRIAL_NAMES);
            } else if self.is_first && u64::from(self.recalled) * 2 < names {
                (self.is_first, self.left) = (false, REST_NAMES);
            }
        }
        (self.names, self.recalled, self.work) = (0, 0, 0);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn after(worth: &mut Worth, names: u64, recalled: u64, work: u64) -> bool {
        const STEP: u64 = 8 << 10;
        for _ in 0..names / STEP {
            let part = |of: u64| (of * STEP / names) as u32;
            (worth.names, worth.recalled, worth.work) = (STEP as u32, part(recalled), part(work));
            worth.review();
        }
        worth.is_first()
    }

    #[test]
    fn little_to_run_is_never_looked_up_first() {
        assert!(!after(&mut Worth::default(), 4 * TRIAL_NAMES, 0, TRIAL_NAMES / 2));
    }

    #[test]
    fn it_is_kept_up_while_names_come_again_and_else_left_alone_for_long() {
        let mut worth = Worth::default();
        assert!(after(&mut worth, 8 << 10, 0, 4 << 10));
        // Names have to come before they can come again.
        assert!(after(&mut worth, TRIAL_NAMES - (8 << 10), 0, TRIAL_NAMES));
        assert!(after(&mut worth, 4 * TRIAL_NAMES, 3 * TRIAL_NAMES, 0));
        assert!(!after(&mut worth, 8 << 10, 0, 8 << 10));
        assert!(!after(&mut worth, REST_NAMES - (8 << 10), 0, REST_NAMES));
        assert!(after(&mut worth, 8 << 10, 0, 8 << 10), "tried again");
    }
}
