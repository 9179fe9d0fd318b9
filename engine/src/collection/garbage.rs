//! Large collections that nobody uses any more. They are freed in slices, so that no command and no turn takes the time for
//! all elements of one.

use super::{HashValue, ListValue, RedisStreamValue, SetValue, SortedValue};
use crate::limits::{FREE_AT_ONCE, FREE_PART, FREE_SLICE};

/// A collection that nobody uses any more.
pub(crate) enum Unused {
    Hash(HashValue),
    List(ListValue),
    Set(SetValue),
    Sorted(SortedValue),
    RedisStream(RedisStreamValue),
}

impl Unused {
    /// The number of its allocations, about.
    fn allocations(&self) -> usize {
        match self {
            Unused::Hash(hash) => hash.allocations(),
            Unused::List(list) => list.allocations(),
            Unused::Set(set) => set.allocations(),
            Unused::Sorted(set) => set.allocations(),
            Unused::RedisStream(stream) => stream.allocations(),
        }
    }

    fn free_some(&mut self, most: usize) -> usize {
        match self {
            Unused::Hash(hash) => hash.free_some(most),
            Unused::List(list) => list.free_some(most),
            Unused::Set(set) => set.free_some(most),
            Unused::Sorted(set) => set.free_some(most),
            Unused::RedisStream(stream) => stream.free_some(most),
        }
    }
}

/// What is to be freed.
#[derive(Default)]
pub(crate) struct Garbage {
    unused: Vec<Unused>,
    /// The number of their allocations, about.
    allocations: usize,
}

impl Garbage {
    /// Frees a collection at once if it is small, and otherwise in slices.
    pub fn put(&mut self, unused: Unused) {
        let allocations = unused.allocations();
        if allocations > FREE_AT_ONCE {
            self.allocations += allocations;
            self.unused.push(unused);
        }
    }

    /// Frees a slice; returns whether anything is left. Of much more is freed at a time, so that what is left stays bounded
    /// by what is removed in a number of turns.
    pub fn free_some(&mut self) -> bool {
        let mut left = FREE_SLICE.max(self.allocations / FREE_PART);
        while let Some(unused) = self.unused.last_mut()
            && left > 0
        {
            let freed = unused.free_some(left);
            if freed == 0 {
                self.unused.pop();
            }
            self.allocations = self.allocations.saturating_sub(freed);
            left -= freed.min(left);
        }
        if self.unused.is_empty() {
            self.allocations = 0;
        }
        !self.unused.is_empty()
    }

    /// The number of collections that are not freed yet.
    pub fn len(&self) -> usize {
        self.unused.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collection::{End, Thresholds};

    #[test]
    fn large_collections_are_freed_in_slices_and_small_ones_at_once() {
        let thresholds = &Thresholds::default();
        let mut garbage = Garbage::default();
        assert!(!garbage.free_some());
        let (mut hash, mut set, mut list) = (HashValue::default(), SetValue::default(), ListValue::default());
        let mut sorted = SortedValue::default();
        for n in 0..3 * FREE_SLICE {
            let name = n.to_string();
            hash.set(name.as_bytes(), b"", thresholds);
            set.insert(name.as_bytes(), thresholds);
            sorted.set(n as f64, name.as_bytes(), thresholds);
            list.push(End::Tail, &[0; 2 * crate::limits::LIST_CHUNK_BYTES], thresholds);
        }
        for value in [Unused::Hash(hash), Unused::Set(set), Unused::List(list), Unused::Sorted(sorted)] {
            let mut slices = 1;
            garbage.put(value);
            assert_eq!(garbage.len(), 1);
            while garbage.free_some() {
                slices += 1;
            }
            assert!((3..=5).contains(&slices), "{slices}");
            assert_eq!((garbage.len(), garbage.allocations), (0, 0));
        }
        let mut small = SetValue::default();
        (0..FREE_AT_ONCE).for_each(|n| assert!(small.insert(format!("m{n}").as_bytes(), thresholds)));
        garbage.put(Unused::Set(small));
        assert_eq!(garbage.len(), 0);
    }
}
