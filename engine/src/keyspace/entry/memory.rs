//! What an entry takes, and what eviction knows of it.

use super::{Entry, EntryMut};
use crate::keyspace::footprint::Taken;
use crate::turn::Change;

impl Entry<'_> {
    /// What eviction knows of it, 4 bits.
    #[inline]
    pub(crate) fn access(self) -> u8 {
        self.0.access()
    }

    /// What it takes.
    pub fn taken(self) -> Taken {
        self.0.taken()
    }

    /// The same, found by a look at every element.
    pub(crate) fn walked(self) -> Taken {
        Taken { bytes: self.0.allocated_bytes() + self.0.walked_bytes(), ..self.taken() }
    }
}

impl EntryMut<'_> {
    /// Counts the value that the key is about to get.
    #[inline]
    pub(super) fn count_value(&mut self) {
        if !self.view().has_value() {
            self.turn.live_keys += 1;
            self.turn.census.note(self.word.get().key(), |counts| counts.keys += 1);
            if self.turn.changes.is_on() {
                self.turn.changes.note(self.word.get().key(), Change::Began);
            }
            let access = self.turn.evictor.added(self.hash, self.turn.live_keys);
            if access != self.view().access() {
                self.word.lend().set_access(access);
            }
        }
    }

    /// Tells eviction that the key is used.
    #[inline]
    pub(crate) fn note_use(&mut self) {
        if self.turn.evictor.is_watching()
            && self.view().has_value()
            && let Some(access) = self.turn.evictor.used(self.view().access())
        {
            self.word.set_access(access);
        }
    }
}

impl Drop for EntryMut<'_> {
    /// Counts what has changed of the memory, and notes which field ends first.
    #[inline]
    fn drop(&mut self) {
        if let Some(before) = self.word.before() {
            let after = self.word.get().taken();
            self.turn.footprint.remove(before);
            self.turn.footprint.add(after);
            self.turn.dropped.note_freed(before.bytes.saturating_sub(after.bytes));
            if self.first_field_end.is_some() || self.word.get().is_timed() {
                self.note_field_ends();
            }
        }
    }
}
