//! Rules out the regexes that a name cannot match, without running them: each regex is filed under a few grams that every
//! name it matches contains, and one scan of the name finds the candidates among all regexes.
//!
//! A *gram* is one to three bytes in a row. Of the clauses that a regex [`Needs`](crate::filter::Needs), the one is
//! chosen whose grams are rarest among recent names and have the fewest regexes filed under them.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::recent::RecentNames;

/// One to three bytes, the last one lowest, with their number in the top byte.
pub type Gram = u32;

/// The grams that one regex is filed under. A regex without any must be run on every name.
pub type Filed = SmallVec<[Gram; 2]>;

/// After this many grams have been removed, the bits are rebuilt.
const STALE_MAX: u32 = 64;

/// Which grams of one, two and three bytes exist, as bits by the bytes or their hash.
struct Bits {
    one: [u64; 4],
    two: [u64; 1024],
    three: [u64; 1024],
    count: [u32; 4],
}

/// Regexes by the grams that they need.
#[derive(Default)]
pub struct Grams {
    /// `None` until something is filed.
    bits: Option<Box<Bits>>,
    regexes: HashMap<Gram, Bucket, RandomState>,
    stale: u32,
}

/// The regexes of one gram.
#[derive(Default)]
struct Bucket {
    ids: SmallVec<[u32; 4]>,
    /// How often it was met in names since the count was last restarted.
    met: u32,
}

fn gram(bytes: &[u8]) -> Gram {
    bytes.iter().fold(0, |gram, &byte| gram << 8 | u32::from(byte)) | (bytes.len() as u32) << 24
}

fn length(gram: Gram) -> usize {
    (gram >> 24) as usize
}

fn has(bits: &[u64], bit: u32) -> bool {
    bits[bit as usize >> 6] >> (bit & 63) & 1 == 1
}

/// Hashes three bytes to sixteen bits.
#[inline(always)]
fn mixed(three: u32) -> u32 {
    three.wrapping_mul(0x9E37_79B1) >> 16
}

impl Bits {
    fn empty() -> Bits {
        Bits { one: [0; 4], two: [0; 1024], three: [0; 1024], count: [0; 4] }
    }

    fn set(&mut self, gram: Gram) {
        let bytes = gram & 0xFF_FFFF;
        let (bits, bit) = match length(gram) {
            1 => (&mut self.one[..], bytes),
            2 => (&mut self.two[..], bytes),
            _ => (&mut self.three[..], mixed(bytes)),
        };
        bits[bit as usize >> 6] |= 1 << (bit & 63);
        self.count[length(gram)] += 1;
    }
}

impl Grams {
    /// Nothing filed.
    pub fn new() -> Grams {
        Grams { bits: None, regexes: HashMap::default(), stale: 0 }
    }

    /// The grams under which to file a regex with these clauses. `recent` is the sample to judge them by.
    pub fn choose(&self, clauses: &[Vec<Vec<u8>>], recent: &RecentNames) -> Filed {
        clauses
            .iter()
            .map(|clause| self.choose_for_each(clause, recent))
            .min_by_key(|(cost, _)| *cost)
            .map_or_else(Filed::new, |(_, filed)| filed)
    }

    fn choose_for_each(&self, texts: &[Vec<u8>], recent: &RecentNames) -> (u64, Filed) {
        let mut filed = Filed::new();
        let mut cost = 0;
        for text in texts {
            let best = text.windows(text.len().min(3)).map(|bytes| (self.cost(bytes, recent), gram(bytes))).min();
            let Some((one_cost, one)) = best else { continue };
            cost += one_cost;
            if !filed.contains(&one) {
                filed.push(one);
            }
        }
        (cost, filed)
    }

    /// An estimate of the false candidates that a gram causes: above all, how many of 4,096 names contain it.
    fn cost(&self, bytes: &[u8], recent: &RecentNames) -> u64 {
        let filed = self.regexes.get(&gram(bytes)).map_or(0, |bucket| bucket.ids.len() as u64);
        let short = [0, 64, 8, 0][bytes.len()];
        let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count() as u64;
        recent.frequency(bytes) * 16 + u64::from((filed + 1).ilog2()) + short + digits
    }

    /// Files a regex.
    pub fn insert(&mut self, filed: &Filed, regex: u32) {
        for &gram in filed {
            let bucket = self.regexes.entry(gram).or_default();
            if bucket.ids.is_empty() {
                self.bits.get_or_insert_with(|| Box::new(Bits::empty())).set(gram);
            }
            bucket.ids.push(regex);
        }
    }

