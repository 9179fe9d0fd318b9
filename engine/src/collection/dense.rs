//! The form of a large hash or set: its elements at places 0, 1, 2 …, each a pointer to its bytes, and an index from an
//! element's name to its place.
//!
//! ```text
//!   places   │ pointer │ pointer │ …     in runs of RUN_PLACES ──► field length, field, value; or the member
//!   index    hash ── its top bits ──► directory ──► segment: a swiss table of places, at most SEGMENT_MAX
//! ```
//!
//! Places make a random choice O(1), and let HSCAN and SSCAN walk from the highest place down. Nothing grows as a whole, so
//! no insertion moves more than one run or one segment, however large the collection is. Small ones have no index.

mod footprint;

mod ahead;

use super::rows::{self, Length};
use super::thin::ThinBytes;
use crate::limits::SCAN_WHOLE_MAX;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hasher};
use std::marker::PhantomData;

/// The number of places of a run.
const RUN_PLACES: usize = 1024;

/// Collections with more elements than this have an index.
const LINEAR_MAX: usize = 8;

/// The number of places in a segment of the index at which it is split: the capacity of a swiss table of 1,024 buckets.
const SEGMENT_MAX: usize = 896;

/// The directory never has more than 2^20 entries, enough for 900 million elements; beyond that, segments grow.
const DEPTH_MAX: u32 = 20;

/// What the elements are.
pub(super) trait Shape {
    /// The name of an element: the field, or the member.
    fn name(element: &[u8]) -> &[u8];
}

/// Elements of a hash: a row with the field, and the value behind it.
#[derive(Clone, Debug)]
pub(super) struct Fields;

impl Shape for Fields {
    #[inline]
    fn name(element: &[u8]) -> &[u8] {
        rows::row(element, 0, false).of(element)
    }
}

impl Fields {
    /// The element of a field and its value.
    pub fn element(field: &[u8], value: &[u8]) -> ThinBytes {
        ThinBytes::of(&[Length::of(field).before(), field, value])
    }

    /// The field and the value of an element.
    #[inline]
    pub fn pair(element: &[u8]) -> (&[u8], &[u8]) {
        let field = rows::row(element, 0, false);
        (field.of(element), &element[field.next..])
    }

    /// Replaces the value in an element.
    pub fn overwrite(element: &mut ThinBytes, value: &[u8]) {
        let (from, to) = (rows::row(element, 0, false).next, element.len());
        element.splice(from..to, &[value]);
    }
}

/// Elements of a set: the member.
#[derive(Clone, Debug)]
pub(super) struct Members;

impl Shape for Members {
    #[inline]
    fn name(element: &[u8]) -> &[u8] {
        element
    }
}

/// Elements with an index.
#[derive(Clone, Debug)]
pub(super) struct Dense<S> {
    places: Places,
    /// `None` while there are few elements.
    index: Option<Index>,
    /// The memory of the elements' own bytes.
    element_bytes: usize,
    _shape: PhantomData<S>,
}

impl<S: Shape> Dense<S> {
    pub fn new() -> Dense<S> {
        Dense { places: Places::default(), index: None, element_bytes: 0, _shape: PhantomData }
    }

