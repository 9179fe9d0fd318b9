//! Strings as rows of bits: counted, searched, combined, and read and written as integers of any width. Bit 0 is the
//! highest one of the first byte, as in Redis.

use smallvec::SmallVec;
use std::ops::Range;

/// The bits of `bytes` in a range, as bytes of which those at both ends are masked: the index of the first, and each.
fn masked(bytes: &[u8], bits: Range<usize>) -> (usize, u8, &[u8], u8) {
    let (first, last) = (bits.start / 8, (bits.end - 1) / 8);
    let (head, tail) = (0xff >> (bits.start % 8), 0xff << (7 - (bits.end - 1) % 8));
    if first == last {
        return (first, bytes[first] & head & tail, &[], 0);
    }
    (first, bytes[first] & head, &bytes[first + 1..last], bytes[last] & tail)
}

/// How many bits of a range are set. The range is within the bytes.
pub fn count(bytes: &[u8], bits: Range<usize>) -> u64 {
    if bits.is_empty() {
        return 0;
    }
    let (_, head, middle, tail) = masked(bytes, bits);
    let (words, rest) = middle.as_chunks::<8>();
    let in_words: u64 = words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum();
    let in_rest: u32 = rest.iter().map(|byte| byte.count_ones()).sum();
    in_words + u64::from(in_rest + head.count_ones() + tail.count_ones())
}

/// The first bit of a range that is `wanted`. The range is within the bytes.
pub fn first(bytes: &[u8], wanted: bool, bits: Range<usize>) -> Option<usize> {
    /// The first set bit of bytes.
    fn of(bytes: &[u8], flip: u8) -> Option<usize> {
        let words = bytes.as_chunks::<8>().0;
        let skipped = words.iter().take_while(|word| word.iter().all(|&byte| byte == flip)).count() * 8;
        let at = skipped + bytes[skipped..].iter().position(|&byte| byte != flip)?;
        Some(at * 8 + (bytes[at] ^ flip).leading_zeros() as usize)
    }
    if bits.is_empty() {
        return None;
    }
    let end = bits.end;
    let flip = if wanted { 0 } else { 0xff };
    let (start, at) = (bits.start, bits.start / 8);
    let head = (bytes[at] ^ flip) & (0xff >> (start % 8));
    let found = match head {
        0 => (at + 1) * 8 + of(&bytes[at + 1..end.div_ceil(8).max(at + 1)], flip)?,
        head => at * 8 + head.leading_zeros() as usize,
    };
    (found < end).then_some(found)
}

/// How strings become one: bit by bit, where shorter ones end with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Bits that all have.
    And,
    /// Bits that any has.
    Or,
    /// Bits that an odd number of them has.
    Xor,
    /// Bits that the only one has not.
    Not,
    /// Bits that the first has, and no other.
    Diff,
    /// Bits that the first has not, and any other has.
    Diff1,
    /// Bits that the first has, and any other.
    AndOr,
    /// Bits that exactly one has.
    One,
}

/// What an operation makes of strings, at least one; as long as the longest of them.
pub fn combine(operation: Operation, sources: &[&[u8]]) -> Vec<u8> {
    let length = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    let fold = |start: &[u8], others: &[&[u8]], change: fn(&mut u8, u8)| {
        let mut made = vec![0; length];
        made[..start.len()].copy_from_slice(start);
        for other in others {
            made.iter_mut().zip(*other).for_each(|(byte, other)| change(byte, *other));
        }
        made
    };
    let or: fn(&mut u8, u8) = |byte, other| *byte |= other;
    let Some((start, others)) = sources.split_first() else { return Vec::new() };
    match operation {
        Operation::And => {
            let shortest = sources.iter().map(|source| source.len()).min().unwrap_or(0);
            let mut made = fold(start, others, |byte, other| *byte &= other);
            made[shortest..].fill(0);
            made
        }
        Operation::Or => fold(start, others, or),
        Operation::Xor => fold(start, others, |byte, other| *byte ^= other),
        Operation::Not => start.iter().map(|byte| !byte).collect(),
        Operation::Diff => fold(start, others, |byte, other| *byte &= !other),
        Operation::Diff1 => fold(&fold(b"", others, or), &[start], |byte, other| *byte &= !other),
        Operation::AndOr => {
            let mut made = fold(b"", others, or);
            made.iter_mut().zip(*start).for_each(|(byte, first)| *byte &= first);
            made[start.len()..].fill(0);
            made
        }
        Operation::One => {
            let (mut once, mut often) = (vec![0; length], vec![0; length]);
            for source in sources {
                for ((once, often), byte) in once.iter_mut().zip(&mut often).zip(*source) {
                    *often |= *once & byte;
                    *once |= byte;
                }
            }
            once.iter_mut().zip(&often).for_each(|(once, often)| *once &= !often);
            once
        }
    }
}

