//! The order of a large sorted set: a sequence of scores, each with the place of its member, in a tree whose nodes know how
//! many entries are below them. So a rank is found, and an entry at a rank, in a number of steps that grows with the
//! logarithm of the length.
//!
//! ```text
//!   inner   │ first entry, count │ …   at most INNER_MAX
//!              ▼
//!   leaf    │ score, place │ score, place │ …   at most LEAF_MAX, 12 bytes each
//! ```
//!
//! The tree compares no members: the caller of a search says which entries are before the one that it looks for.

mod walk;

pub(super) use walk::{Backward, Forward};

/// The most entries of a leaf.
const LEAF_MAX: usize = 128;

/// The most children of an inner node.
const INNER_MAX: usize = 32;

/// The entries that a leaf's memory grows by, and that it keeps free at most: it has few of them unused.
const LEAF_STEP: usize = 16;

/// A score and the place of its member.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// The halves of the score's bits: so an entry takes 12 bytes.
    score: [u32; 2],
    place: u32,
}

impl Entry {
    #[inline]
    pub fn new(score: f64, place: usize) -> Entry {
        let bits = score.to_bits();
        // As in the index of a dense collection, which is there for the same places.
        let place = u32::try_from(place).expect("a collection of 4 billion elements exceeds the memory first");
        Entry { score: [(bits >> 32) as u32, bits as u32], place }
    }

    #[inline]
    pub fn score(self) -> f64 {
        f64::from_bits(u64::from(self.score[0]) << 32 | u64::from(self.score[1]))
    }

    #[inline]
    pub fn place(self) -> usize {
        self.place as usize
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}", self.score(), self.place)
    }
}

#[derive(Clone, Debug)]
enum Node {
    Leaf(Vec<Entry>),
    Inner(Vec<Child>),
}

/// A node below another, never empty.
#[derive(Clone, Debug)]
struct Child {
    first: Entry,
    /// The number of entries below.
    count: u32,
    node: Node,
}

impl Child {
    fn of(node: Node) -> Child {
        let (first, count) = match &node {
            Node::Leaf(entries) => (entries[0], entries.len() as u32),
            Node::Inner(children) => (children[0].first, children.iter().map(|child| child.count).sum()),
        };
        Child { first, count, node }
    }
}

/// The sequence.
#[derive(Clone, Debug)]
pub(super) struct Order {
    root: Node,
    length: usize,
}

impl Order {
    pub fn new() -> Order {
        Order { root: Node::Leaf(Vec::new()), length: 0 }
    }

    /// The number of entries.
    #[inline]
    pub fn len(&self) -> usize {
        self.length
    }

    /// About the memory that it has, in bytes: leaves have an eighth more than their entries, and the nodes above them little.
    pub fn estimated_bytes(&self) -> usize {
        self.length * size_of::<Entry>() * 9 / 8
    }

    /// The number of entries at the beginning that `is_before` holds for; it holds for none behind them.
    #[inline]
    pub fn count_before(&self, is_before: impl Fn(Entry) -> bool) -> usize {
        let (mut node, mut rank) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(entries) => return rank + entries.partition_point(|&entry| is_before(entry)),
                Node::Inner(children) => {
                    // The last child whose first entry is before; if there is none, the first child.
                    let at = children.partition_point(|child| is_before(child.first)).saturating_sub(1);
                    rank += children[..at].iter().map(|child| child.count as usize).sum::<usize>();
                    node = &children[at].node;
                }
            }
        }
    }

    /// The entry at a rank.
    pub fn at(&self, rank: usize) -> Option<Entry> {
        self.iter_from(rank).next()
    }

    /// Inserts an entry at a rank, at most the length.
    pub fn insert(&mut self, rank: usize, entry: Entry) {
        debug_assert!(rank <= self.length);
        if let Some(sibling) = insert(&mut self.root, rank, entry) {
            let first = std::mem::replace(&mut self.root, Node::Leaf(Vec::new()));
            let mut children = Vec::with_capacity(INNER_MAX);
            children.extend([Child::of(first), sibling]);
            self.root = Node::Inner(children);
        }
        self.length += 1;
    }

    /// Removes the entry at a rank, which is there.
    pub fn remove(&mut self, rank: usize) -> Entry {
        debug_assert!(rank < self.length);
        let entry = remove(&mut self.root, rank);
        self.length -= 1;
        while let Node::Inner(children) = &mut self.root
            && children.len() == 1
            && let Some(only) = children.pop()
        {
            self.root = only.node;
        }
        entry
    }

    /// Overwrites the entry at a rank, which is there.
    pub fn set(&mut self, rank: usize, entry: Entry) {
        debug_assert!(rank < self.length);
        set(&mut self.root, rank, entry);
    }

    /// The elements behind a place, which was removed, are one place lower now. For short sequences: it looks at all entries.
    pub fn close_gap(&mut self, gap: usize) {
        close_gap(&mut self.root, gap as u32);
    }

    /// Frees the last leaf, for a sequence that nobody uses any more.
    pub fn free_leaf(&mut self) {
        self.length -= free_leaf(&mut self.root).min(self.length);
    }
}

/// The child with the entry at a rank, which becomes the rank within it.
#[inline]
fn child_at(children: &[Child], rank: &mut usize) -> usize {
    for (at, child) in children.iter().enumerate() {
        if *rank < child.count as usize {
            return at;
        }
        *rank -= child.count as usize;
    }
    unreachable!("the rank is below the sum of the counts")
}

