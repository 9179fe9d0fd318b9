//! Changes of a string.

use super::{EntryMut, ValueRef};
use crate::error::Refusal;
use crate::event::EventType;
use crate::keyspace::block::BlockRef;
use crate::position::RingOffset;
use crate::ring::Data;

impl EntryMut<'_> {
    /// Sets the value to this string, whatever it was. The TTL is unchanged.
    #[inline]
    pub fn set_string(&mut self, bytes: &[u8]) {
        let EntryMut { word, turn, .. } = self;
        let record = |block: BlockRef<'_>, head: &mut (u64, RingOffset)| {
            turn.record(block.key(), EventType::Set, Data::One(bytes), &mut head.0, &mut head.1);
        };
        if !word.overwrite(bytes, record) {
            self.replace_by_string(bytes);
        }
    }

    fn replace_by_string(&mut self, bytes: &[u8]) {
        self.count_value();
        let old = self.word.lend().set_string(bytes);
        self.discard(old);
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
        let EntryMut { word, turn, .. } = self;
        word.lend().edit_string(edit);
        let mut length = 0;
        word.advance(|block, head| {
            if let Some(ValueRef::Str(bytes)) = block.value() {
                length = bytes.len();
                turn.record(block.key(), EventType::Set, Data::One(bytes), &mut head.0, &mut head.1);
            }
        });
        Ok(length)
    }
}
