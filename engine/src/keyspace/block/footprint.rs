//! What a block takes, what changes in place, and what eviction knows of the key.

use super::{Block, BlockRef, Encoding};
use crate::keyspace::footprint::Taken;

impl BlockRef<'_> {
    /// What the entry takes: its block, and what its value has on the heap.
    pub(crate) fn taken(self) -> Taken {
        let shape = self.key_shape();
        let kind = if shape.encoding() == Encoding::None { None } else { self.value().map(|value| value.kind()) };
        Taken { kind, bytes: self.allocated_bytes() + self.heap_bytes(), access: shape.access() }
    }

    /// What eviction knows of the key, 4 bits.
    #[inline]
    pub(crate) fn access(self) -> u8 {
        self.key_shape().access()
    }
}

impl Block {
    /// Sets what eviction knows of the key.
    #[inline]
    pub(crate) fn set_access(&mut self, access: u8) {
        let flags = self.view().key_shape().with_access(access);
        self.bytes_mut(2).copy_from_slice(&flags.to_le_bytes());
    }
}
