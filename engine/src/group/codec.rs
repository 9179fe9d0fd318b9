//! The encoding of numbers and byte strings in a journal: LEB128, seven bits a byte, the least significant first.

use crate::position::Position;
use thiserror::Error;

/// The highest total of a group: replies have signed numbers of 64 bits.
pub(super) const COUNT_MAX: u64 = i64::MAX as u64;

/// The highest number of a group or consumer. The number of the next one is a valid total.
pub(super) const ID_MAX: u64 = COUNT_MAX - 1;

/// Bytes that are not a valid encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the bytes are no changes of consumer groups")]
pub(super) struct Damaged;

pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The zigzag encoding of the difference `to - from`: small for a number close to `from`, on either side.
pub(super) fn distance(from: u64, to: u64) -> u64 {
    let signed = to.wrapping_sub(from) as i64;
    ((signed << 1) ^ (signed >> 63)) as u64
}

/// The inverse of [`distance`].
pub(super) fn at_distance(from: u64, distance: u64) -> u64 {
    from.wrapping_add((distance >> 1) ^ (distance & 1).wrapping_neg())
}

/// The bytes that are still to be decoded.
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> Result<u8, Damaged> {
        let (&byte, rest) = self.0.split_first().ok_or(Damaged)?;
        self.0 = rest;
        Ok(byte)
    }

    pub(super) fn number(&mut self) -> Result<u64, Damaged> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(Damaged);
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Damaged)
    }

    /// A total, at most [`COUNT_MAX`].
    pub(super) fn count(&mut self) -> Result<u64, Damaged> {
        self.number().and_then(|number| if number <= COUNT_MAX { Ok(number) } else { Err(Damaged) })
    }

    /// The number of a group or consumer, at most [`ID_MAX`].
    pub(super) fn id(&mut self) -> Result<u64, Damaged> {
        self.number().and_then(|number| if number <= ID_MAX { Ok(number) } else { Err(Damaged) })
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Damaged> {
        let length = usize::try_from(self.number()?).map_err(|_| Damaged)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Damaged)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(super) fn position(&mut self) -> Result<Position, Damaged> {
        self.number().map(Position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn encoded_numbers_and_bytes_are_decoded_again(number: u64, other: u64, shift in 0..64_u32, bytes: Vec<u8>) {
            let mut out = Vec::new();
            put_number(&mut out, number >> shift);
            put_bytes(&mut out, &bytes);
            let mut input = Input(&out);
            prop_assert_eq!(input.number(), Ok(number >> shift));
            prop_assert_eq!(input.bytes(), Ok(&bytes[..]));
            prop_assert!(input.is_empty());
            prop_assert_eq!(at_distance(number, distance(number, other)), other);
        }
    }

    #[test]
    fn a_number_without_an_end_or_above_64_bits_is_refused() {
        assert_eq!(Input(&[0x80]).number(), Err(Damaged));
        assert_eq!(Input(&[0xff; 10]).number(), Err(Damaged));
        assert_eq!(Input(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).number(), Err(Damaged));
        assert_eq!(Input(&[9, 1]).bytes(), Err(Damaged));
    }
}
