//! Reading the elements of a long list, from a place on.

use super::Chunks;
use crate::collection::rows::Elements;

/// The elements from a place on, to the tail.
#[derive(Clone, Debug)]
pub struct ChunkElements<'a> {
    chunks: &'a Chunks,
    at: usize,
    current: Elements<'a>,
}

impl<'a> ChunkElements<'a> {
    /// Those that are left in a chunk, which is the one at this place, and all behind it.
    pub(super) fn new(chunks: &'a Chunks, at: usize, current: Elements<'a>) -> ChunkElements<'a> {
        ChunkElements { chunks, at, current }
    }
}

impl<'a> Iterator for ChunkElements<'a> {
    type Item = &'a [u8];
    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            if let Some(element) = self.current.next() {
                return Some(element);
            }
            self.at += 1;
            self.current = Elements::new(self.chunks.chunks.get(self.at)?.rows(), 0, true);
        }
    }
}
