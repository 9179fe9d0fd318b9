//! A list: elements in order. A short one is packed, a long one is a deque of packed chunks.

use super::chunks::{ChunkSize, Chunks};
use super::thin::ThinBytes;
use super::thresholds::Thresholds;
use super::{Bytes, packed, small};
use std::ops::Range;

/// One end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The end with index 0; Redis's LEFT.
    Head,
    /// The end with index -1; Redis's RIGHT.
    Tail,
}

/// The elements of a list.
#[derive(Clone, Debug, Default)]
pub struct ListValue(Form);

#[derive(Clone, Debug)]
enum Form {
    Packed(ThinBytes),
    Chunks(Box<Chunks>),
}

impl Default for Form {
    fn default() -> Form {
        Form::Packed(ThinBytes::new())
    }
}

impl ListValue {
    /// The list, for reading.
    #[inline]
    pub fn view(&self) -> ListRef<'_> {
        ListRef(match &self.0 {
            Form::Packed(bytes) => View::Packed(bytes),
            Form::Chunks(chunks) => View::Chunks(chunks),
        })
    }

    /// A list that is packed in these bytes.
    pub(crate) fn of_packed(bytes: &[u8]) -> ListValue {
        ListValue(Form::Packed(ThinBytes::of(&[bytes])))
    }

    /// The bytes in which it is packed; `None` if it is not.
    pub(crate) fn packed(&self) -> Option<&[u8]> {
        match &self.0 {
            Form::Packed(bytes) => Some(bytes),
            Form::Chunks(_) => None,
        }
    }

    /// Adds an element at an end.
    pub(crate) fn push(&mut self, end: End, element: &[u8], thresholds: &Thresholds) {
        if let Form::Packed(bytes) = &mut self.0
            && small::list_push(bytes, end, element, thresholds)
        {
            return;
        }
        let size = thresholds.chunk_size();
        self.chunks(size).push(end, element, size);
    }

    /// Removes the element at an end.
    pub(crate) fn pop(&mut self, end: End, thresholds: &Thresholds) -> Option<Bytes> {
        match &mut self.0 {
            Form::Packed(bytes) => small::list_pop(bytes, end),
            Form::Chunks(chunks) => {
                let element = Bytes::from_slice(chunks.at_from(end, 0)?);
                chunks.pop(end);
                self.pack_if_short(thresholds.chunk_size());
                Some(element)
            }
        }
    }

    /// Overwrites the element at an index; returns whether there is one.
    pub(crate) fn set(&mut self, index: usize, element: &[u8], thresholds: &Thresholds) -> bool {
        if index >= self.view().len() {
            return false;
        }
        if let Form::Packed(bytes) = &mut self.0
            && small::list_set(bytes, index, element, thresholds)
        {
            return true;
        }
        let size = thresholds.chunk_size();
        self.chunks(size).overwrite(index, element, size);
        self.pack_if_short(size);
        true
    }

    /// Inserts an element at an index; returns whether that is at most the length.
    pub(crate) fn insert(&mut self, index: usize, element: &[u8], thresholds: &Thresholds) -> bool {
        let length = self.view().len();
        if index >= length {
            if index == length {
                self.push(End::Tail, element, thresholds);
            }
            return index == length;
        }
        if let Form::Packed(bytes) = &mut self.0
            && small::list_insert(bytes, index, element, thresholds)
        {
            return true;
        }
        let size = thresholds.chunk_size();
        self.chunks(size).insert(index, element, size);
        true
    }

    /// Removes the first `most` elements that equal `element`, counted from an end; returns how many.
    pub(crate) fn remove(&mut self, from: End, most: usize, element: &[u8], thresholds: &Thresholds) -> usize {
        match &mut self.0 {
            Form::Packed(bytes) => small::list_remove(bytes, from, most, element),
            Form::Chunks(chunks) => {
                let removed = chunks.remove(from, most, element, thresholds.chunk_size());
                self.pack_if_short(thresholds.chunk_size());
                removed
            }
        }
    }

    /// Keeps the elements in a range of indexes within the list.
    pub(crate) fn keep(&mut self, kept: Range<usize>, thresholds: &Thresholds) {
        match &mut self.0 {
            Form::Packed(bytes) => small::list_keep(bytes, kept),
            Form::Chunks(chunks) => {
                chunks.keep(kept);
                self.pack_if_short(thresholds.chunk_size());
            }
        }
    }

    /// The chunks; a packed list becomes some first.
    fn chunks(&mut self, size: ChunkSize) -> &mut Chunks {
        if let Form::Packed(bytes) = &self.0 {
            let mut chunks = Chunks::default();
            packed::elements(bytes).for_each(|element| chunks.push(End::Tail, element, size));
            self.0 = Form::Chunks(Box::new(chunks));
        }
        match &mut self.0 {
            Form::Chunks(chunks) => chunks,
            Form::Packed(_) => unreachable!("it has just become chunks"),
        }
    }

    /// Packs a list whose rest is half of a packed one at most: not more, so that one which grows and shrinks by turns is not
    /// made anew each time.
    fn pack_if_short(&mut self, size: ChunkSize) {
        let Form::Chunks(chunks) = &self.0 else { return };
        let is_short = chunks.few_bytes().is_some_and(|bytes| bytes <= size.bytes / 2);
        if is_short && chunks.len() <= size.elements / 2 {
            self.0 = Form::Packed(ThinBytes::of(&[&packed::build(chunks.len(), chunks.iter_from(0))]));
        }
    }

    /// The memory that it has on the heap, in bytes.
    pub(crate) fn allocated_bytes(&self) -> usize {
        match &self.0 {
            Form::Packed(bytes) => bytes.allocated_bytes(),
            Form::Chunks(chunks) => chunks.allocated_bytes(),
        }
    }

    /// The same, found by a look at everything.
    pub(crate) fn walked_bytes(&self) -> usize {
        match &self.0 {
            Form::Packed(bytes) => bytes.allocated_bytes(),
            Form::Chunks(chunks) => chunks.walked_bytes(),
        }
    }

    /// The number of its allocations, about: of those of its chunks.
    pub(crate) fn allocations(&self) -> usize {
        match &self.0 {
            Form::Packed(_) => 1,
            Form::Chunks(chunks) => chunks.chunk_count(),
        }
    }

    /// Frees up to `most` chunks of a list that nobody uses any more; returns how many, 0 if what is left takes no time.
    pub(crate) fn free_some(&mut self, most: usize) -> usize {
        match &mut self.0 {
            Form::Packed(_) => 0,
            Form::Chunks(chunks) => chunks.free_some(most),
        }
    }
}