/// An integer within a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its first bit.
    pub offset: usize,
    /// The number of its bits: 1 to 64, or to 63 without a sign.
    pub width: u32,
    /// Whether it has a sign, in two's complement.
    pub is_signed: bool,
}

/// What becomes of an integer that its field has no room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// Its lowest bits stay.
    #[default]
    Wrap,
    /// It is the nearest one that fits.
    Saturate,
    /// Nothing is written.
    Fail,
}

/// What is done with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldChange {
    /// It is read.
    Get,
    /// It is set; the old value is the result.
    Set(i64, Overflow),
    /// This is added to it; the sum is the result.
    Add(i64, Overflow),
}

/// The bytes of a string from one on, to be overwritten.
pub type Patch = (usize, SmallVec<[u8; 16]>);

impl Field {
    /// The end of its last bit.
    pub fn end(self) -> usize {
        self.offset + self.width as usize
    }

    /// The bytes that it is in, with those of `bytes` behind it; zeros where there are none.
    fn window(self, bytes: &[u8]) -> u128 {
        let mut window = [0; 16];
        let there = bytes.get(self.offset / 8..).unwrap_or_default();
        let length = there.len().min(window.len());
        window[..length].copy_from_slice(&there[..length]);
        u128::from_be_bytes(window)
    }

    /// Its value in a string.
    pub fn get(self, bytes: &[u8]) -> i64 {
        let aligned = self.window(bytes) << (self.offset % 8);
        if self.is_signed {
            (aligned.cast_signed() >> (128 - self.width)) as i64
        } else {
            (aligned >> (128 - self.width)) as i64
        }
    }

    /// What has to be overwritten so that it has the lowest bits of this value.
    fn patch(self, bytes: &[u8], value: i64) -> Patch {
        let shift = 128 - self.offset % 8 - self.width as usize;
        let mask = (u128::MAX >> (128 - self.width)) << shift;
        let window = self.window(bytes) & !mask | ((value as u128) << shift) & mask;
        let span = (self.offset % 8 + self.width as usize).div_ceil(8);
        (self.offset / 8, SmallVec::from_slice(&window.to_be_bytes()[..span]))
    }

    /// The least and the greatest value.
    fn range(self) -> (i128, i128) {
        match self.is_signed {
            true => (-(1 << (self.width - 1)), (1 << (self.width - 1)) - 1),
            false => (0, (1 << self.width) - 1),
        }
    }

    /// The value to be written for a number, `None` if it must not be written.
    fn fit(self, number: i128, overflow: Overflow) -> Option<i64> {
        let (least, greatest) = self.range();
        match overflow {
            _ if (least..=greatest).contains(&number) => Some(number as i64),
            Overflow::Wrap => {
                let bits = (number as u128) << (128 - self.width);
                let shift = 128 - self.width;
                Some(if self.is_signed { (bits.cast_signed() >> shift) as i64 } else { (bits >> shift) as i64 })
            }
            Overflow::Saturate => Some(number.clamp(least, greatest) as i64),
            Overflow::Fail => None,
        }
    }