    /// The number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.places.length
    }

    /// The element at a place.
    #[inline]
    pub fn at(&self, place: usize) -> Option<&ThinBytes> {
        self.places.get(place)
    }

    /// Changes the element at a place; its name must stay.
    pub fn change(&mut self, place: usize, change: impl FnOnce(&mut ThinBytes)) {
        if let Some(element) = self.places.get_mut(place) {
            let before = element.allocated_bytes();
            change(element);
            self.element_bytes = self.element_bytes - before + element.allocated_bytes();
        }
    }

    /// All elements, in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = &ThinBytes> {
        self.places.runs.iter().flatten()
    }

    /// The place of the element with a name.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<usize> {
        match &self.index {
            None => self.iter().position(|element| S::name(element) == name),
            Some(index) => {
                let is_named = |place| self.at(place).is_some_and(|element| S::name(element) == name);
                index.find(index.hash(name), is_named)
            }
        }
    }

    /// Adds an element whose name is new, at the highest place.
    pub fn push(&mut self, element: ThinBytes) {
        let place = self.places.length;
        self.element_bytes += element.allocated_bytes();
        self.places.push(element);
        let Dense { places, index, .. } = self;
        match index {
            Some(index) => index.insert(place, &|place| S::name(places.element(place))),
            None if place >= LINEAR_MAX => self.make_index(),
            None => {}
        }
    }

    fn make_index(&mut self) {
        let mut index = Index::new();
        for place in 0..self.places.length {
            index.insert(place, &|place| S::name(self.places.element(place)));
        }
        self.index = Some(index);
    }

    /// Whether a removal now leaves the other elements in order; else it moves the last one only.
    pub fn removal_keeps_order(&self) -> bool {
        self.len() <= SCAN_WHOLE_MAX
    }

    /// Removes the element at a place.
    ///
    /// In small collections the others stay in order; in large ones the last one moves to the place. Neither moves an element
    /// to a higher place, which HSCAN and SSCAN rely on.
    pub fn remove_at(&mut self, place: usize) -> Option<ThinBytes> {
        let removed = self.take_at(place)?;
        self.element_bytes -= removed.allocated_bytes();
        Some(removed)
    }

    fn take_at(&mut self, place: usize) -> Option<ThinBytes> {
        let length = self.places.length;
        if place >= length {
            return None;
        }
        let keeps_order = self.removal_keeps_order();
        let Dense { places, index, .. } = self;
        if let Some(index) = index {
            index.remove(place, &|place| S::name(places.element(place)));
        }
        if keeps_order {
            if let Some(index) = index {
                index.close_gap(place);
            }
            // So few are in one run.
            let removed = places.runs[0].remove(place);
            places.length -= 1;
            if places.length <= LINEAR_MAX / 2 {
                self.index = None;
            }
            return Some(removed);
        }
        let last = length - 1;
        if let Some(index) = index
            && place != last
        {
            index.renumber(last, place, &|place| S::name(places.element(place)));
        }
        let moved = places.pop()?;
        if place == last { Some(moved) } else { places.get_mut(place).map(|old| std::mem::replace(old, moved)) }
    }

    /// Frees up to `most` elements and their part of the index, which is not right afterwards: for a collection that nobody
    /// uses any more. Returns how many elements there were.
    pub fn free_some(&mut self, most: usize) -> usize {
        let freed = (0..most).take_while(|_| self.places.pop().is_some()).count();
        if let Some(index) = &mut self.index {
            let left = index.segments.len().saturating_sub(1 + freed / (SEGMENT_MAX / 4));
            index.segments.truncate(left);
        }
        freed
    }
}

/// The elements by their places.
#[derive(Clone, Debug, Default)]
struct Places {
    /// All but the last are full.
    runs: Vec<Vec<ThinBytes>>,
    length: usize,
    /// The memory of the runs.
    run_bytes: usize,
}

impl Places {
    #[inline]
    fn get(&self, place: usize) -> Option<&ThinBytes> {
        self.runs.get(place / RUN_PLACES)?.get(place % RUN_PLACES)
    }

    fn get_mut(&mut self, place: usize) -> Option<&mut ThinBytes> {
        self.runs.get_mut(place / RUN_PLACES)?.get_mut(place % RUN_PLACES)
    }

    /// The element at a place that is in the index.
    #[inline]
    fn element(&self, place: usize) -> &ThinBytes {
        &self.runs[place / RUN_PLACES][place % RUN_PLACES]
    }

    fn push(&mut self, element: ThinBytes) {
        if self.length.is_multiple_of(RUN_PLACES) && self.runs.len() == self.length / RUN_PLACES {
            self.runs.push(Vec::new());
        }
        let run = &mut self.runs[self.length / RUN_PLACES];
        let before = footprint::of_run(run);
        run.push(element);
        self.run_bytes = self.run_bytes - before + footprint::of_run(run);
        self.length += 1;
    }

    fn pop(&mut self) -> Option<ThinBytes> {
        let element = self.runs.last_mut()?.pop()?;
        self.length -= 1;
        if self.runs.last().is_some_and(Vec::is_empty) {
            self.run_bytes -= self.runs.pop().as_ref().map_or(0, footprint::of_run);
        }
        Some(element)
    }
}

/// From a name to a place: extendible hashing, as in the table of keys.
#[derive(Clone, Debug)]
struct Index {
    segments: Vec<Segment>,
    /// Indexed by the top `depth` bits of a hash.
    directory: Vec<u32>,
    depth: u32,
    /// The memory of the segments' tables.
    table_bytes: usize,
    /// Of the better quality: the split bits must be as good as the others.
    hasher: foldhash::quality::RandomState,
}

