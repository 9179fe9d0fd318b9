//! The memory of values that were removed, and when it pays to move what is left together.
//!
//! An allocator gives memory back to the system page by page, and after many removals nearly every page still has a few
//! blocks. If what is left is moved, the allocator fills pages with it, and the others become free. That costs a copy of
//! each entry, so it is done once as many values were removed as there are entries.

/// Fewer removals than this are not worth it, nor is the time to find out.
const DROPPED_MIN: usize = 10_000;

/// What was removed.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    /// The values since entries were last moved.
    count: usize,
    /// Their memory that was not reported yet, in bytes.
    bytes: u64,
    /// The segment that is moved next, while any are.
    next: Option<usize>,
}

impl Dropped {
    /// Notes a value.
    #[inline]
    pub(crate) fn note(&mut self) {
        self.count += 1;
    }

    /// Notes that other values take the memory of one that was noted.
    pub(crate) fn forgive(&mut self) {
        self.count = self.count.saturating_sub(1);
    }

    /// Notes so many bytes of keys and values that were freed.
    #[inline]
    pub(crate) fn note_freed(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// The number of the segment whose entries are to be moved now, if any. There are so many entries.
    #[inline]
    pub(crate) fn next_segment(&mut self, entries: usize) -> Option<usize> {
        if self.next.is_none() && self.count >= DROPPED_MIN.max(entries) {
            self.count = 0;
            self.next = Some(0);
        }
        self.next
    }

    /// Notes that the entries of a segment were moved, and whether there is another segment.
    pub(crate) fn moved(&mut self, segment: usize, has_next: bool) {
        self.next = has_next.then_some(segment + 1);
    }

    /// The bytes that were freed since the last call.
    #[inline]
    pub(crate) fn take_bytes(&mut self) -> u64 {
        std::mem::take(&mut self.bytes)
    }
}
