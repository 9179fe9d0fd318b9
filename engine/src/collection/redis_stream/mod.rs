//! A Redis stream: a log of entries that a key holds as its value, each with an id and fields. It is a type of value as a list
//! is, and what `XADD` and the other commands with an X work on.
//!
//! It is not a *stream of events*, which is this server's word for the events of a key: those are recorded for every type of
//! value, for this one too. Where a name says `RedisStream`, `StreamEntry` or `StreamGroup`, it is about the value.
//!
//! | file | what is in it |
//! |---|---|
//! | `id` | the id of an entry, and its text |
//! | `varint` | numbers in few bytes |
//! | `block` | a run of entries, packed |
//! | `blocks` | the blocks in order: appending, ranges, deleting, trimming |
//! | `group`, `groups` | consumer groups |
//! | `counting` | how many entries a group has read, and how many it has not |
//! | `parts` | a stream as a list of texts, and back |

mod block;
mod blocks;
mod counting;
mod group;
mod groups;
mod id;
mod parts;
#[cfg(all(test, not(loom)))]
mod tests;
mod varint;

pub use block::{Fields, Pair};
pub use blocks::{Range, RangeBack, StreamEntry, TrimTo};
pub use group::{GroupConsumer, PendingEntry, StreamGroup, Times};
pub use id::{EntryId, IdText};
pub(crate) use parts::{parse_id, parse_known};

use super::Thresholds;
use super::allocated;
use blocks::Blocks;
use groups::Groups;
use smallvec::SmallVec;

/// Ids of entries, few of them mostly.
pub type EntryIds = SmallVec<[EntryId; 8]>;

/// How a stream is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// What stays.
    pub to: TrimTo,
    /// Whether more may stay, so that only whole blocks are removed.
    pub is_approximate: bool,
    /// The most entries that an approximate one removes, 0 for no bound; `None` for the usual one.
    pub limit: Option<u64>,
}

/// The usual bound of an approximate trim, in full blocks of entries.
const TRIM_BLOCKS: u64 = 100;
/// The same in entries, if a block may have any number of them.
const TRIM_ENTRIES: u64 = 10_000;
/// The greatest usual bound, in entries.
const TRIM_ENTRIES_MAX: u64 = 1_000_000;

impl Trim {
    fn limit(self, thresholds: &Thresholds) -> u64 {
        match (self.limit, thresholds.stream_entries) {
            _ if !self.is_approximate => 0,
            (Some(limit), _) => limit,
            (None, 0) => TRIM_ENTRIES,
            (None, entries) => (TRIM_BLOCKS * u64::from(entries)).min(TRIM_ENTRIES_MAX),
        }
    }
}

/// What a trim has removed.
#[derive(Debug)]
pub(crate) struct Cut {
    /// The number of entries.
    pub removed: u64,
    /// The id of the last of them.
    pub last: EntryId,
    /// What is to be freed.
    pub unused: Option<RedisStreamValue>,
}

/// The entries that a read by a group has delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The first of them.
    pub first: EntryId,
    /// The last of them.
    pub last: EntryId,
    /// How many there are.
    pub count: usize,
    /// How many of all entries ever added the group has read now, if known.
    pub entries_read: Option<u64>,
}

/// A stream, of one pointer.
#[derive(Clone, Debug, Default)]
pub struct RedisStreamValue(Box<RedisStream>);

impl RedisStreamValue {
    /// The stream, for reading.
    #[inline]
    pub fn view(&self) -> &RedisStream {
        &self.0
    }

    /// The stream, for changing.
    #[inline]
    pub(crate) fn edit(&mut self) -> &mut RedisStream {
        &mut self.0
    }

    /// The memory that it has on the heap, in bytes.
    #[inline]
    pub(crate) fn allocated_bytes(&self) -> usize {
        allocated(size_of::<RedisStream>()) + self.0.blocks.allocated_bytes() + self.0.groups.allocated_bytes()
    }

    /// The same, found by a look at everything.
    pub(crate) fn walked_bytes(&self) -> usize {
        allocated(size_of::<RedisStream>()) + self.0.blocks.walked_bytes() + self.0.groups.walked_bytes()
    }

    /// The number of its allocations, about.
    pub(crate) fn allocations(&self) -> usize {
        self.0.blocks.allocations() + self.0.groups.allocations()
    }

    /// Frees up to `most` allocations of a stream that nobody uses any more; returns how many, 0 if what is left takes no time.
    pub(crate) fn free_some(&mut self, most: usize) -> usize {
        let blocks = self.0.blocks.free_some(most);
        blocks + self.0.groups.free_some(most - blocks)
    }
}

