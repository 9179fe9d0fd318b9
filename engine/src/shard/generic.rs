//! Operations on keys of any type.

use super::{ScanBudget, Shard};
use crate::error::Refusal;
use crate::event::EventType;
use crate::eviction::{Order, PROBATION};
use crate::filter::Glob;
use crate::keyspace::{Entry, Kind};
use crate::ring::record_bytes;
use crate::stream_name::Database;
use crate::turn::ttl_record_bytes;
use crate::waiters::Awaited;

/// When a new TTL takes effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpireCondition {
    /// Only if there is none (NX).
    pub if_none: bool,
    /// Only if there is one (XX).
    pub if_some: bool,
    /// Only if it ends later than the present one; none ends never (GT).
    pub if_later: bool,
    /// Only if it ends earlier than the present one; none ends never (LT).
    pub if_earlier: bool,
}

impl ExpireCondition {
    /// Whether a TTL that ends at `at_ms` does not take effect where the present one, if there is one, ends at `current`. What has none
    /// ends later than any.
    pub(super) fn refuses(self, current: Option<u64>, at_ms: i64) -> bool {
        let old = current.map_or(i64::MAX, |at| at as i64);
        self.if_none && current.is_some()
            || self.if_some && current.is_none()
            || self.if_later && (current.is_none() || at_ms <= old)
            || self.if_earlier && current.is_some() && at_ms >= old
    }
}

impl Shard {
    /// The type of a key's value.
    pub fn kind(&mut self, key: &[u8]) -> Option<Kind> {
        self.value(key).map(|value| value.kind())
    }

    /// The type of a key's value, if commands may wait to take a part of it. Not counted as a look-up for reading.
    pub fn awaited(&mut self, key: &[u8]) -> Option<Awaited> {
        match self.find(key)?.view().value()?.kind() {
            Kind::List => Some(Awaited::List),
            Kind::Sorted => Some(Awaited::Sorted),
            Kind::String | Kind::Hash | Kind::Set | Kind::RedisStream => None,
        }
    }

    /// Sets a key's expiry to `at_ms`, Unix milliseconds, or deletes the key if that is past; returns whether it did.
    pub fn expire_at(&mut self, key: &[u8], at_ms: i64, condition: ExpireCondition) -> Result<bool, Refusal> {
        self.turn.admit(ttl_record_bytes(key), key.len())?;
        let now_ms = self.turn.now_ms() as i64;
        let Some(mut entry) = self.find(key) else { return Ok(false) };
        if condition.refuses(entry.view().expire_at_ms(), at_ms) {
            return Ok(false);
        }
        if at_ms <= now_ms {
            entry.remove(EventType::Del);
        } else {
            entry.set_ttl(at_ms as u64);
        }
        Ok(true)
    }

    /// How often a key was used, as far as eviction knows: a logarithm, 0 to 7. `None` if it does not exist.
    pub fn use_frequency(&mut self, key: &[u8]) -> Option<u8> {
        let frequency = self.find(key)?.view().access() & (PROBATION - 1);
        Some(frequency)
    }

    /// Whether the keys that are used most rarely go first when memory is full.
    pub fn evicts_by_frequency(&self) -> bool {
        self.turn.evictor.policy().order() == Some(Order::Lfu)
    }

    /// Refuses where there is no room for the record of a key's deletion.
    pub fn admit_delete(&mut self, key: &[u8]) -> Result<(), Refusal> {
        self.turn.admit(record_bytes(key.len(), 0), key.len())
    }

    /// Removes a key's TTL; returns whether there was one.
    pub fn persist(&mut self, key: &[u8]) -> Result<bool, Refusal> {
        self.turn.admit(ttl_record_bytes(key), key.len())?;
        Ok(self.find(key).is_some_and(|mut entry| entry.clear_ttl()))
    }

    /// The live keys of a database that match, in no order.
    pub fn keys<'s>(&'s self, database: Database, glob: &'s Glob) -> impl Iterator<Item = &'s [u8]> {
        let now_ms = self.turn.now_ms();
        self.table.iter().filter(move |entry| entry.is_live(now_ms)).filter_map(move |entry| {
            let (of, key) = Database::of(entry.key());
            (of == database && glob.matches(key)).then_some(key)
        })
    }

    /// One step of a scan over the live keys, from a cursor (0 = the start), within `budget`; returns the next
    /// cursor, `None` at the end. A key that is present throughout is visited at least once. A cursor is below 2^48.
    pub fn scan(&self, cursor: u64, mut budget: ScanBudget, mut visit: impl FnMut(Entry<'_>)) -> Option<u64> {
        let now_ms = self.turn.now_ms();
        self.table.scan(cursor, |entry| {
            if entry.is_live(now_ms) {
                visit(entry);
            }
            budget.charge(entry.key().len(), 0)
        })
    }

    /// A random key of a database, roughly uniformly distributed.
    pub fn random_key(&mut self, database: Database) -> Option<&[u8]> {
        if self.keys_of(database).keys == 0 {
            return None;
        }
        let now_ms = self.turn.now_ms();
        let (random, choice) = (self.rng.u64(..), self.rng.u64(..));
        let mut step = 0;
        while let Some(entries) = self.table.segment_from(random, step) {
            let live: Vec<Entry<'_>> =
                entries.filter(|entry| entry.is_live(now_ms) && Database::of(entry.key()).0 == database).collect();
            if !live.is_empty() {
                return Some(Database::key_of(live[(choice % live.len() as u64) as usize].key()));
            }
            step += 1;
        }
        None
    }
}
