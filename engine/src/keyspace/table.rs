//! The hash table of a shard's entries, and of what else has names: one word for each, which has some bits of the name's
//! hash and the address of the rest.
//!
//! ```text
//!   hash ──► directory ──► segment ──► line of eight words ──► block
//! ```
//!
//! A [`segment`] that is full grows by some lines, and beyond 63 lines it is split in two by the next bit of the hash;
//! segments that have become empty shrink, and are merged again. So no change of a name ever moves more than one
//! segment's words, however many names there are; a table that doubles as a whole would stall its core while it moves
//! them all.
//!
//! | file | what is in it |
//! |---|---|
//! | `word` | a word: hash bits and address |
//! | `line` | eight words |
//! | `segment` | lines: look-up, insertion, removal, growth |
//! | `directory` | finds a segment |
//! | `scan` | visits entries in the order of their hashes |
//! | `expire` | finds what has expired |
//! | `hand` | finds what is to be removed for want of memory |

mod directory;
mod expire;
mod hand;
mod line;
mod scan;
mod segment;
#[cfg(all(test, not(loom)))]
mod tests;
mod word;

pub(crate) use hand::{Found, Hand, Seen};
pub(crate) use word::{Lent, Pointed, Word};

use directory::Directory;
use segment::{LINES_MAX, NEVER, Segment, Spot, names_max};
use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher};

/// Segments at this depth grow instead of being split: 2^20 of them have more than 400 million names.
const DEPTH_MAX: u32 = 20;

/// Two segments that were one are merged if they have no more names than this together.
const MERGED_NAMES_MAX: usize = names_max(LINES_MAX) * 5 / 8;

/// The segments are kept in parts of this many, so that no list of all is ever copied.
const PART: usize = 256;

/// Entries by name.
pub(crate) struct Table<P: Pointed> {
    directory: Directory,
    /// By number, [`PART`] in each.
    segments: Vec<Vec<Segment<P>>>,
    /// Numbers of segments that were merged into others.
    unused: Vec<u32>,
    /// The greatest depth that a segment has had.
    deepest: u32,
    names: usize,
    /// The segments with names that expire: when the first does, or later than this, and the segment's number.
    due: BTreeSet<(u64, u32)>,
    hasher: foldhash::quality::RandomState,
}

/// Where a name is looked up; the memory there may still be on its way.
pub(crate) struct Ahead<'a, P: Pointed> {
    segment: &'a Segment<P>,
    home: u32,
    tag: u32,
}

impl<'a, P: Pointed> Ahead<'a, P> {
    /// Prefetches what the table has with the name's tag there, nearly always its entry or nothing; returns it.
    #[inline]
    pub(crate) fn prefetch(&self) -> Option<P::View<'a>> {
        let spot = self.segment.position_from(self.home as usize, self.tag, |_| true)?;
        let view = self.segment.word(spot).view()?;
        P::prefetch(view);
        Some(view)
    }
}

impl<P: Pointed> Table<P> {
    pub(crate) fn new() -> Table<P> {
        Table::with_hasher(Default::default())
    }

    fn with_hasher(hasher: foldhash::quality::RandomState) -> Table<P> {
        Table {
            directory: Directory::new(0),
            segments: vec![vec![Segment::new(0, 0)]],
            unused: Vec::new(),
            deepest: 0,
            names: 0,
            due: BTreeSet::new(),
            hasher,
        }
    }

    #[inline]
    pub(crate) fn hash(&self, name: &[u8]) -> u64 {
        hash_with(&self.hasher, name)
    }

