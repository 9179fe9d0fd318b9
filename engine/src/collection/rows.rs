//! Rows of packed bytes: elements one after the other, each with its length in front, so that a look-up reads memory in
//! order. In a chunk of a long list the length also follows the element, so that it can be read from the end.
//!
//! ```text
//!   length      element    length again, in chunks
//!   0..=253     …          the same bytes in reverse order
//!   254 u16     …
//!   255 u32     …
//! ```
//!
//! These are the server's own bytes, made here and read nowhere else. All the same they are read through slices: rows that
//! were wrong could only end in a panic.

use std::ops::Range;

const SHORT_MAX: usize = 253;
const MIDDLE: usize = SHORT_MAX + 1;
const TWO: u8 = 254;
const FOUR: u8 = 255;

/// Where a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The start of the row.
    pub start: usize,
    /// The first byte of the element.
    pub from: usize,
    /// The end of the element.
    pub to: usize,
    /// The start of the next row.
    pub next: usize,
}

impl Row {
    /// The element.
    #[inline]
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.from..self.to]
    }

    /// All of the row.
    pub fn range(self) -> Range<usize> {
        self.start..self.next
    }
}

/// The length that starts at `at`, and where it ends.
#[inline]
pub(super) fn length(bytes: &[u8], at: usize) -> (usize, usize) {
    match bytes[at] {
        FOUR => (u32::from_le_bytes(array(&bytes[at + 1..at + 5])) as usize, at + 5),
        TWO => (usize::from(u16::from_le_bytes(array(&bytes[at + 1..at + 3]))), at + 3),
        short => (usize::from(short), at + 1),
    }
}

/// The row that starts at `at`.
#[inline]
pub(super) fn row(bytes: &[u8], at: usize, is_doubled: bool) -> Row {
    let (length, from) = length(bytes, at);
    let to = from + length;
    Row { start: at, from, to, next: if is_doubled { to + from - at } else { to } }
}

/// The row that ends at `end`, of rows whose length follows the element too.
#[inline]
pub(super) fn row_before(bytes: &[u8], end: usize) -> Row {
    let (length, width) = match bytes[end - 1] {
        FOUR => (u32::from_be_bytes(array(&bytes[end - 5..end - 1])) as usize, 5),
        TWO => (usize::from(u16::from_be_bytes(array(&bytes[end - 3..end - 1]))), 3),
        short => (usize::from(short), 1),
    };
    let start = end - 2 * width - length;
    Row { start, from: start + width, to: start + width + length, next: end }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the slice was taken with this length")
}

/// A length as it stands in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Length {
    bytes: [u8; 5],
    width: u8,
    reversed: [u8; 5],
}

impl Length {
    #[inline]
    pub fn of(element: &[u8]) -> Length {
        let four = u32::try_from(element.len()).expect("commands refuse elements far below 4 GiB").to_le_bytes();
        match element.len() {
            0..=SHORT_MAX => Length { bytes: [four[0], 0, 0, 0, 0], width: 1, reversed: [0, 0, 0, 0, four[0]] },
            MIDDLE..=0xffff => {
                Length { bytes: [TWO, four[0], four[1], 0, 0], width: 3, reversed: [0, 0, four[1], four[0], TWO] }
            }
            _ => Length {
                bytes: [FOUR, four[0], four[1], four[2], four[3]],
                width: 5,
                reversed: [four[3], four[2], four[1], four[0], FOUR],
            },
        }
    }

    /// In front of the element.
    #[inline]
    pub fn before(&self) -> &[u8] {
        &self.bytes[..usize::from(self.width)]
    }

    /// Behind the element.
    #[inline]
    pub fn behind(&self) -> &[u8] {
        &self.reversed[5 - usize::from(self.width)..]
    }
}

/// The bytes of a row with this element.
#[inline]
pub(super) fn row_bytes(element: &[u8], is_doubled: bool) -> usize {
    let width = usize::from(Length::of(element).width);
    element.len() + if is_doubled { 2 * width } else { width }
}

/// Appends a row.
pub(super) fn put(out: &mut Vec<u8>, element: &[u8], is_doubled: bool) {
    let length = Length::of(element);
    out.extend_from_slice(length.before());
    out.extend_from_slice(element);
    if is_doubled {
        out.extend_from_slice(length.behind());
    }
}

/// The elements from a place on, to the end of the bytes.
#[derive(Clone, Debug)]
pub(super) struct Elements<'a> {
    bytes: &'a [u8],
    at: usize,
    is_doubled: bool,
}

impl<'a> Elements<'a> {
    pub fn new(bytes: &'a [u8], at: usize, is_doubled: bool) -> Elements<'a> {
        Elements { bytes, at, is_doubled }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];
    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let row = row(self.bytes, self.at, self.is_doubled);
        self.at = row.next;
        Some(row.of(self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_from_both_sides_at_every_width() {
        let lengths = [0, 1, 2, 252, 253, 254, 255, 256, 65_535, 65_536, 70_000, 0];
        for is_doubled in [false, true] {
            let (mut bytes, mut starts) = (Vec::new(), Vec::new());
            for (n, &length) in lengths.iter().enumerate() {
                starts.push(bytes.len());
                let element = vec![n as u8; length];
                put(&mut bytes, &element, is_doubled);
                assert_eq!(bytes.len() - starts[n], row_bytes(&element, is_doubled));
            }
            let mut at = 0;
            for (n, &length) in lengths.iter().enumerate() {
                let read = row(&bytes, at, is_doubled);
                assert_eq!((read.start, read.of(&bytes).len()), (starts[n], length));
                assert!(read.of(&bytes).iter().all(|&byte| byte == n as u8));
                if is_doubled {
                    assert_eq!(row_before(&bytes, read.next), read);
                }
                at = read.next;
            }
            assert_eq!(at, bytes.len());
            assert_eq!(Elements::new(&bytes, 0, is_doubled).map(<[u8]>::len).collect::<Vec<_>>(), lengths);
        }
    }
}
