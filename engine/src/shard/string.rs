//! Operations on strings.

use super::{ExpireCondition, Shard};
use crate::error::Refusal;
use crate::extended::Extended;
use crate::keyspace::{Entry, ValueRef};
use crate::limits::STRING_BYTES_MAX;
use crate::number;
use crate::ring::{record_bytes, record_bytes_parts};
use crate::turn::ttl_record_bytes;

/// When a SET takes effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SetCondition {
    /// In any case.
    #[default]
    Always,
    /// Only if the key does not exist (NX).
    IfAbsent,
    /// Only if the key exists (XX).
    IfPresent,
}

/// The effect on the key's TTL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ttl {
    /// It is removed.
    #[default]
    Clear,
    /// It is unchanged.
    Keep,
    /// It ends at this time, Unix milliseconds.
    At(u64),
}

/// The options of a SET.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetOptions {
    /// When it takes effect.
    pub condition: SetCondition,
    /// The effect on the TTL.
    pub ttl: Ttl,
    /// Whether the old value is returned; refused if it is not a string.
    pub get: bool,
}

/// The result of a SET.
#[derive(Debug, Default)]
pub struct SetOutcome {
    /// Whether the value was set.
    pub set: bool,
    /// The old value, if it was requested and existed.
    pub previous: Option<Vec<u8>>,
}

impl<'a> Entry<'a> {
    /// The string, `None` if the key does not exist; refused if it holds another type.
    #[inline]
    pub fn string(self) -> Result<Option<&'a [u8]>, Refusal> {
        match self.value() {
            None => Ok(None),
            Some(ValueRef::Str(bytes)) => Ok(Some(bytes)),
            Some(_) => Err(Refusal::WrongType),
        }
    }
}

impl Shard {
    /// The string at a key.
    #[inline]
    pub fn get(&mut self, key: &[u8]) -> Result<Option<&[u8]>, Refusal> {
        self.read(key).map_or(Ok(None), Entry::string)
    }

    /// Sets a string whatever there was, without a TTL: the plain SET, and the last step of all others.
    #[inline]
    pub fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Refusal> {
        self.turn.admit(Shard::set_record_bytes(key, value), key.len())?;
        let mut entry = self.write(key);
        entry.set_string(value);
        entry.clear_ttl();
        Ok(())
    }

    /// Sets a string with options.
    pub fn set_with(&mut self, key: &[u8], value: &[u8], options: SetOptions) -> Result<SetOutcome, Refusal> {
        let mut previous = None;
        if options.get {
            previous = self.get(key)?.map(<[u8]>::to_vec);
        }
        let holds = match options.condition {
            SetCondition::Always => true,
            SetCondition::IfAbsent => self.find(key).is_none(),
            SetCondition::IfPresent => self.find(key).is_some(),
        };
        if !holds {
            return Ok(SetOutcome { set: false, previous });
        }
        self.turn.admit(Shard::set_record_bytes(key, value), key.len())?;
        let mut entry = self.write(key);
        entry.set_string(value);
        match options.ttl {
            Ttl::Clear => {
                entry.clear_ttl();
            }
            Ttl::Keep => {}
            Ttl::At(at_ms) => entry.set_ttl(at_ms),
        }
        Ok(SetOutcome { set: true, previous })
    }

    /// Reads a string and deletes it.
    pub fn get_and_delete(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
        let value = self.get(key)?.map(<[u8]>::to_vec);
        if value.is_some() {
            self.delete(key);
        }
        Ok(value)
    }

    /// Reads a string and changes its TTL; an expiry in the past deletes it.
    pub fn get_and_expire(&mut self, key: &[u8], ttl: Ttl) -> Result<Option<Vec<u8>>, Refusal> {
        let value = self.get(key)?.map(<[u8]>::to_vec);
        match ttl {
            _ if value.is_none() => {}
            Ttl::Keep => {}
            Ttl::Clear => {
                self.persist(key)?;
            }
            Ttl::At(at_ms) => {
                let at_ms = i64::try_from(at_ms).unwrap_or(i64::MAX);
                self.expire_at(key, at_ms, ExpireCondition::default())?;
            }
        }
        Ok(value)
    }

    /// Appends to a string, an empty one if missing; returns its new length in bytes.
    pub fn append(&mut self, key: &[u8], suffix: &[u8]) -> Result<usize, Refusal> {
        let length = self.string_length(key)?;
        self.patch_string(key, length, suffix)
    }

    /// Overwrites part of a string from `offset` on, padded with zero bytes up to there; returns its length in bytes.
    pub fn set_range(&mut self, key: &[u8], offset: usize, patch: &[u8]) -> Result<usize, Refusal> {
        let length = self.string_length(key)?;
        if patch.is_empty() {
            return Ok(length);
        }
        self.patch_string(key, offset, patch)
    }

    fn patch_string(&mut self, key: &[u8], offset: usize, patch: &[u8]) -> Result<usize, Refusal> {
        let end = offset.checked_add(patch.len()).filter(|&end| end <= STRING_BYTES_MAX);
        end.ok_or(Refusal::StringTooLong)?;
        self.turn.admit(patch_record_bytes(key, patch.len()), key.len())?;
        self.write(key).overwrite_string(offset, patch)
    }

    /// The length of a string in bytes, 0 if the key does not exist.
    pub fn string_length(&mut self, key: &[u8]) -> Result<usize, Refusal> {
        Ok(self.get(key)?.map_or(0, <[u8]>::len))
    }

    /// Adds to the integer in a string, 0 if the key does not exist; returns the sum.
    pub fn increment(&mut self, key: &[u8], by: i64) -> Result<i64, Refusal> {
        let old = match self.get(key)? {
            None => 0,
            Some(text) => number::parse_i64(text).ok_or(Refusal::NotAnInteger)?,
        };
        let sum = old.checked_add(by).ok_or(Refusal::Overflow)?;
        self.overwrite(key, itoa::Buffer::new().format(sum).as_bytes())?;
        Ok(sum)
    }

    /// Adds to the number in a string, 0 if the key does not exist; returns the sum as stored.
    pub fn increment_float(&mut self, key: &[u8], by: Extended) -> Result<String, Refusal> {
        let old = match self.get(key)? {
            None => Extended::ZERO,
            Some(text) => Extended::parse(text).ok_or(Refusal::NotAFloat)?,
        };
        let sum = old.checked_add(by).ok_or(Refusal::NotFinite)?.format_human();
        self.overwrite(key, sum.as_bytes())?;
        Ok(sum)
    }

    /// Sets the string of a key that is known to hold a string or nothing; the TTL is unchanged.
    fn overwrite(&mut self, key: &[u8], value: &[u8]) -> Result<(), Refusal> {
        self.turn.admit(record_bytes(key.len(), value.len()), key.len())?;
        self.write(key).set_string(value);
        Ok(())
    }

    /// The most bytes that the records of a plain SET take.
    #[inline]
    pub fn set_record_bytes(key: &[u8], value: &[u8]) -> u64 {
        record_bytes(key.len(), value.len()) + ttl_record_bytes(key)
    }
}

/// The most that the record of a string's overwritten part takes, in bytes.
pub(super) fn patch_record_bytes(key: &[u8], length: usize) -> u64 {
    /// The longest text of an offset.
    const OFFSET_BYTES: usize = 20;
    record_bytes_parts(key.len(), [OFFSET_BYTES, length].into_iter())
}
