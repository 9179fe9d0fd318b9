//! Operations on hashes. `field_ttl.rs` has those on the TTLs of fields.

use super::{Draw, Shard};
use crate::collection::HashRef;
use crate::error::Refusal;
use crate::extended::Extended;
use crate::keyspace::{Entry, ValueRef};
use crate::number;
use crate::ring::{record_bytes, record_bytes_parts};

/// A field and its value.
pub type FieldPair<'a> = (&'a [u8], &'a [u8]);

impl<'a> Entry<'a> {
    /// The hash, `None` if the key does not exist; refused if it holds another type.
    #[inline]
    pub fn fields(self) -> Result<Option<HashRef<'a>>, Refusal> {
        match self.value() {
            None => Ok(None),
            Some(ValueRef::Hash(hash)) => Ok(Some(hash)),
            Some(_) => Err(Refusal::WrongType),
        }
    }

    /// The value of one field at `now_ms`.
    pub(super) fn field(self, field: &[u8], now_ms: u64) -> Result<Option<&'a [u8]>, Refusal> {
        Ok(self.fields()?.and_then(|hash| hash.live(now_ms).get(field)))
    }
}

impl Shard {
    /// The hash at a key, without the fields whose TTLs are over.
    #[inline]
    pub fn fields(&mut self, key: &[u8]) -> Result<Option<HashRef<'_>>, Refusal> {
        let now_ms = self.turn.now_ms();
        Ok(self.read(key).map_or(Ok(None), Entry::fields)?.map(|hash| hash.live(now_ms)))
    }

    /// Sets fields, at least one, which lose their TTLs; returns how many are new.
    pub fn set_fields<'k>(
        &mut self,
        key: &[u8],
        pairs: impl Iterator<Item = (&'k [u8], &'k [u8])> + Clone,
    ) -> Result<usize, Refusal> {
        let records: u64 = pairs.clone().map(|(field, value)| field_record_bytes(key, field, value)).sum();
        let cleared = self.cleared_ttl_bytes(key, pairs.clone().map(|(field, _)| field));
        self.turn.admit(records + cleared, key.len())?;
        let mut entry = self.write(key);
        let mut added = 0;
        for (field, value) in pairs {
            // A wrong type is refused at the first field, before anything has changed.
            added += usize::from(entry.hash_overwrite(field, value)?);
        }
        Ok(added)
    }

    /// Sets a field if it does not exist; returns whether it did.
    pub fn set_field_if_absent(&mut self, key: &[u8], field: &[u8], value: &[u8]) -> Result<bool, Refusal> {
        let now_ms = self.turn.now_ms();
        if let Some(entry) = self.find(key)
            && entry.view().field(field, now_ms)?.is_some()
        {
            return Ok(false);
        }
        self.overwrite_field(key, field, value)?;
        Ok(true)
    }

    /// Deletes fields; returns how many existed.
    pub fn delete_fields<'k>(
        &mut self,
        key: &[u8],
        fields: impl Iterator<Item = &'k [u8]> + Clone,
    ) -> Result<usize, Refusal> {
        let now_ms = self.turn.now_ms();
        let Some(mut entry) = self.find(key) else { return Ok(0) };
        let Some(hash) = entry.view().fields()?.map(|hash| hash.live(now_ms)) else { return Ok(0) };
        let there = fields.clone().filter(|field| hash.contains(field));
        let bytes = there.map(|field| record_bytes(key.len(), field.len())).sum();
        entry.admit(bytes)?;
        let mut deleted = 0;
        for field in fields {
            deleted += usize::from(!entry.is_field_over(field) && entry.hash_delete(field)?);
        }
        Ok(deleted)
    }

    /// Adds to the integer in a field, 0 if missing; returns the sum.
    pub fn increment_field(&mut self, key: &[u8], field: &[u8], by: i64) -> Result<i64, Refusal> {
        let now_ms = self.turn.now_ms();
        let old = match self.find(key) {
            None => None,
            Some(entry) => entry
                .view()
                .field(field, now_ms)?
                .map(|text| number::parse_i64(text).ok_or(Refusal::FieldNotAnInteger))
                .transpose()?,
        };
        let sum = old.unwrap_or(0).checked_add(by).ok_or(Refusal::Overflow)?;
        self.change_field(key, field, old.is_some(), itoa::Buffer::new().format(sum).as_bytes())?;
        Ok(sum)
    }

    /// Adds to the number in a field, 0 if missing; returns the sum as stored.
    pub fn increment_field_float(&mut self, key: &[u8], field: &[u8], by: Extended) -> Result<String, Refusal> {
        let now_ms = self.turn.now_ms();
        let old = match self.find(key) {
            None => None,
            Some(entry) => entry
                .view()
                .field(field, now_ms)?
                .map(|text| Extended::parse(text).ok_or(Refusal::FieldNotAFloat))
                .transpose()?,
        };
        let sum = old.unwrap_or(Extended::ZERO).checked_add(by).ok_or(Refusal::NotFinite)?.format_human();
        self.change_field(key, field, old.is_some(), sum.as_bytes())?;
        Ok(sum)
    }

    /// Sets one field of a key that is known to hold a hash or nothing. It loses its TTL.
    fn overwrite_field(&mut self, key: &[u8], field: &[u8], value: &[u8]) -> Result<(), Refusal> {
        let cleared = self.cleared_ttl_bytes(key, std::iter::once(field));
        self.turn.admit(field_record_bytes(key, field, value) + cleared, key.len())?;
        self.write(key).hash_overwrite(field, value)?;
        Ok(())
    }

    /// The same, but a field that is there keeps its TTL.
    fn change_field(&mut self, key: &[u8], field: &[u8], is_there: bool, value: &[u8]) -> Result<(), Refusal> {
        if !is_there {
            return self.overwrite_field(key, field, value);
        }
        self.turn.admit(field_record_bytes(key, field, value), key.len())?;
        self.write(key).hash_set(field, value)?;
        Ok(())
    }

    /// Random fields with their values; empty if the key does not exist.
    pub fn random_fields(&mut self, key: &[u8], draw: Draw) -> Result<Vec<FieldPair<'_>>, Refusal> {
        let mut rng = self.rng.fork();
        let Some(hash) = self.fields(key)? else { return Ok(Vec::new()) };
        if hash.len() < hash.places() {
            let seen: Vec<FieldPair<'_>> = hash.iter().collect();
            return Ok(draw.places(seen.len(), &mut rng).into_iter().map(|place| seen[place]).collect());
        }
        Ok(draw.places(hash.len(), &mut rng).into_iter().filter_map(|place| hash.at(place)).collect())
    }
}

/// The size of the record for setting a field, in bytes.
pub(super) fn field_record_bytes(key: &[u8], field: &[u8], value: &[u8]) -> u64 {
    record_bytes_parts(key.len(), [field.len(), value.len()].into_iter())
}
