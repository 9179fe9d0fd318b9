//! The shards that one command works on: nearly always one, or several that were lent to the core that coordinates a
//! change over all of them. Operations that move a value between keys, or count in all shards at one instant, are here,
//! written once for both.

mod appends;
mod sets;
mod sort;
mod sorted;
mod strings;

pub use appends::{AppendedMany, EventsRefused, StreamNow, Unexpected, Wanted};
pub use sets::{difference, intersection, union};
pub use sort::Sort;
pub use sorted::{
    Aggregate, Scored, Weighted, count_of_intersection, scored_difference, scored_intersection, scored_union,
};

use crate::error::Refusal;
use crate::event::EventType;
use crate::keyspace::entry::End;
use crate::keyspace::{Bytes, Kind};
use crate::position::ShardId;
use crate::ring::{record_bytes, record_bytes_parts};
use crate::shard::Shard;
use crate::slot::shard_of;
use crate::stream_name::Database;
use crate::turn::ttl_record_bytes;

/// The shards of one command.
pub enum Shards<'a> {
    /// The shard of all keys of the command.
    One(&'a mut Shard),
    /// These of `total`, ordered by number.
    Several {
        /// The shards at hand; each key of the command is on one of them.
        shards: &'a mut [Box<Shard>],
        /// The number of shards of the server.
        total: u16,
    },
}

/// The shards of two keys.
pub enum ShardPair<'a> {
    /// Both keys are on this one.
    Same(&'a mut Shard),
    /// The first key's and the second key's.
    Two(&'a mut Shard, &'a mut Shard),
}

