//! Keys that clients watch: whether one has changed since. See `turn/watching.rs` for what a change is, and costs.

use super::Shard;
use crate::keyspace::EntryMut;
use crate::position::RingOffset;

/// A key at the moment from which a client watches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The end of the shard's changes.
    end: RingOffset,
    existed: bool,
}

impl Shard {
    /// Begins to watch a key. A value whose TTL is over is removed first, so that its removal is no change. That is left out
    /// while the turn has no room for the record; the key then counts as changed when it is removed.
    pub fn watch(&mut self, key: &[u8]) -> Seen {
        self.turn.begin_watch();
        let (hash, now_ms) = (self.table.hash(key), self.turn.now_ms());
        let existed = match self.table.find_mut(hash, key) {
            Some(word) if word.get().is_live(now_ms) => true,
            Some(word) => {
                if word.get().has_value() && !self.turn.is_full() {
                    self.counts.note_ended(word.get(), now_ms);
                    EntryMut::new(word, &mut self.turn, hash);
                }
                false
            }
            None => false,
        };
        Seen { end: self.turn.changes_end(), existed }
    }

    /// Whether a key has changed since it was seen: any record of its stream counts, also one of the same value and one that a
    /// client has appended, and so do the end of its TTL and a flush. For a key that did not exist it may also say so of one
    /// that is as it was, if more entries without a value have changed meanwhile than are kept.
    pub fn has_changed(&self, key: &[u8], seen: Seen) -> bool {
        let hash = self.table.hash(key);
        let flushed = || self.flushed.iter().find_map(|flushed| flushed.find(hash, key));
        let Some((entry, is_flushed)) =
            self.table.find(hash, key).map(|entry| (entry, false)).or_else(|| flushed().map(|entry| (entry, true)))
        else {
            return seen.existed || self.turn.may_have_forgotten(seen.end);
        };
        let last = entry.last();
        let has_record = last != RingOffset::NONE && last >= seen.end;
        // Neither a flush nor a TTL that is over has a record of the key.
        has_record || seen.existed && (is_flushed || !entry.is_live(self.turn.now_ms()))
    }

    /// Whether a client may watch keys of this shard.
    #[inline]
    pub fn is_watched(&self) -> bool {
        self.turn.is_watched()
    }

    /// Notes that no client watches any key: what was kept for that may be forgotten.
    pub fn end_watches(&mut self) {
        self.turn.end_watches();
    }
}
