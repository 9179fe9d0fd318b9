//! The compact form of a small collection: a count, and rows. Look-ups and edits are functions of the bytes: an edit names
//! the bytes to replace and their replacement, and the owner of the bytes applies it.
//!
//! ```text
//!   hash   count u16 │ field length, value length, field, value │ …
//!   set    count u16 │ member │ member …
//!   list   count u16 │ element │ element …
//! ```
//!
//! The count is that of fields, members or elements. An empty collection has no bytes at all. Both lengths of a pair stand
//! together, so that a search reads one place for each field that it skips.

use super::rows::{Elements, Length, Row, length, put, row};
use super::thin::ThinBytes;
use crate::limits::PACKED_ENTRIES_MAX;
use std::ops::Range;

/// The memory that a small collection is in: an allocation of its own, or a part of another.
pub(crate) trait SmallBytes {
    /// The collection's bytes.
    fn get(&self) -> &[u8];

    /// The most bytes that there may be here.
    fn room(&self) -> usize;

    /// Replaces a range of the bytes by these parts, one after the other.
    fn splice(&mut self, range: Range<usize>, parts: &[&[u8]]);

    /// Overwrites the bytes at the beginning.
    fn overwrite_start(&mut self, start: &[u8]);
}

impl SmallBytes for ThinBytes {
    #[inline]
    fn get(&self) -> &[u8] {
        self
    }

    fn room(&self) -> usize {
        usize::MAX
    }

    fn splice(&mut self, range: Range<usize>, parts: &[&[u8]]) {
        ThinBytes::splice(self, range, parts);
    }

    fn overwrite_start(&mut self, start: &[u8]) {
        self[..start.len()].copy_from_slice(start);
    }
}

/// The bytes of the count.
const COUNT_BYTES: usize = 2;

/// The number of fields, members or elements.
#[inline]
pub(super) fn count(bytes: &[u8]) -> usize {
    match bytes {
        [low, high, ..] => usize::from(u16::from_le_bytes([*low, *high])),
        _ => 0,
    }
}

/// All members of a set, or elements of a list.
#[inline]
pub(super) fn elements(bytes: &[u8]) -> Elements<'_> {
    Elements::new(bytes, COUNT_BYTES.min(bytes.len()), false)
}

/// An edit: a range of the bytes, and up to two elements to put there, behind their lengths.
#[derive(Clone, Debug)]
pub(super) struct Edit<'e> {
    range: Range<usize>,
    elements: [&'e [u8]; 2],
    /// How many of them there are.
    rows: usize,
    /// The count afterwards.
    count: usize,
}

impl<'e> Edit<'e> {
    fn insertion(bytes: &[u8], at: usize, elements: &[&'e [u8]]) -> Edit<'e> {
        Edit::replacement(at..at, elements, count(bytes) + 1)
    }

    fn replacement(range: Range<usize>, elements: &[&'e [u8]], count: usize) -> Edit<'e> {
        let mut two: [&[u8]; 2] = [&[]; 2];
        two[..elements.len()].copy_from_slice(elements);
        Edit { range, elements: two, rows: elements.len(), count }
    }

    fn removal(bytes: &[u8], range: Range<usize>) -> Edit<'e> {
        Edit::replacement(range, &[], count(bytes) - 1)
    }

    /// Does it, if there is room for it; returns whether it did.
    pub fn apply(&self, bytes: &mut impl SmallBytes) -> bool {
        let lengths = self.elements.map(Length::of);
        let (first, second) = (lengths[0].before(), lengths[1].before());
        let count = (self.count as u16).to_le_bytes();
        let [one, other] = self.elements;
        let all = match self.rows {
            1 => [&count[..], first, one, &[], &[]],
            _ => [&count[..], first, second, one, other],
        };
        let parts = &all[1..1 + 2 * self.rows];
        let length = bytes.get().len();
        if length == 0 {
            bytes.splice(0..0, &all[..1 + 2 * self.rows]);
        } else if self.count == 0 {
            bytes.splice(0..length, &[]);
        } else {
            let inserted: usize = parts.iter().map(|part| part.len()).sum();
            if length - self.range.len() + inserted > bytes.room() {
                return false;
            }
            bytes.splice(self.range.clone(), parts);
            bytes.overwrite_start(&count);
        }
        true
    }
}

/// The bytes of a set or list of so many members or elements.
pub(super) fn build<'e>(count: usize, elements: impl Iterator<Item = &'e [u8]>) -> Vec<u8> {
    debug_assert!(count <= PACKED_ENTRIES_MAX);
    if count == 0 {
        return Vec::new();
    }
    let mut bytes = (count as u16).to_le_bytes().to_vec();
    elements.for_each(|element| put(&mut bytes, element, false));
    bytes
}

/// Hashes.
pub(super) mod hash {
    use super::*;

    /// Where a field and its value are.
    #[derive(Clone, Copy)]
    struct Pair {
        /// The first byte of the lengths.
        start: usize,
        /// The first byte of the field.
        field: usize,
        /// The first byte of the value.
        value: usize,
        /// The end of the value.
        next: usize,
    }

    /// The pair that starts at `at`.
    #[inline]
    fn pair(bytes: &[u8], at: usize) -> Pair {
        let (field_length, second) = length(bytes, at);
        let (value_length, field) = length(bytes, second);
        let value = field + field_length;
        Pair { start: at, field, value, next: value + value_length }
    }

    #[inline]
    fn find(bytes: &[u8], field: &[u8]) -> Option<Pair> {
        let mut at = COUNT_BYTES;
        while at < bytes.len() {
            let pair = pair(bytes, at);
            if bytes[pair.field..pair.value] == *field {
                return Some(pair);
            }
            at = pair.next;
        }
        None
    }

    /// The value of a field.
    #[inline]
    pub fn get<'b>(bytes: &'b [u8], field: &[u8]) -> Option<&'b [u8]> {
        find(bytes, field).map(|pair| &bytes[pair.value..pair.next])
    }