#[derive(Clone, Debug)]
struct Segment {
    places: HashTable<u32>,
    /// The number of leading hash bits that all its names share.
    depth: u32,
}

/// The hash within a segment: the bits below those of the directory.
#[inline]
fn within(hash: u64) -> u64 {
    hash.rotate_left(32)
}

/// A place as the index has it. A collection has less than 2^32 elements: their pointers alone would take 32 GiB.
fn narrow(place: usize) -> u32 {
    u32::try_from(place).expect("a collection of 4 billion elements exceeds the memory first")
}

impl Index {
    fn new() -> Index {
        Index {
            segments: vec![Segment { places: HashTable::new(), depth: 0 }],
            directory: vec![0],
            depth: 0,
            table_bytes: 0,
            hasher: Default::default(),
        }
    }

    #[inline]
    fn hash(&self, name: &[u8]) -> u64 {
        let mut state = self.hasher.build_hasher();
        state.write(name);
        state.finish()
    }

    #[inline]
    fn segment_of(&self, hash: u64) -> usize {
        // In Rust a shift by 64 overflows; with depth 0 there is one segment.
        let at = hash.checked_shr(64 - self.depth).unwrap_or(0);
        self.directory[at as usize] as usize
    }

    #[inline]
    fn find(&self, hash: u64, is_wanted: impl Fn(usize) -> bool) -> Option<usize> {
        let places = &self.segments[self.segment_of(hash)].places;
        places.find(within(hash), |&place| is_wanted(place as usize)).map(|&place| place as usize)
    }

    fn insert<'n>(&mut self, place: usize, name: &dyn Fn(usize) -> &'n [u8]) {
        let hash = self.hash(name(place));
        let mut at = self.segment_of(hash);
        while self.segments[at].places.len() >= SEGMENT_MAX && self.segments[at].depth < DEPTH_MAX {
            self.split(at, hash, name);
            at = self.segment_of(hash);
        }
        let Index { segments, hasher, table_bytes, .. } = self;
        let rehash = |place: &u32| within(hash_with(hasher, name(*place as usize)));
        let places = &mut segments[at].places;
        let before = places.allocation_size();
        places.insert_unique(within(hash), narrow(place), rehash);
        *table_bytes = *table_bytes - before + places.allocation_size();
    }

    /// Splits a segment by the next bit of its hashes; `hash` is one of them.
    fn split<'n>(&mut self, at: usize, hash: u64, name: &dyn Fn(usize) -> &'n [u8]) {
        let depth = self.segments[at].depth + 1;
        if depth > self.depth {
            self.directory = self.directory.iter().flat_map(|&segment| [segment, segment]).collect();
            self.depth += 1;
        }
        let bit = 1u64 << (64 - depth);
        let hasher = &self.hasher;
        let old = std::mem::take(&mut self.segments[at].places);
        self.table_bytes -= old.allocation_size();
        let (mut lower, mut upper) = (Vec::with_capacity(SEGMENT_MAX), Vec::with_capacity(SEGMENT_MAX));
        for place in old {
            let hash = hash_with(hasher, name(place as usize));
            if hash & bit == 0 { &mut lower } else { &mut upper }.push((hash, place));
        }
        // Both are filled from the hashes at hand, without a look at the names.
        let table = |rows: &[(u64, u32)]| {
            let mut table = HashTable::with_capacity(rows.len());
            rows.iter().for_each(|&(hash, place)| {
                table.insert_unique(within(hash), place, |_| unreachable!("it has room for all rows"));
            });
            table
        };
        let sibling = narrow(self.segments.len());
        let (lower, upper) = (table(&lower), table(&upper));
        self.table_bytes += lower.allocation_size() + upper.allocation_size();
        self.segments[at] = Segment { places: lower, depth };
        self.segments.push(Segment { places: upper, depth });
        // The directory entries of the upper half: those with the new, longer prefix.
        let prefix = ((hash >> (64 - depth)) | 1) as usize;
        let entries_each = 1usize << (self.depth - depth);
        let first = prefix * entries_each;
        self.directory[first..first + entries_each].fill(sibling);
    }

    /// Removes a place.
    fn remove<'n>(&mut self, place: usize, name: &dyn Fn(usize) -> &'n [u8]) {
        let hash = self.hash(name(place));
        let at = self.segment_of(hash);
        let Index { segments, hasher, table_bytes, .. } = self;
        let places = &mut segments[at].places;
        if let Ok(found) = places.find_entry(within(hash), |&each| each as usize == place) {
            found.remove();
        }
        // What is left of a segment that was full does not keep its memory.
        if places.len() < places.capacity() / 8 {
            let before = places.allocation_size();
            places.shrink_to(places.len() * 2, |place| within(hash_with(hasher, name(*place as usize))));
            *table_bytes = *table_bytes - before + places.allocation_size();
        }
    }

    /// The element at place `from` is about to be at place `to`.
    fn renumber<'n>(&mut self, from: usize, to: usize, name: &dyn Fn(usize) -> &'n [u8]) {
        let hash = self.hash(name(from));
        let at = self.segment_of(hash);
        if let Some(place) = self.segments[at].places.find_mut(within(hash), |&each| each as usize == from) {
            *place = narrow(to);
        }
    }

    /// All elements behind a place, which was removed, are about to be one place lower.
    fn close_gap(&mut self, gap: usize) {
        for place in self.segments.iter_mut().flat_map(|segment| segment.places.iter_mut()) {
            *place -= u32::from(*place as usize > gap);
        }
    }
}

