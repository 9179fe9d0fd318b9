//! A run of entries, packed. Ids are stored as the distance from the one before, and an entry with the field names of the
//! block's first entry stores its values alone.
//!
//! ```text
//!  names      count │ length name │ length name │ …
//!  entry      flags 1 │ length of the rest │ ms - previous ms │ number │ [count] │ [length name] length value │ …
//! ```
//!
//! All numbers but the flags are [`varint`]s. The number of an id is the distance from the previous one if the time is the
//! same, and the whole number otherwise. A deleted entry stays where it is, with a flag, until its block has no other, as in
//! Redis: so blocks end where those of Redis do, and `MAXLEN ~` removes the same entries.

use super::id::EntryId;
use super::varint;
use crate::collection::Thresholds;
use crate::collection::allocated;

/// The entry is deleted.
const DELETED: u8 = 1;
/// Its field names are those of the block.
const SAME_NAMES: u8 = 2;

/// The bytes of a new block if its entry is short: it grows by doubling.
const BYTES_FIRST: usize = 128;

/// The most bytes of a block, whatever is configured, unless one entry is larger.
const BYTES_MAX: usize = 1 << 30;

/// A field's name and its value.
pub type Pair<'a> = (&'a [u8], &'a [u8]);

/// Entries in the order of their ids.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub first: EntryId,
    /// The id of the last entry, deleted or not.
    pub last: EntryId,
    bytes: Vec<u8>,
    /// Where the entries begin, behind the names.
    entries_at: u32,
    /// The entries that are not deleted.
    pub live: u32,
    deleted: u32,
}

impl Block {
    /// A block of one entry.
    pub fn new<'k>(id: EntryId, pairs: impl Iterator<Item = Pair<'k>> + Clone) -> Block {
        let names: usize = pairs.clone().map(|(name, _)| name.len() + varint::width(name.len() as u64)).sum();
        let values: usize = pairs.clone().map(|(_, value)| value.len()).sum();
        let mut bytes = Vec::with_capacity(BYTES_FIRST.max(names + values));
        varint::put(&mut bytes, pairs.clone().count() as u64);
        pairs.clone().for_each(|(name, _)| put(&mut bytes, name));
        let entries_at = u32::try_from(bytes.len()).expect("a command is shorter than 4 GiB");
        let mut block = Block { first: id, last: id, bytes, entries_at, live: 0, deleted: 0 };
        block.push(id, pairs);
        block
    }

    /// Whether it has so many entries, or bytes, that this one belongs into the next block.
    #[inline]
    pub fn is_full<'k>(&self, pairs: impl Iterator<Item = Pair<'k>>, thresholds: &Thresholds) -> bool {
        let more: usize = pairs.map(|(name, value)| name.len() + value.len()).sum();
        let bytes_max = match thresholds.stream_bytes as usize {
            0 => BYTES_MAX,
            bytes => bytes.min(BYTES_MAX),
        };
        let is_out_of_places = thresholds.stream_entries > 0 && self.live + self.deleted >= thresholds.stream_entries;
        is_out_of_places || self.bytes.len() + more >= bytes_max
    }

    /// Appends an entry, whose id is greater than all before.
    #[inline]
    pub fn push<'k>(&mut self, id: EntryId, pairs: impl Iterator<Item = Pair<'k>> + Clone) {
        let (flags, count) = match self.has_names(pairs.clone().map(|(name, _)| name)) {
            true => (SAME_NAMES, None),
            false => (0, Some(pairs.clone().count() as u64)),
        };
        let ms = id.ms - self.last.ms;
        let seq = if ms == 0 { id.seq - self.last.seq } else { id.seq };
        let text = |text: &[u8]| varint::width(text.len() as u64) + text.len();
        let words: usize = match count {
            None => pairs.clone().map(|(_, value)| text(value)).sum(),
            Some(_) => pairs.clone().map(|(name, value)| text(name) + text(value)).sum(),
        };
        let length = varint::width(ms) + varint::width(seq) + count.map_or(0, varint::width) + words;
        let bytes = &mut self.bytes;
        bytes.push(flags);
        varint::put(bytes, length as u64);
        varint::put(bytes, ms);
        varint::put(bytes, seq);
        if let Some(count) = count {
            varint::put(bytes, count);
        }
        for (name, value) in pairs {
            if count.is_some() {
                put(bytes, name);
            }
            put(bytes, value);
        }
        self.last = id;
        self.live += 1;
    }

    /// Whether the block's names are these.
    fn has_names<'k>(&self, mut names: impl Iterator<Item = &'k [u8]>) -> bool {
        let mut at = 0;
        let count = varint::get(&self.bytes, &mut at);
        for _ in 0..count {
            if names.next() != Some(take(&self.bytes, &mut at)) {
                return false;
            }
        }
        names.next().is_none()
    }

    /// All entries in order, the deleted ones among them.
    #[inline]
    pub fn rows(&self) -> Rows<'_> {
        Rows { block: self, at: self.entries_at as usize, previous: self.first }
    }

    /// The row at a place that a row of this id was found at.
    #[inline]
    pub fn row_at(&self, place: usize, id: EntryId) -> Row<'_> {
        let (flags, mut at) = (self.bytes[place], place + 1);
        let length = varint::get(&self.bytes, &mut at) as usize;
        let end = at + length;
        // The id, whose distance from the one before it is not needed.
        varint::get(&self.bytes, &mut at);
        varint::get(&self.bytes, &mut at);
        Row { id, block: self, flags, place, words: (at, end) }
    }

    /// The row of an entry that is not deleted.
    pub fn find(&self, id: EntryId) -> Option<Row<'_>> {
        self.rows().find(|row| row.id >= id).filter(|row| row.id == id && !row.is_deleted())
    }

    /// The first entry that is not deleted.
    pub fn first_live(&self) -> Option<EntryId> {
        self.rows().find(|row| !row.is_deleted()).map(|row| row.id)
    }

    /// The last entry that is not deleted.
    pub fn last_live(&self) -> Option<EntryId> {
        if self.deleted == 0 {
            return Some(self.last).filter(|_| self.live > 0);
        }
        self.rows().filter(|row| !row.is_deleted()).last().map(|row| row.id)
    }

    /// Forgets the deleted entries behind the last one that is not, of which there is one: an entry with a lower id than
    /// theirs comes next, as the stream was told that they never were.
    pub fn cut_deleted_tail(&mut self) {
        let (mut last, mut end, mut deleted, mut so_far) = (self.last, self.bytes.len(), self.deleted, 0);
        for row in self.rows() {
            match row.is_deleted() {
                true => so_far += 1,
                false => (last, end, deleted) = (row.id, row.words.1, so_far),
            }
        }
        self.bytes.truncate(end);
        (self.last, self.deleted) = (last, deleted);
    }

    /// Marks the entry that begins at this place, which is not deleted, as deleted.
    pub fn delete_at(&mut self, place: usize) {
        self.bytes[place] |= DELETED;
        self.live -= 1;
        self.deleted += 1;
    }

    /// Frees the bytes of a block whose entries are all deleted.
    pub fn clear(&mut self) {
        self.bytes = Vec::new();
        self.entries_at = 0;
        self.deleted = 0;
    }

    /// Gives back what is left of its memory: nothing is appended any more.
    pub fn seal(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// The memory of its bytes.
    #[inline]
    pub fn allocated_bytes(&self) -> usize {
        allocated(self.bytes.capacity())
    }

    /// Where its bytes are, for a prefetch.
    pub fn address(&self) -> *const u8 {
        self.bytes.as_ptr()
    }
}

