//! Walks over the entries from a rank on, or back.

use super::{Child, Entry, Node, Order, child_at};
use smallvec::SmallVec;
use std::slice::Iter;

impl Order {
    /// All entries from a rank on.
    pub fn iter_from(&self, rank: usize) -> Forward<'_> {
        if rank < self.length { self.walk(rank) } else { Walk::empty() }
    }

    /// The first `length` entries, from the last of them back.
    pub fn iter_back(&self, length: usize) -> Backward<'_> {
        length.min(self.length).checked_sub(1).map_or_else(Walk::empty, |rank| self.walk(rank))
    }

    /// The walk that begins with the entry of a rank, which is there.
    fn walk<const BACK: bool>(&self, mut rank: usize) -> Walk<'_, BACK> {
        let mut walk = Walk::empty();
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(entries) => {
                    walk.leaf = if BACK { entries[..=rank].iter() } else { entries[rank..].iter() };
                    return walk;
                }
                Node::Inner(children) => {
                    let at = child_at(children, &mut rank);
                    walk.inner.push(if BACK { children[..at].iter() } else { children[at + 1..].iter() });
                    node = &children[at].node;
                }
            }
        }
    }
}

/// The depth for which a walk needs no memory of its own: more than a hundred million entries.
const DEPTH: usize = 5;

/// Entries from a rank on.
pub(in crate::collection::sorted) type Forward<'a> = Walk<'a, false>;

/// Entries from a rank back.
pub(in crate::collection::sorted) type Backward<'a> = Walk<'a, true>;

/// Entries in order, or in the reverse order.
#[derive(Clone, Debug)]
pub(in crate::collection::sorted) struct Walk<'a, const BACK: bool> {
    /// What is left of each node on the way to the leaf.
    inner: SmallVec<[Iter<'a, Child>; DEPTH]>,
    leaf: Iter<'a, Entry>,
}

impl<const BACK: bool> Walk<'_, BACK> {
    fn empty() -> Self {
        Walk { inner: SmallVec::new(), leaf: [].iter() }
    }

    fn next_leaf(&mut self) -> Option<()> {
        loop {
            let Some(child) = step::<_, BACK>(self.inner.last_mut()?) else {
                self.inner.pop();
                continue;
            };
            match &child.node {
                Node::Leaf(entries) => {
                    self.leaf = entries.iter();
                    return Some(());
                }
                Node::Inner(children) => self.inner.push(children.iter()),
            }
        }
    }
}

impl<const BACK: bool> Iterator for Walk<'_, BACK> {
    type Item = Entry;

    #[inline]
    fn next(&mut self) -> Option<Entry> {
        loop {
            if let Some(entry) = step::<_, BACK>(&mut self.leaf) {
                return Some(*entry);
            }
            self.next_leaf()?;
        }
    }
}

/// The next one in the direction of a walk.
#[inline]
fn step<'a, T, const BACK: bool>(iter: &mut Iter<'a, T>) -> Option<&'a T> {
    if BACK { iter.next_back() } else { iter.next() }
}