#[inline]
fn hash_with(hasher: &foldhash::quality::RandomState, name: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(name);
    state.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use indexmap::IndexSet;

    fn member(n: usize) -> Vec<u8> {
        format!("member:{n}").into_bytes()
    }

    #[test]
    fn it_is_a_set_whose_order_is_known_at_every_size() {
        let mut rng = fastrand::Rng::with_seed(11);
        for size in [5, 9, 130, 3_000] {
            let mut dense: Dense<Members> = Dense::new();
            let mut model: IndexSet<Vec<u8>> = IndexSet::new();
            for step in 0..size * 6 {
                let name = member(rng.usize(..size));
                let found = dense.find(&name);
                assert_eq!(found, model.get_index_of(&name), "step {step}");
                // Mostly grows, then mostly shrinks.
                match found {
                    None if rng.usize(..size * 6) > step / 2 => {
                        dense.push(ThinBytes::of(&[&name]));
                        model.insert(name);
                    }
                    Some(place) if rng.usize(..size * 6) < step => {
                        let removed = dense.remove_at(place).expect("there is one");
                        assert_eq!(&removed[..], &name[..]);
                        if model.len() <= SCAN_WHOLE_MAX {
                            model.shift_remove_index(place)
                        } else {
                            model.swap_remove_index(place)
                        };
                    }
                    _ => {}
                }
                assert_eq!(dense.len(), model.len());
                assert!(dense.remove_at(dense.len()).is_none());
            }
            assert!(dense.iter().map(|element| element.to_vec()).eq(model.iter().cloned()));
            assert!(model.iter().enumerate().all(|(place, name)| dense.find(name) == Some(place)));
            assert!(dense.at(model.len()).is_none());
        }
    }

    #[test]
    fn the_index_of_many_has_segments_of_bounded_size_and_gives_memory_back() {
        let mut dense: Dense<Members> = Dense::new();
        (0..50_000).for_each(|n| dense.push(ThinBytes::of(&[&member(n)])));
        let index = dense.index.as_ref().expect("it has many");
        assert!(index.segments.len() > 50 && index.segments.iter().all(|one| one.places.len() <= SEGMENT_MAX));
        let buckets = |dense: &Dense<Members>| {
            let index = dense.index.as_ref().expect("it has many");
            index.segments.iter().map(|one| one.places.capacity()).sum::<usize>()
        };
        let full = buckets(&dense);
        assert!((0..50_000).all(|n| dense.find(&member(n)) == Some(n)));
        assert_eq!(dense.find(b"other"), None);
        for _ in 0..49_900 {
            dense.remove_at(17).expect("there are more");
        }
        assert!(buckets(&dense) < full / 50, "{} of {full}", buckets(&dense));
        assert!(dense.iter().enumerate().all(|(place, element)| dense.find(element) == Some(place)));
        let mut steps = 0;
        while dense.free_some(7) > 0 {
            steps += 1;
        }
        assert_eq!((steps, dense.len()), (100usize.div_ceil(7), 0));
    }
}
