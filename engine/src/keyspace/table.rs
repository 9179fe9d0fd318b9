//! The hash table of a shard's entries: extendible hashing over small tables.
//!
//! ```text
//!   hash ── its top `depth` bits ──► directory ──► segment: a swiss table of at most SEGMENT_MAX entries
//! ```
//!
//! A full segment is split in two by the next bit of the hash, and the directory doubles if that bit is beyond its
//! depth. So no insertion ever moves more than one segment's entries, however many keys there are; a table that doubles
//! as a whole would stall its core while it moves them all. The entries are in the order of their hashes, segment by
//! segment, which lets [`Table::scan`] keep SCAN's guarantee with a plain number as cursor: an entry's hash never
//! changes, so an entry that is present throughout is visited whatever is split meanwhile.

use super::{Entry, Stored};
use crate::prefetch::{LINE_BYTES, prefetch_line};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;
use std::hash::{BuildHasher, Hasher};

/// The number of entries at which a segment is split: the capacity of a swiss table of 1,024 buckets.
const SEGMENT_MAX: usize = 896;

/// How many entries ahead of the visited one a scan prefetches the value.
const SCAN_AHEAD: usize = 8;

/// The directory never has more than 2^20 places, enough for 900 million entries; beyond that, segments grow.
const DEPTH_MAX: u32 = 20;

struct TableSegment {
    entries: HashTable<Stored>,
    /// The number of leading hash bits that all its entries share.
    depth: u32,
}

/// The entries of one shard, by key.
pub(crate) struct Table {
    segments: Vec<TableSegment>,
    /// Indexed by the top `depth` bits of a hash.
    directory: Vec<u32>,
    depth: u32,
    hasher: foldhash::fast::RandomState,
}

/// The hash within a segment: its table uses the bits below those of the directory, or else all tags in it would be
/// equal.
#[inline]
fn within(hash: u64) -> u64 {
    hash.rotate_left(32)
}

impl Table {
    pub(crate) fn new() -> Table {
        Table {
            segments: vec![TableSegment { entries: HashTable::new(), depth: 0 }],
            directory: vec![0],
            depth: 0,
            hasher: Default::default(),
        }
    }

