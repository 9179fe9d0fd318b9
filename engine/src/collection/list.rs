//! A list: elements in order.

use super::Bytes;
use std::collections::VecDeque;
use std::ops::Range;

/// One end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The end with index 0; Redis's LEFT.
    Head,
    /// The end with index -1; Redis's RIGHT.
    Tail,
}

/// The elements of a list.
#[derive(Clone, Debug, Default)]
#[expect(clippy::box_collection, reason = "a value is small, whatever kind it is of")]
pub struct ListValue {
    list: Box<VecDeque<Bytes>>,
}

impl ListValue {
    /// The list, for reading.
    #[inline]
    pub fn view(&self) -> ListRef<'_> {
        ListRef { list: &self.list }
    }

    /// Adds an element at an end.
    pub(crate) fn push(&mut self, end: End, element: &[u8]) {
        match end {
            End::Head => self.list.push_front(Bytes::from_slice(element)),
            End::Tail => self.list.push_back(Bytes::from_slice(element)),
        }
    }

    /// Removes the element at an end.
    pub(crate) fn pop(&mut self, end: End) -> Option<Bytes> {
        match end {
            End::Head => self.list.pop_front(),
            End::Tail => self.list.pop_back(),
        }
    }

    /// Overwrites the element at an index; returns whether there is one.
    pub(crate) fn set(&mut self, index: usize, element: &[u8]) -> bool {
        self.list.get_mut(index).map(|old| *old = Bytes::from_slice(element)).is_some()
    }

    /// Inserts an element at an index; returns whether that is at most the length.
    pub(crate) fn insert(&mut self, index: usize, element: &[u8]) -> bool {
        let fits = index <= self.list.len();
        if fits {
            self.list.insert(index, Bytes::from_slice(element));
        }
        fits
    }

    /// Removes the first `most` elements that equal `element`, counted from an end; returns how many.
    pub(crate) fn remove(&mut self, from: End, most: usize, element: &[u8]) -> usize {
        let equal = self.list.iter().filter(|each| each.as_slice() == element).count();
        let removed = equal.min(most);
        // In the order from the head.
        let kept_first = if from == End::Head { 0 } else { equal - removed };
        let mut seen = 0;
        self.list.retain(|each| {
            if each.as_slice() != element {
                return true;
            }
            seen += 1;
            seen <= kept_first || seen > kept_first + removed
        });
        removed
    }

    /// Keeps the elements in a range of indexes within the list.
    pub(crate) fn keep(&mut self, kept: Range<usize>) {
        self.list.truncate(kept.end);
        self.list.drain(..kept.start);
    }
}

/// A list, for reading.
#[derive(Clone, Copy, Debug)]
pub struct ListRef<'a> {
    list: &'a VecDeque<Bytes>,
}

impl<'a> ListRef<'a> {
    /// The number of elements.
    #[inline]
    pub fn len(self) -> usize {
        self.list.len()
    }

    /// Whether there are none, as in no list that a key holds.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The element at an index.
    pub fn at(self, index: usize) -> Option<&'a [u8]> {
        self.list.get(index).map(|element| element.as_slice())
    }

    /// The element `place` places from an end.
    #[inline]
    pub fn from_end(self, end: End, place: usize) -> Option<&'a [u8]> {
        match end {
            End::Head => self.at(place),
            End::Tail => self.at(self.len().checked_sub(place + 1)?),
        }
    }

    /// All elements from an end on.
    pub fn iter_from(self, end: End) -> Box<dyn Iterator<Item = &'a [u8]> + 'a> {
        let elements = self.list.iter().map(|element| element.as_slice());
        match end {
            End::Head => Box::new(elements),
            End::Tail => Box::new(elements.rev()),
        }
    }

    /// All elements, head first.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        self.list.iter().map(|element| element.as_slice())
    }

    /// The elements in a range of indexes within the list.
    pub fn range(self, range: Range<usize>) -> impl Iterator<Item = &'a [u8]> {
        self.list.range(range).map(|element| element.as_slice())
    }

    /// The memory that a look-up reads first.
    #[inline]
    pub(crate) fn first_line(self) -> *const u8 {
        std::ptr::from_ref(self.list).cast()
    }
}
