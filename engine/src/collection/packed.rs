//! The compact form of a small collection: a count, and rows. Look-ups and edits are functions of the bytes: an edit says
//! what to replace by what, and whoever owns the bytes does it.
//!
//! ```text
//!   hash   count u16 │ field │ value │ field │ value …
//!   set    count u16 │ member │ member …
//!   list   count u16 │ element │ element …
//! ```
//!
//! The count is that of fields, members or elements. An empty collection has no bytes at all.

use super::rows::{Elements, Length, Row, put, row};
use super::thin::ThinBytes;
use crate::limits::PACKED_ENTRIES_MAX;
use std::ops::Range;

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

/// All elements; of a hash fields and values in turn.
#[inline]
pub(super) fn elements(bytes: &[u8]) -> Elements<'_> {
    Elements::new(bytes, COUNT_BYTES.min(bytes.len()), false)
}

/// An edit: a range of the bytes, and up to two elements to put there as rows.
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
    /// The same edit on bytes that end before it: the range is empty, and at their end.
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

    /// Does it.
    pub fn apply(&self, bytes: &mut ThinBytes) {
        let lengths = self.elements.map(Length::of);
        let (first, second) = (lengths[0].before(), lengths[1].before());
        let count = (self.count as u16).to_le_bytes();
        let all = [&count[..], first, self.elements[0], second, self.elements[1]];
        let parts = &all[1..1 + 2 * self.rows];
        if bytes.is_empty() {
            *bytes = ThinBytes::of(&all[..1 + 2 * self.rows]);
        } else if self.count == 0 {
            *bytes = ThinBytes::new();
        } else {
            bytes.splice(self.range.clone(), parts);
            bytes[..COUNT_BYTES].copy_from_slice(&count);
        }
    }
}

/// Makes the bytes of a collection of so many fields, members or elements.
pub(super) fn build<'e>(count: usize, elements: impl Iterator<Item = &'e [u8]>) -> ThinBytes {
    debug_assert!(count <= PACKED_ENTRIES_MAX);
    let mut bytes = (count as u16).to_le_bytes().to_vec();
    elements.for_each(|element| put(&mut bytes, element, false));
    if count == 0 { ThinBytes::new() } else { ThinBytes::of(&[&bytes]) }
}

/// Hashes.
pub(super) mod hash {
    use super::*;

    /// The rows of a field and of its value.
    #[inline]
    fn find(bytes: &[u8], field: &[u8]) -> Option<(Row, Row)> {
        let mut at = COUNT_BYTES;
        while at < bytes.len() {
            let name = row(bytes, at, false);
            let value = row(bytes, name.next, false);
            if name.of(bytes) == field {
                return Some((name, value));
            }
            at = value.next;
        }
        None
    }

    /// The value of a field.
    #[inline]
    pub fn get<'b>(bytes: &'b [u8], field: &[u8]) -> Option<&'b [u8]> {
        find(bytes, field).map(|(_, value)| value.of(bytes))
    }

    /// Sets a field that is there. Its place stays.
    pub fn overwrite<'e>(bytes: &[u8], field: &[u8], value: &'e [u8]) -> Option<Edit<'e>> {
        let (_, old) = find(bytes, field)?;
        Some(Edit::replacement(old.range(), &[value], count(bytes)))
    }

    /// Adds a field that is not there, behind all others.
    pub fn add<'e>(bytes: &[u8], field: &'e [u8], value: &'e [u8]) -> Edit<'e> {
        Edit::insertion(bytes, bytes.len(), &[field, value])
    }

    /// Removes a field; the others stay in order.
    pub fn remove(bytes: &[u8], field: &[u8]) -> Option<Edit<'static>> {
        let (name, value) = find(bytes, field)?;
        Some(Edit::removal(bytes, name.start..value.next))
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

    /// Removes the element at an index.
    pub fn remove(bytes: &[u8], index: usize) -> Option<Edit<'static>> {
        row_at(bytes, index).map(|row| Edit::removal(bytes, row.range()))
    }
}
