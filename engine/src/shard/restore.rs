//! A shard filled with entries that were stored: from a snapshot of its own, or of shards that are other ones now.

use super::Shard;
use crate::keyspace::{EntryMut, Value};
use crate::position::RingOffset;

/// An entry as it was stored.
#[derive(Clone, Debug)]
pub struct StoredEntry<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Its value; none where only the stream is known.
    pub value: Option<Value>,
    /// When the value ends, Unix time in milliseconds; 0 = never.
    pub expire_at_ms: u64,
    /// The revision that the stream's next event gets.
    pub next_revision: u64,
    /// The stream's latest record, in the history of the shard that it is restored to: [`RingOffset::NONE`] where that
    /// is another one than it was stored from.
    pub last: RingOffset,
}

impl Shard {
    /// Whether the shard holds nothing at all, neither a key nor what is known of an absent one.
    pub fn is_blank(&self) -> bool {
        self.table.iter().next().is_none()
    }

    /// Restores an entry. Where the shard has one of this key whose latest record is later, that one stays. Nothing is
    /// recorded. To be followed, once all are restored, by [`Shard::end_restore`].
    pub fn restore(&mut self, stored: StoredEntry<'_>) {
        let hash = self.table.hash(stored.key);
        EntryMut::restore(self.table.find_or_insert(hash, stored.key), &mut self.turn, hash, stored);
    }

    /// Ends the restoring. `db_next_revision` and `db_last` are where the stream of flushes goes on.
    ///
    /// Counters of absent keys are all kept, even beyond the shard's bound: records that are replayed next may be
    /// among what they contain. The replay forgets what it has passed.
    pub fn end_restore(&mut self, db_next_revision: u64, db_last: RingOffset) {
        self.turn.set_db_stream(db_next_revision, db_last);
        // The oldest in front, as in the shard that was stored.
        self.turn.absent.make_contiguous().sort_unstable_by_key(|row| row.1);
        self.absent_before = self.turn.absent.len();
    }

    /// Takes the shard apart: its entries are handed out, in no order, for shards of another number. Values are moved,
    /// not copied.
    ///
    /// Where a snapshot is followed by a log, shards of the old number have to be built first, each from its own: a
    /// flush in a shard's log is one of that shard's keys only.
    pub fn into_entries(mut self, mut visit: impl FnMut(StoredEntry<'_>)) {
        self.table.retain(|_, entry| {
            visit(entry.hand_over());
            false
        });
    }
}
