//! The consumer groups of one stream, by name, and what they take.

use super::group::{Size, StreamGroup, heap_bytes};
use crate::collection::Bytes;
use std::collections::BTreeMap;

/// What an entry that is pending takes in the trees of its group and of its consumer, in bytes: estimated, for ids that mostly
/// grow, which leave their nodes half full.
const PENDING_BYTES: usize = 120;

/// What a consumer takes besides a long name, in bytes.
const CONSUMER_BYTES: usize = 160;

/// What a group takes besides a long name, in bytes.
const GROUP_BYTES: usize = 320;

/// See the description of this file.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    groups: BTreeMap<Bytes, StreamGroup>,
    /// The sum over all groups.
    size: Size,
    /// What the groups' own names have on the heap, in bytes.
    names: usize,
}

impl Groups {
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    pub fn get(&self, name: &[u8]) -> Option<&StreamGroup> {
        self.groups.get(name)
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &StreamGroup)> {
        self.groups.iter().map(|(name, group)| (&name[..], group))
    }

    /// Adds a group, or replaces one.
    pub fn put(&mut self, name: &[u8], group: StreamGroup) {
        self.take(name);
        let name = Bytes::from_slice(name);
        self.names += heap_bytes(&name);
        self.count(Size::default(), group.size());
        self.groups.insert(name, group);
    }

    /// Takes a group out.
    pub fn take(&mut self, name: &[u8]) -> Option<StreamGroup> {
        let (name, group) = self.groups.remove_entry(name)?;
        self.names -= heap_bytes(&name);
        self.count(group.size(), Size::default());
        Some(group)
    }

    /// Changes a group; `None` if there is none.
    #[inline]
    pub fn edit<T>(&mut self, name: &[u8], change: impl FnOnce(&mut StreamGroup) -> T) -> Option<T> {
        let group = self.groups.get_mut(name)?;
        let before = group.size();
        let done = change(group);
        let after = group.size();
        self.count(before, after);
        Some(done)
    }

    #[inline]
    fn count(&mut self, before: Size, after: Size) {
        let Size { pending, consumers, names } = &mut self.size;
        *pending = *pending - before.pending + after.pending;
        *consumers = *consumers - before.consumers + after.consumers;
        *names = *names - before.names + after.names;
    }

    /// The memory that they take, in bytes, estimated from numbers that are exact.
    #[inline]
    pub fn allocated_bytes(&self) -> usize {
        bytes_of(self.groups.len(), self.size, self.names)
    }

    /// The same, with numbers that a look at everything finds.
    pub fn walked_bytes(&self) -> usize {
        let mut size = Size::default();
        for group in self.groups.values() {
            let Size { pending, consumers, names } = group.walked_size();
            size.pending += pending;
            size.consumers += consumers;
            size.names += names;
        }
        bytes_of(self.groups.len(), size, self.groups.keys().map(heap_bytes).sum())
    }

    /// The groups, consumers and pending entries, each of which is about one allocation.
    pub fn allocations(&self) -> usize {
        self.groups.len() + self.size.consumers + self.size.pending
    }

    /// Frees up to `most` of them; returns how many.
    pub fn free_some(&mut self, most: usize) -> usize {
        let mut freed = 0;
        while freed < most
            && let Some(mut group) = self.groups.last_entry()
        {
            let some = group.get_mut().free_some(most - freed);
            if some == 0 {
                group.remove();
            }
            freed += some.max(1);
        }
        freed
    }
}

fn bytes_of(groups: usize, size: Size, names: usize) -> usize {
    let Size { pending, consumers, names: more_names } = size;
    groups * GROUP_BYTES + consumers * CONSUMER_BYTES + pending * PENDING_BYTES + names + more_names
}
