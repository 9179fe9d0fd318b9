//! What has happened to the shard's keys, for whoever is told of it by name. See `turn/changes.rs`.

use super::{Counts, Shard};
use crate::readers::{ReaderId, Readers, Wanted};
use crate::turn::{Change, CommandChanges, Turn};

impl Shard {
    /// Has changes noted from now on, or not: by name, and for those who cache keys, who may have read so many of them (0 = no
    /// limit).
    #[inline]
    pub fn note_changes(&mut self, are_named: bool, readers: (Wanted, usize)) {
        self.turn.note_changes(are_named, readers);
    }

    /// Notes that a key was read by somebody who caches it.
    pub fn add_reader(&mut self, key: &[u8], reader: ReaderId) {
        self.turn.add_reader(key, reader);
    }

    /// Has eviction not told, or told again, that keys are used.
    pub fn leave_use(&mut self, leaves_use: bool) {
        self.turn.evictor.leave_use(leaves_use);
    }

    /// Who has read which keys.
    #[inline]
    pub fn readers(&self) -> &Readers {
        &self.turn.changes.readers
    }

    /// The same, to take what is to be told.
    #[inline]
    pub fn readers_mut(&mut self) -> &mut Readers {
        &mut self.turn.changes.readers
    }

    /// Whether any was noted.
    #[inline]
    pub fn has_changes(&self) -> bool {
        self.turn.has_changes()
    }

    /// To be called after each command: ends its changes. The word is handed on with them.
    #[inline]
    pub fn end_changes(&mut self, word: Option<&'static str>) {
        if self.turn.changes.is_on() {
            self.turn.end_changes(word);
        }
    }

    /// Hands on what was noted, command by command.
    pub fn take_changes(&mut self, each: impl FnMut(CommandChanges<'_>)) {
        self.turn.take_changes(each);
    }
}

/// Counts a look-up for reading that has found nothing.
#[inline]
pub(super) fn note_miss(counts: &mut Counts, turn: &mut Turn, key: &[u8]) {
    counts.misses += 1;
    if turn.changes.is_on() {
        turn.changes.note(key, Change::Missed);
    }
}
