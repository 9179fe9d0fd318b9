//! Changes of a list.

use super::{EntryMut, Value, ValueMut};
use crate::collection::{Bytes, End, ListValue};
use crate::error::Refusal;
use crate::event::EventType;
use crate::ring::Data;

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
        let thresholds = self.turn.thresholds;
        if !self.view().has_value() {
            self.put_value(Value::List(ListValue::default()));
        }
        let Some(ValueMut::List(list)) = self.value_mut() else { return Err(Refusal::WrongType) };
        list.push(end, element, &thresholds);
        let length = list.view().len();
        let event_type = match end {
            End::Head => EventType::LPush,
            End::Tail => EventType::RPush,
        };
        self.record(event_type, Data::One(element));
        Ok(length)
    }

    /// Pops the element at an end. Popping the last element removes the list, without a `Del`.
    pub fn list_pop(&mut self, end: End) -> Result<Option<Bytes>, Refusal> {
        let thresholds = self.turn.thresholds;
        let Some(list) = self.list()? else { return Ok(None) };
        let Some(element) = list.pop(end, &thresholds) else { return Ok(None) };
        let event_type = match end {
            End::Head => EventType::LPop,
            End::Tail => EventType::RPop,
        };
        if list.view().is_empty() {
            self.drop_value();
        }
        self.record(event_type, Data::One(&element));
        Ok(Some(element))
    }

    /// Overwrites the element at an index from the head; refused outside the list.
    pub fn list_set(&mut self, index: usize, element: &[u8]) -> Result<(), Refusal> {
        let thresholds = self.turn.thresholds;
        let list = self.list()?.ok_or(Refusal::NoSuchKey)?;
        if !list.set(index, element, &thresholds) {
            return Err(Refusal::IndexOutOfRange);
        }
        let mut digits = itoa::Buffer::new();
        self.record(EventType::LSet, Data::Parts(&[digits.format(index).as_bytes(), element]));
        Ok(())
    }

    /// Inserts an element at `index` (at most the length); returns the new length.
    pub fn list_insert(&mut self, index: usize, element: &[u8]) -> Result<usize, Refusal> {
        let thresholds = self.turn.thresholds;
        let list = self.list()?.ok_or(Refusal::NoSuchKey)?;
        if !list.insert(index, element, &thresholds) {
            return Err(Refusal::IndexOutOfRange);
        }
        let length = list.view().len();
        let mut digits = itoa::Buffer::new();
        self.record(EventType::LInsert, Data::Parts(&[digits.format(index).as_bytes(), element]));
        Ok(length)
    }

    /// Removes up to `count` elements equal to `element` (0 = all), starting at `from`; returns how many.
    pub fn list_remove(&mut self, from: End, count: usize, element: &[u8]) -> Result<usize, Refusal> {
        let thresholds = self.turn.thresholds;
        let Some(list) = self.list()? else { return Ok(0) };
        let removed = list.remove(from, if count == 0 { usize::MAX } else { count }, element, &thresholds);
        if removed == 0 {
            return Ok(0);
        }
        if list.view().is_empty() {
            self.drop_value();
        }
        let mut digits = itoa::Buffer::new();
        let signed = if from == End::Head { removed as i64 } else { -(removed as i64) };
        self.record(EventType::LRem, Data::Parts(&[digits.format(signed).as_bytes(), element]));
        Ok(removed)
    }

    /// Keeps the elements from index `first` to `last`, both included, and removes the others; all of them if `first`
    /// is beyond `last`. Records nothing if nothing is removed.
    pub fn list_trim(&mut self, first: usize, last: usize) -> Result<(), Refusal> {
        let thresholds = self.turn.thresholds;
        let Some(list) = self.list()? else { return Ok(()) };
        let length = list.view().len();
        if first == 0 && last + 1 >= length {
            return Ok(());
        }
        if first > last || first >= length {
            list.keep(0..0, &thresholds);
        } else {
            list.keep(first..length.min(last + 1), &thresholds);
        }
        if list.view().is_empty() {
            self.drop_value();
        }
        let mut digits = (itoa::Buffer::new(), itoa::Buffer::new());
        let parts = [digits.0.format(first).as_bytes(), digits.1.format(last).as_bytes()];
        self.record(EventType::LTrim, Data::Parts(&parts));
        Ok(())
    }
}
