//! What a client has sent and has not been run: the beginning of a command, or commands that have to wait.
//!
//! A little of it is kept in a vector. From [`INPUT_MAPPED_BYTES`] on it has pages of its own: to grow, they get other
//! addresses instead of being copied, they cost memory only once something was received into them, and they can be given
//! back piece by piece. An argument of half a gigabyte so costs no turn more than what was received in it.

use crate::limits::{INPUT_GROWTH_BYTES, INPUT_MAPPED_BYTES};
use memmap2::{MmapMut, RemapOptions};
use std::io;

/// The input of one connection that waits: in `memory` from `start` on, from a command's first byte.
#[derive(Debug, Default)]
pub struct Input {
    memory: InputMemory,
    start: usize,
}

/// Where it is kept.
#[derive(Debug)]
pub enum InputMemory {
    /// On the heap.
    Heap(Vec<u8>),
    /// In pages of its own.
    Pages(Pages),
}

impl Default for InputMemory {
    fn default() -> InputMemory {
        InputMemory::Heap(Vec::new())
    }
}

impl Input {
    /// The bytes that wait.
    #[inline]
    pub fn waiting(&self) -> &[u8] {
        let held = match &self.memory {
            InputMemory::Heap(bytes) => bytes,
            InputMemory::Pages(pages) => pages.bytes(),
        };
        &held[self.start..]
    }

    /// Whether none wait.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.held_bytes() == 0
    }

    /// How many bytes are kept, those included that were run and whose place is not free yet.
    #[inline]
    pub fn held_bytes(&self) -> usize {
        match &self.memory {
            InputMemory::Heap(bytes) => bytes.len(),
            InputMemory::Pages(pages) => pages.len,
        }
    }

    /// For how many bytes there is room without growing, those that are kept included.
    #[inline]
    pub fn capacity(&self) -> usize {
        match &self.memory {
            InputMemory::Heap(bytes) => bytes.capacity(),
            InputMemory::Pages(pages) => pages.map.len(),
        }
    }

    /// The additional memory, in bytes, that keeping `more` bytes takes. While a vector grows, there
    /// are two of them.
    #[inline]
    pub fn growth(&self, more: usize) -> usize {
        let needed = self.held_bytes() + more;
        match &self.memory {
            InputMemory::Heap(_) if needed >= INPUT_MAPPED_BYTES => pages_bytes(needed),
            InputMemory::Heap(bytes) if needed > bytes.capacity() => needed.max(2 * bytes.capacity()),
            InputMemory::Heap(_) => 0,
            InputMemory::Pages(pages) => pages_bytes(needed).saturating_sub(pages.map.len()),
        }
    }

    /// Keeps `bytes` behind what waits.
    ///
    /// # Errors
    /// The system has no memory for them. Nothing has changed then.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.memory {
            InputMemory::Heap(held) if held.len() + bytes.len() < INPUT_MAPPED_BYTES => {
                held.try_reserve(bytes.len())?;
                held.extend_from_slice(bytes);
                Ok(())
            }
            InputMemory::Heap(held) => {
                let mut pages = Pages::new(held.len() + bytes.len())?;
                pages.append(held)?;
                pages.append(bytes)?;
                self.memory = InputMemory::Pages(pages);
                Ok(())
            }
            InputMemory::Pages(pages) => pages.append(bytes),
        }
    }

    /// Forgets the first `count` bytes that wait. Answers memory that is no longer needed, of which the input keeps up to
    /// `keep_bytes`.
    pub fn consume(&mut self, count: usize, keep_bytes: usize) -> Option<InputMemory> {
        let (end, held) = (self.start + count, self.held_bytes());
        self.start = 0;
        if end == held {
            let is_large = self.capacity() > keep_bytes;
            return match &mut self.memory {
                InputMemory::Heap(bytes) if is_large => {
                    Some(InputMemory::Heap(std::mem::replace(bytes, Vec::with_capacity(keep_bytes))))
                }
                InputMemory::Heap(bytes) => {
                    bytes.clear();
                    None
                }
                InputMemory::Pages(_) => Some(std::mem::take(&mut self.memory)),
            };
        }
        // Moved only when less is left than was consumed, so each byte moves a bounded number of times.
        if end <= held / 2 {
            self.start = end;
            return None;
        }
        match &mut self.memory {
            InputMemory::Heap(bytes) => _ = bytes.drain(..end),
            InputMemory::Pages(pages) if held - end < INPUT_MAPPED_BYTES / 2 => {
                let rest = InputMemory::Heap(pages.bytes()[end..].to_vec());
                return Some(std::mem::replace(&mut self.memory, rest));
            }
            InputMemory::Pages(pages) => pages.drain(end),
        }
        None
    }

    /// Forgets all of it. Answers the memory that it had.
    pub fn take(&mut self) -> InputMemory {
        self.start = 0;
        std::mem::take(&mut self.memory)
    }
}

