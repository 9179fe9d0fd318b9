//! Operations on the TTLs of a hash's fields. A field whose TTL is over is hidden from every command until it is removed in the
//! background, or its key is used for something else.

use super::hash::field_record_bytes;
use super::{Counts, ExpireCondition, Shard};
use crate::collection::Bytes;
use crate::error::Refusal;
use crate::event::EventType;
use crate::keyspace::{EntryMut, Kind};
use crate::ring::{record_bytes, record_bytes_parts};

/// What has become of the TTL of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldTtl {
    /// There is no such field.
    NoField,
    /// There is none to remove.
    None,
    /// The condition does not hold.
    Refused,
    /// It was set, or removed.
    Done,
    /// It is over, so the field was deleted.
    Deleted,
}

/// What a command that reads or sets fields does with their TTLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldTtlChange {
    /// They stay.
    Keep,
    /// They are removed.
    Clear,
    /// They end at this time, Unix milliseconds.
    EndAt(u64),
}

/// When fields are set, all or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldsCondition {
    /// Always.
    Always,
    /// Only if there is none of them (FNX).
    IfNone,
    /// Only if there are all of them (FXX).
    IfAll,
}

impl EntryMut<'_> {
    /// Whether there is a field of this name whose TTL is over.
    #[inline]
    pub(super) fn is_field_over(&self, field: &[u8]) -> bool {
        self.field_end(field).is_some_and(|at_ms| at_ms <= self.now_ms())
    }

    /// Has a field's TTL end, or deletes the field if that is past.
    fn end_field_at(&mut self, field: &[u8], at_ms: u64) -> Result<FieldTtl, Refusal> {
        if at_ms <= self.now_ms() {
            self.hash_delete(field)?;
            return Ok(FieldTtl::Deleted);
        }
        self.set_field_ttl(field, at_ms);
        Ok(FieldTtl::Done)
    }
}

impl Shard {
    /// Whether a key holds a hash. Not counted as a look-up for reading.
    ///
    /// # Errors
    /// It holds something else.
    pub fn check_hash(&mut self, key: &[u8]) -> Result<bool, Refusal> {
        self.check_kind(key, Kind::Hash)
    }

