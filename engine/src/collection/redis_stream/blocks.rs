//! The blocks of a stream, in order. Entries are appended to the last one; a block goes when its last entry goes.

use super::block::{Block, Fields, Pair, Row, Rows};
use super::id::EntryId;
use crate::collection::{Thresholds, allocated};
use smallvec::SmallVec;
use std::collections::VecDeque;

/// One entry.
#[derive(Clone, Debug)]
pub struct StreamEntry<'a> {
    /// Its id.
    pub id: EntryId,
    /// Its fields.
    pub fields: Fields<'a>,
}

/// Entries in the order of their ids.
#[derive(Clone, Debug, Default)]
pub(super) struct Blocks {
    /// The first and the last one have entries. Others may be without: taking them out would move all behind them.
    blocks: VecDeque<Block>,
    /// The blocks without entries.
    vacant: usize,
    /// The entries that are not deleted.
    length: u64,
    /// The memory of the blocks' bytes.
    bytes: usize,
}

/// Up to where a stream is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrimTo {
    /// So many entries stay at the most.
    Length(u64),
    /// The entries from this id on stay.
    From(EntryId),
}

/// What a trim has removed.
#[derive(Debug, Default)]
pub(super) struct Trimmed {
    /// The number of entries.
    pub removed: u64,
    /// The id of the last of them.
    pub last: Option<EntryId>,
    /// The blocks that went as a whole.
    pub blocks: Option<Blocks>,
}

impl Blocks {
    /// The number of entries.
    #[inline]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// The number of blocks with entries.
    pub fn blocks(&self) -> usize {
        self.blocks.len() - self.vacant
    }

