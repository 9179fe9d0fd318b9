//! Which names certainly begin with none of many prefixes: a bit for the hash of each prefix, probed for the name's
//! beginning at each length that prefixes have. Prefixes that name entities have few lengths, and most names match none
//! of them: such a name costs a hash per length, and the tree is not walked.

use foldhash::fast::RandomState;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::hash::BuildHasher;

/// With more distinct lengths than this the tree is as fast.
const LENGTHS_MAX: usize = 6;

/// The longest prefix that is hashed, in bytes.
const LENGTH_MAX: usize = 64;

/// Bits per prefix: one unwanted name in sixteen passes.
const BITS_PER_PREFIX: usize = 16;

/// The hashes of a set of prefixes.
pub struct PrefixBloom {
    state: RandomState,
    /// The number of prefixes of each length; at 0 those that are empty or longer than [`LENGTH_MAX`].
    by_length: [u32; LENGTH_MAX + 1],
    lengths: SmallVec<[u8; LENGTHS_MAX]>,
    /// The number of prefixes with each hash.
    hashes: HashMap<u64, u32, RandomState>,
    /// A bit for each hash, and for some removed ones; a power of two of bits, 64 in each word.
    bits: Vec<u64>,
    /// The number of removed hashes whose bits are still set.
    stale: usize,
}

impl PrefixBloom {
    /// No prefixes.
    pub fn new() -> PrefixBloom {
        PrefixBloom {
            state: RandomState::default(),
            by_length: [0; LENGTH_MAX + 1],
            lengths: SmallVec::new(),
            hashes: HashMap::default(),
            bits: vec![0; 4],
            stale: 0,
        }
    }

    /// Whether a name may begin with one of the prefixes.
    #[inline]
    pub fn may_match(&self, name: &[u8]) -> bool {
        if self.by_length[0] > 0 || self.lengths.len() > LENGTHS_MAX {
            return true;
        }
        let mut lengths = self.lengths.iter().map_while(|&length| name.get(..usize::from(length)));
        lengths.any(|beginning| self.has(self.state.hash_one(beginning)))
    }

    #[inline]
    fn has(&self, hash: u64) -> bool {
        let place = hash as usize & (self.bits.len() * 64 - 1);
        self.bits[place / 64] >> (place % 64) & 1 == 1
    }

    fn set(&mut self, hash: u64) {
        let place = hash as usize & (self.bits.len() * 64 - 1);
        self.bits[place / 64] |= 1 << (place % 64);
    }

    /// Adds a prefix.
    pub fn insert(&mut self, prefix: &[u8]) {
        let length = length_of(prefix);
        self.by_length[length] += 1;
        if length == 0 {
            return;
        }
        if self.by_length[length] == 1 {
            let place = self.lengths.partition_point(|one| usize::from(*one) < length);
            self.lengths.insert(place, length as u8);
        }
        let hash = self.state.hash_one(prefix);
        *self.hashes.entry(hash).or_insert(0) += 1;
        if (self.hashes.len() + self.stale) * BITS_PER_PREFIX > self.bits.len() * 64 {
            self.renew();
        } else {
            self.set(hash);
        }
    }

    /// Removes a prefix that was added.
    pub fn remove(&mut self, prefix: &[u8]) {
        let length = length_of(prefix);
        self.by_length[length] -= 1;
        if length == 0 {
            return;
        }
        if self.by_length[length] == 0 {
            self.lengths.retain(|one| usize::from(*one) != length);
        }
        let hash = self.state.hash_one(prefix);
        let Some(count) = self.hashes.get_mut(&hash) else { return };
        *count -= 1;
        if *count == 0 {
            self.hashes.remove(&hash);
            self.stale += 1;
            if self.hashes.is_empty() {
                self.renew();
            }
        }
    }

    /// Rebuilds the bits, sized for the hashes. Some microseconds for a thousand, and the rarer the more there are.
    fn renew(&mut self) {
        let words = (self.hashes.len() * BITS_PER_PREFIX * 2).next_power_of_two() / 64;
        self.bits = vec![0; words.max(4)];
        self.stale = 0;
        let hashes = std::mem::take(&mut self.hashes);
        hashes.keys().for_each(|&hash| self.set(hash));
        self.hashes = hashes;
    }
}

/// The length under which a prefix is counted.
fn length_of(prefix: &[u8]) -> usize {
    if prefix.len() <= LENGTH_MAX { prefix.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn most_names_without_a_prefix_are_rejected() {
        let mut bloom = PrefixBloom::new();
        (0..10_000).for_each(|n| bloom.insert(format!("key:{n:09}x").as_bytes()));
        let passed = (0..10_000).filter(|n| bloom.may_match(format!("key:{n:012}").as_bytes())).count();
        assert!(passed < 1_000, "{passed}");
        (0..10_000).for_each(|n| bloom.remove(format!("key:{n:09}x").as_bytes()));
        assert!(!bloom.may_match(b"key:000000001x") && bloom.bits.len() == 4);
    }

    proptest! {
        #[test]
        fn a_name_with_a_prefix_always_passes(
            steps in proptest::collection::vec((proptest::collection::vec(b'a'..=b'b', 0..80), any::<bool>()), 1..60),
            tail in proptest::collection::vec(b'a'..=b'c', 0..4),
        ) {
            let (mut bloom, mut model) = (PrefixBloom::new(), Vec::new());
            for (prefix, removes) in steps {
                if removes && !model.is_empty() {
                    let prefix: Vec<u8> = model.swap_remove(prefix.len() % model.len());
                    bloom.remove(&prefix);
                } else {
                    bloom.insert(&prefix);
                    model.push(prefix);
                }
                for prefix in &model {
                    prop_assert!(bloom.may_match(&[&prefix[..], &tail].concat()));
                }
            }
        }
    }
}