    /// What a change makes of a string: the result, `None` where it fails, and what is to be overwritten.
    pub fn change(self, bytes: &[u8], change: FieldChange) -> (Option<i64>, Option<Patch>) {
        let old = self.get(bytes);
        let (new, is_sum) = match change {
            FieldChange::Get => return (Some(old), None),
            // A negative number is a great one where there is no sign.
            FieldChange::Set(value, overflow) if self.is_signed => (self.fit(value.into(), overflow), false),
            FieldChange::Set(value, overflow) => (self.fit(value.cast_unsigned().into(), overflow), false),
            FieldChange::Add(by, overflow) => (self.fit(i128::from(old) + i128::from(by), overflow), true),
        };
        let Some(new) = new else { return (None, None) };
        (Some(if is_sum { new } else { old }), (new != old).then(|| self.patch(bytes, new)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bit(bytes: &[u8], at: usize) -> bool {
        bytes.get(at / 8).is_some_and(|byte| byte & (0x80 >> (at % 8)) != 0)
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            (0usize..40, any::<bool>()).prop_map(|(length, set)| vec![if set { 0xff } else { 0 }; length]),
        ]
    }

    proptest! {
        #[test]
        fn bits_are_counted_and_found_as_one_by_one(
            bytes in bytes(), ends in (0usize..330, 0usize..330), wanted in any::<bool>(),
        ) {
            let bits = bytes.len() * 8;
            let range = ends.0.min(ends.1).min(bits)..ends.0.max(ends.1).min(bits);
            prop_assert_eq!(count(&bytes, range.clone()), range.clone().filter(|at| bit(&bytes, *at)).count() as u64);
            prop_assert_eq!(first(&bytes, wanted, range.clone()), range.clone().find(|at| bit(&bytes, *at) == wanted));
        }

        #[test]
        fn strings_are_combined_bit_by_bit(sources in proptest::collection::vec(bytes(), 1..5)) {
            let sources: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
            let length = sources.iter().map(|source| source.len()).max().unwrap_or(0);
            for operation in [
                Operation::And, Operation::Or, Operation::Xor, Operation::Diff, Operation::Diff1, Operation::AndOr,
                Operation::One,
            ] {
                let made = combine(operation, &sources);
                prop_assert_eq!(made.len(), length);
                for at in 0..length * 8 {
                    let set = sources.iter().filter(|source| bit(source, at)).count();
                    let is_first = bit(sources[0], at);
                    let others = set - usize::from(is_first);
                    let expected = match operation {
                        Operation::And => set == sources.len(),
                        Operation::Or => set > 0,
                        Operation::Xor => set % 2 == 1,
                        Operation::Diff => is_first && others == 0,
                        Operation::Diff1 => !is_first && others > 0,
                        Operation::AndOr => is_first && others > 0,
                        Operation::One | Operation::Not => set == 1,
                    };
                    prop_assert_eq!(bit(&made, at), expected, "{:?} at {}", operation, at);
                }
            }
            let not = combine(Operation::Not, &sources[..1]);
            prop_assert!(not.iter().zip(sources[0]).all(|(made, byte)| *made == !byte) && not.len() == sources[0].len());
        }

        #[test]
        fn a_field_is_written_and_read_and_nothing_beside_it_changes(
            bytes in bytes(), offset in 0usize..400, width in 1u32..=64, value in any::<i64>(), is_signed in any::<bool>(),
        ) {
            let field = Field { offset, width: width.min(if is_signed { 64 } else { 63 }), is_signed };
            let mut bytes = bytes;
            bytes.resize(bytes.len().max(field.end().div_ceil(8)), 0);
            let before = bytes.clone();
            let (old, patch) = field.change(&bytes, FieldChange::Set(value, Overflow::Wrap));
            prop_assert_eq!(old, Some(field.get(&bytes)));
            if let Some((at, patch)) = patch {
                bytes[at..at + patch.len()].copy_from_slice(&patch);
            }
            let (least, greatest) = field.range();
            let got = field.get(&bytes);
            prop_assert!((least..=greatest).contains(&i128::from(got)));
            prop_assert_eq!((got ^ value) << (64 - field.width), 0, "the lowest bits");
            let is_beside = |at: &usize| *at < field.offset || *at >= field.end();
            prop_assert!((0..bytes.len() * 8).filter(is_beside).all(|at| bit(&bytes, at) == bit(&before, at)));
        }
    }

    #[test]
    fn what_does_not_fit_is_wrapped_saturated_or_not_written() {
        let field = |width, is_signed| Field { offset: 3, width, is_signed };
        let add = |field: Field, from: i64, by: i64, overflow| {
            let mut bytes = vec![0; 16];
            let (_, patch) = field.change(&bytes, FieldChange::Set(from, Overflow::Wrap));
            patch.into_iter().for_each(|(at, patch)| bytes[at..at + patch.len()].copy_from_slice(&patch));
            field.change(&bytes, FieldChange::Add(by, overflow)).0
        };
        assert_eq!(add(field(8, false), 250, 10, Overflow::Wrap), Some(4));
        assert_eq!(add(field(8, false), 250, 10, Overflow::Saturate), Some(255));
        assert_eq!(add(field(8, false), 250, -251, Overflow::Saturate), Some(0));
        assert_eq!(add(field(8, false), 250, 10, Overflow::Fail), None);
        assert_eq!(add(field(8, true), 120, 10, Overflow::Wrap), Some(-126));
        assert_eq!(add(field(64, true), i64::MAX, 1, Overflow::Wrap), Some(i64::MIN));
        assert_eq!(add(field(64, true), i64::MIN, -1, Overflow::Saturate), Some(i64::MIN));
        assert_eq!(add(field(63, false), i64::MAX, i64::MAX, Overflow::Saturate), Some(i64::MAX));
        let set = |field: Field, value, overflow| {
            field.change(&[0; 16], FieldChange::Set(value, overflow)).1.map(|(at, patch)| (at, patch.to_vec()))
        };
        assert_eq!(set(field(4, false), -1, Overflow::Saturate), Some((0, vec![0b0001_1110])));
        assert_eq!(set(field(4, false), -1, Overflow::Fail), None);
    }
}
