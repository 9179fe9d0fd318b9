//! TTLs of the fields of a hash, and what ends with time. A change of a field leaves its TTL as it
//! is; what a command does to that has an event of its own.

use super::{Entry, EntryMut, Value, ValueMut, ValueRef};
use crate::collection::HashRef;
use crate::error::Refusal;
use crate::event::EventType;
use crate::keyspace::block::Encoding;
use crate::ring::Data;

impl<'a> Entry<'a> {
    /// Whether the value is a hash whose fields have TTLs, or have had.
    #[inline]
    pub(crate) fn is_timed(self) -> bool {
        self.0.is_timed()
    }

    #[inline(never)]
    fn timed(self) -> Option<HashRef<'a>> {
        if let Some(ValueRef::Hash(hash)) = self.value() { Some(hash) } else { None }
    }

    /// When the first of a hash's fields ends, Unix time in milliseconds.
    #[inline]
    pub(crate) fn first_field_end(self) -> Option<u64> {
        if self.is_timed() { self.timed()?.first_end().map(|(_, at_ms)| at_ms) } else { None }
    }

    /// Whether the value is a hash of which the TTLs of all fields are over at `now_ms`.
    #[inline]
    pub(crate) fn fields_have_ended(self, now_ms: u64) -> bool {
        self.is_timed() && self.timed().is_some_and(|hash| hash.has_ended(now_ms))
    }
}

impl EntryMut<'_> {
    /// Removes a value whose TTL is over, or those of all its fields, with its record.
    #[inline(never)]
    pub(super) fn end_if_expired(&mut self) {
        self.first_field_end = self.view().first_field_end();
        let now_ms = self.turn.now_ms();
        if self.view().is_expired(now_ms) {
            self.remove(EventType::Expire);
        } else if self.view().fields_have_ended(now_ms) {
            self.remove(EventType::HExpire);
        }
    }

    /// Notes which field ends first, once the entry was changed.
    #[cold]
    pub(super) fn note_field_ends(&mut self) {
        let first_field_end = self.view().first_field_end();
        if first_field_end != self.first_field_end {
            self.turn.field_ends.moved(self.hash, self.first_field_end, first_field_end);
        }
    }

    /// The turn's time, Unix milliseconds.
    #[inline]
    pub(crate) fn now_ms(&self) -> u64 {
        self.turn.now_ms()
    }

    /// When a field's TTL ends, Unix time in milliseconds.
    #[inline]
    pub(crate) fn field_end(&self, field: &[u8]) -> Option<u64> {
        if self.view().is_timed() { self.view().timed()?.end(field) } else { None }
    }

    /// Sets one field, which loses its TTL; returns whether it is new, as one is whose TTL is over. Creates the hash if there is
    /// no value.
    #[inline]
    pub fn hash_overwrite(&mut self, field: &[u8], value: &[u8]) -> Result<bool, Refusal> {
        if !self.view().is_timed() {
            return self.hash_set(field, value);
        }
        let is_over = self.field_end(field).is_some_and(|at_ms| at_ms <= self.now_ms());
        let is_new = self.hash_set(field, value)?;
        self.clear_field_ttl(field);
        Ok(is_new || is_over)
    }

    /// Has the TTL of one field end at `at_ms`, Unix time in milliseconds, above 0 and below 2^53; returns whether there is such a
    /// field.
    pub fn set_field_ttl(&mut self, field: &[u8], at_ms: u64) -> bool {
        let thresholds = self.turn.thresholds;
        let is_there = match self.value_mut() {
            Some(ValueMut::Hash(hash)) if hash.view().is_timed() => hash.set_end(field, at_ms, &thresholds),
            // The block learns that it is timed.
            Some(ValueMut::Hash(_) | ValueMut::Small(Encoding::PackedHash)) => {
                let changed = self.outside(|all| match all {
                    Value::Hash(hash) => hash.set_end(field, at_ms, &thresholds),
                    _ => false,
                });
                changed.unwrap_or(false)
            }
            _ => false,
        };
        if is_there {
            let mut digits = itoa::Buffer::new();
            self.record(EventType::HTtlSet, Data::Parts(&[field, digits.format(at_ms).as_bytes()]));
        }
        is_there
    }

    /// Removes the TTL of one field; returns whether it had one.
    pub fn clear_field_ttl(&mut self, field: &[u8]) -> bool {
        let thresholds = self.turn.thresholds;
        let had_one = match self.value_mut() {
            Some(ValueMut::Hash(hash)) => hash.clear_end(field, &thresholds),
            _ => false,
        };
        if had_one {
            self.record(EventType::HTtlCleared, Data::One(field));
        }
        had_one
    }
}