    /// The number of entries.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.names
    }

    #[inline]
    fn segment_at(&self, number: u32) -> &Segment<P> {
        &self.segments[number as usize / PART][number as usize % PART]
    }

    #[inline]
    fn segment_at_mut(&mut self, number: u32) -> &mut Segment<P> {
        &mut self.segments[number as usize / PART][number as usize % PART]
    }

    #[inline]
    fn segment(&self, hash: u64) -> &Segment<P> {
        self.segment_at(self.directory.get(hash))
    }

    #[inline]
    fn segment_mut(&mut self, hash: u64) -> &mut Segment<P> {
        self.segment_at_mut(self.directory.get(hash))
    }

    fn segments(&self) -> impl Iterator<Item = &Segment<P>> {
        self.segments.iter().flatten()
    }

    /// The entry of a name.
    #[inline]
    pub(crate) fn find(&self, hash: u64, name: &[u8]) -> Option<P::View<'_>> {
        let segment = self.segment(hash);
        let spot = segment.position(hash, |view| P::name(view) == name)?;
        segment.word(spot).view()
    }

    /// The word of a name.
    #[inline]
    pub(crate) fn find_mut(&mut self, hash: u64, name: &[u8]) -> Option<&mut Word<P>> {
        let segment = self.segment_mut(hash);
        let spot = segment.position(hash, |view| P::name(view) == name)?;
        Some(segment.word_mut(spot))
    }

    /// Prefetches the line in which a name with this hash is looked up first.
    #[inline]
    pub(crate) fn ahead(&self, hash: u64) -> Ahead<'_, P> {
        let segment = self.segment(hash);
        let home = segment.home_of_hash(hash);
        segment.prefetch_line(home);
        Ahead { segment, home: home as u32, tag: segment.tag(hash) }
    }

    /// The word of a name; what `new` makes is inserted if the name is missing.
    #[inline]
    pub(crate) fn find_or_insert(&mut self, hash: u64, name: &[u8], new: impl FnOnce() -> P) -> &mut Word<P> {
        let number = self.directory.get(hash);
        let segment = self.segment_at(number);
        match segment.position(hash, |view| P::name(view) == name) {
            Some(spot) => self.segment_at_mut(number).word_mut(spot),
            None => self.insert(hash, new()),
        }
    }

    /// Inserts an entry whose name is missing.
    pub(crate) fn insert(&mut self, hash: u64, item: P) -> &mut Word<P> {
        if self.segment(hash).is_full() {
            self.make_room(hash);
        }
        self.names += 1;
        let segment = self.segment_mut(hash);
        let spot = segment.insert(segment.tag(hash), item);
        segment.word_mut(spot)
    }

    #[cold]
    fn make_room(&mut self, hash: u64) {
        loop {
            let segment = self.segment_mut(hash);
            if !segment.is_full() {
                return;
            }
            if segment.line_count() < LINES_MAX || segment.depth() == DEPTH_MAX {
                segment.grow();
            } else {
                self.split(hash);
            }
        }
    }

    /// Splits the segment of this hash.
    fn split(&mut self, hash: u64) {
        let lower = self.directory.get(hash);
        let hasher = &self.hasher;
        let segment = &mut self.segments[lower as usize / PART][lower as usize % PART];
        let upper = segment.split(|name| hash_with(hasher, name));
        let depth = segment.depth();
        self.deepest = self.deepest.max(depth);
        let number = self.add_segment(upper);
        self.directory.assign(hash | 1 << (64 - depth), depth, number);
        self.update_due(lower);
        self.update_due(number);
    }

    fn add_segment(&mut self, segment: Segment<P>) -> u32 {
        if let Some(number) = self.unused.pop() {
            *self.segment_at_mut(number) = segment;
            return number;
        }
        if self.segments.last().is_none_or(|part| part.len() == PART) {
            self.segments.push(Vec::with_capacity(PART));
        }
        let part = self.segments.len() - 1;
        self.segments[part].push(segment);
        (part * PART + self.segments[part].len() - 1) as u32
    }

    /// The first entry with this hash that `wanted` accepts.
    pub(crate) fn find_by_hash(&mut self, hash: u64, wanted: impl Fn(P::View<'_>) -> bool) -> Option<&mut Word<P>> {
        let spot = self.spot_by_hash(hash, wanted)?;
        Some(self.segment_mut(hash).word_mut(spot))
    }

    /// Removes the first entry with this hash that `wanted` accepts.
    pub(crate) fn remove_by_hash(&mut self, hash: u64, wanted: impl Fn(P::View<'_>) -> bool) -> Option<P> {
        let spot = self.spot_by_hash(hash, wanted)?;
        self.remove(hash, spot)
    }

    fn spot_by_hash(&self, hash: u64, wanted: impl Fn(P::View<'_>) -> bool) -> Option<Spot> {
        let segment = self.segment(hash);
        segment.position(hash, |view| wanted(view) && hash_with(&self.hasher, P::name(view)) == hash)
    }

    fn remove(&mut self, hash: u64, spot: Spot) -> Option<P> {
        let segment = self.segment_mut(hash);
        let item = segment.remove(spot)?;
        segment.shrink();
        let is_small = segment.names() < MERGED_NAMES_MAX / 2 && segment.depth() > 0;
        self.names -= 1;
        if is_small {
            self.merge(hash);
        }
        Some(item)
    }

    /// Merges the segment of this hash with the one that it was split from, if both are small.
    fn merge(&mut self, hash: u64) {
        let depth = self.segment(hash).depth();
        let bit = 1 << (64 - depth);
        let (lower, upper) = (self.directory.get(hash & !bit), self.directory.get(hash | bit));
        let (below, above) = (self.segment_at(lower), self.segment_at(upper));
        if below.depth() != above.depth() || below.names() + above.names() > MERGED_NAMES_MAX {
            return;
        }
        let above = std::mem::replace(self.segment_at_mut(upper), Segment::new(0, 0));
        self.due.remove(&(above.due, upper));
        let hasher = &self.hasher;
        let below = &mut self.segments[lower as usize / PART][lower as usize % PART];
        below.merge(above, |name| hash_with(hasher, name));
        self.directory.assign(hash, depth - 1, lower);
        self.unused.push(upper);
        self.update_due(lower);
    }

    /// Visits the words of the segment with a number, from 0 on; returns whether there is one with the next number.
    pub(crate) fn visit_segment(&mut self, number: usize, visit: impl FnMut(&mut Word<P>)) -> bool {
        if let Some(segment) = self.segments.get_mut(number / PART).and_then(|part| part.get_mut(number % PART)) {
            segment.visit(visit);
        }
        self.has_segment(number + 1)
    }

    /// Takes all entries out, as a table of their own; both use the same hashes.
    pub(crate) fn flush(&mut self) -> Table<P> {
        let empty = Table::with_hasher(self.hasher.clone());
        std::mem::replace(self, empty)
    }

    /// Removes the entry of a name, of a table that is being emptied: no other entry comes into another segment.
    pub(crate) fn detach(&mut self, hash: u64, name: &[u8]) -> Option<P> {
        let segment = self.segment_mut(hash);
        let spot = segment.position(hash, |view| P::name(view) == name)?;
        let item = segment.remove(spot)?;
        self.names -= 1;
        Some(item)
    }

    /// Removes all entries of the segment with a number, from 0 on, of a table that is being emptied; returns whether there is
    /// a segment with the next number.
    pub(crate) fn empty_segment(&mut self, number: usize, into: impl FnMut(P)) -> bool {
        if let Some(segment) = self.segments.get_mut(number / PART).and_then(|part| part.get_mut(number % PART)) {
            self.names -= segment.names();
            segment.drain(into);
        }
        self.has_segment(number + 1)
    }

    fn has_segment(&self, number: usize) -> bool {
        self.segments.get(number / PART).is_some_and(|part| part.len() > number % PART)
    }

    /// Keeps the entries for which `keep` returns true; it gets each one's hash. All TTLs are forgotten. If the table
    /// becomes empty, its memory is freed.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(u64, &mut Word<P>) -> bool) {
        let hasher = self.hasher.clone();
        for number in 0..self.segments.len() * PART {
            let Some(segment) = self.segments[number / PART].get_mut(number % PART) else { break };
            segment.retain(|word| {
                let hash = word.view().map_or(0, |view| hash_with(&hasher, P::name(view)));
                keep(hash, word)
            });
        }
        self.names = self.segments().map(Segment::names).sum();
        self.segments.iter_mut().flatten().for_each(|segment| segment.due = NEVER);
        self.due.clear();
        if self.names == 0 {
            *self = Table::with_hasher(hasher);
        }
    }
}

#[inline]
fn hash_with(hasher: &foldhash::quality::RandomState, name: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(name);
    state.finish()
}
