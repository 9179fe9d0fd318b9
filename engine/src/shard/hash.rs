//! Operations on hashes.

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

    /// The value of one field.
    fn field(self, field: &[u8]) -> Result<Option<&'a [u8]>, Refusal> {
        Ok(self.fields()?.and_then(|hash| hash.get(field)))
    }
}

impl Shard {
    /// The hash at a key.
    #[inline]
    pub fn fields(&mut self, key: &[u8]) -> Result<Option<HashRef<'_>>, Refusal> {
        self.read(key).map_or(Ok(None), Entry::fields)
    }

    /// Sets fields, at least one; returns how many are new.
    pub fn set_fields<'k>(
        &mut self,
        key: &[u8],
        pairs: impl Iterator<Item = (&'k [u8], &'k [u8])> + Clone,
    ) -> Result<usize, Refusal> {
        self.turn.admit(pairs.clone().map(|(field, value)| field_record_bytes(key, field, value)).sum(), key.len())?;
        let mut entry = self.write(key);
        let mut added = 0;
        for (field, value) in pairs {
            // A wrong type is refused at the first field, before anything has changed.
            added += usize::from(entry.hash_set(field, value)?);
        }
        Ok(added)
    }

    /// Sets a field if it does not exist; returns whether it did.
    pub fn set_field_if_absent(&mut self, key: &[u8], field: &[u8], value: &[u8]) -> Result<bool, Refusal> {
        if let Some(entry) = self.find(key)
            && entry.view().field(field)?.is_some()
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
        let Some(mut entry) = self.find(key) else { return Ok(0) };
        let Some(hash) = entry.view().fields()? else { return Ok(0) };
        let there = fields.clone().filter(|field| hash.contains(field));
        let bytes = there.map(|field| record_bytes(key.len(), field.len())).sum();
        entry.admit(bytes)?;
        let mut deleted = 0;
        for field in fields {
            deleted += usize::from(entry.hash_delete(field)?);
        }
        Ok(deleted)
    }

    /// Adds to the integer in a field, 0 if missing; returns the sum.
    pub fn increment_field(&mut self, key: &[u8], field: &[u8], by: i64) -> Result<i64, Refusal> {
        let old = match self.find(key) {
            None => None,
            Some(entry) => entry
                .view()
                .field(field)?
                .map(|text| number::parse_i64(text).ok_or(Refusal::FieldNotAnInteger))
                .transpose()?,
        };
        let sum = old.unwrap_or(0).checked_add(by).ok_or(Refusal::Overflow)?;
        self.overwrite_field(key, field, itoa::Buffer::new().format(sum).as_bytes())?;
        Ok(sum)
    }

    /// Adds to the number in a field, 0 if missing; returns the sum as stored.
    pub fn increment_field_float(&mut self, key: &[u8], field: &[u8], by: Extended) -> Result<String, Refusal> {
        let old = match self.find(key) {
            None => None,
            Some(entry) => entry
                .view()
                .field(field)?
                .map(|text| Extended::parse(text).ok_or(Refusal::FieldNotAFloat))
                .transpose()?,
        };
        let sum = old.unwrap_or(Extended::ZERO).checked_add(by).ok_or(Refusal::NotFinite)?.format_human();
        self.overwrite_field(key, field, sum.as_bytes())?;
        Ok(sum)
    }

    /// Sets one field of a key that is known to hold a hash or nothing.
    fn overwrite_field(&mut self, key: &[u8], field: &[u8], value: &[u8]) -> Result<(), Refusal> {
        self.turn.admit(field_record_bytes(key, field, value), key.len())?;
        self.write(key).hash_set(field, value)?;
        Ok(())
    }

    /// Random fields with their values; empty if the key does not exist.
    pub fn random_fields(&mut self, key: &[u8], draw: Draw) -> Result<Vec<FieldPair<'_>>, Refusal> {
        let mut rng = self.rng.fork();
        let Some(hash) = self.fields(key)? else { return Ok(Vec::new()) };
        Ok(draw.places(hash.len(), &mut rng).into_iter().filter_map(|place| hash.at(place)).collect())
    }
}

/// The size of the record for setting a field, in bytes.
fn field_record_bytes(key: &[u8], field: &[u8], value: &[u8]) -> u64 {
    record_bytes_parts(key.len(), [field.len(), value.len()].into_iter())
}
