//! Changes of a hash.

use super::{EntryMut, HashValue, Value, ValueMut};
use crate::error::Refusal;
use crate::event::EventType;
use crate::keyspace::Bytes;
use crate::limits::SCAN_WHOLE_MAX;
use crate::ring::Data;

impl EntryMut<'_> {
    /// Sets one field; returns whether it is new. Creates the hash if there is no value.
    pub fn hash_set(&mut self, field: &[u8], value: &[u8]) -> Result<bool, Refusal> {
        if !self.view().has_value() {
            self.put_value(Value::Hash(Box::default()));
        }
        let Some(ValueMut::Hash(map)) = self.value_mut() else { return Err(Refusal::WrongType) };
        let is_new = match map.get_mut(field) {
            Some(old) => {
                overwrite(old, value);
                false
            }
            None => map.insert(Bytes::from_slice(field), Bytes::from_slice(value)).is_none(),
        };
        self.record(EventType::HSet, Data::Parts(&[field, value]));
        Ok(is_new)
    }

    /// Deletes one field; returns whether it existed. Deleting the last field removes the hash, without a `Del`.
    pub fn hash_delete(&mut self, field: &[u8]) -> Result<bool, Refusal> {
        let map = match self.value_mut() {
            None => return Ok(false),
            Some(ValueMut::Hash(map)) => map,
            Some(_) => return Err(Refusal::WrongType),
        };
        if !remove_field(map, field) {
            return Ok(false);
        }
        if map.is_empty() {
            self.take_value();
        }
        self.record(EventType::HDel, Data::One(field));
        Ok(true)
    }
}

/// Replaces a value in place, reusing its memory unless that is far too large.
fn overwrite(old: &mut Bytes, value: &[u8]) {
    if old.capacity() <= 2 * value.len() + 64 {
        old.clear();
        old.extend_from_slice(value);
    } else {
        *old = Bytes::from_slice(value);
    }
}

/// Small hashes preserve the insertion order of their fields, as Redis's do; in large ones the last field moves to the
/// place of the deleted one. Neither moves a field to a higher index, which HSCAN relies on.
fn remove_field(map: &mut HashValue, field: &[u8]) -> bool {
    if map.len() <= SCAN_WHOLE_MAX { map.shift_remove(field).is_some() } else { map.swap_remove(field).is_some() }
}
