//! A member of a set as its bytes, wherever they are: in the set, or, if the set stores it as a number, here. So is a score.

use super::Bytes;
use crate::number::score_text;
use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

/// A member of a set.
#[derive(Clone, Copy)]
pub struct Member<'a>(Place<'a>);

#[derive(Clone, Copy)]
enum Place<'a> {
    InSet(&'a [u8]),
    /// The decimal of a number, and its length.
    Here([u8; DIGITS_MAX], u8),
}

/// The longest decimal of an `i64`, with its sign, has 20 bytes, the text of a score 24, that of an id of a Redis stream 41.
const DIGITS_MAX: usize = 41;

impl<'a> Member<'a> {
    /// A member that the set has as bytes.
    #[inline]
    pub(crate) fn of(bytes: &'a [u8]) -> Member<'a> {
        Member(Place::InSet(bytes))
    }

    /// A member that the set has as a number.
    pub(crate) fn of_integer(number: i64) -> Member<'a> {
        Member::of_text(itoa::Buffer::new().format(number).as_bytes())
    }

    /// A score.
    pub(crate) fn of_score(score: f64) -> Member<'a> {
        Member::of_text(&score_text(score))
    }

    /// A short text that no value has as bytes; at most 41 of them.
    pub(super) fn of_text(text: &[u8]) -> Member<'a> {
        let mut digits = [0; DIGITS_MAX];
        digits[..text.len()].copy_from_slice(text);
        Member(Place::Here(digits, text.len() as u8))
    }

    /// A copy that owns its bytes.
    pub fn to_bytes(self) -> Bytes {
        Bytes::from_slice(&self)
    }
}

impl Deref for Member<'_> {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Place::InSet(bytes) => bytes,
            Place::Here(digits, length) => &digits[..usize::from(*length)],
        }
    }
}

impl AsRef<[u8]> for Member<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Borrow<[u8]> for Member<'_> {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Member<'_> {
    fn eq(&self, other: &Member<'_>) -> bool {
        **self == **other
    }
}

impl Eq for Member<'_> {}

impl Hash for Member<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for Member<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_member_with_its_decimal() {
        for number in [i64::MIN, -1, 0, 7, i64::MAX] {
            let text = number.to_string();
            assert_eq!(Member::of_integer(number), Member::of(text.as_bytes()));
            assert_eq!(Member::of_integer(number).to_bytes().as_slice(), text.as_bytes());
        }
        for score in [f64::MIN, -f64::MIN_POSITIVE, -f64::MIN_POSITIVE.next_down(), 0.1, f64::INFINITY] {
            assert_eq!(*Member::of_score(score), score_text(score)[..]);
        }
        assert_eq!(format!("{:?}", Member::of(b"a\n")), "\"a\\n\"");
    }
}
