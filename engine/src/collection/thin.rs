//! A byte string of one pointer: its length stands in front of its bytes, in 1, 3 or 5 bytes. There is no spare capacity:
//! the allocator rounds sizes up, and grows and shrinks an allocation in place where the rounded size stays.

use super::allocated;
use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error, realloc};
use std::fmt;
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;

/// What an empty string points to: a length of 0. It is never written to and never freed.
static EMPTY: [u8; 1] = [0];

/// The lengths up to this are one byte.
const SHORT_MAX: usize = 253;
/// Longer ones up to 16 bits are three.
const MIDDLE: usize = SHORT_MAX + 1;
/// The first byte of a length in two further bytes.
const TWO: u8 = 254;
/// The first byte of a length in four further bytes.
const FOUR: u8 = 255;

/// A byte string of less than 4 GiB.
///
/// Invariant: `start` points to [`EMPTY`], or owns an allocation of `width(length) + length` bytes with an alignment of 1,
/// which begins with the length, not 0, and all of whose bytes are initialised.
pub(crate) struct ThinBytes {
    start: NonNull<u8>,
}

// SAFETY: it owns its bytes alone, and gives them out under the borrows of `&self` and `&mut self` only.
unsafe impl Send for ThinBytes {}
// SAFETY: as above; nothing changes through `&self`.
unsafe impl Sync for ThinBytes {}

/// The bytes that a length takes in front.
#[inline]
fn width(length: usize) -> usize {
    match length {
        0..=SHORT_MAX => 1,
        MIDDLE..=0xffff => 3,
        _ => 5,
    }
}

/// The allocation of a string of this length, not 0.
#[inline]
fn layout(length: usize) -> Layout {
    Layout::array::<u8>(width(length) + length).expect("a length of 32 bits and 5 bytes are within an isize")
}

/// A length in the form in which it stands in front, and the bytes of it that count.
#[inline]
fn encoded(length: usize) -> ([u8; 5], usize) {
    let four = u32::try_from(length).expect("commands refuse values far below 4 GiB").to_le_bytes();
    match width(length) {
        1 => ([four[0], 0, 0, 0, 0], 1),
        3 => ([TWO, four[0], four[1], 0, 0], 3),
        _ => ([FOUR, four[0], four[1], four[2], four[3]], 5),
    }
}

impl ThinBytes {
    /// An empty string, which needs no memory.
    pub fn new() -> ThinBytes {
        ThinBytes { start: NonNull::from(&EMPTY).cast() }
    }

    /// The string of these parts, one after the other.
    pub fn of(parts: &[&[u8]]) -> ThinBytes {
        let length = parts.iter().map(|part| part.len()).sum();
        if length == 0 {
            return ThinBytes::new();
        }
        let (header, width) = encoded(length);
        let layout = layout(length);
        // SAFETY: the layout has at least two bytes.
        let Some(start) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        let mut at = start;
        for part in [&header[..width]].iter().chain(parts) {
            // SAFETY: header and parts together are as long as the allocation, which nothing else refers to; `at` stays
            // within it or at its end.
            unsafe {
                at.copy_from_nonoverlapping(NonNull::from(*part).cast(), part.len());
                at = at.add(part.len());
            }
        }
        ThinBytes { start }
    }

    /// A string of so many zeros.
    pub fn zeroed(length: usize) -> ThinBytes {
        if length == 0 {
            return ThinBytes::new();
        }
        let (header, width) = encoded(length);
        let layout = layout(length);
        // SAFETY: the layout has at least two bytes.
        let Some(start) = NonNull::new(unsafe { alloc_zeroed(layout) }) else { handle_alloc_error(layout) };
        // SAFETY: the allocation begins with room for the header, and nothing else refers to it.
        unsafe { start.as_ptr().copy_from_nonoverlapping(header.as_ptr(), width) };
        ThinBytes { start }
    }

    /// Where it is, for a prefetch.
    #[inline]
    pub fn address(&self) -> *const u8 {
        self.start.as_ptr()
    }

    /// The length and the bytes that it takes in front.
    #[inline]
    fn header(&self) -> (usize, usize) {
        // SAFETY: the first byte is always there, and says how many more belong to the length.
        unsafe {
            match *self.start.as_ptr() {
                FOUR => (u32::from_le_bytes(self.start.add(1).cast::<[u8; 4]>().read()) as usize, 5),
                TWO => (usize::from(u16::from_le_bytes(self.start.add(1).cast::<[u8; 2]>().read())), 3),
                short => (usize::from(short), 1),
            }
        }
    }

    /// The memory that it has on the heap, in bytes.
    #[inline]
    pub fn allocated_bytes(&self) -> usize {
        match self.header() {
            (0, _) => 0,
            (length, width) => allocated(width + length),
        }
    }

