//! A word of the table, for changing its entry: what the entry took before its first change is kept, so that no change of the
//! memory is forgotten. What cannot change it is told apart, and costs nothing.

use super::{Block, BlockRef, Entry, ValueMut};
use crate::keyspace::footprint::Taken;
use crate::keyspace::table::{Lent, Word};
use crate::position::RingOffset;

/// See the description of this file.
pub(super) struct Counted<'a> {
    word: &'a mut Word<Block>,
    before: Option<Taken>,
}

impl<'a> Counted<'a> {
    #[inline]
    pub fn new(word: &'a mut Word<Block>) -> Counted<'a> {
        Counted { word, before: None }
    }

    /// What the entry took before it was changed; `None` if its memory is as it was.
    #[inline]
    pub fn before(&self) -> Option<Taken> {
        self.before
    }

    /// The entry, for reading.
    #[inline]
    pub fn get(&self) -> Entry<'_> {
        self.word.get()
    }

    #[inline]
    fn note(&mut self) {
        if self.before.is_none() {
            self.before = Some(self.word.get().taken());
        }
    }

    /// The value, for changing it where it is.
    #[inline]
    pub fn edit(&mut self) -> Option<ValueMut<'_>> {
        self.note();
        self.word.edit()
    }

    /// The block, for changing it.
    #[inline]
    pub fn lend(&mut self) -> Lent<'_, Block> {
        self.note();
        self.word.lend()
    }

    /// Overwrites a string with another one of its length where it is, and lets `record` change the stream's head; returns whether
    /// that was possible.
    #[inline]
    pub fn overwrite(&mut self, string: &[u8], record: impl FnOnce(BlockRef<'_>, &mut (u64, RingOffset))) -> bool {
        let advanced = self.word.lend().overwrite(string, record);
        if let Some(Some(head)) = advanced {
            self.lend().widen_head(head);
            return true;
        }
        advanced.is_some()
    }

    /// Lets `record` change the stream's head.
    #[inline]
    pub fn advance(&mut self, record: impl FnOnce(BlockRef<'_>, &mut (u64, RingOffset))) {
        let wider = self.word.lend().advance(record);
        if let Some(head) = wider {
            self.lend().widen_head(head);
        }
    }

    /// Sets what eviction knows of the key; whether it is on probation stays.
    #[inline]
    pub fn set_access(&mut self, access: u8) {
        self.word.lend().set_access(access);
    }

    /// Sets the stream's head.
    pub fn set_head(&mut self, next_revision: u64, last: RingOffset) {
        self.advance(|_, head| *head = (next_revision, last));
    }
}
