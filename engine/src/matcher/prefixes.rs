//! A radix tree: finds all prefixes of a name in one walk, and inserts a new prefix without a rebuild.
//!
//! The children of a node are adjacent in one block of the arena, ordered by their first bytes; the node has a bit for
//! each of those bytes. So a step down touches one node: 64 bytes, a cache line.

use super::prefix_bloom::PrefixBloom;
use smallvec::SmallVec;

/// The bytes of a path without branches that one node holds after its first; a longer path takes several nodes.
const LABEL_MAX: usize = 19;

/// No list.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Node {
    /// The first bytes of the children, a bit for each.
    bytes: [u64; 4],
    /// The block of the children.
    children: u32,
    /// The list of the interests whose prefix ends here, or [`NONE`].
    ends: u32,
    /// Log2 of the block's capacity.
    room: u8,
    label_len: u8,
    /// The bytes after the first one, which is in the parent's bits.
    label: [u8; LABEL_MAX],
}

const _: () = assert!(size_of::<Node>() == 64);

impl Node {
    fn new(label: &[u8]) -> Node {
        let mut node = Node {
            bytes: [0; 4],
            children: 0,
            ends: NONE,
            room: 0,
            label_len: label.len() as u8,
            label: [0; LABEL_MAX],
        };
        node.label[..label.len()].copy_from_slice(label);
        node
    }

    fn label(&self) -> &[u8] {
        &self.label[..usize::from(self.label_len)]
    }

