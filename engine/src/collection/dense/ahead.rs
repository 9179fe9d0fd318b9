//! Prefetching elements whose places are known ahead.

use super::{Dense, RUN_PLACES, Shape};
use crate::prefetch::prefetch_line;

impl<S: Shape> Dense<S> {
    /// Prefetches the pointer to an element.
    #[inline]
    pub fn prefetch_pointer(&self, place: usize) {
        if let Some(run) = self.places.runs.get(place / RUN_PLACES) {
            prefetch_line(run.as_ptr().wrapping_add(place % RUN_PLACES));
        }
    }

    /// Prefetches an element. Reads the pointer to it.
    #[inline]
    pub fn prefetch(&self, place: usize) {
        if let Some(element) = self.places.get(place) {
            prefetch_line(element.address());
        }
    }
}