    /// Appends an entry, whose id is greater than all before.
    #[inline]
    pub fn push<'k>(&mut self, id: EntryId, pairs: impl Iterator<Item = Pair<'k>> + Clone, thresholds: &Thresholds) {
        self.length += 1;
        if let Some(last) = self.blocks.back_mut() {
            let before = last.allocated_bytes();
            if id <= last.last {
                last.cut_deleted_tail();
            }
            if !last.is_full(pairs.clone(), thresholds) {
                last.push(id, pairs);
                self.bytes += last.allocated_bytes() - before;
                return;
            }
            last.seal();
            self.bytes = self.bytes - before + last.allocated_bytes();
        }
        let block = Block::new(id, pairs);
        self.bytes += block.allocated_bytes();
        self.blocks.push_back(block);
    }

    /// The index of the block in which an id is, if it is anywhere: the last one that begins at it or before.
    #[inline]
    fn block_of(&self, id: EntryId) -> Option<usize> {
        match self.blocks.back() {
            Some(last) if last.first <= id => Some(self.blocks.len() - 1),
            _ => self.blocks.partition_point(|block| block.first <= id).checked_sub(1),
        }
    }

    fn find(&self, id: EntryId) -> Option<(usize, Row<'_>)> {
        let index = self.block_of(id)?;
        let block = &self.blocks[index];
        if block.last < id { None } else { block.find(id).map(|row| (index, row)) }
    }

    /// The entry with this id.
    pub fn get(&self, id: EntryId) -> Option<StreamEntry<'_>> {
        self.find(id).map(|(_, row)| entry(row))
    }

    /// The first entry.
    #[inline]
    pub fn first(&self) -> Option<EntryId> {
        self.blocks.front().and_then(Block::first_live)
    }

    /// The last entry.
    #[inline]
    pub fn last(&self) -> Option<EntryId> {
        self.blocks.back().and_then(Block::last_live)
    }

    /// The id of the last entry or of a deleted one behind it.
    pub fn last_ever(&self) -> Option<EntryId> {
        self.blocks.back().map(|block| block.last)
    }

    /// Deletes an entry; returns whether it existed.
    pub fn delete(&mut self, id: EntryId) -> bool {
        let Some((index, Row { place, .. })) = self.find(id) else { return false };
        self.blocks[index].delete_at(place);
        self.length -= 1;
        if self.blocks[index].live == 0 {
            self.vacate(index);
        }
        true
    }

    fn vacate(&mut self, index: usize) {
        let block = &mut self.blocks[index];
        self.bytes -= block.allocated_bytes();
        block.clear();
        self.vacant += 1;
        let is_vacant = |block: Option<&Block>| block.is_some_and(|block| block.live == 0);
        while is_vacant(self.blocks.front()) {
            self.blocks.pop_front();
            self.vacant -= 1;
        }
        while is_vacant(self.blocks.back()) {
            self.blocks.pop_back();
            self.vacant -= 1;
        }
        if self.vacant > self.blocks.len() / 2 {
            self.blocks.retain(|block| block.live > 0);
            self.vacant = 0;
        }
        self.shrink();
    }

    /// Gives memory back if most of it is unused.
    fn shrink(&mut self) {
        if self.blocks.capacity() > 16 && self.blocks.len() < self.blocks.capacity() / 4 {
            self.blocks.shrink_to(2 * self.blocks.len());
        }
    }

    /// Removes entries from the front, whole blocks as long as that removes none that stays, and then, unless the trim is
    /// approximate, single entries. No block is removed that would make them more than `limit`, unless that is 0.
    pub fn trim(&mut self, to: TrimTo, is_approximate: bool, limit: u64) -> Trimmed {
        let mut trimmed = Trimmed::default();
        let (mut whole, mut left) = (0, self.length);
        let mut is_limited = false;
        for block in &self.blocks {
            let live = u64::from(block.live);
            is_limited = limit > 0 && trimmed.removed + live > limit;
            let goes = match to {
                TrimTo::Length(length) => left > length && left - live >= length,
                TrimTo::From(id) => block.last < id,
            };
            if is_limited || !goes {
                break;
            }
            left -= live;
            trimmed.removed += live;
            whole += 1;
        }
        if whole > 0 {
            trimmed.last = self.blocks.range(..whole).rev().find_map(|block| block.last_live());
            trimmed.blocks = Some(self.split_front(whole, trimmed.removed));
        }
        if !is_approximate && !is_limited {
            self.trim_single(to, &mut trimmed);
        }
        trimmed
    }

    /// Removes the entries of the first block that have to go, of which there are some that stay.
    fn trim_single(&mut self, to: TrimTo, trimmed: &mut Trimmed) {
        let Some(block) = self.blocks.front_mut() else { return };
        let mut left = match to {
            TrimTo::Length(length) => self.length.saturating_sub(length),
            TrimTo::From(_) => u64::MAX,
        };
        let mut places: Vec<usize> = Vec::new();
        for row in block.rows().filter(|row| !row.is_deleted()) {
            let stays = matches!(to, TrimTo::From(id) if row.id >= id);
            if left == 0 || stays {
                break;
            }
            left -= 1;
            places.push(row.place);
            trimmed.last = Some(row.id);
        }
        places.iter().for_each(|place| block.delete_at(*place));
        self.length -= places.len() as u64;
        trimmed.removed += places.len() as u64;
        if !places.is_empty() && self.blocks[0].live == 0 {
            self.vacate(0);
        }
    }

    /// Takes the first blocks off, which have so many entries. The shorter part is copied.
    fn split_front(&mut self, count: usize, length: u64) -> Blocks {
        let blocks: VecDeque<Block> = if count > self.blocks.len() / 2 {
            let behind = self.blocks.split_off(count);
            std::mem::replace(&mut self.blocks, behind)
        } else {
            self.blocks.drain(..count).collect()
        };
        let bytes = blocks.iter().map(Block::allocated_bytes).sum();
        let vacant = blocks.iter().filter(|block| block.live == 0).count();
        self.bytes -= bytes;
        self.vacant -= vacant;
        self.length -= length;
        let is_vacant = |block: Option<&Block>| block.is_some_and(|block| block.live == 0);
        while is_vacant(self.blocks.front()) {
            self.blocks.pop_front();
            self.vacant -= 1;
        }
        self.shrink();
        Blocks { blocks, vacant, length, bytes }
    }

    /// The entries from one id to another, both included.
    #[inline]
    pub fn range(&self, from: EntryId, to: EntryId) -> Range<'_> {
        let start = self.block_of(from).unwrap_or(0);
        let rows = self.blocks.get(start).map(Block::rows);
        Range { blocks: &self.blocks, next: start + 1, rows, from, to }
    }

    /// The same, the last one first.
    pub fn range_back(&self, from: EntryId, to: EntryId) -> RangeBack<'_> {
        let next = self.block_of(to).map_or(0, |index| index + 1);
        RangeBack { blocks: &self.blocks, next, rows: SmallVec::new(), from, to }
    }

    /// The entries of each block that has some, in order.
    pub fn runs(&self) -> impl Iterator<Item = impl Iterator<Item = StreamEntry<'_>>> {
        let blocks = self.blocks.iter().filter(|block| block.live > 0);
        blocks.map(|block| block.rows().filter(|row| !row.is_deleted()).map(entry))
    }

    /// The memory that they have, without their own head, in bytes.
    #[inline]
    pub fn allocated_bytes(&self) -> usize {
        allocated(self.blocks.capacity() * size_of::<Block>()) + self.bytes
    }

    /// The same, found by a look at everything.
    pub fn walked_bytes(&self) -> usize {
        let bytes: usize = self.blocks.iter().map(Block::allocated_bytes).sum();
        self.allocated_bytes() - self.bytes + bytes
    }

    /// The number of allocations.
    pub fn allocations(&self) -> usize {
        self.blocks.len()
    }

    /// Frees up to `most` blocks; returns how many.
    pub fn free_some(&mut self, most: usize) -> usize {
        let count = most.min(self.blocks.len());
        self.blocks.truncate(self.blocks.len() - count);
        count
    }

    /// Where the memory begins that an append or a read of the newest entries touches.
    pub fn first_line(&self) -> Option<*const u8> {
        self.blocks.back().map(Block::address)
    }
}

