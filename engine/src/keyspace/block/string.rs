//! Strings: in the block itself, or, longer ones, in an allocation of their own.

use super::head::WiderHead;
use super::{Block, BlockRef, Encoding};
use crate::keyspace::entry::{Value, ValueRef};
use crate::position::RingOffset;

/// A longer string has an allocation of its own, in bytes: it can grow and be overwritten without moving its key.
pub(super) const STRING_INLINE_MAX: usize = 512;

impl Block {
    /// Overwrites a string in the block with one of the same length, and lets `record` change the stream's head, as
    /// [`Block::advance`]. Returns `None`, and does nothing, if there is no such string.
    #[inline]
    pub(crate) fn overwrite(
        &mut self,
        string: &[u8],
        record: impl FnOnce(BlockRef<'_>, &mut (u64, RingOffset)),
    ) -> Option<Option<WiderHead>> {
        let shape = self.view().key_shape();
        if shape.encoding() != Encoding::Raw {
            return None;
        }
        // SAFETY: the revision lies behind the value's length, both within the block.
        let shape = shape.with_value_length(unsafe { self.view().bytes(0..shape.revision_at()) });
        if shape.value_length() != string.len() {
            return None;
        }
        self.bytes_mut(shape.total())[shape.value_at()..].copy_from_slice(string);
        Some(self.advance_at(shape, record))
    }

    /// Sets the value to a string. Returns a value that was more than bytes.
    pub(crate) fn set_string(&mut self, string: &[u8]) -> Option<Value> {
        if string.len() <= STRING_INLINE_MAX {
            return self.replace(Encoding::Raw, string);
        }
        // Overwritten in place, unless that would keep far more memory than the new one needs.
        match self.string_value() {
            Some(old) if old.capacity() <= 2 * string.len() + 64 => {
                old.clear();
                old.extend_from_slice(string);
                None
            }
            _ => self.put(Value::Str(string.to_vec())),
        }
    }

    /// Edits the string; there has to be one.
    pub(crate) fn edit_string(&mut self, edit: impl FnOnce(&mut Vec<u8>)) {
        if let Some(string) = self.string_value() {
            edit(string);
            // It stays outside until it is far below the bound, since it may grow again.
            if string.len() <= STRING_INLINE_MAX / 2 {
                let short = std::mem::take(string);
                drop(self.set_string(&short));
            }
            return;
        }
        let Some(ValueRef::Str(bytes)) = self.view().value() else { return };
        let mut string = bytes.to_vec();
        edit(&mut string);
        drop(self.put(Value::Str(string)));
    }

    /// The string, if it has an allocation of its own.
    fn string_value(&mut self) -> Option<&mut Vec<u8>> {
        if self.view().key_shape().encoding() != Encoding::String {
            return None;
        }
        // SAFETY: such a value is there, and the block is borrowed.
        Some(unsafe { &mut *self.view().value_at() })
    }
}
