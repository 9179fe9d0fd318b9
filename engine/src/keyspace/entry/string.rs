//! Changes of a string.

use super::{EntryMut, ValueRef};
use crate::error::Refusal;
use crate::event::EventType;
use crate::ring::Data;

impl EntryMut<'_> {
    /// Sets the value to this string, whatever it was. The TTL is unchanged.
    #[inline]
    pub fn set_string(&mut self, bytes: &[u8]) {
        self.count_value();
        if let Some(old) = self.word.lend().set_string(bytes) {
            old.discard(&mut self.turn.garbage);
        }
        self.record(EventType::Set, Data::One(bytes));
    }

    /// Edits the string in place, or an empty one if there is none, and records the result.
    pub fn edit_string(&mut self, edit: impl FnOnce(&mut Vec<u8>)) -> Result<usize, Refusal> {
        if !self.view().has_value() {
            self.count_value();
            drop(self.word.lend().set_string(b""));
        }
        if !matches!(self.view().value(), Some(ValueRef::Str(_))) {
            return Err(Refusal::WrongType);
        }
        self.word.lend().edit_string(edit);
        let view = self.word.get();
        let Some(ValueRef::Str(bytes)) = view.value() else { return Err(Refusal::WrongType) };
        let (mut next_revision, mut last) = (view.next_revision(), view.last());
        self.turn.record(view.key(), EventType::Set, Data::One(bytes), &mut next_revision, &mut last);
        let length = bytes.len();
        self.word.lend().set_head(next_revision, last);
        Ok(length)
    }
}