/// Appends a text with its length.
#[inline]
fn put(bytes: &mut Vec<u8>, text: &[u8]) {
    varint::put(bytes, text.len() as u64);
    bytes.extend_from_slice(text);
}

/// The text at `at`, which is moved behind it.
#[inline]
fn take<'a>(bytes: &'a [u8], at: &mut usize) -> &'a [u8] {
    let length = varint::get(bytes, at) as usize;
    let text = &bytes[*at..*at + length];
    *at += length;
    text
}

/// The entries of a block.
#[derive(Clone, Debug)]
pub(super) struct Rows<'a> {
    block: &'a Block,
    at: usize,
    previous: EntryId,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub id: EntryId,
    block: &'a Block,
    flags: u8,
    /// Where it begins.
    pub place: usize,
    /// Where its words begin, and end.
    words: (usize, usize),
}

impl<'a> Iterator for Rows<'a> {
    type Item = Row<'a>;

    #[inline]
    fn next(&mut self) -> Option<Row<'a>> {
        let (block, bytes, place) = (self.block, &self.block.bytes, self.at);
        let flags = *bytes.get(place)?;
        let mut at = place + 1;
        let length = varint::get(bytes, &mut at) as usize;
        let end = at + length;
        let ms = varint::get(bytes, &mut at);
        let seq = varint::get(bytes, &mut at);
        let id = match ms {
            0 => EntryId { ms: self.previous.ms, seq: self.previous.seq + seq },
            _ => EntryId { ms: self.previous.ms + ms, seq },
        };
        (self.previous, self.at) = (id, end);
        Some(Row { id, block, flags, place, words: (at, end) })
    }
}

impl<'a> Row<'a> {
    #[inline]
    pub fn is_deleted(&self) -> bool {
        self.flags & DELETED != 0
    }

    /// Its fields with their values.
    #[inline]
    pub fn fields(&self) -> Fields<'a> {
        let bytes = &self.block.bytes[..];
        let (mut at, end) = self.words;
        let mut names_at = 0;
        let (names, count) = match self.flags & SAME_NAMES {
            0 => (&[][..], varint::get(bytes, &mut at)),
            _ => {
                let count = varint::get(bytes, &mut names_at);
                (&bytes[names_at..], count)
            }
        };
        Fields { names, words: &bytes[at..end], left: count as usize, has_names: self.flags & SAME_NAMES == 0 }
    }
}

/// The fields of an entry, in the order in which they were given.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    /// The names, if the words do not have them.
    names: &'a [u8],
    words: &'a [u8],
    left: usize,
    has_names: bool,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Pair<'a>;

    #[inline]
    fn next(&mut self) -> Option<Pair<'a>> {
        self.left = self.left.checked_sub(1)?;
        let name = next_of(if self.has_names { &mut self.words } else { &mut self.names });
        Some((name, next_of(&mut self.words)))
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Fields<'_> {}

/// The first of some texts, which is taken off.
#[inline]
fn next_of<'a>(texts: &mut &'a [u8]) -> &'a [u8] {
    let mut at = 0;
    let text = take(texts, &mut at);
    *texts = &texts[at..];
    text
}
