//! Changes of a hash.

use super::{EntryMut, HashValue, Value};
use crate::error::Refusal;
use crate::event::EventType;
use crate::keyspace::Bytes;
use crate::limits::SCAN_WHOLE_MAX;
use crate::ring::Data;

impl EntryMut<'_> {
    /// Sets one field; tells whether it is new. Makes the hash where there is no value.
    pub fn hash_set(&mut self, field: &[u8], value: &[u8]) -> Result<bool, Refusal> {
        if self.entry.value.is_none() {
            self.put_value(Value::Hash(Box::default()));
        }
        let Some(Value::Hash(map)) = &mut self.entry.value else { return Err(Refusal::WrongType) };
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

    /// Deletes one field; tells whether it was there. A hash whose last field goes is gone, without a `Del`.
    pub fn hash_delete(&mut self, field: &[u8]) -> Result<bool, Refusal> {
        let map = match &mut self.entry.value {
            None => return Ok(false),
            Some(Value::Hash(map)) => map,
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

/// Puts a value in an old one's place, and its memory to use, unless that would hold on to far more than it needs.
fn overwrite(old: &mut Bytes, value: &[u8]) {
    if old.capacity() <= 2 * value.len() + 64 {
        old.clear();
        old.extend_from_slice(value);
    } else {
        *old = Bytes::from_slice(value);
    }
}

/// Small hashes keep the order in which their fields came, as Redis's do; in large ones the last field takes the
/// place of the deleted one. Neither moves a field to a higher index, which is what HSCAN relies on.
fn remove_field(map: &mut HashValue, field: &[u8]) -> bool {
    if map.len() <= SCAN_WHOLE_MAX { map.shift_remove(field).is_some() } else { map.swap_remove(field).is_some() }
}
