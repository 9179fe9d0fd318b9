//! Changes of a set.

use super::{EntryMut, Value, ValueMut};
use crate::collection::{Bytes, SetValue};
use crate::error::Refusal;
use crate::event::EventType;
use crate::ring::Data;

impl EntryMut<'_> {
    /// Adds one member; returns whether it is new. Creates the set if there is no value.
    pub fn set_add(&mut self, member: &[u8]) -> Result<bool, Refusal> {
        let thresholds = self.turn.thresholds;
        if !self.view().has_value() {
            self.put_value(Value::Set(SetValue::default()));
        }
        let Some(ValueMut::Set(set)) = self.value_mut() else { return Err(Refusal::WrongType) };
        if !set.insert(member, &thresholds) {
            return Ok(false);
        }
        self.record(EventType::SAdd, Data::One(member));
        Ok(true)
    }

    /// Removes one member; returns whether it existed. Removing the last member removes the set, without a `Del`.
    pub fn set_remove(&mut self, member: &[u8]) -> Result<bool, Refusal> {
        let thresholds = self.turn.thresholds;
        let Some(set) = self.set()? else { return Ok(false) };
        if !set.remove(member, &thresholds) {
            return Ok(false);
        }
        if set.view().is_empty() {
            self.drop_value();
        }
        self.record(EventType::SRem, Data::One(member));
        Ok(true)
    }

    /// Removes the member at a place of the set's own order, for a caller that chose it at random.
    pub fn set_remove_at(&mut self, place: usize) -> Result<Option<Bytes>, Refusal> {
        let thresholds = self.turn.thresholds;
        let Some(set) = self.set()? else { return Ok(None) };
        let Some(member) = set.remove_at(place, &thresholds) else { return Ok(None) };
        if set.view().is_empty() {
            self.drop_value();
        }
        self.record(EventType::SRem, Data::One(&member));
        Ok(Some(member))
    }

    fn set(&mut self) -> Result<Option<&mut SetValue>, Refusal> {
        match self.value_mut() {
            None => Ok(None),
            Some(ValueMut::Set(set)) => Ok(Some(set)),
            Some(_) => Err(Refusal::WrongType),
        }
    }
}