    #[inline]
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        hash_with(&self.hasher, key)
    }

    #[inline]
    fn segment_index(&self, hash: u64) -> usize {
        // In Rust a shift by 64 overflows; with depth 0 there is one segment.
        let place = hash.checked_shr(64 - self.depth).unwrap_or(0);
        self.directory[place as usize] as usize
    }

    #[inline]
    pub(crate) fn find(&self, hash: u64, key: &[u8]) -> Option<Entry<'_>> {
        self.segments[self.segment_index(hash)]
            .entries
            .find(within(hash), |entry| entry.view().key() == key)
            .map(Stored::view)
    }

    #[inline]
    pub(crate) fn find_mut(&mut self, hash: u64, key: &[u8]) -> Option<&mut Stored> {
        let index = self.segment_index(hash);
        self.segments[index].entries.find_mut(within(hash), |entry| entry.view().key() == key)
    }

    /// Prefetches the entry with this hash, if there is one, and returns it: a look-up of its key will soon follow.
    /// Reads only the segment's tags, which are small enough to stay in a cache near the core. Sometimes it is another
    /// entry with the same tag.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) -> Option<Entry<'_>> {
        let entry = self.segments[self.segment_index(hash)].entries.iter_hash(within(hash)).next()?;
        let start = std::ptr::from_ref(entry);
        prefetch_line(start);
        prefetch_line(start.wrapping_byte_add(size_of::<Stored>().min(LINE_BYTES)));
        Some(entry.view())
    }

    /// The entry of a key, inserted without a value if missing.
    #[inline]
    pub(crate) fn find_or_insert(&mut self, hash: u64, key: &[u8]) -> &mut Stored {
        let mut index = self.segment_index(hash);
        // Only if an insertion would overflow the segment, its presence has to be known beforehand.
        if self.segments[index].entries.len() >= SEGMENT_MAX
            && self.segments[index].entries.find(within(hash), |entry| entry.view().key() == key).is_none()
        {
            index = self.split_until_room(hash);
        }
        let hasher = &self.hasher;
        let place = self.segments[index].entries.entry(
            within(hash),
            |entry| entry.view().key() == key,
            |entry| within(hash_with(hasher, entry.view().key())),
        );
        match place {
            Place::Occupied(found) => found.into_mut(),
            Place::Vacant(free) => free.insert(Stored::absent(key)).into_mut(),
        }
    }

    /// The first entry with this hash that `wanted` accepts.
    pub(crate) fn find_by_hash(&mut self, hash: u64, wanted: impl Fn(Entry<'_>) -> bool) -> Option<&mut Stored> {
        let index = self.segment_index(hash);
        let Table { segments, hasher, .. } = self;
        segments[index]
            .entries
            .find_mut(within(hash), |entry| wanted(entry.view()) && hash_with(hasher, entry.view().key()) == hash)
    }

    /// Removes the first entry with this hash that `wanted` accepts.
    pub(crate) fn remove_by_hash(&mut self, hash: u64, wanted: impl Fn(Entry<'_>) -> bool) -> bool {
        let index = self.segment_index(hash);
        let Table { segments, hasher, .. } = self;
        let found = segments[index]
            .entries
            .find_entry(within(hash), |entry| wanted(entry.view()) && hash_with(hasher, entry.view().key()) == hash);
        found.map(|entry| entry.remove()).is_ok()
    }

    fn split_until_room(&mut self, hash: u64) -> usize {
        loop {
            let index = self.segment_index(hash);
            let depth = self.segments[index].depth;
            if self.segments[index].entries.len() < SEGMENT_MAX || depth == DEPTH_MAX {
                return index;
            }
            if depth == self.depth {
                self.directory = self.directory.iter().flat_map(|&segment| [segment, segment]).collect();
                self.depth += 1;
            }
            self.split(index, hash);
        }
    }

    /// Splits one segment by the next bit of its entries' hashes; `hash` is that of a key in it.
    fn split(&mut self, index: usize, hash: u64) {
        let depth = self.segments[index].depth + 1;
        let bit = 1u64 << (64 - depth);
        let hasher = &self.hasher;
        let mut upper = HashTable::with_capacity(SEGMENT_MAX);
        let moving: Vec<Stored> =
            self.segments[index].entries.extract_if(|entry| hash_with(hasher, entry.view().key()) & bit != 0).collect();
        for entry in moving {
            let hash = hash_with(hasher, entry.view().key());
            upper.insert_unique(within(hash), entry, |entry| within(hash_with(hasher, entry.view().key())));
        }
        self.segments[index].depth = depth;
        let sibling = self.segments.len() as u32;
        self.segments.push(TableSegment { entries: upper, depth });
        // The directory places of the upper half: those with the new, longer prefix.
        let prefix = (hash >> (64 - depth)) | 1;
        let places_each = 1usize << (self.depth - depth);
        let first = (prefix as usize) * places_each;
        self.directory[first..first + places_each].fill(sibling);
    }

    /// The rank of a hash in the order of [`Table::scan`]: a scan with a greater cursor has visited it.
    pub(crate) fn order(hash: u64) -> u64 {
        hash >> ORDER_SHIFT
    }

    /// Visits entries from `from` on in the order of their hashes, until `visit` returns false: entries with the same
    /// hash as the last one are visited too. Returns where to continue, `None` at the end. The ranks have 48 bits.
    pub(crate) fn scan(&self, from: u64, mut visit: impl FnMut(Entry<'_>) -> bool) -> Option<u64> {
        let mut from = from;
        let mut goes_on = true;
        let mut found: Vec<(u64, Entry<'_>)> = Vec::new();
        loop {
            let hash = from << ORDER_SHIFT;
            let segment = &self.segments[self.segment_index(hash)];
            found.clear();
            let entries = segment.entries.iter().map(Stored::view);
            let ordered = entries.map(|entry| (Table::order(hash_with(&self.hasher, entry.key())), entry));
            found.extend(ordered.filter(|row| row.0 >= from));
            found.sort_unstable_by_key(|row| row.0);
            let mut last = None;
            for (n, &(order, entry)) in found.iter().enumerate() {
                if let Some((_, ahead)) = found.get(n + SCAN_AHEAD) {
                    ahead.prefetch_value();
                }
                if !goes_on && last != Some(order) {
                    return Some(order);
                }
                goes_on = visit(entry) && goes_on;
                last = Some(order);
            }
            // The segment is done: continue with the first rank behind its prefix.
            let span = (1u64 << ORDER_BITS).checked_shr(segment.depth).unwrap_or(1);
            from = (from / span + 1) * span;
            if from >= 1 << ORDER_BITS {
                return None;
            }
            if !goes_on {
                return Some(from);
            }
        }
    }

    /// A segment chosen by a random number, or the one `step` segments after it: for a random entry.
    pub(crate) fn segment_from(&self, random: u64, step: usize) -> Option<impl Iterator<Item = Entry<'_>>> {
        if step >= self.directory.len() {
            return None;
        }
        let place = (random as usize).wrapping_add(step) % self.directory.len();
        Some(self.segments[self.directory[place] as usize].entries.iter().map(Stored::view))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        self.segments.iter().flat_map(|segment| segment.entries.iter().map(Stored::view))
    }

    /// Keeps the entries for which `keep` returns true; it gets each one's hash. If the table becomes empty, its memory
    /// is freed.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(u64, &mut Stored) -> bool) {
        let hasher = &self.hasher;
        for segment in &mut self.segments {
            segment.entries.retain(|entry| keep(hash_with(hasher, entry.view().key()), entry));
        }
        if self.segments.iter().all(|segment| segment.entries.is_empty()) {
            *self = Table { hasher: self.hasher.clone(), ..Table::new() };
        }
    }
}

/// A scan's rank is the hash without its lowest bits, so that a cursor has room for a shard's number.
const ORDER_BITS: u32 = 48;
const ORDER_SHIFT: u32 = 64 - ORDER_BITS;

#[inline]
fn hash_with(hasher: &foldhash::fast::RandomState, key: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(key);
    state.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn filled(count: usize) -> Table {
        let mut table = Table::new();
        for n in 0..count {
            let key = format!("key:{n}");
            let hash = table.hash(key.as_bytes());
            table.find_or_insert(hash, key.as_bytes());
        }
        table
    }

    #[test]
    fn every_key_is_found_again_after_many_splits() {
        let mut table = filled(50_000);
        assert!(table.segments.len() > 50);
        for n in 0..50_000 {
            let key = format!("key:{n}");
            let hash = table.hash(key.as_bytes());
            assert_eq!(table.find(hash, key.as_bytes()).expect("it was inserted").key(), key.as_bytes());
            assert!(table.find_mut(hash, key.as_bytes()).is_some());
        }
        assert_eq!(table.iter().count(), 50_000);
        let hash = table.hash(b"other");
        assert!(table.find(hash, b"other").is_none());
    }

    #[test]
    fn no_segment_holds_more_than_it_may() {
        let table = filled(30_000);
        assert!(table.segments.iter().all(|segment| segment.entries.len() <= SEGMENT_MAX));
    }

    #[test]
    fn a_scan_visits_every_entry_that_stays_while_the_table_grows() {
        let mut table = filled(5_000);
        let mut seen = HashSet::new();
        let mut from = Some(0);
        let mut added = 0;
        while let Some(cursor) = from {
            let mut left = 10;
            from = table.scan(cursor, |entry| {
                seen.insert(entry.key().to_vec());
                left -= 1;
                left > 0
            });
            for _ in 0..20 {
                let key = format!("new:{added}");
                let hash = table.hash(key.as_bytes());
                table.find_or_insert(hash, key.as_bytes());
                added += 1;
            }
        }
        assert!(added > 5_000);
        assert!((0..5_000).all(|n| seen.contains(format!("key:{n}").as_bytes())));
    }

    #[test]
    fn a_scan_without_changes_sees_each_entry_once() {
        let table = filled(3_000);
        let (mut seen, mut from, mut steps) = (Vec::new(), Some(0), 0);
        while let Some(cursor) = from {
            let until = seen.len() + 7;
            from = table.scan(cursor, |entry| {
                seen.push(entry.key().to_vec());
                seen.len() < until
            });
            steps += 1;
        }
        assert_eq!(seen.len(), 3_000);
        assert_eq!(seen.iter().collect::<HashSet<_>>().len(), 3_000);
        assert!(steps > 100);
    }
}
