//! The keys of a run and their order. Everything is drawn before the run, so that drawing is not measured.

use crate::error::BenchError;
use crate::options::{Distribution, SlotRange};
use keytide_engine::slot::Slot;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rand_distr::Zipf;

/// The digits of a key's number. Ten of them hold every `u32`; redis-benchmark also writes twelve.
pub const DIGITS: usize = 12;

/// The least number of drawn keys: enough that the repetition of the sequence makes no difference to a server.
const DRAWN_MIN: usize = 1 << 20;

/// The most drawn keys: 256 MiB of them.
const DRAWN_MAX: usize = 1 << 26;

const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    pairs
};

/// Writes a number in decimal, with leading zeros.
#[inline]
pub fn write_digits(out: &mut [u8; DIGITS], number: u32) {
    let (high, low) = (number / 100_000_000, number % 100_000_000);
    let (upper, lower) = (low / 10_000, low % 10_000);
    out[..2].copy_from_slice(b"00");
    for (at, pair) in [high, upper / 100, upper % 100, lower / 100, lower % 100].into_iter().enumerate() {
        out[2 + 2 * at..4 + 2 * at].copy_from_slice(&PAIRS[pair as usize]);
    }
}

/// The keys of a run: the numbers from 0, or only those whose key is in certain slots.
#[derive(Clone, Debug)]
pub struct KeySpace {
    keys: u32,
    in_slots: Option<Vec<u32>>,
}

impl KeySpace {
    /// `keys` keys that begin with `prefix`, at least one.
    ///
    /// # Errors
    /// If there are too few keys in these slots.
    pub fn new(prefix: &[u8], keys: u32, slots: Option<SlotRange>) -> Result<KeySpace, BenchError> {
        let Some(slots) = slots else { return Ok(KeySpace { keys, in_slots: None }) };
        let mut key = prefix.to_vec();
        key.extend_from_slice(&[b'0'; DIGITS]);
        let is_inside = |number: &u32| {
            let mut digits = [0; DIGITS];
            write_digits(&mut digits, *number);
            key[prefix.len()..].copy_from_slice(&digits);
            (slots.from..=slots.to).contains(&Slot::of(&key).0)
        };
        let numbers: Vec<u32> = (0..=u32::MAX).filter(is_inside).take(keys as usize).collect();
        if numbers.len() < keys as usize {
            return Err(BenchError::TooFewKeysInSlots { found: numbers.len(), asked: keys });
        }
        Ok(KeySpace { keys, in_slots: Some(numbers) })
    }

    fn number(&self, index: u32) -> u32 {
        self.in_slots.as_ref().map_or(index, |numbers| numbers[index as usize])
    }

    /// Each key once.
    pub fn each(&self) -> KeySequence {
        KeySequence::new((0..self.keys).map(|index| self.number(index)).collect())
    }

    /// Keys drawn at random. With Zipf the first key is the most frequent one. `commands` is the number of commands, if
    /// known: then no more keys are drawn than needed.
    pub fn draw(&self, distribution: Distribution, exponent: f64, seed: u64, commands: Option<u64>) -> KeySequence {
        let mut random = SmallRng::seed_from_u64(seed);
        let enough = DRAWN_MIN.max(self.keys as usize * 2).min(DRAWN_MAX);
        let count = commands.map_or(enough, |commands| enough.min(commands.max(1) as usize));
        let zipf =
            Zipf::new(f64::from(self.keys), exponent).expect("there is a key, and the options check the exponent");
        let draw = |_| match distribution {
            Distribution::Uniform => self.number(random.random_range(0..self.keys)),
            // A rank: from 1 to the number of keys.
            Distribution::Zipf => self.number(random.sample(zipf) as u32 - 1),
        };
        KeySequence::new((0..count).map(draw).collect())
    }
}

/// Key numbers in the order of their use, repeating.
#[derive(Clone, Debug)]
pub struct KeySequence {
    numbers: Vec<u32>,
    at: usize,
}

impl KeySequence {
    fn new(numbers: Vec<u32>) -> KeySequence {
        KeySequence { numbers, at: 0 }
    }

    /// The next key's number.
    #[inline]
    pub fn next_number(&mut self) -> u32 {
        let number = self.numbers[self.at];
        self.at += 1;
        if self.at == self.numbers.len() {
            self.at = 0;
        }
        number
    }

    /// The length of the sequence before it repeats.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(keys: u32, distribution: Distribution, seed: u64) -> Vec<u32> {
        let space = KeySpace::new(b"key:", keys, None).unwrap();
        space.draw(distribution, 0.99, seed, Some(200_000)).numbers
    }

    #[test]
    fn digits_are_the_number_in_decimal() {
        for number in [0, 7, 10, 99, 100, 12_345, 99_999_999, 100_000_000, 1_234_567_890, u32::MAX] {
            let mut digits = [b'x'; DIGITS];
            write_digits(&mut digits, number);
            assert_eq!(std::str::from_utf8(&digits).unwrap(), format!("{number:012}"));
        }
    }

    #[test]
    fn every_drawn_key_is_in_range_and_uniform_ones_come_equally_often() {
        for distribution in [Distribution::Uniform, Distribution::Zipf] {
            for keys in [1, 2, 1000] {
                assert!(draw(keys, distribution, 1).iter().all(|number| *number < keys));
            }
        }
        let mut counts = [0_u32; 100];
        draw(100, Distribution::Uniform, 2).iter().for_each(|number| counts[*number as usize] += 1);
        assert!(counts.iter().all(|count| (1_700..2_300).contains(count)), "{counts:?}");
    }

    #[test]
    fn zipf_ranks_come_as_often_as_their_weight_says() {
        let numbers = draw(1000, Distribution::Zipf, 3);
        let count = |rank: u32| numbers.iter().filter(|number| **number == rank - 1).count() as f64;
        // The weight of a rank is rank^-0.99.
        for rank in [2, 4, 10] {
            let ratio = count(1) / count(rank);
            let expected = f64::from(rank).powf(0.99);
            assert!((ratio / expected - 1.0).abs() < 0.15, "rank {rank}: {ratio}, not {expected}");
        }
    }

    #[test]
    fn a_seed_gives_the_same_keys_again_and_another_one_others() {
        assert_eq!(draw(1000, Distribution::Uniform, 4), draw(1000, Distribution::Uniform, 4));
        assert_ne!(draw(1000, Distribution::Uniform, 4), draw(1000, Distribution::Uniform, 5));
    }

    #[test]
    fn keys_of_a_slot_range_lie_in_it_and_each_is_another_one() {
        let slots = SlotRange { from: 8192, to: 8300 };
        let space = KeySpace::new(b"key:", 500, Some(slots)).unwrap();
        let mut numbers = space.each().numbers;
        assert_eq!(numbers.len(), 500);
        for number in &numbers {
            let slot = Slot::of(format!("key:{number:012}").as_bytes()).0;
            assert!((8192..=8300).contains(&slot));
        }
        let drawn = space.draw(Distribution::Zipf, 0.99, 1, Some(1000)).numbers;
        assert!(drawn.iter().all(|number| numbers.contains(number)));
        numbers.dedup();
        assert_eq!(numbers.len(), 500);
    }

    #[test]
    fn a_sequence_begins_again_at_its_end() {
        let mut keys = KeySpace::new(b"key:", 3, None).unwrap().each();
        let numbers: Vec<u32> = (0..7).map(|_| keys.next_number()).collect();
        assert_eq!(numbers, [0, 1, 2, 0, 1, 2, 0]);
        assert_eq!(keys.len(), 3);
    }
}
