//! S3-FIFO over the order of the table, with a share of probation that adapts.
//!
//! A key that comes is on probation, unless it was evicted from there lately. The oldest on probation is evicted if it
//! was not used meanwhile, else it is one of the others. While those on probation have no more than their share, a
//! hand goes over the others and evicts what was not used since it came by. A key that comes again soon after its
//! eviction was evicted too early: the share moves towards the side from which it was.

use super::ghosts::{Ghosts, Whence};
use super::probation::Probation;

/// The most uses that count.
pub(super) const USES_MAX: u8 = 3;

const SHARE_FIRST: f64 = 0.1;
const SHARE_MIN: f64 = 0.02;
const SHARE_MAX: f64 = 0.9;

/// The ring has at most so many times the keys, and this many more: keys that are deleted leave their hashes in it.
const RING_KEYS: usize = 2;
const RING_MORE: usize = 4096;

/// How many uses a key of this size is worth less: large ones have to be used more often.
pub(super) fn size_class(bytes: u64, mean_bytes: u64) -> u8 {
    match bytes {
        _ if bytes > mean_bytes.saturating_mul(8) => 4,
        _ if bytes > mean_bytes.saturating_mul(2) => 2,
        _ => 1,
    }
}

/// See the description of this file.
#[derive(Debug)]
pub(super) struct S3Fifo {
    ring: Probation,
    ghosts: Ghosts,
    /// The part of the memory that keys on probation may have.
    share: f64,
    /// The keys that came again in the generation in which they were evicted.
    regretted: u64,
}

impl Default for S3Fifo {
    fn default() -> S3Fifo {
        S3Fifo { ring: Probation::default(), ghosts: Ghosts::default(), share: SHARE_FIRST, regretted: 0 }
    }
}

impl S3Fifo {
    pub fn bytes(&self) -> usize {
        self.ring.bytes() + self.ghosts.bytes()
    }

    pub fn clear(&mut self) {
        (self.ring, self.ghosts) = Default::default();
    }

    pub fn is_ring_empty(&self) -> bool {
        self.ring.len() == 0
    }

    pub fn take_regretted(&mut self) -> u64 {
        std::mem::take(&mut self.regretted)
    }

    /// Takes a key that comes; returns whether it is on probation. Of keys there are so many.
    pub fn add(&mut self, hash: u64, keys: usize) -> bool {
        let ghost = self.ghosts.recall(hash);
        if let Some((whence, true)) = ghost {
            self.regretted += 1;
            let step = 1.0 / keys.max(1) as f64;
            let step = if whence == Whence::Probation { step } else { -step };
            self.share = (self.share + step).clamp(SHARE_MIN, SHARE_MAX);
        }
        if matches!(ghost, Some((Whence::Probation, _))) {
            return false;
        }
        self.ring.push((hash >> 32) as u32);
        true
    }

    /// The hash of the oldest key on probation, if it is its turn: those on probation have more than their share, or the
    /// ring has too many hashes of keys that are no longer.
    pub fn next(&mut self, probation_bytes: u64, used_bytes: u64) -> Option<u32> {
        (probation_bytes as f64 > self.share * used_bytes as f64).then(|| self.ring.pop())?
    }

    /// The hash of the oldest key on probation.
    pub fn oldest(&mut self) -> Option<u32> {
        self.ring.pop()
    }

    /// A hash that has to leave the ring, if that has too many.
    pub fn excess(&mut self, keys: usize) -> Option<u32> {
        (self.ring.len() > keys * RING_KEYS + RING_MORE).then(|| self.ring.pop())?
    }

    /// Notes that a key was evicted, from probation or not. Of keys there are so many.
    pub fn note_evicted(&mut self, hash: u64, from_probation: bool, keys: usize) {
        self.ghosts.remember(hash, if from_probation { Whence::Probation } else { Whence::Main }, keys);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_comes_again_is_trusted_and_moves_the_share() {
        let mut s3fifo = S3Fifo::default();
        assert!(s3fifo.add(1 << 40, 100) && s3fifo.add(2 << 40, 100));
        assert_eq!(s3fifo.next(11, 100), Some(1 << 8));
        assert_eq!(s3fifo.next(9, 100), None, "probation has no more than its share");
        s3fifo.note_evicted(1 << 40, true, 100);
        assert!(!s3fifo.add(1 << 40, 100), "it was evicted from probation too early");
        assert!((s3fifo.share - 0.11).abs() < 1e-9 && s3fifo.take_regretted() == 1);
        s3fifo.note_evicted(3 << 40, false, 100);
        assert!(s3fifo.add(3 << 40, 100), "it was not on probation");
        assert!((s3fifo.share - 0.10).abs() < 1e-9);
    }

    #[test]
    fn hashes_of_deleted_keys_leave_the_ring() {
        let mut s3fifo = S3Fifo::default();
        for n in 0..100_000u64 {
            s3fifo.add(n << 32, 10);
            s3fifo.excess(10);
        }
        assert!(s3fifo.ring.len() <= RING_MORE + 20);
    }

    #[test]
    fn large_keys_have_to_be_used_more_often() {
        assert_eq!([100, 201, 801].map(|bytes| size_class(bytes, 100)), [1, 2, 4]);
    }
}
