//! Walks over the entries from a rank on, or back.

use super::{Child, Entry, Node, Order, child_at};
use smallvec::SmallVec;

impl Order {
    /// All entries from a rank on.
    pub fn iter_from(&self, rank: usize) -> Forward<'_> {
        let mut iter = Forward { inner: SmallVec::new(), leaf: [].iter() };
        if rank >= self.length {
            return iter;
        }
        let (mut node, mut rank) = (&self.root, rank);
        loop {
            match node {
                Node::Leaf(entries) => {
                    iter.leaf = entries[rank..].iter();
                    return iter;
                }
                Node::Inner(children) => {
                    let at = child_at(children, &mut rank);
                    iter.inner.push(children[at + 1..].iter());
                    node = &children[at].node;
                }
            }
        }
    }

    /// The first `length` entries, from the last of them back.
    pub fn iter_back(&self, length: usize) -> Backward<'_> {
        let mut iter = Backward { inner: SmallVec::new(), leaf: [].iter() };
        let Some(mut rank) = length.min(self.length).checked_sub(1) else { return iter };
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(entries) => {
                    iter.leaf = entries[..=rank].iter();
                    return iter;
                }
                Node::Inner(children) => {
                    let at = child_at(children, &mut rank);
                    iter.inner.push(children[..at].iter());
                    node = &children[at].node;
                }
            }
        }
    }
}

/// The depth for which an iterator needs no memory of its own: more than a hundred million entries.
const DEPTH: usize = 5;

/// Entries from a rank on.
#[derive(Clone, Debug)]
pub(in crate::collection::sorted) struct Forward<'a> {
    inner: SmallVec<[std::slice::Iter<'a, Child>; DEPTH]>,
    leaf: std::slice::Iter<'a, Entry>,
}

impl Iterator for Forward<'_> {
    type Item = Entry;

    #[inline]
    fn next(&mut self) -> Option<Entry> {
        loop {
            if let Some(entry) = self.leaf.next() {
                return Some(*entry);
            }
            self.next_leaf()?;
        }
    }
}

impl Forward<'_> {
    fn next_leaf(&mut self) -> Option<()> {
        loop {
            let Some(child) = self.inner.last_mut()?.next() else {
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

/// Entries from a rank back.
#[derive(Clone, Debug)]
pub(in crate::collection::sorted) struct Backward<'a> {
    inner: SmallVec<[std::slice::Iter<'a, Child>; DEPTH]>,
    leaf: std::slice::Iter<'a, Entry>,
}

impl Iterator for Backward<'_> {
    type Item = Entry;

    #[inline]
    fn next(&mut self) -> Option<Entry> {
        loop {
            if let Some(entry) = self.leaf.next_back() {
                return Some(*entry);
            }
            self.leaf_before()?;
        }
    }
}

impl Backward<'_> {
    fn leaf_before(&mut self) -> Option<()> {
        loop {
            let Some(child) = self.inner.last_mut()?.next_back() else {
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
