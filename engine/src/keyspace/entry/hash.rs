//! Changes of a hash.

use super::{EntryMut, Value, ValueMut};
use crate::collection::HashValue;
use crate::error::Refusal;
use crate::event::EventType;
use crate::ring::Data;

impl EntryMut<'_> {
    /// Sets one field; returns whether it is new. Creates the hash if there is no value.
    pub fn hash_set(&mut self, field: &[u8], value: &[u8]) -> Result<bool, Refusal> {
        let thresholds = self.turn.thresholds;
        if !self.view().has_value() {
            self.put_value(Value::Hash(HashValue::default()));
        }
        let Some(ValueMut::Hash(hash)) = self.value_mut() else { return Err(Refusal::WrongType) };
        let is_new = hash.set(field, value, &thresholds);
        self.record(EventType::HSet, Data::Parts(&[field, value]));
        Ok(is_new)
    }

    /// Deletes one field; returns whether it existed. Deleting the last field removes the hash, without a `Del`.
    pub fn hash_delete(&mut self, field: &[u8]) -> Result<bool, Refusal> {
        let thresholds = self.turn.thresholds;
        let hash = match self.value_mut() {
            None => return Ok(false),
            Some(ValueMut::Hash(hash)) => hash,
            Some(_) => return Err(Refusal::WrongType),
        };
        if !hash.remove(field, &thresholds) {
            return Ok(false);
        }
        if hash.view().is_empty() {
            self.drop_value();
        }
        self.record(EventType::HDel, Data::One(field));
        Ok(true)
    }
}
