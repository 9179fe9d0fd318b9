//! The memory of a large hash or set.

use super::{Dense, Index, Places, Segment, Shape};
use crate::collection::allocated;
use crate::collection::thin::ThinBytes;

/// The memory of a run of places.
pub(super) fn of_run(run: &Vec<ThinBytes>) -> usize {
    allocated(run.capacity() * size_of::<ThinBytes>())
}

impl<S: Shape> Dense<S> {
    /// The memory that it has, with its own, in bytes.
    pub fn allocated_bytes(&self) -> usize {
        let index = self.index.as_ref().map_or(0, Index::allocated_bytes);
        allocated(size_of::<Dense<S>>()) + self.element_bytes + self.places.allocated_bytes() + index
    }

    /// The same, found by a look at everything.
    pub fn walked_bytes(&self) -> usize {
        let elements: usize = self.iter().map(ThinBytes::allocated_bytes).sum();
        let runs: usize = self.places.runs.iter().map(of_run).sum();
        let index = self.index.as_ref().map_or(0, |index| {
            let tables: usize = index.segments.iter().map(|segment| segment.places.allocation_size()).sum();
            index.allocated_bytes() - index.table_bytes + tables
        });
        allocated(size_of::<Dense<S>>()) + elements + self.places.allocated_bytes() - self.places.run_bytes
            + runs
            + index
    }
}

impl Places {
    fn allocated_bytes(&self) -> usize {
        allocated(self.runs.capacity() * size_of::<Vec<ThinBytes>>()) + self.run_bytes
    }
}

impl Index {
    fn allocated_bytes(&self) -> usize {
        let segments = allocated(self.segments.capacity() * size_of::<Segment>());
        segments + allocated(self.directory.capacity() * size_of::<u32>()) + self.table_bytes
    }
}
