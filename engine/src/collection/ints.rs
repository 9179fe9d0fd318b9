//! The compact form of a small set of integers: sorted numbers of one width, so that a look-up is a binary search. As in
//! `packed`, look-ups and edits are functions of the bytes.
//!
//! ```text
//!   width u8: 1, 2, 4 or 8 │ number │ number …        little endian, ascending
//! ```
//!
//! An empty set has no bytes at all. The width only grows.

use super::packed::SmallBytes;

/// The bytes of the width.
const WIDTH_BYTES: usize = 1;

/// The width of the set's numbers in bytes.
#[inline]
fn width(bytes: &[u8]) -> usize {
    bytes.first().map_or(1, |&width| usize::from(width))
}

/// The least width that a number has.
fn width_of(number: i64) -> usize {
    match number {
        -0x80..0x80 => 1,
        -0x8000..0x8000 => 2,
        -0x8000_0000..0x8000_0000 => 4,
        _ => 8,
    }
}

/// The number of members.
#[inline]
pub(super) fn count(bytes: &[u8]) -> usize {
    bytes.len().saturating_sub(WIDTH_BYTES) / width(bytes)
}

/// The number at a place.
#[inline]
fn number(bytes: &[u8], width: usize, place: usize) -> i64 {
    let at = WIDTH_BYTES + place * width;
    let bytes = &bytes[at..at + width];
    match *bytes {
        [a] => i64::from(a as i8),
        [a, b] => i64::from(i16::from_le_bytes([a, b])),
        [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
        _ => i64::from_le_bytes(bytes.try_into().expect("a width is 1, 2, 4 or 8")),
    }
}

/// The member at a place, in ascending order.
pub(super) fn at(bytes: &[u8], place: usize) -> Option<i64> {
    (place < count(bytes)).then(|| number(bytes, width(bytes), place))
}

/// All members, ascending.
pub(super) fn members(bytes: &[u8]) -> impl Iterator<Item = i64> {
    (0..count(bytes)).map(|place| number(bytes, width(bytes), place))
}

/// The place of a member, or that at which it would be.
#[inline]
pub(super) fn find(bytes: &[u8], member: i64) -> Result<usize, usize> {
    let (width, mut from, mut to) = (width(bytes), 0, count(bytes));
    while from < to {
        let middle = (from + to) / 2;
        let found = number(bytes, width, middle);
        match found.cmp(&member) {
            std::cmp::Ordering::Less => from = middle + 1,
            std::cmp::Ordering::Greater => to = middle,
            std::cmp::Ordering::Equal => return Ok(middle),
        }
    }
    Err(from)
}

/// Inserts a member that is not there, at the place that [`find`] returned, if there is room for it; returns whether it did.
pub(super) fn insert(set: &mut impl SmallBytes, place: usize, member: i64) -> bool {
    let bytes = set.get();
    let (old, needed, count) = (width(bytes), width_of(member), count(bytes));
    if WIDTH_BYTES + (count + 1) * old.max(needed) > set.room() {
        return false;
    }
    if count == 0 {
        set.splice(0..0, &[&[needed as u8], &member.to_le_bytes()[..needed]]);
    } else if needed <= old {
        let at = WIDTH_BYTES + place * old;
        set.splice(at..at, &[&member.to_le_bytes()[..old]]);
    } else {
        let mut wider = vec![needed as u8];
        for each in members(bytes).take(place).chain([member]).chain(members(bytes).skip(place)) {
            wider.extend_from_slice(&each.to_le_bytes()[..needed]);
        }
        let length = bytes.len();
        set.splice(0..length, &[&wider]);
    }
    true
}

/// Removes the member at a place that has one.
pub(super) fn remove_at(set: &mut impl SmallBytes, place: usize) {
    let bytes = set.get();
    let (width, length) = (width(bytes), bytes.len());
    let at = WIDTH_BYTES + place * width;
    if count(bytes) == 1 {
        set.splice(0..length, &[]);
    } else {
        set.splice(at..at + width, &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collection::thin::ThinBytes;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const EDGES: [i64; 20] = [
        0,
        1,
        -1,
        127,
        128,
        -128,
        -129,
        255,
        32_767,
        32_768,
        -32_768,
        -32_769,
        65_535,
        i32::MAX as i64,
        i32::MAX as i64 + 1,
        i32::MIN as i64,
        i32::MIN as i64 - 1,
        i64::MAX,
        i64::MIN,
        i64::MIN + 1,
    ];

    fn numbers() -> impl Strategy<Value = i64> {
        prop_oneof![proptest::sample::select(&EDGES[..]), -300i64..300, any::<i64>(), any::<i16>().prop_map(i64::from)]
    }

    proptest! {
        #[test]
        fn it_is_the_ordered_set_of_what_was_inserted_and_not_removed(
            steps in proptest::collection::vec((any::<bool>(), numbers()), 0..120),
        ) {
            let (mut bytes, mut model) = (ThinBytes::new(), BTreeSet::new());
            for (is_removal, member) in steps {
                let found = find(&bytes, member);
                prop_assert_eq!(found.is_ok(), model.contains(&member));
                match found {
                    Ok(place) if is_removal => {
                        remove_at(&mut bytes, place);
                        model.remove(&member);
                    }
                    Err(place) if !is_removal => {
                        prop_assert!(insert(&mut bytes, place, member));
                        model.insert(member);
                    }
                    _ => {}
                }
                prop_assert!(members(&bytes).eq(model.iter().copied()));
                prop_assert_eq!(count(&bytes), model.len());
                prop_assert_eq!(at(&bytes, model.len()), None);
                prop_assert!((0..model.len()).all(|place| at(&bytes, place) == model.iter().nth(place).copied()));
            }
        }
    }

    #[test]
    fn its_numbers_take_no_more_bytes_than_the_widest_needs() {
        let mut bytes = ThinBytes::new();
        for (n, width) in [(5, 1), (300, 2), (70_000, 4), (i64::MAX, 8)] {
            let place = find(&bytes, n).expect_err("it is new");
            let count = count(&bytes) + 1;
            assert!(insert(&mut bytes, place, n));
            assert_eq!(bytes.len(), 1 + count * width);
        }
    }
}
