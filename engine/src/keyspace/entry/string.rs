//! Changes of a string.

use super::{EntryMut, Value, ValueMut};
use crate::error::Refusal;
use crate::event::EventType;
use crate::ring::Data;

impl EntryMut<'_> {
    /// Sets the value to this string, whatever it was. The TTL is unchanged.
    #[inline]
    pub fn set_string(&mut self, bytes: &[u8]) {
        match self.value_mut() {
            // Overwritten in place, unless that would retain far more memory than the new value needs.
            Some(ValueMut::Str(old)) if old.capacity() <= 2 * bytes.len() + 64 => {
                old.clear();
                old.extend_from_slice(bytes);
            }
            _ => {
                self.put_value(Value::Str(bytes.to_vec()));
            }
        }
        self.record(EventType::Set, Data::One(bytes));
    }

    /// Edits the string in place, or an empty one if there is none, and records the result.
    pub fn edit_string(&mut self, edit: impl FnOnce(&mut Vec<u8>)) -> Result<usize, Refusal> {
        if !self.view().has_value() {
            self.put_value(Value::Str(Vec::new()));
        }
        let Some(Value::Str(bytes)) = &mut self.entry.value else { return Err(Refusal::WrongType) };
        edit(bytes);
        let (length, data) = (bytes.len(), Data::One(bytes));
        self.turn.record(&self.entry.key, EventType::Set, data, &mut self.entry.next_revision, &mut self.entry.last);
        Ok(length)
    }
}
