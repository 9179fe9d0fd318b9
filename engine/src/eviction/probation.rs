//! The order in which keys came: 4 bytes of each one's hash, in chunks, so that growing copies nothing.

use std::collections::VecDeque;

/// The hashes in a chunk.
const CHUNK: usize = 4096;

/// A queue of hashes. One that is no longer on probation stays in it until its turn comes.
#[derive(Debug, Default)]
pub struct Probation {
    chunks: VecDeque<Vec<u32>>,
    /// The place in the first chunk that is next.
    next: usize,
    length: usize,
}

impl Probation {
    /// The number of hashes.
    pub fn len(&self) -> usize {
        self.length
    }

    /// The memory that it takes, in bytes.
    pub fn bytes(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<u32>()
    }

    /// Appends a hash.
    pub fn push(&mut self, hash: u32) {
        if self.chunks.back().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push_back(Vec::with_capacity(CHUNK));
        }
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.push(hash);
            self.length += 1;
        }
    }

    /// Takes the oldest hash.
    pub fn pop(&mut self) -> Option<u32> {
        let chunk = self.chunks.front()?;
        let hash = *chunk.get(self.next)?;
        self.next += 1;
        self.length -= 1;
        if self.next == CHUNK || self.length == 0 {
            self.chunks.pop_front();
            self.next = 0;
        }
        Some(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_queue() {
        let (mut rng, mut ring, mut model) = (fastrand::Rng::with_seed(3), Probation::default(), VecDeque::new());
        for round in 0..200_000u32 {
            // It grows, and then shrinks to nothing, twice.
            if rng.u8(..100) < if round / 50_000 % 2 == 0 { 70 } else { 20 } {
                ring.push(round);
                model.push_back(round);
            } else {
                assert_eq!(ring.pop(), model.pop_front());
            }
            assert_eq!(ring.len(), model.len());
        }
        assert_eq!((ring.len(), ring.bytes()), (0, 0));
    }
}
