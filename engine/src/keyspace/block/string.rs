//! Strings: in the block itself, or, longer ones, in an allocation of their own.

use super::head::WiderHead;
use super::{Block, BlockRef, Encoding};
use crate::keyspace::entry::Value;
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

    /// Overwrites part of the string from `offset` on, behind zero bytes up to there where it is shorter; there has to be a
    /// string.
    pub(crate) fn overwrite_part(&mut self, offset: usize, patch: &[u8]) {
        let end = offset + patch.len();
        if let Some(string) = self.string_value() {
            if string.len() < end {
                string.resize(end, 0);
            }
            string[offset..end].copy_from_slice(patch);
            return;
        }
        let (shape, bytes) = self.view().all();
        let (at, length) = (shape.value_at(), shape.value_length());
        if end <= length {
            self.bytes_mut(shape.total())[at + offset..at + end].copy_from_slice(patch);
            return;
        }
        // Zeroed memory comes from the system as it is, so most of a long string is not touched.
        let mut string = vec![0; end];
        string[..length].copy_from_slice(&bytes[at..]);
        string[offset..].copy_from_slice(patch);
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