    /// Removes a regex that was filed under these grams.
    pub fn remove(&mut self, filed: &Filed, regex: u32) {
        for gram in filed {
            let Some(bucket) = self.regexes.get_mut(gram) else { continue };
            bucket.ids.retain(|&mut one| one != regex);
            if bucket.ids.is_empty() {
                self.regexes.remove(gram);
                self.stale += 1;
            }
        }
        if self.regexes.is_empty() {
            *self = Grams::new();
        } else if self.stale > STALE_MAX {
            self.stale = 0;
            let mut bits = Box::new(Bits::empty());
            self.regexes.keys().for_each(|&gram| bits.set(gram));
            self.bits = Some(bits);
        }
    }

    /// Appends the regexes that `name` may match, some of them more than once.
    #[inline]
    pub fn find(&mut self, name: &[u8], found: &mut Vec<u32>) {
        let Grams { bits, regexes, .. } = self;
        let Some(bits) = bits else { return };
        let mut take = |gram: Gram| {
            if let Some(bucket) = regexes.get_mut(&gram) {
                bucket.met += 1;
                found.extend_from_slice(&bucket.ids);
            }
        };
        if bits.count[3] > 0 {
            let mut last = name.get(..2).map_or(0, |two| u32::from(two[0]) << 8 | u32::from(two[1]));
            for &byte in name.get(2..).unwrap_or_default() {
                last = (last << 8 | u32::from(byte)) & 0xFF_FFFF;
                if has(&bits.three, mixed(last)) {
                    take(last | 3 << 24);
                }
            }
        }
        if bits.count[2] > 0 {
            for two in name.windows(2) {
                if has(&bits.two, u32::from(two[0]) << 8 | u32::from(two[1])) {
                    take(gram(two));
                }
            }
        }
        if bits.count[1] > 0 {
            for &byte in name {
                if has(&bits.one, u32::from(byte)) {
                    take(gram(&[byte]));
                }
            }
        }
    }

    /// The regexes with a gram that occurred in more than one of `every` of the last `names` names, about `max` of
    /// them, with the number of occurrences. Restarts the count of their grams, and of all grams if that is the whole
    /// list.
    pub fn busy(&mut self, names: u32, every: u32, max: usize) -> (Vec<(u32, u32)>, bool) {
        let mut busy = Vec::new();
        for bucket in self.regexes.values_mut().filter(|bucket| u64::from(bucket.met) * u64::from(every) > names.into())
        {
            if busy.len() >= max {
                return (busy, true);
            }
            busy.extend(bucket.ids.iter().map(|&id| (id, bucket.met)));
            bucket.met = 0;
        }
        self.regexes.values_mut().for_each(|bucket| bucket.met = 0);
        (busy, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clause(texts: &[&str]) -> Vec<Vec<u8>> {
        texts.iter().map(|text| text.as_bytes().to_vec()).collect()
    }

    fn found(grams: &mut Grams, name: &str) -> Vec<u32> {
        let mut found = Vec::new();
        grams.find(name.as_bytes(), &mut found);
        found.sort_unstable();
        found.dedup();
        found
    }

    #[test]
    fn a_regex_is_a_candidate_until_it_is_removed() {
        let mut grams = Grams::new();
        let needed = [vec![clause(&["user:"])], vec![clause(&["ab", "x"])], vec![clause(&["paid", "due"])]];
        let filed: Vec<Filed> = needed.iter().map(|clauses| grams.choose(clauses, &RecentNames::default())).collect();
        filed.iter().enumerate().for_each(|(regex, filed)| grams.insert(filed, regex as u32));
        assert_eq!(found(&mut grams, "a user:17 is due"), [0, 2]);
        assert_eq!(found(&mut grams, "ab"), [1]);
        assert_eq!(found(&mut grams, "fox"), [1]);
        assert!(found(&mut grams, "").is_empty());
        grams.remove(&filed[1], 1);
        assert!(found(&mut grams, "fox ab").is_empty());
        grams.remove(&filed[0], 0);
        grams.remove(&filed[2], 2);
        assert!(grams.bits.is_none());
    }

    #[test]
    fn the_rarest_grams_are_taken() {
        let mut grams = Grams::new();
        let clauses = [clause(&["key:"]), clause(&["0zq"]), clause(&["a", "b"])];
        let mut names = RecentNames::default();
        [&b"key:1"[..], b"key:2"].iter().for_each(|name| names.offer(name));
        assert_eq!(grams.choose(&clauses, &names)[..], [gram(b"0zq")]);
        let first = grams.choose(&[clause(&["abcd"])], &RecentNames::default());
        grams.insert(&first, 1);
        assert_ne!(grams.choose(&[clause(&["abcd"])], &RecentNames::default()), first);
    }

    #[test]
    fn nothing_needed_is_nothing_filed() {
        assert!(Grams::new().choose(&[], &RecentNames::default()).is_empty());
    }
}
