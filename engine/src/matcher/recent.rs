//! A small sample of recent names, by which grams are chosen and groups are tried.

use crate::limits::{RECENT_NAME_BYTES_MAX, RECENT_NAMES};

/// A sample of recent names.
pub struct RecentNames {
    names: Vec<Box<[u8]>>,
    next: usize,
    skip: u32,
    /// How often each byte occurs in these names.
    bytes: [u32; 256],
}

impl Default for RecentNames {
    fn default() -> RecentNames {
        RecentNames { names: Vec::new(), next: 0, skip: 0, bytes: [0; 256] }
    }
}

impl RecentNames {
    /// Once the sample is full, one name in this many replaces the oldest.
    const EVERY: u32 = 61;

    /// Offers a name, which is sampled now and then.
    #[inline]
    pub fn offer(&mut self, name: &[u8]) {
        match self.skip {
            0 => self.take(name),
            _ => self.skip -= 1,
        }
    }

    #[cold]
    fn take(&mut self, name: &[u8]) {
        if name.len() > RECENT_NAME_BYTES_MAX {
            return;
        }
        name.iter().for_each(|&byte| self.bytes[usize::from(byte)] += 1);
        if self.names.len() < RECENT_NAMES {
            self.names.push(name.into());
        } else {
            let old = std::mem::replace(&mut self.names[self.next], name.into());
            old.iter().for_each(|&byte| self.bytes[usize::from(byte)] -= 1);
            self.next = (self.next + 1) % RECENT_NAMES;
            self.skip = RecentNames::EVERY;
        }
    }

    /// In about how many of 256 names these bytes occur in a row; 0 if nothing is known.
    pub fn frequency(&self, bytes: &[u8]) -> u64 {
        let (mut looked_at, mut met) = (0, 0);
        for name in self.names.iter().step_by(4) {
            looked_at += 1;
            met += u64::from(memchr::memmem::find(name, bytes).is_some());
        }
        if looked_at == 0 {
            return 0;
        }
        // A string that is in none of a few names may still be in some: the rarity of its bytes is the better guess.
        let all = u64::from(self.bytes.iter().sum::<u32>()).max(1);
        let expected = bytes.iter().fold((all / self.names.len() as u64) << 8, |expected, &byte| {
            expected * u64::from(self.bytes[usize::from(byte)]) / all
        });
        (met << 8).max(expected.min(1 << 8)) / looked_at.min(if met == 0 { 1 } else { looked_at })
    }

    /// All sampled names.
    pub fn all(&self) -> Vec<Box<[u8]>> {
        self.names.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_strings_are_frequent_and_rare_bytes_are_not() {
        let mut recent = RecentNames::default();
        assert_eq!(recent.frequency(b"key"), 0);
        (0..5_000u32).for_each(|n| recent.offer(format!("key:{:05}", n * 7919 % 100_000).as_bytes()));
        assert_eq!(recent.frequency(b"key"), 256);
        assert_eq!(recent.frequency(b"use"), 0);
        let digits = recent.frequency(b"17");
        assert!(0 < digits && digits < 64, "{digits}");
        assert_eq!(recent.all().len(), RECENT_NAMES);
    }
}
