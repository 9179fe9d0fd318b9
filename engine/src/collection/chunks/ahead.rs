//! Prefetching a long list's ends.

use super::Chunks;
use crate::prefetch::prefetch_line;

impl Chunks {
    /// Prefetches where the outermost chunks are.
    pub fn prefetch_ends(&self) {
        self.chunks.front().into_iter().chain(self.chunks.back()).for_each(|chunk| prefetch_line(chunk));
    }

    /// Prefetches the outermost elements, and the places beside them. Reads where the chunks are.
    pub fn prefetch_elements(&self) {
        if let (Some(first), Some(last)) = (self.chunks.front(), self.chunks.back()) {
            prefetch_line(first.memory.address());
            prefetch_line(first.memory.address().wrapping_add(first.start.into()));
            prefetch_line(last.memory.address());
            prefetch_line(last.memory.address().wrapping_add(last.end as usize));
        }
    }
}
