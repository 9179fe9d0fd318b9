//! Changes of a set.

use super::{EntryMut, SetValue, Value, ValueMut};
use crate::error::Refusal;
use crate::event::EventType;
use crate::keyspace::Bytes;
use crate::limits::SCAN_WHOLE_MAX;
use crate::ring::Data;

impl EntryMut<'_> {
    /// Adds one member; returns whether it is new. Creates the set if there is no value.
    pub fn set_add(&mut self, member: &[u8]) -> Result<bool, Refusal> {
        if !self.view().has_value() {
            self.put_value(Value::Set(Box::default()));
        }
        let Some(ValueMut::Set(set)) = self.value_mut() else { return Err(Refusal::WrongType) };
        if set.contains(member) {
            return Ok(false);
        }
        set.insert(Bytes::from_slice(member));
        self.record(EventType::SAdd, Data::One(member));
        Ok(true)
    }

    /// Removes one member; returns whether it existed. Removing the last member removes the set, without a `Del`.
    pub fn set_remove(&mut self, member: &[u8]) -> Result<bool, Refusal> {
        let set = match self.value_mut() {
            None => return Ok(false),
            Some(ValueMut::Set(set)) => set,
            Some(_) => return Err(Refusal::WrongType),
        };
        let Some(index) = set.get_index_of(member) else { return Ok(false) };
        remove_index(set, index);
        if set.is_empty() {
            self.take_value();
        }
        self.record(EventType::SRem, Data::One(member));
        Ok(true)
    }

    /// Removes the member at an index of the set's own order, for a caller that chose it at random.
    pub fn set_remove_index(&mut self, index: usize) -> Result<Option<Bytes>, Refusal> {
        let set = match self.value_mut() {
            None => return Ok(None),
            Some(ValueMut::Set(set)) => set,
            Some(_) => return Err(Refusal::WrongType),
        };
        let Some(member) = remove_index(set, index) else { return Ok(None) };
        if set.is_empty() {
            self.take_value();
        }
        self.record(EventType::SRem, Data::One(&member));
        Ok(Some(member))
    }
}

/// As in a hash: small sets preserve their order, and no member moves to a higher index.
fn remove_index(set: &mut SetValue, index: usize) -> Option<Bytes> {
    if set.len() <= SCAN_WHOLE_MAX { set.shift_remove_index(index) } else { set.swap_remove_index(index) }
}
