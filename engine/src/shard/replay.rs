//! Replays the shard's own log: applies each record to the keys, without recording anything.

use super::Shard;
use crate::event::EventType;
use crate::keyspace::EntryMut;
use crate::keyspace::entry::Precondition;
use crate::position::{Position, RingOffset};
use crate::ring::Record;
use thiserror::Error;

/// A record that does not fit the state of the keys: an earlier one is missing, or it is not of this log.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{event} at position {position} of the key {:?} cannot be applied: expected {violated}",
    String::from_utf8_lossy(.key))]
pub struct ReplayError {
    /// The record's position.
    pub position: Position,
    /// Its offset in the shard's history.
    pub offset: RingOffset,
    /// Its key.
    pub key: Vec<u8>,
    /// Its type, by name.
    pub event: String,
    /// The precondition that it violates.
    pub violated: Precondition,
}

impl Shard {
    /// Applies one record of this shard's log, in the order of the log, with the effect of the command that recorded
    /// it. A record that the key's entry already includes is skipped. Nothing is recorded, and no key expires by the
    /// clock.
    ///
    /// Counters of absent keys beyond the shard's bound are forgotten, the oldest first, except those whose later
    /// records may still have to be skipped.
    ///
    /// # Errors
    /// If the record does not fit the state of the keys. Its key's value may then have been changed, but not its
    /// revision and its latest record.
    #[inline]
    pub fn replay(&mut self, record: &Record<'_>) -> Result<(), ReplayError> {
        if record.event_type() == EventType::FlushDb {
            self.replay_flush(record);
            return Ok(());
        }
        let hash = self.table.hash(record.key());
        let word = self.table.find_or_insert(hash, record.key(), || self.turn.footprint.new_block(record.key()));
        let last = word.get().last();
        if last != RingOffset::NONE && record.offset() <= last {
            return Ok(());
        }
        let writer = self.turn.detach_writer();
        let applied = EntryMut::replay(word, &mut self.turn, hash, record);
        self.turn.restore_writer(writer);
        if self.turn.expiries.has_many() {
            self.note_expiries();
        }
        if self.turn.absent.len() > self.absent_max {
            self.forget_passed(record.offset());
        }
        // These rows were not added by a turn.
        self.absent_before = self.turn.absent.len();
        applied.map_err(|violated| self.replay_error(hash, record, violated))
    }

    #[cold]
    fn replay_error(&mut self, hash: u64, record: &Record<'_>, violated: Precondition) -> ReplayError {
        // If the key was missing, the entry created for it is removed.
        let block = self.table.remove_by_hash(hash, |entry| entry.key() == record.key() && entry.is_blank());
        self.turn.footprint.forget(block);
        ReplayError {
            position: record.position(),
            offset: record.offset(),
            key: record.key().to_vec(),
            event: String::from_utf8_lossy(record.type_name()).into_owned(),
            violated,
        }
    }

    /// A flush drops the earlier keys: entries of a snapshot taken meanwhile may be later.
    fn replay_flush(&mut self, record: &Record<'_>) {
        let (_, last) = self.turn.db_stream();
        if last != RingOffset::NONE && record.offset() <= last {
            return;
        }
        self.turn.clear_keys();
        let Shard { table, turn, .. } = self;
        table.retain(|hash, word| {
            let last = word.get().last();
            let is_later = last != RingOffset::NONE && last > record.offset();
            if !is_later && let Some(value) = word.lend().drop_value() {
                value.discard(&mut turn.garbage);
            }
            word.lend().set_queued(false);
            let entry = word.get();
            if entry.has_value() {
                turn.live_keys += 1;
                turn.census.note(entry.key(), |counts| counts.keys += 1);
                if let Some(at_ms) = entry.expire_at_ms() {
                    turn.expiries.count += 1;
                    turn.census.note(entry.key(), |counts| counts.expiring += 1);
                    turn.expiries.note(at_ms, hash);
                }
                turn.field_ends.moved(hash, None, entry.first_field_end());
                turn.footprint.add(entry.taken());
                return true;
            }
            // Whether its events are gone by now is found when the shard continues.
            let has_history = !entry.is_blank();
            if has_history {
                turn.absent.push_back((hash, entry.age()));
                word.lend().set_queued(true);
                turn.footprint.add(word.get().taken());
            }
            has_history
        });
        turn.absent.sort();
        turn.set_db_stream(record.revision().0.saturating_add(1), record.offset());
        self.forget_passed(record.offset());
        self.absent_before = self.turn.absent.len();
    }

    /// Forgets the oldest streams of absent keys beyond the bound, if all their records are before `offset`.
    fn forget_passed(&mut self, offset: RingOffset) {
        while self.turn.absent.len() > self.absent_max {
            let Some((hash, _)) = self.turn.absent.front() else { return };
            if let Some(word) = self.table.find_by_hash(hash, |entry| entry.is_queued()) {
                let entry = word.get();
                if entry.has_value() {
                    word.lend().set_queued(false);
                } else if entry.last() == RingOffset::NONE || entry.last() <= offset {
                    let block = self.table.remove_by_hash(hash, |entry| entry.is_queued() && !entry.has_value());
                    self.turn.footprint.forget(block);
                } else {
                    return;
                }
            }
            self.turn.absent.pop_front();
        }
    }
}
