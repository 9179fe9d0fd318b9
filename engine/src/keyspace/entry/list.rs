//! Changes of a list.

use super::{EntryMut, ListValue, Value, ValueMut};
use crate::error::Refusal;
use crate::event::EventType;
use crate::keyspace::Bytes;
use crate::ring::Data;

/// One end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The end with index 0; Redis's LEFT.
    Head,
    /// The end with index -1; Redis's RIGHT.
    Tail,
}

impl EntryMut<'_> {
    fn list(&mut self) -> Result<Option<&mut ListValue>, Refusal> {
        match self.value_mut() {
            None => Ok(None),
            Some(ValueMut::List(list)) => Ok(Some(list)),
            Some(_) => Err(Refusal::WrongType),
        }
    }

    /// Pushes one element at an end and returns the new length. Creates the list if there is no value.
    pub fn list_push(&mut self, end: End, element: &[u8]) -> Result<usize, Refusal> {
        if !self.view().has_value() {
            self.put_value(Value::List(Box::default()));
        }
        let Some(ValueMut::List(list)) = self.value_mut() else { return Err(Refusal::WrongType) };
        let event_type = match end {
            End::Head => {
                list.push_front(Bytes::from_slice(element));
                EventType::LPush
            }
            End::Tail => {
                list.push_back(Bytes::from_slice(element));
                EventType::RPush
            }
        };
        let length = list.len();
        self.record(event_type, Data::One(element));
        Ok(length)
    }

    /// Pops the element at an end. Popping the last element removes the list, without a `Del`.
    pub fn list_pop(&mut self, end: End) -> Result<Option<Bytes>, Refusal> {
        let Some(list) = self.list()? else { return Ok(None) };
        let (popped, event_type) = match end {
            End::Head => (list.pop_front(), EventType::LPop),
            End::Tail => (list.pop_back(), EventType::RPop),
        };
        let Some(element) = popped else { return Ok(None) };
        if list.is_empty() {
            self.take_value();
        }
        self.record(event_type, Data::One(&element));
        Ok(Some(element))
    }

    /// Overwrites the element at an index from the head; refused outside the list.
    pub fn list_set(&mut self, index: usize, element: &[u8]) -> Result<(), Refusal> {
        let list = self.list()?.ok_or(Refusal::NoSuchKey)?;
        *list.get_mut(index).ok_or(Refusal::IndexOutOfRange)? = Bytes::from_slice(element);
        let mut digits = itoa::Buffer::new();
        self.record(EventType::LSet, Data::Parts(&[digits.format(index).as_bytes(), element]));
        Ok(())
    }

    /// Inserts an element at `index` (at most the length); returns the new length.
    pub fn list_insert(&mut self, index: usize, element: &[u8]) -> Result<usize, Refusal> {
        let list = self.list()?.ok_or(Refusal::NoSuchKey)?;
        if index > list.len() {
            return Err(Refusal::IndexOutOfRange);
        }
        list.insert(index, Bytes::from_slice(element));
        let length = list.len();
        let mut digits = itoa::Buffer::new();
        self.record(EventType::LInsert, Data::Parts(&[digits.format(index).as_bytes(), element]));
        Ok(length)
    }

    /// Removes up to `count` elements equal to `element` (0 = all), starting at `from`; returns how many.
    pub fn list_remove(&mut self, from: End, count: usize, element: &[u8]) -> Result<usize, Refusal> {
        let Some(list) = self.list()? else { return Ok(0) };
        let wanted = if count == 0 { usize::MAX } else { count };
        let mut removed = 0;
        // Elements are visited from that end, and the rest stays in order.
        match from {
            End::Head => list.retain(|each| {
                let goes = removed < wanted && each.as_slice() == element;
                removed += usize::from(goes);
                !goes
            }),
            End::Tail => {
                let equal = list.iter().filter(|each| each.as_slice() == element).count();
                let mut kept = equal.saturating_sub(wanted);
                list.retain(|each| {
                    if each.as_slice() != element {
                        return true;
                    }
                    let goes = kept == 0;
                    kept -= usize::from(!goes);
                    removed += usize::from(goes);
                    !goes
                });
            }
        }
        if removed == 0 {
            return Ok(0);
        }
        if list.is_empty() {
            self.take_value();
        }
        let mut digits = itoa::Buffer::new();
        let signed = if from == End::Head { removed as i64 } else { -(removed as i64) };
        self.record(EventType::LRem, Data::Parts(&[digits.format(signed).as_bytes(), element]));
        Ok(removed)
    }

    /// Keeps the elements from index `first` to `last`, both included, and removes the others; all of them if `first`
    /// is beyond `last`. Records nothing if nothing is removed.
    pub fn list_trim(&mut self, first: usize, last: usize) -> Result<(), Refusal> {
        let Some(list) = self.list()? else { return Ok(()) };
        let length = list.len();
        if first == 0 && last + 1 >= length {
            return Ok(());
        }
        if first > last || first >= length {
            list.clear();
        } else {
            list.truncate(last + 1);
            list.drain(..first);
        }
        if list.is_empty() {
            self.take_value();
        }
        let mut digits = (itoa::Buffer::new(), itoa::Buffer::new());
        let parts = [digits.0.format(first).as_bytes(), digits.1.format(last).as_bytes()];
        self.record(EventType::LTrim, Data::Parts(&parts));
        Ok(())
    }
}