/// Inserts an entry; returns the node's upper part if the node became too large.
fn insert(node: &mut Node, rank: usize, entry: Entry) -> Option<Child> {
    match node {
        Node::Leaf(entries) => {
            if entries.len() < LEAF_MAX {
                if entries.len() == entries.capacity() {
                    entries.reserve_exact(LEAF_STEP);
                }
                entries.insert(rank, entry);
                return None;
            }
            // Where entries come in order, leaves stay full.
            let middle = if rank == entries.len() { rank } else { LEAF_MAX / 2 };
            let mut upper = Vec::with_capacity(entries.len() - middle + LEAF_STEP);
            upper.extend(entries.drain(middle..));
            if rank >= middle {
                upper.insert(rank - middle, entry);
            } else {
                entries.insert(rank, entry);
            }
            entries.shrink_to(entries.len() + LEAF_STEP);
            Some(Child::of(Node::Leaf(upper)))
        }
        Node::Inner(children) => {
            let mut within = rank;
            // Behind all of them: into the last child.
            let last = children.len() - 1;
            let mut at = 0;
            while at < last && within > children[at].count as usize {
                within -= children[at].count as usize;
                at += 1;
            }
            let child = &mut children[at];
            let sibling = insert(&mut child.node, within, entry);
            match sibling {
                None => {
                    child.count += 1;
                    if within == 0 {
                        child.first = entry;
                    }
                    return None;
                }
                Some(sibling) => {
                    child.count = child.count + 1 - sibling.count;
                    if within == 0 {
                        child.first = entry;
                    }
                    children.insert(at + 1, sibling);
                }
            }
            if children.len() <= INNER_MAX {
                return None;
            }
            let middle = if at + 2 == children.len() { at + 1 } else { INNER_MAX / 2 };
            let mut upper = Vec::with_capacity(INNER_MAX + 1);
            upper.extend(children.drain(middle..));
            Some(Child::of(Node::Inner(upper)))
        }
    }
}

fn remove(node: &mut Node, rank: usize) -> Entry {
    match node {
        Node::Leaf(entries) => {
            let entry = entries.remove(rank);
            if entries.capacity() > entries.len() + 2 * LEAF_STEP {
                entries.shrink_to(entries.len() + LEAF_STEP);
            }
            entry
        }
        Node::Inner(children) => {
            let mut within = rank;
            let at = child_at(children, &mut within);
            let child = &mut children[at];
            let entry = remove(&mut child.node, within);
            child.count -= 1;
            if child.count == 0 {
                children.remove(at);
            } else {
                if within == 0 {
                    child.first = first(&child.node);
                }
                join(children, at);
            }
            entry
        }
    }
}

/// The first entry of a node that is not empty.
fn first(node: &Node) -> Entry {
    match node {
        Node::Leaf(entries) => entries[0],
        Node::Inner(children) => children[0].first,
    }
}

/// The entries or children of a node, and the most that it may have.
fn fill(node: &Node) -> (usize, usize) {
    match node {
        Node::Leaf(entries) => (entries.len(), LEAF_MAX),
        Node::Inner(children) => (children.len(), INNER_MAX),
    }
}

/// Joins a child that has become small with one beside it, if both together are still far from full.
fn join(children: &mut Vec<Child>, at: usize) {
    let (length, most) = fill(&children[at].node);
    if length > most / 4 {
        return;
    }
    let fits = |left: usize| {
        let pair = children.get(left).zip(children.get(left + 1));
        pair.is_some_and(|(left, right)| fill(&left.node).0 + fill(&right.node).0 <= most * 3 / 4)
    };
    let Some(left) = [Some(at), at.checked_sub(1)].into_iter().flatten().find(|&left| fits(left)) else { return };
    let right = children.remove(left + 1);
    let left = &mut children[left];
    left.count += right.count;
    match (&mut left.node, right.node) {
        (Node::Leaf(into), Node::Leaf(from)) => {
            into.reserve_exact(from.len());
            into.extend(from);
        }
        (Node::Inner(into), Node::Inner(from)) => into.extend(from),
        _ => unreachable!("all leaves are equally deep"),
    }
}

fn set(node: &mut Node, rank: usize, entry: Entry) {
    match node {
        Node::Leaf(entries) => entries[rank] = entry,
        Node::Inner(children) => {
            let mut within = rank;
            let at = child_at(children, &mut within);
            if within == 0 {
                children[at].first = entry;
            }
            set(&mut children[at].node, within, entry);
        }
    }
}

fn close_gap(node: &mut Node, gap: u32) {
    let close = |entry: &mut Entry| entry.place -= u32::from(entry.place > gap);
    match node {
        Node::Leaf(entries) => entries.iter_mut().for_each(close),
        Node::Inner(children) => children.iter_mut().for_each(|child| {
            close(&mut child.first);
            close_gap(&mut child.node, gap);
        }),
    }
}

/// Frees the last leaf below a node; returns the number of its entries.
fn free_leaf(node: &mut Node) -> usize {
    match node {
        Node::Leaf(entries) => std::mem::take(entries).len(),
        Node::Inner(children) => {
            let Some(last) = children.last_mut() else { return 0 };
            let freed = free_leaf(&mut last.node);
            let is_empty = match &last.node {
                Node::Leaf(_) => true,
                Node::Inner(children) => children.is_empty(),
            };
            if is_empty {
                children.pop();
            }
            freed
        }
    }
}

#[cfg(test)]
mod tests;