    fn has(&self, byte: u8) -> bool {
        self.bytes[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    fn flip(&mut self, byte: u8) {
        self.bytes[usize::from(byte >> 6)] ^= 1 << (byte & 63);
    }

    /// The number of children before that of this byte.
    fn rank(&self, byte: u8) -> u32 {
        let word = usize::from(byte >> 6);
        let before: u32 = self.bytes[..word].iter().map(|bits| bits.count_ones()).sum();
        before + (self.bytes[word] & ((1 << (byte & 63)) - 1)).count_ones()
    }

    fn count(&self) -> u32 {
        self.bytes.iter().map(|bits| bits.count_ones()).sum()
    }
}

/// Prefixes, each with the numbers of the interests that want names that begin with it.
pub struct Prefixes {
    nodes: Vec<Node>,
    /// The free blocks by size, as log2.
    free: [Vec<u32>; 9],
    lists: Vec<SmallVec<[u32; 4]>>,
    free_lists: Vec<u32>,
    count: usize,
    bloom: PrefixBloom,
}

const ROOT: u32 = 0;

impl Prefixes {
    /// No prefixes.
    pub fn new() -> Prefixes {
        Prefixes {
            nodes: vec![Node::new(b"")],
            free: Default::default(),
            lists: Vec::new(),
            free_lists: Vec::new(),
            count: 0,
            bloom: PrefixBloom::new(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Appends the numbers of all prefixes of `name`.
    #[inline]
    pub fn find(&self, name: &[u8], found: &mut Vec<u32>) {
        if self.bloom.may_match(name) {
            self.walk(name, found);
        }
    }

    fn walk(&self, name: &[u8], found: &mut Vec<u32>) {
        let mut node = &self.nodes[ROOT as usize];
        let mut rest = name;
        loop {
            if node.ends != NONE {
                found.extend_from_slice(&self.lists[node.ends as usize]);
            }
            let Some((&byte, after)) = rest.split_first() else { return };
            if !node.has(byte) {
                return;
            }
            node = &self.nodes[(node.children + node.rank(byte)) as usize];
            let Some(after) = after.strip_prefix(node.label()) else { return };
            rest = after;
        }
    }

    /// Adds a number at a prefix. The same pair must not be present yet.
    pub fn insert(&mut self, prefix: &[u8], number: u32) {
        let mut at = ROOT;
        let mut rest = prefix;
        while let Some((&byte, after)) = rest.split_first() {
            let node = self.nodes[at as usize];
            if !node.has(byte) {
                let label = &after[..after.len().min(LABEL_MAX)];
                at = self.add_child(at, byte, Node::new(label));
                rest = &after[label.len()..];
                continue;
            }
            let child = node.children + node.rank(byte);
            let label = self.nodes[child as usize];
            let label = label.label();
            let same = label.iter().zip(after).take_while(|(a, b)| a == b).count();
            if same < label.len() {
                self.split(child, same);
            }
            at = child;
            rest = &after[same..];
        }
        let node = &mut self.nodes[at as usize];
        if node.ends == NONE {
            node.ends = self.free_lists.pop().unwrap_or_else(|| {
                self.lists.push(SmallVec::new());
                self.lists.len() as u32 - 1
            });
        }
        self.lists[node.ends as usize].push(number);
        self.count += 1;
        self.bloom.insert(prefix);
    }

    /// Removes a number from a prefix, if present.
    pub fn remove(&mut self, prefix: &[u8], number: u32) {
        // The nodes on the path, and the byte by which each is left.
        let mut path: SmallVec<[(u32, u8); 16]> = SmallVec::new();
        let mut at = ROOT;
        let mut rest = prefix;
        while let Some((&byte, after)) = rest.split_first() {
            let node = &self.nodes[at as usize];
            if !node.has(byte) {
                return;
            }
            path.push((at, byte));
            at = node.children + node.rank(byte);
            let Some(after) = after.strip_prefix(self.nodes[at as usize].label()) else { return };
            rest = after;
        }
        let ends = self.nodes[at as usize].ends;
        let Some(list) = self.lists.get_mut(ends as usize) else { return };
        let Some(index) = list.iter().position(|&one| one == number) else { return };
        list.swap_remove(index);
        self.count -= 1;
        self.bloom.remove(prefix);
        if !list.is_empty() {
            return;
        }
        self.lists[ends as usize] = SmallVec::new();
        self.free_lists.push(ends);
        self.nodes[at as usize].ends = NONE;
        while let Some((parent, byte)) = path.pop() {
            let node = self.nodes[at as usize];
            if node.ends != NONE || node.count() > 1 {
                return;
            }
            if node.count() == 1 {
                self.join(at);
                return;
            }
            self.remove_child(parent, byte);
            at = parent;
        }
    }

    /// Splits a node's label after `keep` bytes: the rest becomes its only child.
    fn split(&mut self, at: u32, keep: usize) {
        let mut lower = self.nodes[at as usize];
        let label = lower.label;
        let rest = &label[..usize::from(lower.label_len)][keep..];
        let byte = rest[0];
        lower.label_len = rest.len() as u8 - 1;
        lower.label[..rest.len() - 1].copy_from_slice(&rest[1..]);
        self.nodes[at as usize] = Node::new(&label[..keep]);
        self.add_child(at, byte, lower);
    }

    /// Merges a node where no prefix ends with its only child, if their labels fit into one.
    fn join(&mut self, at: u32) {
        let upper = self.nodes[at as usize];
        let mut lower = self.nodes[upper.children as usize];
        let word = upper.bytes.iter().position(|&bits| bits != 0).unwrap_or(0);
        let byte = (word as u32 * 64 + upper.bytes[word].trailing_zeros()) as u8;
        let label = [upper.label(), &[byte], lower.label()].concat();
        if label.len() <= LABEL_MAX {
            lower.label_len = label.len() as u8;
            lower.label[..label.len()].copy_from_slice(&label);
            self.nodes[at as usize] = lower;
            self.give_back(upper.children, upper.room);
        }
    }

    /// Returns the index of the child.
    fn add_child(&mut self, parent: u32, byte: u8, child: Node) -> u32 {
        let node = self.nodes[parent as usize];
        let (count, rank) = (node.count(), node.rank(byte));
        let mut children = node.children;
        if count == 0 || count == 1 << node.room {
            let room = if count == 0 { 0 } else { node.room + 1 };
            children = self.block(room);
            let old = node.children as usize;
            self.nodes.copy_within(old..old + count as usize, children as usize);
            if count > 0 {
                self.give_back(node.children, node.room);
            }
            self.nodes[parent as usize].children = children;
            self.nodes[parent as usize].room = room;
        }
        let index = (children + rank) as usize;
        self.nodes.copy_within(index..(children + count) as usize, index + 1);
        self.nodes[index] = child;
        self.nodes[parent as usize].flip(byte);
        index as u32
    }

    fn remove_child(&mut self, parent: u32, byte: u8) {
        let node = &mut self.nodes[parent as usize];
        let (index, end) = (node.children + node.rank(byte), node.children + node.count());
        node.flip(byte);
        let (children, room) = (node.children, node.room);
        self.nodes.copy_within(index as usize + 1..end as usize, index as usize);
        if end - children == 1 {
            self.give_back(children, room);
        }
    }

    fn block(&mut self, room: u8) -> u32 {
        self.free[usize::from(room)].pop().unwrap_or_else(|| {
            let start = self.nodes.len();
            self.nodes.resize(start + (1 << room), Node::new(b""));
            start as u32
        })
    }

    fn give_back(&mut self, block: u32, room: u8) {
        self.free[usize::from(room)].push(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(prefixes: &Prefixes, name: &[u8]) -> Vec<u32> {
        let mut found = Vec::new();
        prefixes.find(name, &mut found);
        found.sort_unstable();
        found
    }

    #[test]
    fn all_prefixes_of_a_name_are_found() {
        let mut prefixes = Prefixes::new();
        let long = "a".repeat(100);
        for (number, prefix) in ["user:", "user:1", "user:12", "order:", "u", "", &long, &long[..50]].iter().enumerate()
        {
            prefixes.insert(prefix.as_bytes(), number as u32);
        }
        assert_eq!(found(&prefixes, b"user:12"), [0, 1, 2, 4, 5]);
        assert_eq!(found(&prefixes, b"user"), [4, 5]);
        assert_eq!(found(&prefixes, &[b'a'; 99]), [5, 7]);
        assert_eq!(found(&prefixes, &[b'a'; 101]), [5, 6, 7]);
        assert_eq!(found(&prefixes, b""), [5]);
    }

    #[test]
    fn inserting_and_removing_leaves_no_memory_behind() {
        let mut prefixes = Prefixes::new();
        let name = |number: u32| format!("key:{:08}", number.wrapping_mul(2_654_435_761));
        for round in 0..4 {
            (0..1000).for_each(|number| prefixes.insert(name(number + round * 500).as_bytes(), number));
            (0..1000).for_each(|number| prefixes.remove(name(number + round * 500).as_bytes(), number));
            assert!(prefixes.is_empty());
        }
        assert!(prefixes.nodes.len() < 8000 && prefixes.nodes[0].count() == 0, "{}", prefixes.nodes.len());
    }

    proptest! {
        #[test]
        fn find_agrees_with_comparing_each_prefix(
            steps in proptest::collection::vec((proptest::collection::vec(prop_oneof![4 => b'a'..=b'b', 1 => 0..=255u8], 0..30), any::<bool>()), 1..80),
            names in proptest::collection::vec(proptest::collection::vec(prop_oneof![4 => b'a'..=b'b', 1 => 0..=255u8], 0..40), 1..8),
        ) {
            let mut prefixes = Prefixes::new();
            let mut model: Vec<(Vec<u8>, u32)> = Vec::new();
            for (number, (prefix, removes)) in steps.into_iter().enumerate() {
                if removes && !model.is_empty() {
                    let (prefix, number) = model.swap_remove(number % model.len());
                    prefixes.remove(&prefix, number);
                } else {
                    prefixes.insert(&prefix, number as u32);
                    model.push((prefix, number as u32));
                }
                for name in names.iter().chain(model.iter().map(|(prefix, _)| prefix)) {
                    let mut wanted: Vec<u32> =
                        model.iter().filter(|(prefix, _)| name.starts_with(prefix)).map(|(_, number)| *number).collect();
                    wanted.sort_unstable();
                    prop_assert_eq!(found(&prefixes, name), wanted);
                }
            }
        }
    }
}
