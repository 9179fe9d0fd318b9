//! Operations on the entries of Redis streams; those on consumer groups are in `groups`, and what deletes
//! with regard to groups in `references`.

mod groups;
mod references;

pub use groups::{AutoClaimed, ClaimRule, GroupStart};
pub use references::{EntryFate, References};

use super::Shard;
use crate::collection::{EntryId, RedisStream, Trim};
use crate::error::{Refusal, StreamConflict};
use crate::keyspace::{Entry, ValueRef};
use crate::ring::{record_bytes, record_bytes_parts};

/// The longest text of an id in bytes.
const ID_BYTES: usize = 41;

/// The longest decimal of a number in bytes.
const DIGITS_MAX: usize = 20;

/// The id of a new entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewEntryId {
    /// The turn's time, or the last id's if that is later, and the next number.
    Any,
    /// This time, and the next number.
    AnySeq(u64),
    /// This one.
    Is(EntryId),
}

impl NewEntryId {
    /// The id behind the last one; `None` if it is not greater.
    #[inline]
    fn choose(self, last: EntryId, now_ms: u64) -> Option<EntryId> {
        let id = match self {
            NewEntryId::Any if now_ms > last.ms => EntryId { ms: now_ms, seq: 0 },
            NewEntryId::Any => last.next()?,
            NewEntryId::AnySeq(ms) if ms == last.ms => EntryId { ms, seq: last.seq.checked_add(1)? },
            NewEntryId::AnySeq(ms) => EntryId { ms, seq: 0 },
            NewEntryId::Is(id) => id,
        };
        (id > last).then_some(id)
    }
}

/// What becomes of a stream as an entry is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddRule {
    /// Whether the stream is created if there is none.
    pub creates: bool,
    /// How it is trimmed next.
    pub trim: Option<Trim>,
}

impl<'a> Entry<'a> {
    /// The Redis stream, `None` if the key does not exist; refused if it holds another type.
    #[inline]
    pub fn redis_stream(self) -> Result<Option<&'a RedisStream>, Refusal> {
        match self.value() {
            None => Ok(None),
            Some(ValueRef::RedisStream(stream)) => Ok(Some(stream)),
            Some(_) => Err(Refusal::WrongType),
        }
    }
}

impl Shard {
    /// The Redis stream at a key.
    #[inline]
    pub fn redis_stream(&mut self, key: &[u8]) -> Result<Option<&RedisStream>, Refusal> {
        self.read(key).map_or(Ok(None), Entry::redis_stream)
    }

    /// Appends an entry; returns its id, `None` if there is no stream and the rule creates none. The id must not be the least
    /// one.
    pub fn add_entry<'k>(
        &mut self,
        key: &[u8],
        id: NewEntryId,
        pairs: impl Iterator<Item = (&'k [u8], &'k [u8])> + Clone,
        rule: AddRule,
    ) -> Result<Option<EntryId>, Refusal> {
        let words = pairs.clone().map(|(name, value)| name.len() + 4 + value.len());
        let trim_bytes = if rule.trim.is_some() { record_bytes(key.len(), ID_BYTES) } else { 0 };
        let bytes = record_bytes_parts(key.len(), std::iter::once(ID_BYTES).chain(words));
        self.turn.admit(bytes + trim_bytes, key.len())?;
        if !rule.creates && self.find(key).is_none() {
            return Ok(None);
        }
        let now_ms = self.turn.now_ms();
        let mut entry = self.write(key);
        let last = entry.view().redis_stream()?.map_or(EntryId::MIN, RedisStream::last_id);
        if last == EntryId::MAX {
            return Err(Refusal::EntryIdsUsedUp);
        }
        // A key that is new here refuses no id: a refused one would leave it without a value.
        let id = id.choose(last, now_ms).ok_or(Refusal::EntryIdNotGreater)?;
        entry.stream_append(id, pairs)?;
        if let Some(trim) = rule.trim {
            entry.stream_trim(trim)?;
        }
        Ok(Some(id))
    }

    /// Deletes entries; returns how many existed.
    pub fn delete_entries(&mut self, key: &[u8], ids: &[EntryId]) -> Result<usize, Refusal> {
        let Some(mut entry) = self.find(key) else { return Ok(0) };
        if entry.view().redis_stream()?.is_none() {
            return Ok(0);
        }
        entry.admit(record_bytes_parts(key.len(), ids.iter().map(|_| ID_BYTES)))?;
        entry.stream_delete(ids.iter().copied()).map(|deleted| deleted.len())
    }

    /// Trims a stream; returns how many entries were removed.
    pub fn trim_entries(&mut self, key: &[u8], trim: Trim) -> Result<u64, Refusal> {
        let Some(mut entry) = self.find(key) else { return Ok(0) };
        if entry.view().redis_stream()?.is_none() {
            return Ok(0);
        }
        entry.admit(record_bytes(key.len(), ID_BYTES))?;
        entry.stream_trim(trim)
    }

    /// Sets what a stream knows of entries that it does not have: its last id, and if they are given the number of entries ever
    /// added and the greatest id that was deleted.
    ///
    /// # Errors
    /// There is no such key, or the entries contradict.
    pub fn set_stream_state(
        &mut self,
        key: &[u8],
        last_id: EntryId,
        added: Option<u64>,
        max_deleted: Option<EntryId>,
    ) -> Result<(), Refusal> {
        let mut entry = self.find(key).ok_or(Refusal::NoSuchKey)?;
        let stream = entry.view().redis_stream()?.ok_or(Refusal::NoSuchKey)?;
        let conflict = |conflict| Err(Refusal::StreamState(conflict));
        if stream.last().is_some_and(|last| last_id < last) {
            return conflict(StreamConflict::LastId);
        }
        if added.is_some_and(|added| !stream.is_empty() && added < stream.len()) {
            return conflict(StreamConflict::Added);
        }
        let (added, max_deleted) = (added.unwrap_or(stream.added()), max_deleted.unwrap_or(stream.max_deleted()));
        entry.admit(record_bytes_parts(key.len(), [ID_BYTES, DIGITS_MAX, ID_BYTES].into_iter()))?;
        entry.stream_set_state(last_id, added, max_deleted)
    }
}