#[inline]
fn entry(row: Row<'_>) -> StreamEntry<'_> {
    StreamEntry { id: row.id, fields: row.fields() }
}

/// Entries of a range of ids.
#[derive(Clone, Debug)]
pub struct Range<'a> {
    blocks: &'a VecDeque<Block>,
    /// The block behind the one whose rows are read.
    next: usize,
    rows: Option<Rows<'a>>,
    from: EntryId,
    to: EntryId,
}

impl<'a> Iterator for Range<'a> {
    type Item = StreamEntry<'a>;

    #[inline]
    fn next(&mut self) -> Option<StreamEntry<'a>> {
        loop {
            for row in self.rows.as_mut()? {
                if row.id > self.to {
                    self.rows = None;
                    return None;
                }
                if row.id >= self.from && !row.is_deleted() {
                    return Some(entry(row));
                }
            }
            self.rows = self.blocks.get(self.next).map(Block::rows);
            self.next += 1;
        }
    }
}

/// Entries of a range of ids, the last one first.
#[derive(Clone, Debug)]
pub struct RangeBack<'a> {
    blocks: &'a VecDeque<Block>,
    /// The number of blocks that were not read.
    next: usize,
    /// The ids and the places of those of the block that is read which are left.
    rows: SmallVec<[(EntryId, u32); 100]>,
    from: EntryId,
    to: EntryId,
}

impl<'a> Iterator for RangeBack<'a> {
    type Item = StreamEntry<'a>;

    fn next(&mut self) -> Option<StreamEntry<'a>> {
        loop {
            if let Some((id, place)) = self.rows.pop() {
                return Some(entry(self.blocks[self.next].row_at(place as usize, id)));
            }
            self.next = self.next.checked_sub(1)?;
            let block = &self.blocks[self.next];
            if block.live > 0 && block.last < self.from {
                self.next = 0;
                return None;
            }
            let (from, to) = (self.from, self.to);
            let wanted = |row: &Row<'a>| row.id >= from && row.id <= to && !row.is_deleted();
            // A block is shorter than 4 GiB.
            self.rows.extend(block.rows().filter(wanted).map(|row| (row.id, row.place as u32)));
        }
    }
}