/// What is prefetched of a long list, the second once the first has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FurtherStep {
    /// Where the outermost chunks are.
    Ends,
    /// The outermost elements.
    Elements,
}

/// A list, for reading.
#[derive(Clone, Copy, Debug)]
pub struct ListRef<'a>(View<'a>);

#[derive(Clone, Copy, Debug)]
enum View<'a> {
    Packed(&'a [u8]),
    Chunks(&'a Chunks),
}

impl<'a> ListRef<'a> {
    /// The list that is packed in these bytes.
    #[inline]
    pub(crate) fn of_packed(bytes: &'a [u8]) -> ListRef<'a> {
        ListRef(View::Packed(bytes))
    }

    /// The number of elements.
    #[inline]
    pub fn len(self) -> usize {
        match self.0 {
            View::Packed(bytes) => packed::count(bytes),
            View::Chunks(chunks) => chunks.len(),
        }
    }

    /// Whether there are none, as in no list that a key holds.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The element at an index.
    pub fn at(self, index: usize) -> Option<&'a [u8]> {
        match self.0 {
            View::Packed(bytes) => packed::list::at(bytes, index),
            View::Chunks(chunks) => chunks.at(index),
        }
    }

    /// The element `place` places from an end.
    #[inline]
    pub fn at_from(self, end: End, place: usize) -> Option<&'a [u8]> {
        match (self.0, end) {
            (View::Packed(bytes), End::Head) => packed::list::at(bytes, place),
            (View::Packed(bytes), End::Tail) => packed::list::at(bytes, packed::count(bytes).checked_sub(place + 1)?),
            (View::Chunks(chunks), _) => chunks.at_from(end, place),
        }
    }

    /// All elements from an end on.
    pub fn iter_from(self, end: End) -> Box<dyn Iterator<Item = &'a [u8]> + 'a> {
        match (self.0, end) {
            (_, End::Head) => Box::new(self.iter()),
            (View::Packed(bytes), End::Tail) => Box::new(packed::elements(bytes).collect::<Vec<_>>().into_iter().rev()),
            (View::Chunks(chunks), End::Tail) => Box::new(chunks.iter_back()),
        }
    }

    /// All elements, head first.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        self.range(0..self.len())
    }

    /// The elements in a range of indexes within the list.
    pub fn range(self, range: Range<usize>) -> impl Iterator<Item = &'a [u8]> {
        let (packed, chunks) = match self.0 {
            View::Packed(bytes) => (Some(packed::elements(bytes).skip(range.start)), None),
            View::Chunks(chunks) => (None, Some(chunks.iter_from(range.start))),
        };
        packed.into_iter().flatten().chain(chunks.into_iter().flatten()).take(range.len())
    }

    /// Its bytes if it is stored compactly.
    pub(crate) fn compact_bytes(self) -> Option<usize> {
        match self.0 {
            View::Packed(bytes) => Some(bytes.len()),
            View::Chunks(_) => None,
        }
    }

    /// Redis's word for the form in which it is stored.
    pub fn encoding(self) -> &'static str {
        match self.0 {
            View::Packed(_) => "listpack",
            View::Chunks(_) => "quicklist",
        }
    }

    /// Prefetches, in two steps, what lies behind the memory that is read first.
    pub(crate) fn prefetch_further(self, step: FurtherStep) {
        if let View::Chunks(chunks) = self.0 {
            match step {
                FurtherStep::Ends => chunks.prefetch_ends(),
                FurtherStep::Elements => chunks.prefetch_elements(),
            }
        }
    }

    /// The memory that a look-up reads first.
    #[inline]
    pub(crate) fn first_line(self) -> *const u8 {
        match self.0 {
            View::Packed(bytes) => bytes.as_ptr(),
            View::Chunks(chunks) => std::ptr::from_ref(chunks).cast(),
        }
    }
}
