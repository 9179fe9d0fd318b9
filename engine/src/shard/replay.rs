//! The shard's own log read back: each record applied to the keys, without recording anything.

use super::Shard;
use crate::event::EventType;
use crate::keyspace::EntryMut;
use crate::keyspace::entry::Needed;
use crate::position::{Position, RingOffset};
use crate::ring::Record;
use thiserror::Error;

/// A record that makes no sense on the keys as they are: one before it is missing, or it is not of this log.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{event} at position {position} of the key {:?} cannot be applied: expected {needed}",
    String::from_utf8_lossy(.key))]
pub struct ReplayError {
    /// The record's position.
    pub position: Position,
    /// Where it lies in the shard's history.
    pub offset: RingOffset,
    /// Its key.
    pub key: Vec<u8>,
    /// Its type, by name.
    pub event: String,
    /// What it would have needed.
    pub needed: Needed,
}

impl Shard {
    /// Applies one record of this shard's log, in the order of the log, as the command that recorded it has changed the
    /// keys. A record that the key's entry already contains is passed over. Nothing is recorded, and no key ends by the
    /// clock.
    ///
    /// Counters of absent keys beyond the shard's bound are forgotten, the oldest first, but none of which later records
    /// may still have to be passed over.
    ///
    /// # Errors
    /// Where the record makes no sense on the keys as they are. Its key's value may then have been changed, its revision
    /// and its place in the history not.
    #[inline]
    pub fn replay(&mut self, record: &Record<'_>) -> Result<(), ReplayError> {
        if record.event_type() == EventType::FlushDb {
            self.replay_flush(record);
            return Ok(());
        }
        let hash = self.table.hash(record.key());
        let entry = self.table.find_or_insert(hash, record.key());
        if entry.last() != RingOffset::NONE && record.offset() <= entry.last() {
            return Ok(());
        }
        let writer = self.turn.take_writer();
        let applied = EntryMut::replay(entry, &mut self.turn, hash, record);
        self.turn.give_writer(writer);
        if self.turn.absent.len() > self.absent_max {
            self.forget_passed(record.offset());
        }
        // Nothing of this was added by a turn.
        self.absent_before = self.turn.absent.len();
        applied.map_err(|needed| self.replay_error(hash, record, needed))
    }

    #[cold]
    fn replay_error(&mut self, hash: u64, record: &Record<'_>, needed: Needed) -> ReplayError {
        // Where the key was not there, the entry that was made for it has nothing to stay for.
        self.table.remove_by_hash(hash, |entry| entry.key() == record.key() && entry.is_blank());
        ReplayError {
            position: record.position(),
            offset: record.offset(),
            key: record.key().to_vec(),
            event: String::from_utf8_lossy(record.type_name()).into_owned(),
            needed,
        }
    }

    /// A flush drops what was there before it: entries of a snapshot that was taken meanwhile may be later.
    fn replay_flush(&mut self, record: &Record<'_>) {
        let (_, last) = self.turn.db_stream();
        if last != RingOffset::NONE && record.offset() <= last {
            return;
        }
        self.turn.forget_keys();
        let Shard { table, turn, .. } = self;
        table.retain(|hash, entry| {
            let is_later = entry.last() != RingOffset::NONE && entry.last() > record.offset();
            if !is_later {
                entry.drop_value();
            }
            entry.set_queued(false);
            if entry.value().is_some() {
                turn.live_keys += 1;
                entry.expire_at_ms().into_iter().for_each(|at_ms| turn.expiries.insert(at_ms, hash));
                return true;
            }
            // Whether it is gone by now shows when the shard goes on.
            let has_history = !entry.is_blank();
            if has_history {
                entry.set_queued(true);
                turn.absent.push_back((hash, entry.age()));
            }
            has_history
        });
        turn.absent.make_contiguous().sort_unstable_by_key(|row| row.1);
        turn.set_db_stream(record.revision().0.saturating_add(1), record.offset());
        self.forget_passed(record.offset());
        self.absent_before = self.turn.absent.len();
    }

    /// Forgets the oldest streams of absent keys beyond the bound, as far as all their records lie behind `offset`.
    fn forget_passed(&mut self, offset: RingOffset) {
        while self.turn.absent.len() > self.absent_max {
            let Some(&(hash, _)) = self.turn.absent.front() else { return };
            if let Some(entry) = self.table.find_by_hash(hash, |entry| entry.is_queued()) {
                if entry.value().is_some() {
                    entry.set_queued(false);
                } else if entry.last() == RingOffset::NONE || entry.last() <= offset {
                    self.table.remove_by_hash(hash, |entry| entry.is_queued() && entry.value().is_none());
                } else {
                    return;
                }
            }
            self.turn.absent.pop_front();
        }
    }
}