    /// Replaces a range of the bytes by these parts, one after the other.
    pub fn splice(&mut self, range: Range<usize>, parts: &[&[u8]]) {
        let (length, old_width) = self.header();
        assert!(range.start <= range.end && range.end <= length, "a range within the bytes");
        let inserted: usize = parts.iter().map(|part| part.len()).sum();
        let new_length = length - range.len() + inserted;
        if length == 0 || new_length == 0 || width(new_length) != old_width {
            // Rare: the bytes begin, end, or move because their length takes more or less room.
            let mut all: Vec<&[u8]> = vec![&self[..range.start]];
            all.extend(parts);
            all.push(&self[range.end..]);
            let whole = ThinBytes::of(&all);
            *self = whole;
            return;
        }
        let (old_layout, new_layout) = (layout(length), layout(new_length));
        if new_length > length {
            self.resize(old_layout, new_layout);
        }
        // SAFETY: the allocation has room for the larger of both lengths here. The tail, the bytes behind the range, moves
        // within it, and the parts fill exactly what is between the head and the tail then: `self` is borrowed mutably, so
        // they are elsewhere.
        unsafe {
            let content = self.start.add(old_width);
            content.add(range.end).copy_to(content.add(range.start + inserted), length - range.end);
            let mut at = content.add(range.start);
            for part in parts {
                at.copy_from_nonoverlapping(NonNull::from(*part).cast(), part.len());
                at = at.add(part.len());
            }
            let (header, width) = encoded(new_length);
            self.start.copy_from_nonoverlapping(NonNull::from(&header).cast(), width);
        }
        if new_length < length {
            self.resize(old_layout, new_layout);
        }
    }

    /// Gives the allocation another size. Until the length in front is right, it describes fewer bytes than there are.
    fn resize(&mut self, from: Layout, to: Layout) {
        // SAFETY: the allocation has the layout `from`; the size of `to` is not 0 and does not overflow an isize, being that
        // of a layout.
        let Some(start) = NonNull::new(unsafe { realloc(self.start.as_ptr(), from, to.size()) }) else {
            handle_alloc_error(to)
        };
        self.start = start;
    }
}

impl Drop for ThinBytes {
    #[inline]
    fn drop(&mut self) {
        let (length, _) = self.header();
        if length > 0 {
            // SAFETY: a string that is not empty owns an allocation of this layout.
            unsafe { dealloc(self.start.as_ptr(), layout(length)) };
        }
    }
}

impl Deref for ThinBytes {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        let (length, width) = self.header();
        // SAFETY: so many initialised bytes follow the length, and are borrowed as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(width), length) }
    }
}

impl DerefMut for ThinBytes {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        let (length, width) = self.header();
        // SAFETY: as above; `self` is borrowed mutably. Of an empty string, whose byte is shared, it is an empty slice.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().add(width), length) }
    }
}

impl Default for ThinBytes {
    fn default() -> ThinBytes {
        ThinBytes::new()
    }
}

impl Clone for ThinBytes {
    fn clone(&self) -> ThinBytes {
        ThinBytes::of(&[self])
    }
}

impl fmt::Debug for ThinBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_is_one_word() {
        assert_eq!(size_of::<ThinBytes>(), size_of::<usize>());
        assert_eq!(size_of::<Option<ThinBytes>>(), size_of::<usize>());
    }

    #[test]
    fn every_length_around_a_width_is_kept() {
        for length in [0, 1, 252, 253, 254, 255, 256, 65_534, 65_535, 65_536, 65_537, 200_000] {
            let bytes: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let mut thin = ThinBytes::of(&[&bytes]);
            assert_eq!(&thin[..], &bytes[..]);
            assert_eq!(&thin.clone()[..], &bytes[..]);
            thin.splice(length..length, &[b"x"]);
            assert_eq!((thin.len(), thin[length]), (length + 1, b'x'));
            thin.splice(length..length + 1, &[]);
            assert_eq!(&thin[..], &bytes[..]);
        }
    }

    proptest! {
        #[test]
        fn splices_do_what_those_of_a_vector_do(
            edits in proptest::collection::vec((any::<u16>(), any::<u16>(), 0usize..4, 0usize..400), 1..60),
        ) {
            let (mut thin, mut model) = (ThinBytes::new(), Vec::new());
            for (n, (start, length, parts, bytes)) in edits.into_iter().enumerate() {
                let start = usize::from(start) % (model.len() + 1);
                let end = start + usize::from(length) % (model.len() - start + 1);
                let part = vec![n as u8; bytes];
                let parts = vec![&part[..]; parts];
                thin.splice(start..end, &parts);
                model.splice(start..end, parts.concat());
                prop_assert_eq!(&thin[..], &model[..]);
                thin.iter_mut().for_each(|byte| *byte ^= 1);
                model.iter_mut().for_each(|byte| *byte ^= 1);
            }
        }
    }
}
