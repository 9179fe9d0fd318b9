//! The memory of a long list.

use super::{Chunk, Chunks};
use crate::collection::allocated;

impl Chunks {
    /// The memory that it has, with its own, in bytes.
    pub fn allocated_bytes(&self) -> usize {
        allocated(size_of::<Chunks>()) + allocated(self.chunks.capacity() * size_of::<Chunk>()) + self.chunk_bytes
    }

    /// The same, found by a look at everything.
    pub fn walked_bytes(&self) -> usize {
        let chunks: usize = self.chunks.iter().map(|chunk| chunk.memory.allocated_bytes()).sum();
        self.allocated_bytes() - self.chunk_bytes + chunks
    }
}