    /// Sets a field that is there. Its place stays.
    pub fn overwrite<'e>(bytes: &[u8], field: &'e [u8], value: &'e [u8]) -> Option<Edit<'e>> {
        let old = find(bytes, field)?;
        Some(Edit::replacement(old.start..old.next, &[field, value], count(bytes)))
    }

    /// Adds a field that is not there, behind all others.
    pub fn add<'e>(bytes: &[u8], field: &'e [u8], value: &'e [u8]) -> Edit<'e> {
        Edit::insertion(bytes, bytes.len(), &[field, value])
    }

    /// Removes a field; the others stay in order.
    pub fn remove(bytes: &[u8], field: &[u8]) -> Option<Edit<'static>> {
        find(bytes, field).map(|pair| Edit::removal(bytes, pair.start..pair.next))
    }

    /// All fields and their values.
    pub fn pairs(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut at = COUNT_BYTES;
        std::iter::from_fn(move || {
            let pair = (at < bytes.len()).then(|| pair(bytes, at))?;
            at = pair.next;
            Some((&bytes[pair.field..pair.value], &bytes[pair.value..pair.next]))
        })
    }

    /// The bytes of a hash of so many fields.
    pub fn build<'e>(count: usize, pairs: impl Iterator<Item = (&'e [u8], &'e [u8])>) -> Vec<u8> {
        debug_assert!(count <= PACKED_ENTRIES_MAX);
        if count == 0 {
            return Vec::new();
        }
        let mut bytes = (count as u16).to_le_bytes().to_vec();
        for (field, value) in pairs {
            for part in [Length::of(field).before(), Length::of(value).before(), field, value] {
                bytes.extend_from_slice(part);
            }
        }
        bytes
    }
}

/// The rows of sets and lists.
fn row_at(bytes: &[u8], place: usize) -> Option<Row> {
    if place >= count(bytes) {
        return None;
    }
    let mut found = row(bytes, COUNT_BYTES, false);
    for _ in 0..place {
        found = row(bytes, found.next, false);
    }
    Some(found)
}

/// Sets.
pub(super) mod set {
    use super::*;

    /// Whether there is a member.
    #[inline]
    pub fn contains(bytes: &[u8], member: &[u8]) -> bool {
        elements(bytes).any(|each| each == member)
    }

    /// Adds a member that is not there, behind all others.
    pub fn add<'e>(bytes: &[u8], member: &'e [u8]) -> Edit<'e> {
        Edit::insertion(bytes, bytes.len(), &[member])
    }

    /// The place of a member.
    pub fn place_of(bytes: &[u8], member: &[u8]) -> Option<usize> {
        elements(bytes).position(|each| each == member)
    }

    /// Removes the member at a place; the others stay in order.
    pub fn remove_at(bytes: &[u8], place: usize) -> Option<Edit<'static>> {
        row_at(bytes, place).map(|row| Edit::removal(bytes, row.range()))
    }
}

/// Lists.
pub(super) mod list {
    use super::*;

    /// The element at an index.
    pub fn at(bytes: &[u8], index: usize) -> Option<&[u8]> {
        row_at(bytes, index).map(|row| row.of(bytes))
    }

    /// Inserts an element at an index, at most the length.
    pub fn insert<'e>(bytes: &[u8], index: usize, element: &'e [u8]) -> Edit<'e> {
        let at = row_at(bytes, index).map_or(bytes.len(), |row| row.start);
        Edit::insertion(bytes, at, &[element])
    }

    /// Overwrites the element at an index.
    pub fn overwrite<'e>(bytes: &[u8], index: usize, element: &'e [u8]) -> Option<Edit<'e>> {
        Some(Edit::replacement(row_at(bytes, index)?.range(), &[element], count(bytes)))
    }

    /// The element at an index, and its removal.
    pub fn remove(bytes: &[u8], index: usize) -> Option<(&[u8], Edit<'static>)> {
        row_at(bytes, index).map(|row| (row.of(bytes), Edit::removal(bytes, row.range())))
    }
}
