//! A cache line of eight words, filled from the first on. The mark in its last word says that names whose line this is,
//! or a line before it, were placed in a line behind it: a look-up goes on there only then.

use super::word::{Pointed, TAG_MASK, TAG_SHIFT, Word};
use crate::prefetch::prefetch_line;

/// The words of a line.
pub(super) const WORDS: usize = 8;

#[repr(align(64))]
pub(super) struct Line<P: Pointed> {
    words: [Word<P>; WORDS],
}

impl<P: Pointed> Line<P> {
    pub(super) fn new() -> Line<P> {
        Line { words: [Word::FREE; WORDS] }
    }

    #[inline]
    pub(super) fn word(&self, slot: usize) -> &Word<P> {
        &self.words[slot]
    }

    #[inline]
    pub(super) fn word_mut(&mut self, slot: usize) -> &mut Word<P> {
        &mut self.words[slot]
    }

    /// The words that have something.
    #[inline]
    pub(super) fn filled(&self) -> impl Iterator<Item = &Word<P>> {
        self.words.iter().take_while(|word| !word.is_free())
    }

    /// The number of words that have something.
    #[inline]
    pub(super) fn length(&self) -> usize {
        self.filled().count()
    }

    #[inline]
    pub(super) fn is_marked(&self) -> bool {
        self.words[WORDS - 1].is_marked()
    }

    #[inline]
    pub(super) fn set_mark(&mut self, marked: bool) {
        self.words[WORDS - 1].set_mark(marked);
    }

    /// A bit for each word with this tag. Without a branch for each: where in the line a name is cannot be predicted.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    fn matching(&self, tag: u32) -> u32 {
        use std::arch::x86_64::*;
        let start = self.words.as_ptr().cast::<__m128i>();
        // SAFETY: the line is four times 16 bytes, aligned to 64, and every x86-64 has SSE2.
        unsafe {
            let load = |n| _mm_castsi128_ps(_mm_load_si128(start.add(n)));
            // The upper halves of the words have the tags.
            let first = _mm_castps_si128(_mm_shuffle_ps::<0b11_01_11_01>(load(0), load(1)));
            let second = _mm_castps_si128(_mm_shuffle_ps::<0b11_01_11_01>(load(2), load(3)));
            let (bits, mask) = (_mm_set1_epi32((tag << TAG_SHIFT) as i32), _mm_set1_epi32(TAG_MASK as i32));
            let first = _mm_cmpeq_epi32(_mm_and_si128(first, mask), bits);
            let second = _mm_cmpeq_epi32(_mm_and_si128(second, mask), bits);
            let all = _mm_packs_epi16(_mm_packs_epi32(first, second), _mm_setzero_si128());
            _mm_movemask_epi8(all) as u32
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    #[inline]
    fn matching(&self, tag: u32) -> u32 {
        self.words.iter().enumerate().fold(0, |found, (slot, word)| found | u32::from(word.has_tag(tag)) << slot)
    }

    /// The slot of the first word with this tag that `is_it` accepts.
    #[inline]
    pub(super) fn position<'a>(&'a self, tag: u32, is_it: impl Fn(P::View<'a>) -> bool) -> Option<usize> {
        let mut matching = self.matching(tag);
        while matching != 0 {
            let slot = matching.trailing_zeros() as usize;
            if self.words[slot].view().is_some_and(&is_it) {
                return Some(slot);
            }
            matching &= matching - 1;
        }
        None
    }

    /// Puts something into the first free word; gives it back if there is none.
    #[inline]
    pub(super) fn push(&mut self, tag: u32, item: P) -> Result<usize, P> {
        let slot = self.length();
        match self.words.get_mut(slot) {
            Some(word) => {
                word.fill(tag, item);
                Ok(slot)
            }
            None => Err(item),
        }
    }

    /// Closes the gap at a free slot with the last word.
    pub(super) fn close_gap(&mut self, slot: usize) {
        let (before, after) = self.words.split_at_mut(slot + 1);
        if let Some(last) = after.iter_mut().take_while(|word| !word.is_free()).last() {
            before[slot].move_from(last);
        }
    }

    /// Moves a word of another line into the first free word. There has to be one.
    pub(super) fn pull(&mut self, word: &mut Word<P>) {
        let slot = self.length();
        self.words[slot].move_from(word);
    }

    #[inline]
    pub(super) fn prefetch(&self) {
        prefetch_line(std::ptr::from_ref(self));
    }
}