/// Bytes in pages of their own. They all go at once where this is dropped, which takes a tenth of a millisecond for each
/// megabyte: see [`Pages::give_back`].
#[derive(Debug)]
pub struct Pages {
    map: MmapMut,
    len: usize,
}

/// The bytes that are mapped to keep `kept` bytes.
fn pages_bytes(kept: usize) -> usize {
    kept.next_multiple_of(INPUT_GROWTH_BYTES)
}

impl Pages {
    fn new(bytes: usize) -> io::Result<Pages> {
        Ok(Pages { map: MmapMut::map_anon(pages_bytes(bytes))?, len: 0 })
    }

    fn bytes(&self) -> &[u8] {
        &self.map[..self.len]
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.len + bytes.len();
        if end > self.map.len() {
            self.remap(pages_bytes(end))?;
        }
        self.map[self.len..end].copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    fn drain(&mut self, count: usize) {
        self.map.copy_within(count..self.len, 0);
        self.len -= count;
    }

    /// Gives up to `bytes_max` bytes of memory back to the system, from the end; what was in them is lost. Tells whether
    /// there are more.
    pub fn give_back(&mut self, bytes_max: usize) -> bool {
        // What was never written takes no time.
        let end = self.len.next_multiple_of(bytes_max).saturating_sub(bytes_max);
        self.len = end;
        end > 0 && self.remap(end).is_ok()
    }

    fn remap(&mut self, bytes: usize) -> io::Result<()> {
        // SAFETY: the pages are of no file, whose end they could lie behind. That they may get another address is safe:
        // a borrow of their bytes borrows `self`.
        unsafe { self.map.remap(bytes, RemapOptions::new().may_move(true)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEEP: usize = 100;

    /// Appends and consumes, and keeps the same in a plain vector beside it.
    fn check(steps: &[(usize, usize)]) {
        let (mut input, mut expected, mut next) = (Input::default(), Vec::new(), 0u8);
        for &(more, less) in steps {
            let bytes: Vec<u8> = (0..more).map(|n| next.wrapping_add((n / 7) as u8)).collect();
            next = next.wrapping_add(31);
            let (growth, capacity) = (input.growth(more), input.capacity());
            input.append(&bytes).expect("there is memory");
            // A vector takes a few bytes at the least.
            assert!(input.capacity() <= capacity + growth.max(8), "{capacity} and {growth} more");
            expected.extend_from_slice(&bytes);
            assert!(input.waiting() == expected);
            let less = less.min(expected.len());
            let freed = input.consume(less, KEEP);
            expected.drain(..less);
            assert!(input.waiting() == expected && input.is_empty() == expected.is_empty());
            assert!(freed.is_none() || input.capacity() < INPUT_MAPPED_BYTES);
            assert!(!expected.is_empty() || input.capacity() <= KEEP);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]
        #[test]
        fn what_is_appended_waits_until_it_is_consumed(
            steps in proptest::collection::vec(
                (prop_oneof![3 => 0usize..300, 1 => 0..INPUT_GROWTH_BYTES + 9], prop_oneof![0usize..300, 0..INPUT_GROWTH_BYTES * 2]),
                0..12,
            ),
        ) {
            check(&steps);
        }
    }

    #[test]
    fn it_moves_to_pages_and_back() {
        let large = INPUT_GROWTH_BYTES + 1;
        check(&[(INPUT_MAPPED_BYTES - 1, 0), (1, 0), (large, 3), (large, 2 * large), (5, usize::MAX), (7, 2)]);
        // The rest is too large for the heap.
        check(&[(large, large / 2 + 1), (large, large), (0, usize::MAX)]);
    }

    #[test]
    fn pages_are_given_back_in_pieces() {
        let mut pages = Pages::new(1).expect("there is memory");
        pages.append(&vec![7; 10_000]).expect("there is memory");
        let piece = 4096;
        assert!(pages.give_back(piece));
        assert_eq!((pages.map.len(), pages.bytes()), (8192, &[7; 8192][..]));
        assert!(pages.give_back(piece));
        assert!(!pages.give_back(piece) && pages.len == 0);
        assert!(!pages.give_back(piece));
    }

    #[test]
    fn what_does_not_fit_the_address_space_is_an_error_and_changes_nothing() {
        let mut pages = Pages::new(1).expect("there is memory");
        pages.append(b"abc").expect("there is memory");
        assert!(pages.remap(usize::MAX >> 8).is_err());
        assert_eq!(pages.bytes(), b"abc");
        pages.append(b"d").expect("there is room");
        assert_eq!(pages.bytes(), b"abcd");
    }
}
