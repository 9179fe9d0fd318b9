//! Operations on strings as rows of bits.

use super::Shard;
use super::string::patch_record_bytes;
use crate::bits::{Field, FieldChange};
use crate::error::Refusal;
use crate::limits::STRING_BYTES_MAX;

impl Shard {
    /// Sets one bit of a string, which becomes as long as that takes; returns the old bit. Nothing is recorded where
    /// nothing changes.
    pub fn set_bit(&mut self, key: &[u8], at: usize, bit: bool) -> Result<bool, Refusal> {
        let (index, mask) = (at / 8, 0x80 >> (at % 8));
        if index >= STRING_BYTES_MAX {
            return Err(Refusal::StringTooLong);
        }
        let there = self.get(key)?.and_then(|bytes| bytes.get(index).copied());
        let byte = there.unwrap_or(0);
        let old = byte & mask != 0;
        if there.is_none() || old != bit {
            self.turn.admit(patch_record_bytes(key, 1), key.len())?;
            self.write(key).overwrite_string(index, &[if bit { byte | mask } else { byte & !mask }])?;
        }
        Ok(old)
    }

    /// Changes fields of a string one after the other; returns the result of each, `None` for one that its field has no
    /// room for. Unless all of them are only read, the string becomes as long as they take.
    pub fn change_fields(&mut self, key: &[u8], changes: &[(Field, FieldChange)]) -> Result<Vec<Option<i64>>, Refusal> {
        /// The most bytes that a field is in.
        const FIELD_BYTES: usize = 9;
        let writes = || changes.iter().filter(|(_, change)| *change != FieldChange::Get);
        let length = writes().map(|(field, _)| field.end().div_ceil(8)).max();
        let bytes = self.get(key)?;
        let Some(length) = length else {
            let bytes = bytes.unwrap_or_default();
            return Ok(changes.iter().map(|(field, _)| Some(field.get(bytes))).collect());
        };
        if length > STRING_BYTES_MAX {
            return Err(Refusal::StringTooLong);
        }
        let grows = bytes.is_none_or(|bytes| bytes.len() < length);
        let records = writes().count() as u64 * patch_record_bytes(key, FIELD_BYTES);
        self.turn.admit(records + patch_record_bytes(key, 1), key.len())?;
        let mut entry = self.write(key);
        if grows {
            entry.overwrite_string(length - 1, &[0])?;
        }
        let mut results = Vec::with_capacity(changes.len());
        for (field, change) in changes {
            let (result, patch) = field.change(entry.view().string()?.unwrap_or_default(), *change);
            if let Some((offset, bytes)) = patch {
                entry.overwrite_string(offset, &bytes)?;
            }
            results.push(result);
        }
        Ok(results)
    }
}