    /// What it takes to record that fields lose their TTLs, in bytes.
    #[inline]
    pub(super) fn cleared_ttl_bytes<'k>(&self, key: &[u8], fields: impl Iterator<Item = &'k [u8]>) -> u64 {
        if self.turn.field_ends.has_begun() { self.cleared_bytes(key, fields) } else { 0 }
    }

    #[inline(never)]
    fn cleared_bytes<'k>(&self, key: &[u8], fields: impl Iterator<Item = &'k [u8]>) -> u64 {
        let entry = self.table.find(self.table.hash(key), key);
        let Some(hash) = entry.and_then(|entry| entry.fields().ok()?).filter(|hash| hash.is_timed()) else { return 0 };
        let timed = fields.filter(|field| hash.end(field).is_some());
        timed.map(|field| record_bytes(key.len(), field.len())).sum()
    }

    /// When the TTLs of fields end, Unix milliseconds: for each field `None` if there is no such field, `Some(None)` if it has no
    /// TTL.
    pub fn field_ends<'k>(
        &mut self,
        key: &[u8],
        fields: impl Iterator<Item = &'k [u8]>,
    ) -> Result<Vec<Option<Option<u64>>>, Refusal> {
        let hash = self.fields(key)?;
        let end = |field: &[u8]| hash.filter(|hash| hash.contains(field)).map(|hash| hash.end(field));
        Ok(fields.map(end).collect())
    }

    /// Has the TTLs of fields end at `at_ms`, Unix milliseconds, or deletes the fields if that is past. Returns what became of
    /// each.
    pub fn expire_fields<'k>(
        &mut self,
        key: &[u8],
        fields: impl Iterator<Item = &'k [u8]> + Clone,
        at_ms: u64,
        condition: ExpireCondition,
    ) -> Result<Vec<FieldTtl>, Refusal> {
        self.change_field_ttls(key, fields, |entry, field| {
            let end = entry.field_end(field);
            if condition.refuses(end, at_ms as i64) {
                return Ok(FieldTtl::Refused);
            }
            entry.end_field_at(field, at_ms)
        })
    }

    /// Removes the TTLs of fields. Returns what became of each.
    pub fn persist_fields<'k>(
        &mut self,
        key: &[u8],
        fields: impl Iterator<Item = &'k [u8]> + Clone,
    ) -> Result<Vec<FieldTtl>, Refusal> {
        self.change_field_ttls(key, fields, |entry, field| {
            Ok(if entry.clear_field_ttl(field) { FieldTtl::Done } else { FieldTtl::None })
        })
    }

    /// Changes the TTLs of those fields that there are.
    fn change_field_ttls<'k>(
        &mut self,
        key: &[u8],
        fields: impl Iterator<Item = &'k [u8]> + Clone,
        mut change: impl FnMut(&mut EntryMut<'_>, &[u8]) -> Result<FieldTtl, Refusal>,
    ) -> Result<Vec<FieldTtl>, Refusal> {
        let now_ms = self.turn.now_ms();
        let Some(mut entry) = self.find(key) else { return Ok(fields.map(|_| FieldTtl::NoField).collect()) };
        admit_changes(&mut entry, fields.clone())?;
        fields
            .map(|field| match entry.view().field(field, now_ms)? {
                Some(_) => change(&mut entry, field),
                None => Ok(FieldTtl::NoField),
            })
            .collect()
    }

    /// The values of fields, whose TTLs are changed then.
    pub fn read_fields<'k>(
        &mut self,
        key: &[u8],
        fields: impl Iterator<Item = &'k [u8]> + Clone,
        change: FieldTtlChange,
    ) -> Result<Vec<Option<Bytes>>, Refusal> {
        self.take_fields(key, fields, |entry, field| match change {
            FieldTtlChange::Keep => Ok(()),
            FieldTtlChange::Clear => {
                entry.clear_field_ttl(field);
                Ok(())
            }
            FieldTtlChange::EndAt(at_ms) => entry.end_field_at(field, at_ms).map(|_| ()),
        })
    }

    /// The values of fields, which are deleted.
    pub fn remove_fields<'k>(
        &mut self,
        key: &[u8],
        fields: impl Iterator<Item = &'k [u8]> + Clone,
    ) -> Result<Vec<Option<Bytes>>, Refusal> {
        self.take_fields(key, fields, |entry, field| entry.hash_delete(field).map(|_| ()))
    }

    /// The values of fields, with which something is done.
    fn take_fields<'k>(
        &mut self,
        key: &[u8],
        fields: impl Iterator<Item = &'k [u8]> + Clone,
        mut change: impl FnMut(&mut EntryMut<'_>, &[u8]) -> Result<(), Refusal>,
    ) -> Result<Vec<Option<Bytes>>, Refusal> {
        let now_ms = self.turn.now_ms();
        let Some(mut entry) = self.find(key) else { return Ok(fields.map(|_| None).collect()) };
        admit_changes(&mut entry, fields.clone())?;
        fields
            .map(|field| {
                let value = entry.view().field(field, now_ms)?.map(Bytes::from_slice);
                if value.is_some() {
                    change(&mut entry, field)?;
                }
                Ok(value)
            })
            .collect()
    }

    /// Sets fields, at least one, and then changes their TTLs; returns whether it did. A field that is new has none to keep.
    pub fn set_fields_with_ttl<'k>(
        &mut self,
        key: &[u8],
        pairs: impl Iterator<Item = (&'k [u8], &'k [u8])> + Clone,
        condition: FieldsCondition,
        change: FieldTtlChange,
    ) -> Result<bool, Refusal> {
        let now_ms = self.turn.now_ms();
        let records: u64 = pairs.clone().map(|(field, value)| field_record_bytes(key, field, value)).sum();
        let of_ttls: u64 = pairs.clone().map(|(field, _)| ttl_change_bytes(key, field)).sum();
        if condition != FieldsCondition::Always {
            let hash = self.find(key);
            let hash = hash.as_ref().map(|entry| entry.view().fields()).transpose()?.flatten();
            let hash = hash.map(|hash| hash.live(now_ms));
            let is_there = |field: &[u8]| hash.is_some_and(|hash| hash.contains(field));
            let mut fields = pairs.clone().map(|(field, _)| field);
            let holds = match condition {
                FieldsCondition::IfAll => fields.all(is_there),
                _ => !fields.any(is_there),
            };
            if !holds {
                return Ok(false);
            }
        }
        self.turn.admit(records + of_ttls, key.len())?;
        let mut entry = self.write(key);
        for (field, value) in pairs.clone() {
            if change == FieldTtlChange::Clear || entry.is_field_over(field) {
                entry.hash_overwrite(field, value)?;
            } else {
                entry.hash_set(field, value)?;
            }
        }
        if let FieldTtlChange::EndAt(at_ms) = change {
            for (field, _) in pairs {
                entry.end_field_at(field, at_ms)?;
            }
        }
        Ok(true)
    }

    /// Removes fields whose TTLs are over, at most so many; returns whether there may be more.
    pub(super) fn end_fields(&mut self, mut most: usize) -> bool {
        let Shard { table, turn, counts, .. } = self;
        let now_ms = turn.now_ms();
        while let Some((at_ms, hash)) = turn.field_ends.due(now_ms) {
            if most == 0 || turn.is_full() {
                return true;
            }
            most -= 1;
            match table.find_by_hash(hash, |entry| entry.first_field_end() == Some(at_ms)) {
                Some(word) => {
                    // One field's end is not chained to another's.
                    turn.begin_command();
                    if !end_first(EntryMut::new(word, turn, hash), counts) {
                        return true;
                    }
                }
                None => turn.field_ends.moved(hash, Some(at_ms), None),
            }
        }
        false
    }
}

/// Removes the field of a hash that has ended first; returns whether there was room for its record.
fn end_first(mut entry: EntryMut<'_>, counts: &mut Counts) -> bool {
    let Some(hash) = entry.view().fields().ok().flatten() else {
        // Opening the entry has removed all of it.
        counts.expired_fields += 1;
        return true;
    };
    let Some((field, _)) = hash.first_end() else { return true };
    let field = Bytes::from_slice(field);
    if entry.admit(record_bytes(entry.view().key().len(), field.len())).is_err() {
        return false;
    }
    counts.expired_fields += 1;
    entry.hash_remove(&field, EventType::HExpire).is_ok()
}

/// Refuses where there is no room for what may become of these fields' TTLs, or the key holds no hash.
fn admit_changes<'k>(entry: &mut EntryMut<'_>, fields: impl Iterator<Item = &'k [u8]>) -> Result<(), Refusal> {
    let view = entry.view();
    let Some(hash) = view.fields()? else { return Ok(()) };
    let there = fields.filter(|field| hash.contains(field));
    let bytes = there.map(|field| ttl_change_bytes(view.key(), field)).sum();
    entry.admit(bytes)
}

/// The most bytes that the record takes of what becomes of one field's TTL.
fn ttl_change_bytes(key: &[u8], field: &[u8]) -> u64 {
    record_bytes_parts(key.len(), [field.len(), 20].into_iter())
}