impl Shards<'_> {
    /// The same shards, for a shorter lifetime.
    #[inline]
    pub fn reborrow(&mut self) -> Shards<'_> {
        match self {
            Shards::One(shard) => Shards::One(shard),
            Shards::Several { shards, total } => Shards::Several { shards, total: *total },
        }
    }

    /// Whether a shard is at hand.
    pub fn has(&self, shard: ShardId) -> bool {
        match self {
            Shards::One(own) => own.id() == shard,
            Shards::Several { shards, .. } => shards.iter().any(|own| own.id() == shard),
        }
    }

    /// The shard of a key.
    #[inline]
    pub fn of(&mut self, key: &[u8]) -> &mut Shard {
        match self {
            Shards::One(shard) => shard,
            Shards::Several { shards, total } => {
                let index = index_of(shards, shard_of(key, *total));
                &mut shards[index]
            }
        }
    }

    /// The shard of a key, read-only.
    fn peek(&self, key: &[u8]) -> &Shard {
        match self {
            Shards::One(shard) => shard,
            Shards::Several { shards, total } => &shards[index_of(shards, shard_of(key, *total))],
        }
    }

    /// The shards of two keys.
    pub fn pair(&mut self, first: &[u8], second: &[u8]) -> ShardPair<'_> {
        match self {
            Shards::One(shard) => ShardPair::Same(shard),
            Shards::Several { shards, total } => {
                let a = index_of(shards, shard_of(first, *total));
                let b = index_of(shards, shard_of(second, *total));
                if a == b {
                    return ShardPair::Same(&mut shards[a]);
                }
                let (low, high) = shards.split_at_mut(a.max(b));
                let (low, high) = (&mut *low[a.min(b)], &mut *high[0]);
                if a < b { ShardPair::Two(low, high) } else { ShardPair::Two(high, low) }
            }
        }
    }

    /// Every shard at hand.
    pub fn each(&mut self, mut visit: impl FnMut(&mut Shard)) {
        match self {
            Shards::One(shard) => visit(shard),
            Shards::Several { shards, .. } => shards.iter_mut().for_each(|shard| visit(shard)),
        }
    }

    /// Deletes keys; returns how many existed.
    pub fn delete<'k>(&mut self, keys: impl Iterator<Item = &'k [u8]> + Clone) -> Result<usize, Refusal> {
        let record = |key: &'k [u8]| (key, record_bytes(key.len(), 0));
        if self.admit(keys.clone().map(record)).is_err() {
            // Too many for one command if all exist. Missing ones leave no record.
            let there: Vec<&[u8]> = keys.clone().filter(|key| self.of(key).has_value(key)).collect();
            self.admit(there.into_iter().map(record))?;
        }
        Ok(keys.filter(|key| self.of(key).delete(key)).count())
    }

    /// Moves the value and the TTL of `source` to `target` and deletes `source`; with `if_absent` only if `target` does
    /// not exist. Returns whether it did. The target is written and recorded first.
    pub fn rename(&mut self, source: &[u8], target: &[u8], if_absent: bool) -> Result<bool, Refusal> {
        if self.of(source).find(source).is_none() {
            return Err(Refusal::NoSuchKey);
        }
        // Before its record is counted: a rename without effect is never too large.
        if if_absent && self.of(target).find(target).is_some() {
            return Ok(false);
        }
        if source == target {
            return Ok(true);
        }
        let (value_bytes, expire_at_ms) = self.value_record(source, target)?;
        // The source's `Del` is added to it.
        self.admit([(target, value_bytes), (source, record_bytes(source.len(), 0))].into_iter())?;
        let value = self.of(source).find(source).and_then(|mut entry| entry.move_out()).ok_or(Refusal::NoSuchKey)?;
        let mut entry = self.of(target).write(target);
        entry.take_over(EventType::Rename, Some(source), value);
        if let Some(at_ms) = expire_at_ms {
            entry.set_ttl(at_ms);
        }
        drop(entry);
        self.assign_target_position(source, target);
        self.of(source).delete(source);
        Ok(true)
    }

    /// Copies the value and the TTL of `source` to `target`, another key; with `if_absent` only if that does not exist.
    /// Returns whether it did.
    pub fn copy(&mut self, source: &[u8], target: &[u8], if_absent: bool) -> Result<bool, Refusal> {
        if self.of(source).find(source).is_none() || if_absent && self.of(target).find(target).is_some() {
            return Ok(false);
        }
        let (value_bytes, expire_at_ms) = self.value_record(source, target)?;
        self.admit(std::iter::once((target, value_bytes)))?;
        let value = self.of(source).find(source).and_then(|entry| entry.copy_value()).ok_or(Refusal::NoSuchKey)?;
        let mut entry = self.of(target).write(target);
        entry.take_over(EventType::Copy, Some(source), value);
        if let Some(at_ms) = expire_at_ms {
            entry.set_ttl(at_ms);
        }
        drop(entry);
        self.assign_target_position(source, target);
        Ok(true)
    }

    /// What it takes to record that `target` gets the value and the TTL of `source`, in bytes, and when that ends.
    fn value_record(&mut self, source: &[u8], target: &[u8]) -> Result<(u64, Option<u64>), Refusal> {
        let entry = self.of(source).read(source).ok_or(Refusal::NoSuchKey)?;
        let (value, expire_at_ms) = (entry.value().ok_or(Refusal::NoSuchKey)?, entry.expire_at_ms());
        // The value's parts as one, whose length takes four bytes too.
        let parts = [source.len(), 8, value.parts_bytes() as usize - 4];
        Ok((record_bytes_parts(target.len(), parts.into_iter()) + ttl_record_bytes(target), expire_at_ms))
    }

    /// Moves the element at an end of one list to an end of another, or of the same. The target is written and recorded
    /// first.
    pub fn move_element(&mut self, source: &[u8], from: End, target: &[u8], to: End) -> Result<Option<Bytes>, Refusal> {
        let element = match self.of(source).find(source) {
            None => return Ok(None),
            Some(entry) => entry.view().elements()?.and_then(|list| list.at_from(from, 0)).map(Bytes::from_slice),
        };
        let Some(element) = element else { return Ok(None) };
        self.of(target).check_kind(target, Kind::List)?;
        self.admit_move(source, target, &element)?;
        self.of(target).write(target).list_push(to, &element)?;
        self.assign_target_position(source, target);
        // If both are the same list, its new element is at the other end, or equals the one that is popped.
        self.of(source).write(source).list_pop(from)
    }

    /// Moves a member from one set to another; returns whether the source had it. The target is written and recorded
    /// first.
    pub fn move_member(&mut self, source: &[u8], target: &[u8], member: &[u8]) -> Result<bool, Refusal> {
        if !self.of(source).check_kind(source, Kind::Set)? {
            return Ok(false);
        }
        self.of(target).check_kind(target, Kind::Set)?;
        let is_there = match self.of(source).find(source) {
            None => false,
            Some(entry) => entry.view().members()?.is_some_and(|set| set.contains(member)),
        };
        if !is_there || source == target {
            return Ok(is_there);
        }
        self.admit_move(source, target, member)?;
        self.of(target).write(target).set_add(member)?;
        self.assign_target_position(source, target);
        self.of(source).write(source).set_remove(member)
    }

    /// Called between the change of a move's target and that of its source, and behind a copy. On one shard the records follow each other;
    /// on two, the positions are assigned here, in the order of the changes, because the shards are committed in
    /// another order.
    fn assign_target_position(&mut self, source: &[u8], target: &[u8]) {
        if let ShardPair::Two(source, target) = self.pair(source, target) {
            source.assign_positions();
            target.assign_positions();
        }
    }

    /// Admits the records of an element that is added to one key and removed from another, on both their shards.
    fn admit_move(&mut self, source: &[u8], target: &[u8], element: &[u8]) -> Result<(), Refusal> {
        let bytes = |key: &[u8]| record_bytes(key.len(), element.len());
        self.admit([(target, bytes(target)), (source, bytes(source))].into_iter())
    }

    /// Refuses a change of several keys whose records are too large on any shard, before anything changes. `records`
    /// are the keys, each with the size of its records in bytes.
    pub fn admit<'k>(&mut self, records: impl Iterator<Item = (&'k [u8], u64)>) -> Result<(), Refusal> {
        let add = |(bytes, longest): (u64, usize), (key, more): (&[u8], u64)| (bytes + more, longest.max(key.len()));
        match self {
            Shards::One(shard) => {
                let (bytes, longest) = records.fold((0, 0), add);
                shard.admit(bytes, longest)
            }
            Shards::Several { shards, total } => {
                let mut sums = vec![(0, 0); shards.len()];
                for record in records {
                    let sum = &mut sums[index_of(shards, shard_of(record.0, *total))];
                    *sum = add(*sum, record);
                }
                shards.iter_mut().zip(sums).try_for_each(|(shard, (bytes, longest))| shard.admit(bytes, longest))
            }
        }
    }

    /// Deletes every key of a database. If no other one has keys, that is a flush; else each key is deleted by itself, which takes
    /// the records of all of them. The shards at hand must be all shards.
    ///
    /// # Errors
    /// If the log has no room for them. Some are deleted then.
    pub fn flush_database(&mut self, database: Database) -> Result<(), Refusal> {
        let mut is_alone = true;
        self.each(|shard| is_alone &= !shard.has_keys_beside(database));
        if is_alone {
            self.flush();
            return Ok(());
        }
        let mut done = Ok(());
        self.each(|shard| {
            shard.readers_mut().note_flush();
            let mut rank = Some(0);
            while let Some(from) = rank.filter(|_| done.is_ok()) {
                let (names, next) = shard.names_from(database, from);
                done = Shards::One(shard).delete(names.iter().map(|name| &**name)).map(|_| ());
                rank = next;
            }
        });
        done
    }

    /// Deletes every key of every shard: one event at one position. The shards at hand must be all shards.
    pub fn flush(&mut self) {
        let mut has_failed = false;
        self.each(|shard| {
            shard.commit();
            has_failed |= shard.turn().has_failed();
        });
        // The log has just failed: no client gets a reply.
        if has_failed {
            return;
        }
        let mut coordinator = None;
        self.each(|shard| {
            coordinator.get_or_insert_with(|| (shard.id(), shard.turn().sequencer().clone()));
        });
        let Some((id, sequencer)) = coordinator else { return };
        // The mark of one shard covers the one position, until every shard has published its record of it.
        let position = sequencer.reserve(id, 1);
        self.each(|shard| shard.flush(position));
        sequencer.clear(id);
    }
}

/// The index of a shard among those at hand.
fn index_of(shards: &[Box<Shard>], id: ShardId) -> usize {
    // All shards are at hand for commands on all, else a few: a search of a short sorted run either way.
    shards.binary_search_by_key(&id, |shard| shard.id()).expect("the coordinator borrows every shard of the command")
}
