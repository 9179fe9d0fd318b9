//! Fills a shard with stored entries: from a snapshot of its own, or of shards of another number.

use super::Shard;
use crate::keyspace::{EntryMut, Value};
use crate::position::RingOffset;

/// A stored entry.
#[derive(Clone, Debug)]
pub struct StoredEntry<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Its value; `None` if only the stream is known.
    pub value: Option<Value>,
    /// The value's expiry, Unix time in milliseconds; 0 = never.
    pub expire_at_ms: u64,
    /// The revision of the stream's next event.
    pub next_revision: u64,
    /// The stream's latest record, in the history of the shard that is restored: [`RingOffset::NONE`] if that is not
    /// the shard that stored it.
    pub last: RingOffset,
}

impl Shard {
    /// Whether the shard is completely empty, even of absent keys' streams.
    pub fn is_blank(&self) -> bool {
        self.table.iter().next().is_none()
    }

    /// Restores an entry. If the shard has an entry of this key with a later record, that one stays. Nothing is
    /// recorded. After all entries, call [`Shard::end_restore`].
    pub fn restore(&mut self, stored: StoredEntry<'_>) {
        let hash = self.table.hash(stored.key);
        let word = self.table.find_or_insert(hash, stored.key, || self.turn.footprint.new_block(stored.key));
        EntryMut::restore(word, &mut self.turn, hash, stored);
        if self.turn.expiries.has_many() {
            self.note_expiries();
        }
    }

    /// Completes the restoring. `db_next_revision` and `db_last` are the state of the stream of flushes.
    ///
    /// All counters of absent keys are kept, even beyond the shard's bound: they may include records that are replayed
    /// next. The replay forgets those that it has passed.
    pub fn end_restore(&mut self, db_next_revision: u64, db_last: RingOffset) {
        self.note_expiries();
        self.turn.set_db_stream(db_next_revision, db_last);
        // The oldest in front, as in the stored shard.
        self.turn.absent.sort();
        self.absent_before = self.turn.absent.len();
    }

    /// Dissolves the shard: its entries are handed out, in no order, for shards of another number. Values are moved,
    /// not copied.
    ///
    /// If a snapshot is followed by a log, shards of the old number have to be built first, each from its own: a flush
    /// in a shard's log covers that shard's keys only.
    pub fn into_entries(mut self, mut visit: impl FnMut(StoredEntry<'_>)) {
        self.table.retain(|_, word| {
            let value = word.lend().take();
            let entry = word.get();
            visit(StoredEntry {
                key: entry.key(),
                value,
                expire_at_ms: entry.expire_at_ms().unwrap_or(0),
                next_revision: entry.next_revision(),
                last: entry.last(),
            });
            false
        });
    }
}