/// A log of entries; see the description of this file. It may be empty: its key exists all the same.
#[derive(Clone, Debug, Default)]
pub struct RedisStream {
    blocks: Blocks,
    /// The greatest id that it has had, or was told to have had.
    last_id: EntryId,
    /// The greatest id of those that were deleted one by one.
    max_deleted: EntryId,
    /// How many entries were ever added.
    added: u64,
    groups: Groups,
}

impl RedisStream {
    /// The number of entries.
    #[inline]
    pub fn len(&self) -> u64 {
        self.blocks.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The greatest id that it has had.
    #[inline]
    pub fn last_id(&self) -> EntryId {
        self.last_id
    }

    /// The greatest id of those that were deleted one by one; the least id if none was.
    pub fn max_deleted(&self) -> EntryId {
        self.max_deleted
    }

    /// How many entries were ever added.
    pub fn added(&self) -> u64 {
        self.added
    }

    /// The number of blocks in which the entries are.
    pub fn blocks(&self) -> usize {
        self.blocks.blocks()
    }

    /// The id of the first entry.
    #[inline]
    pub fn first(&self) -> Option<EntryId> {
        self.blocks.first()
    }

    /// The id of the last entry.
    #[inline]
    pub fn last(&self) -> Option<EntryId> {
        self.blocks.last()
    }

    /// Whether an entry has a greater id than this.
    #[inline]
    pub fn has_beyond(&self, id: EntryId) -> bool {
        id < self.last_id && self.last().is_some_and(|last| last > id)
    }

    /// The entry with this id.
    pub fn get(&self, id: EntryId) -> Option<StreamEntry<'_>> {
        self.blocks.get(id)
    }

