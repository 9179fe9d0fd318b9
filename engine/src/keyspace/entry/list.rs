//! Changes of a list.

use super::{EntryMut, Rest, Value, ValueMut, ValueRef};
use crate::collection::{Bytes, End, ListValue, SmallBytes, small};
use crate::error::Refusal;
use crate::event::EventType;
use crate::keyspace::block::Encoding;
use crate::ring::Data;

impl EntryMut<'_> {
    /// The number of elements; `None` if there is no value.
    fn length(&self) -> Result<Option<usize>, Refusal> {
        match self.view().value() {
            None => Ok(None),
            Some(ValueRef::List(list)) => Ok(Some(list.len())),
            Some(_) => Err(Refusal::WrongType),
        }
    }

    /// Changes a list that is too large for the block.
    #[cold]
    fn list_outside(&mut self, change: impl FnOnce(&mut ListValue)) {
        self.outside(|all| {
            if let Value::List(list) = all {
                change(list);
            }
        });
    }

    /// Pushes one element at an end and returns the new length. Creates the list if there is no value.
    pub fn list_push(&mut self, end: End, element: &[u8]) -> Result<usize, Refusal> {
        let thresholds = self.turn.thresholds;
        if !self.view().has_value() {
            self.begin_small(Encoding::PackedList);
            // Commands may wait for its elements.
            self.turn.waiters.signal(self.word.get().key());
        }
        let length = match self.value_mut() {
            Some(ValueMut::List(list)) => {
                list.push(end, element, &thresholds);
                list.view().len()
            }
            Some(ValueMut::Small(Encoding::PackedList)) => {
                let mut block = self.word.lend();
                let mut list = block.small();
                if small::list_push(&mut list, end, element, &thresholds) {
                    small::count(list.get())
                } else {
                    drop(block);
                    self.list_outside(|list| list.push(end, element, &thresholds));
                    self.length()?.unwrap_or(0)
                }
            }
            _ => return Err(Refusal::WrongType),
        };
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
        let (popped, rest) = match self.value_mut() {
            None => return Ok(None),
            Some(ValueMut::List(list)) => {
                let popped = list.pop(end, &thresholds);
                (popped, Rest::outside(list.view().is_empty(), list.view().compact_bytes()))
            }
            Some(ValueMut::Small(Encoding::PackedList)) => {
                let mut block = self.word.lend();
                let mut list = block.small();
                (small::list_pop(&mut list, end), Rest::inside(list.get()))
            }
            Some(_) => return Err(Refusal::WrongType),
        };
        let Some(element) = popped else { return Ok(None) };
        let event_type = match end {
            End::Head => EventType::LPop,
            End::Tail => EventType::RPop,
        };
        self.settle_rest(rest);
        self.record(event_type, Data::One(&element));
        Ok(Some(element))
    }

    /// Overwrites the element at an index from the head; refused outside the list.
    pub fn list_set(&mut self, index: usize, element: &[u8]) -> Result<(), Refusal> {
        let thresholds = self.turn.thresholds;
        if index >= self.length()?.ok_or(Refusal::NoSuchKey)? {
            return Err(Refusal::IndexOutOfRange);
        }
        let is_done = match self.value_mut() {
            Some(ValueMut::List(list)) => list.set(index, element, &thresholds),
            Some(ValueMut::Small(_)) => small::list_set(&mut self.word.lend().small(), index, element, &thresholds),
            _ => true,
        };
        if !is_done {
            self.list_outside(|list| _ = list.set(index, element, &thresholds));
        }
        self.settle();
        let mut digits = itoa::Buffer::new();
        self.record(EventType::LSet, Data::Parts(&[digits.format(index).as_bytes(), element]));
        Ok(())
    }

    /// Inserts an element at `index` (at most the length); returns the new length.
    pub fn list_insert(&mut self, index: usize, element: &[u8]) -> Result<usize, Refusal> {
        let thresholds = self.turn.thresholds;
        let length = self.length()?.ok_or(Refusal::NoSuchKey)?;
        if index > length {
            return Err(Refusal::IndexOutOfRange);
        }
        let is_done = match self.value_mut() {
            Some(ValueMut::List(list)) => list.insert(index, element, &thresholds),
            Some(ValueMut::Small(_)) => small::list_insert(&mut self.word.lend().small(), index, element, &thresholds),
            _ => true,
        };
        if !is_done {
            self.list_outside(|list| _ = list.insert(index, element, &thresholds));
        }
        let mut digits = itoa::Buffer::new();
        self.record(EventType::LInsert, Data::Parts(&[digits.format(index).as_bytes(), element]));
        Ok(length + 1)
    }

    /// Removes up to `count` elements equal to `element` (0 = all), starting at `from`; returns how many.
    pub fn list_remove(&mut self, from: End, count: usize, element: &[u8]) -> Result<usize, Refusal> {
        let thresholds = self.turn.thresholds;
        let most = if count == 0 { usize::MAX } else { count };
        let removed = match self.value_mut() {
            None => 0,
            Some(ValueMut::List(list)) => list.remove(from, most, element, &thresholds),
            Some(ValueMut::Small(Encoding::PackedList)) => {
                small::list_remove(&mut self.word.lend().small(), from, most, element)
            }
            Some(_) => return Err(Refusal::WrongType),
        };
        if removed == 0 {
            return Ok(0);
        }
        self.settle();
        let mut digits = itoa::Buffer::new();
        let signed = if from == End::Head { removed as i64 } else { -(removed as i64) };
        self.record(EventType::LRem, Data::Parts(&[digits.format(signed).as_bytes(), element]));
        Ok(removed)
    }

    /// Keeps the elements from index `first` to `last`, both included, and removes the others; all of them if `first`
    /// is beyond `last`. Records nothing if nothing is removed.
    pub fn list_trim(&mut self, first: usize, last: usize) -> Result<(), Refusal> {
        let thresholds = self.turn.thresholds;
        let Some(length) = self.length()? else { return Ok(()) };
        if first == 0 && last + 1 >= length {
            return Ok(());
        }
        let kept = if first > last || first >= length { 0..0 } else { first..length.min(last + 1) };
        match self.value_mut() {
            Some(ValueMut::List(list)) => list.keep(kept, &thresholds),
            Some(ValueMut::Small(_)) => small::list_keep(&mut self.word.lend().small(), kept),
            _ => {}
        }
        self.settle();
        let mut digits = (itoa::Buffer::new(), itoa::Buffer::new());
        let parts = [digits.0.format(first).as_bytes(), digits.1.format(last).as_bytes()];
        self.record(EventType::LTrim, Data::Parts(&parts));
        Ok(())
    }
}
