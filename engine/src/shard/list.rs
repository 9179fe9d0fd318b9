//! Operations on lists.

use super::Shard;
use crate::collection::{End, ListRef};
use crate::error::Refusal;
use crate::keyspace::{Bytes, Entry, ValueRef};
use crate::ring::{record_bytes, record_bytes_parts};
use std::ops::Range;

/// The side of another element on which a new one is inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Nearer to the head.
    Before,
    /// Nearer to the tail.
    After,
}

/// The result of an insertion beside another element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// The element was inserted; the list has this length.
    Length(usize),
    /// There is no such other element.
    NoPivot,
    /// There is no list.
    NoKey,
}

/// The longest decimal of an index or a count, in bytes.
const DIGITS_MAX: usize = 20;

impl<'a> Entry<'a> {
    /// The list, `None` if the key does not exist; refused if it holds another type.
    #[inline]
    pub fn elements(self) -> Result<Option<ListRef<'a>>, Refusal> {
        match self.value() {
            None => Ok(None),
            Some(ValueRef::List(list)) => Ok(Some(list)),
            Some(_) => Err(Refusal::WrongType),
        }
    }
}

impl Shard {
    /// The list at a key.
    #[inline]
    pub fn elements(&mut self, key: &[u8]) -> Result<Option<ListRef<'_>>, Refusal> {
        self.read(key).map_or(Ok(None), Entry::elements)
    }

    /// Pushes elements, at least one, at an end, one after another; returns the new length. Creates the list if there
    /// is none.
    pub fn push<'k>(
        &mut self,
        key: &[u8],
        end: End,
        elements: impl Iterator<Item = &'k [u8]> + Clone,
    ) -> Result<usize, Refusal> {
        self.turn.admit(elements.clone().map(|element| record_bytes(key.len(), element.len())).sum(), key.len())?;
        let mut entry = self.write(key);
        let mut length = 0;
        for element in elements {
            // A wrong type is refused at the first element, before anything has changed.
            length = entry.list_push(end, element)?;
        }
        Ok(length)
    }

    /// As [`Shard::push`], but only onto an existing list; returns 0 if there is none.
    pub fn push_existing<'k>(
        &mut self,
        key: &[u8],
        end: End,
        elements: impl Iterator<Item = &'k [u8]> + Clone,
    ) -> Result<usize, Refusal> {
        if self.find(key).is_none() { Ok(0) } else { self.push(key, end, elements) }
    }

    /// Pops the element at an end.
    pub fn pop(&mut self, key: &[u8], end: End) -> Result<Option<Bytes>, Refusal> {
        let Some(mut entry) = self.find(key) else { return Ok(None) };
        let element = entry.view().elements()?.and_then(|list| list.at_from(end, 0));
        let bytes = record_bytes(key.len(), element.map_or(0, |element| element.len()));
        entry.admit(bytes)?;
        entry.list_pop(end)
    }

    /// Pops up to `count` elements at an end, the outermost first; `None` if there is no list.
    pub fn pop_many(&mut self, key: &[u8], end: End, count: usize) -> Result<Option<Vec<Bytes>>, Refusal> {
        let Some(mut entry) = self.find(key) else { return Ok(None) };
        let Some(list) = entry.view().elements()? else { return Ok(None) };
        let count = count.min(list.len());
        let popped = (0..count).filter_map(|place| list.at_from(end, place));
        let bytes = popped.map(|element| record_bytes(key.len(), element.len())).sum();
        entry.admit(bytes)?;
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.extend(entry.list_pop(end)?);
        }
        Ok(Some(elements))
    }

    /// Overwrites the element at an index, a negative one from the tail (-1 is the last).
    pub fn set_element(&mut self, key: &[u8], index: i64, element: &[u8]) -> Result<(), Refusal> {
        let mut entry = self.find(key).ok_or(Refusal::NoSuchKey)?;
        let length = entry.view().elements()?.ok_or(Refusal::NoSuchKey)?.len();
        let index = resolve_index(index, length).ok_or(Refusal::IndexOutOfRange)?;
        entry.admit(record_bytes_parts(key.len(), [DIGITS_MAX, element.len()].into_iter()))?;
        entry.list_set(index, element)
    }

    /// Inserts an element beside the first one that equals `pivot`.
    pub fn insert_beside(&mut self, key: &[u8], side: Side, pivot: &[u8], element: &[u8]) -> Result<Inserted, Refusal> {
        let Some(mut entry) = self.find(key) else { return Ok(Inserted::NoKey) };
        let Some(list) = entry.view().elements()? else { return Ok(Inserted::NoKey) };
        let Some(index) = list.iter().position(|each| each == pivot) else { return Ok(Inserted::NoPivot) };
        entry.admit(record_bytes_parts(key.len(), [DIGITS_MAX, element.len()].into_iter()))?;
        let index = match side {
            Side::Before => index,
            Side::After => index + 1,
        };
        entry.list_insert(index, element).map(Inserted::Length)
    }

    /// Removes elements that equal `element`: the first `count`, if negative the last `-count`, if 0 all. Returns how
    /// many.
    pub fn remove_elements(&mut self, key: &[u8], count: i64, element: &[u8]) -> Result<usize, Refusal> {
        let Some(mut entry) = self.find(key) else { return Ok(0) };
        entry.view().elements()?;
        entry.admit(record_bytes_parts(key.len(), [DIGITS_MAX, element.len()].into_iter()))?;
        let from = if count < 0 { End::Tail } else { End::Head };
        let count = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        entry.list_remove(from, count, element)
    }

    /// Trims a list to the range that `keep` returns for its length; if it returns `None` the list becomes empty and is
    /// removed.
    pub fn trim(&mut self, key: &[u8], keep: impl FnOnce(usize) -> Option<Range<usize>>) -> Result<(), Refusal> {
        let Some(mut entry) = self.find(key) else { return Ok(()) };
        let Some(list) = entry.view().elements()? else { return Ok(()) };
        // An empty rest is recorded as a first index behind the last one.
        let (first, last) = match keep(list.len()) {
            Some(places) if !places.is_empty() => (places.start, places.end - 1),
            _ => (1, 0),
        };
        entry.admit(record_bytes_parts(key.len(), [DIGITS_MAX, DIGITS_MAX].into_iter()))?;
        entry.list_trim(first, last)
    }
}

/// The position of an index, a negative one from the end; `None` outside the list.
pub fn resolve_index(index: i64, length: usize) -> Option<usize> {
    let index = if index < 0 { index.checked_add_unsigned(length as u64)? } else { index };
    usize::try_from(index).ok().filter(|&index| index < length)
}
