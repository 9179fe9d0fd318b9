//! Requests of caches, as kinds of them that are known to tell policies apart. The same seed makes the same trace.

use clap::ValueEnum;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rand_distr::Zipf;

/// A kind of trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// The popularity of the keys follows Zipf's law and never changes
    Zipf,
    /// The same, with scans over other keys, each of which comes once
    Scans,
    /// The same as zipf, but now and then other keys are popular
    Shifting,
}

/// Of the requests of `scans`, one in so many belongs to a scan.
const SCAN_PART: u64 = 4;

/// The keys of a scan, one after the other.
const SCAN_KEYS: u64 = 2_000;

/// `shifting` shifts so often.
const SHIFTS: u64 = 20;

/// With each shift, the popularity of so many keys of a hundred passes to others.
const SHIFT_PERCENT: u64 = 10;

/// A trace.
#[derive(Clone, Copy, Debug)]
pub struct Trace {
    /// Its kind.
    pub kind: Kind,
    /// The number of keys, besides those of scans.
    pub keys: u64,
    /// The number of requests.
    pub requests: u64,
    /// The exponent of Zipf's law, above 0.
    pub exponent: f64,
    /// The seed.
    pub seed: u64,
}

impl Trace {
    /// The keys by number, in the order of the requests.
    pub fn requests(&self) -> impl Iterator<Item = u64> + use<> {
        let Trace { kind, keys, requests, exponent, seed } = *self;
        let mut random = SmallRng::seed_from_u64(seed);
        let zipf = Zipf::new(keys as f64, exponent).expect("there is a key, and the options check the exponent");
        let (mut scanned, mut scan_left) = (0, 0);
        (0..requests).map(move |n| {
            if kind == Kind::Scans {
                if scan_left == 0 && random.random_range(0..SCAN_KEYS * (SCAN_PART - 1)) == 0 {
                    scan_left = SCAN_KEYS;
                }
                if scan_left > 0 {
                    scan_left -= 1;
                    scanned += 1;
                    return keys + scanned;
                }
            }
            let rank = random.sample(zipf) as u64 - 1;
            let shifts = if kind == Kind::Shifting { n * SHIFTS / requests.max(1) } else { 0 };
            // The most popular ones too become others.
            (rank + shifts * (keys * SHIFT_PERCENT / 100)) % keys
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn trace(kind: Kind, seed: u64) -> Vec<u64> {
        Trace { kind, keys: 10_000, requests: 200_000, exponent: 0.9, seed }.requests().collect()
    }

    #[test]
    fn the_same_seed_makes_the_same_trace() {
        for kind in [Kind::Zipf, Kind::Scans, Kind::Shifting] {
            assert_eq!(trace(kind, 1), trace(kind, 1));
            assert_ne!(trace(kind, 1), trace(kind, 2));
        }
    }

    #[test]
    fn each_kind_is_what_it_is_called() {
        let counts = |keys: &[u64]| {
            keys.iter().fold(HashMap::new(), |mut counts, key| {
                *counts.entry(*key).or_insert(0u64) += 1;
                counts
            })
        };
        let zipf = counts(&trace(Kind::Zipf, 1));
        assert!(zipf[&0] > 2 * zipf[&9] && zipf.keys().all(|key| *key < 10_000));
        let scans = trace(Kind::Scans, 1);
        let scanned = scans.iter().filter(|key| **key >= 10_000).count();
        assert!((30_000..80_000).contains(&scanned), "{scanned}");
        assert!(counts(&scans).iter().all(|(key, count)| *key < 10_000 || *count == 1));
        let shifting = trace(Kind::Shifting, 1);
        // In the middle the first ones are popular again.
        let (early, late) = (counts(&shifting[..10_000]), counts(&shifting[150_000..160_000]));
        assert!(early[&0] > 100 && late.get(&0).is_none_or(|count| *count < 50));
    }
}