    /// The entries from one id to another, both included.
    #[inline]
    pub fn range(&self, from: EntryId, to: EntryId) -> Range<'_> {
        self.blocks.range(from, to)
    }

    /// The same, the last one first.
    pub fn range_back(&self, from: EntryId, to: EntryId) -> RangeBack<'_> {
        self.blocks.range_back(from, to)
    }

    /// All entries, those of each block together.
    pub(crate) fn runs(&self) -> impl Iterator<Item = impl Iterator<Item = StreamEntry<'_>>> {
        self.blocks.runs()
    }

    /// A group by name.
    #[inline]
    pub fn group(&self, name: &[u8]) -> Option<&StreamGroup> {
        self.groups.get(name)
    }

    /// The groups with their names, in the order of these.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&[u8], &StreamGroup)> {
        self.groups.iter()
    }

    /// Redis's word for the form in which it is stored.
    pub fn encoding(&self) -> &'static str {
        "stream"
    }

    /// Where the memory is that most commands touch first.
    pub(crate) fn first_line(&self) -> *const u8 {
        self.blocks.first_line().unwrap_or(std::ptr::from_ref(self).cast())
    }

    /// Appends an entry; returns whether its id is greater than the last one, as it has to be.
    #[inline]
    pub(crate) fn append<'k>(
        &mut self,
        id: EntryId,
        pairs: impl Iterator<Item = Pair<'k>> + Clone,
        thresholds: &Thresholds,
    ) -> bool {
        let is_behind_all = self.blocks.last_ever() < Some(id) || self.last() < Some(id);
        if id <= self.last_id || !is_behind_all {
            return false;
        }
        self.blocks.push(id, pairs, thresholds);
        self.last_id = id;
        self.added += 1;
        true
    }

    /// Deletes an entry; returns whether it existed.
    pub(crate) fn delete(&mut self, id: EntryId) -> bool {
        let existed = self.blocks.delete(id);
        if existed {
            self.max_deleted = self.max_deleted.max(id);
        }
        existed
    }

    /// Trims the stream; `None` if no entry was removed.
    #[inline]
    pub(crate) fn trim(&mut self, trim: Trim, thresholds: &Thresholds) -> Option<Cut> {
        let trimmed = self.blocks.trim(trim.to, trim.is_approximate, trim.limit(thresholds));
        let unused = trimmed.blocks.map(|blocks| {
            let mut unused = RedisStreamValue::default();
            unused.0.blocks = blocks;
            unused
        });
        trimmed.last.map(|last| Cut { removed: trimmed.removed, last, unused })
    }

    /// Sets what is known of entries that it does not have. The ids and the number must fit those that it has.
    pub(crate) fn set_state(&mut self, last_id: EntryId, added: u64, max_deleted: EntryId) {
        (self.last_id, self.added, self.max_deleted) = (last_id, added, max_deleted);
    }

    /// Creates a group, or sets how far it has delivered.
    pub(crate) fn set_group(&mut self, name: &[u8], last_delivered: EntryId, entries_read: Option<u64>) {
        let set = self.groups.edit(name, |group| {
            (group.last_delivered, group.entries_read) = (last_delivered, entries_read);
        });
        if set.is_none() {
            self.groups.put(name, StreamGroup::new(last_delivered, entries_read));
        }
    }

    /// Removes a group; returns what is left to be freed, `None` if there is no such group.
    pub(crate) fn remove_group(&mut self, name: &[u8]) -> Option<RedisStreamValue> {
        let group = self.groups.take(name)?;
        let mut unused = RedisStreamValue::default();
        unused.0.groups.put(name, group);
        Some(unused)
    }

    /// Creates a consumer, or notes that it was heard of. `None` if there is no such group, else whether it is new.
    pub(crate) fn see_consumer(&mut self, group: &[u8], consumer: &[u8], now_ms: u64) -> Option<bool> {
        self.groups.edit(group, |group| {
            let is_new = group.number_of(consumer).is_none();
            group.see(consumer, now_ms);
            is_new
        })
    }

    /// Makes an entry pending for a consumer, as delivered so often and at this time. `None` if there is no such group or
    /// consumer, or the entry is pending already: then nothing has changed.
    pub(crate) fn add_pending(
        &mut self,
        (group, consumer): (&[u8], &[u8]),
        id: EntryId,
        (delivered_ms, times): (u64, u64),
    ) -> Option<()> {
        self.groups.edit(group, |group| {
            let consumer = group.number_of(consumer)?;
            let is_new = group.pending_entry(id).is_none();
            is_new.then(|| group.give(id, PendingEntry { consumer, delivered_ms, times }))
        })?
    }

    /// Notes that a consumer has asked for entries and got none.
    pub(crate) fn note_asked(&mut self, group: &[u8], consumer: &[u8], now_ms: u64) {
        self.groups.edit(group, |group| group.note_asked(consumer, now_ms));
    }

    /// Removes a consumer; returns how many entries it had. `None` if there is no such group or consumer.
    pub(crate) fn remove_consumer(&mut self, group: &[u8], consumer: &[u8]) -> Option<usize> {
        self.groups.edit(group, |group| group.remove_consumer(consumer))?
    }

    /// Takes entries off the pending ones of a group; returns those that were.
    pub(crate) fn acknowledge(&mut self, group: &[u8], ids: impl Iterator<Item = EntryId>) -> EntryIds {
        self.groups.edit(group, |group| ids.filter(|id| group.acknowledge(*id)).collect()).unwrap_or_default()
    }

    /// Delivers the entries behind the last one that a group has delivered, up to `most` of them and up to this id, to a
    /// consumer, which is created if there is none. They become pending, unless they count as acknowledged at once. `None` if
    /// there is no such entry, or no such group: then nothing has changed.
    pub(crate) fn deliver(
        &mut self,
        (group, consumer): (&[u8], &[u8]),
        (to, most): (EntryId, usize),
        is_acknowledged: bool,
        now_ms: u64,
    ) -> Option<Delivery> {
        let RedisStream { blocks, groups, .. } = self;
        let from = groups.get(group)?.last_delivered.next()?;
        let ids: EntryIds = blocks.range(from, to).take(most).map(|entry| entry.id).collect();
        let (first, last) = (*ids.first()?, *ids.last()?);
        let entries_read = self.entries_read_after(self.groups.get(group)?, &ids);
        self.groups.edit(group, |group| {
            let consumer = group.see(consumer, now_ms);
            (group.last_delivered, group.entries_read) = (last, entries_read);
            if !is_acknowledged {
                let entry = PendingEntry { consumer, delivered_ms: now_ms, times: 1 };
                ids.iter().for_each(|id| group.give(*id, entry));
            }
        });
        Some(Delivery { first, last, count: ids.len(), entries_read })
    }

    /// Gives entries to a consumer, which is created if there is none, as delivered at `delivered_ms`. An entry that is not
    /// pending becomes so, as delivered once before.
    pub(crate) fn claim(
        &mut self,
        (group, consumer): (&[u8], &[u8]),
        ids: impl Iterator<Item = EntryId>,
        (delivered_ms, times): (u64, Times),
        now_ms: u64,
    ) -> Option<()> {
        self.groups.edit(group, |group| {
            let consumer = group.see(consumer, now_ms);
            for id in ids {
                let before = group.pending_entry(id).map_or(1, |entry| entry.times);
                let times = match times {
                    Times::More => before.saturating_add(1),
                    Times::Same => before,
                    Times::Are(times) => times,
                };
                group.give(id, PendingEntry { consumer, delivered_ms, times });
            }
        })
    }
}
