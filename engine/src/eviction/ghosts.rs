//! The keys that were evicted lately: 2 bytes each, in sets of four, so that nothing has to be linked and a look-up reads
//! one word.
//!
//! ```text
//!   u16: fingerprint of 11 bits, never 0 │ whence │ generation of 4 bits       0 = free
//! ```
//!
//! What is remembered is 10 generations old at most, each of which lasts for a tenth of as many evictions as there are
//! keys. Two keys may have the same fingerprint in a set: then the wrong one is taken for a ghost, once in some 500.

/// The generations that a ghost is remembered for.
const GENERATIONS: u8 = 10;

/// The ghosts of a set.
const WAYS: usize = 4;

/// From where a key was evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whence {
    /// From probation.
    Probation = 0,
    /// From among the others.
    Main = 1,
}

/// The generation of one kind of ghosts.
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    generation: u8,
    /// The evictions in this generation.
    evictions: usize,
}

/// See the description of this file.
#[derive(Debug, Default)]
pub struct Ghosts {
    sets: Vec<[u16; WAYS]>,
    clocks: [Clock; 2],
}

/// The set of a hash, of so many, and the fingerprint.
fn place(hash: u64, sets: usize) -> (usize, u16) {
    let set = (u64::from(hash as u32) * sets as u64) >> 32;
    (set as usize, ((hash >> 32) as u16 & 0x7FF).max(1) << 5)
}

impl Ghosts {
    /// The memory that it takes, in bytes.
    pub fn bytes(&self) -> usize {
        self.sets.capacity() * size_of::<[u16; WAYS]>()
    }

    fn age(&self, ghost: u16) -> u8 {
        let clock = self.clocks[usize::from(ghost >> 4 & 1)];
        clock.generation.wrapping_sub(ghost as u8) & 0xF
    }

    /// Remembers a key; there are so many keys that are not evicted.
    pub fn remember(&mut self, hash: u64, whence: Whence, keys: usize) {
        self.resize(keys);
        let clock = &mut self.clocks[whence as usize];
        clock.evictions += 1;
        if clock.evictions * usize::from(GENERATIONS) >= keys {
            *clock = Clock { generation: (clock.generation + 1) & 0xF, evictions: 0 };
        }
        let generation = u16::from(clock.generation);
        let (set, fingerprint) = place(hash, self.sets.len());
        // The free one, or the oldest.
        let rank = |&way: &usize| match self.sets[set][way] {
            0 => u8::MAX,
            ghost => self.age(ghost),
        };
        if let Some(way) = (0..WAYS).max_by_key(rank) {
            self.sets[set][way] = fingerprint | (whence as u16) << 4 | generation;
        }
    }

    /// Forgets a key that comes again: from where it was evicted, and whether in the present generation; `None` if it is
    /// not known.
    pub fn recall(&mut self, hash: u64) -> Option<(Whence, bool)> {
        if self.sets.is_empty() {
            return None;
        }
        let (set, fingerprint) = place(hash, self.sets.len());
        let way = (0..WAYS).find(|&way| self.sets[set][way] & !0x1F == fingerprint)?;
        let ghost = std::mem::take(&mut self.sets[set][way]);
        let (age, whence) = (self.age(ghost), if ghost & 0x10 == 0 { Whence::Probation } else { Whence::Main });
        (age < GENERATIONS).then_some((whence, age == 0))
    }

    /// Has one and a half places for each key. All are forgotten if their number is far from that.
    fn resize(&mut self, keys: usize) {
        let wanted = (keys * 3 / 2).div_ceil(WAYS).max(16);
        if self.sets.len() < wanted * 2 / 3 || self.sets.len() > wanted * 3 {
            self.sets = vec![[0; WAYS]; wanted];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u64) -> u64 {
        n.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ n << 40
    }

    #[test]
    fn what_was_evicted_lately_is_known_and_what_was_long_ago_is_not() {
        let (mut ghosts, keys) = (Ghosts::default(), 10_000);
        for n in 0..31_000 {
            ghosts.remember(hash(n), if n % 2 == 0 { Whence::Probation } else { Whence::Main }, keys);
        }
        // The newest of either kind: ten generations of a tenth of the keys each, less what has had no place.
        let newest: Vec<_> = (23_000..31_000).filter_map(|n| Some((n, ghosts.recall(hash(n))?))).collect();
        assert!(newest.len() > 7_000, "{}", newest.len());
        let is_right = |(n, (whence, _)): &&(u64, (Whence, bool))| (*whence == Whence::Probation) == (n % 2 == 0);
        assert!(newest.iter().filter(is_right).count() > newest.len() * 98 / 100);
        assert!(newest.iter().rev().take(100).all(|(_, (_, is_new))| *is_new));
        let oldest = (0..8_000).filter(|n| ghosts.recall(hash(*n)).is_some()).count();
        assert!(oldest < 400, "{oldest}");
        assert!(ghosts.recall(hash(30_999)).is_none(), "it is forgotten once it has come again");
        assert!(ghosts.bytes() <= keys * 4);
    }

    #[test]
    fn without_evictions_there_are_no_ghosts_and_no_memory() {
        let mut ghosts = Ghosts::default();
        assert_eq!((ghosts.recall(7), ghosts.bytes()), (None, 0));
    }
}
