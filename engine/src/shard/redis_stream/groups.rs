//! Operations on the consumer groups of Redis streams.

use super::{DIGITS_MAX, ID_BYTES};
use crate::collection::{Delivery, EntryId, EntryIds, RedisStream, StreamGroup, Times};
use crate::error::Refusal;
use crate::keyspace::EntryMut;
use crate::ring::{record_bytes, record_bytes_parts};
use crate::shard::Shard;
use std::collections::HashMap;

/// Where a group begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupStart {
    /// Behind the stream's last entry.
    Last,
    /// Behind this id.
    Behind(EntryId),
}

impl GroupStart {
    fn id(self, stream: Option<&RedisStream>) -> EntryId {
        match self {
            GroupStart::Last => stream.map_or(EntryId::MIN, RedisStream::last_id),
            GroupStart::Behind(id) => id,
        }
    }
}

/// How a claim changes what it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimRule {
    /// Only entries that were delivered so many milliseconds ago; 0 for all.
    pub min_idle_ms: u64,
    /// When they count as delivered, Unix time in milliseconds.
    pub delivered_ms: u64,
    /// What becomes of the number of deliveries.
    pub times: Times,
    /// Whether entries that are not pending become so.
    pub is_forced: bool,
    /// The id that the group has delivered at least.
    pub last_id: Option<EntryId>,
}

/// What an automatic claim has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutoClaimed {
    /// The entries that were claimed.
    pub claimed: EntryIds,
    /// The ids of pending entries that the stream does not have any more: they are not pending now.
    pub gone: EntryIds,
    /// The next pending entry.
    pub next: Option<EntryId>,
}

/// The most that the record of an event with these names, a number of ids, and other short texts takes, in bytes.
pub(super) fn ids_record_bytes(key: &[u8], names: [&[u8]; 2], ids: usize) -> u64 {
    let texts = std::iter::repeat_n(ID_BYTES, ids + 2);
    record_bytes_parts(key.len(), names.into_iter().map(<[u8]>::len).chain(texts))
}

fn group_record_bytes(key: &[u8], group: &[u8]) -> u64 {
    record_bytes_parts(key.len(), [group.len(), ID_BYTES, DIGITS_MAX].into_iter())
}

/// The stream of an entry, and one of its groups.
pub(super) fn group_of<'e>(
    entry: &'e EntryMut<'_>,
    group: &[u8],
) -> Result<(&'e RedisStream, &'e StreamGroup), Refusal> {
    let stream = entry.view().redis_stream()?.ok_or(Refusal::NoSuchGroup)?;
    Ok((stream, stream.group(group).ok_or(Refusal::NoSuchGroup)?))
}

impl Shard {
    /// Creates a group, with an empty stream if there is none and `creates` says so.
    ///
    /// # Errors
    /// There is no such key, or the group exists.
    pub fn create_stream_group(
        &mut self,
        key: &[u8],
        group: &[u8],
        (start, entries_read): (GroupStart, Option<u64>),
        creates: bool,
    ) -> Result<(), Refusal> {
        match self.find(key) {
            None if creates => {}
            None => return Err(Refusal::NoSuchKey),
            Some(entry) => {
                let stream = entry.view().redis_stream()?;
                if stream.is_some_and(|stream| stream.group(group).is_some()) {
                    return Err(Refusal::GroupExists);
                }
            }
        }
        self.admit(group_record_bytes(key, group), key.len())?;
        let mut entry = self.write(key);
        let id = start.id(entry.view().redis_stream()?);
        entry.stream_set_group(group, id, entries_read)
    }

    /// The entry of a Redis stream, for changing; its records take so many bytes.
    fn redis_stream_entry(&mut self, key: &[u8], bytes: u64) -> Result<EntryMut<'_>, Refusal> {
        self.turn.admit(bytes, key.len())?;
        let entry = self.find(key).ok_or(Refusal::NoSuchKey)?;
        entry.view().redis_stream()?;
        Ok(entry)
    }

    /// Sets how far a group has delivered.
    ///
    /// # Errors
    /// There is no such key or group.
    pub fn set_stream_group(
        &mut self,
        key: &[u8],
        group: &[u8],
        (start, entries_read): (GroupStart, Option<u64>),
    ) -> Result<(), Refusal> {
        let mut entry = self.redis_stream_entry(key, group_record_bytes(key, group))?;
        let id = start.id(Some(group_of(&entry, group)?.0));
        entry.stream_set_group(group, id, entries_read)
    }

    /// Removes a group; returns whether it existed.
    ///
    /// # Errors
    /// There is no such key.
    pub fn remove_stream_group(&mut self, key: &[u8], group: &[u8]) -> Result<bool, Refusal> {
        self.redis_stream_entry(key, record_bytes(key.len(), group.len()))?.stream_remove_group(group)
    }

    /// Creates a consumer; returns whether it is new.
    ///
    /// # Errors
    /// There is no such key or group.
    pub fn add_stream_consumer(&mut self, key: &[u8], group: &[u8], consumer: &[u8]) -> Result<bool, Refusal> {
        let now_ms = self.turn.now_ms();
        let bytes = ids_record_bytes(key, [group, consumer], 0);
        self.redis_stream_entry(key, bytes)?.stream_add_consumer(group, consumer, now_ms)
    }

    /// Removes a consumer; returns how many entries it had, 0 if there is no such consumer.
    ///
    /// # Errors
    /// There is no such key or group.
    pub fn remove_stream_consumer(&mut self, key: &[u8], group: &[u8], consumer: &[u8]) -> Result<usize, Refusal> {
        let mut entry = self.redis_stream_entry(key, ids_record_bytes(key, [group, consumer], 0))?;
        group_of(&entry, group)?;
        entry.stream_remove_consumer(group, consumer).map(Option::unwrap_or_default)
    }

    /// Delivers up to `most` entries that the group has not delivered yet to a consumer, which is created if it is new. `None`
    /// if there is no such entry: then nothing has changed.
    ///
    /// # Errors
    /// There is no such group.
    pub fn read_stream_group(
        &mut self,
        key: &[u8],
        (group, consumer): (&[u8], &[u8]),
        most: usize,
        is_acknowledged: bool,
    ) -> Result<Option<Delivery>, Refusal> {
        let now_ms = self.turn.now_ms();
        // Of the consumer, if it is new, and of the delivery.
        self.turn.admit(2 * ids_record_bytes(key, [group, consumer], 1), key.len())?;
        let mut entry = self.find(key).ok_or(Refusal::NoSuchGroup)?;
        let (stream, of_group) = group_of(&entry, group)?;
        if !stream.has_beyond(of_group.last_delivered()) {
            return Ok(None);
        }
        entry.stream_deliver((group, consumer), (EntryId::MAX, most), is_acknowledged, now_ms)
    }

    /// Delivers entries once more that a consumer has, behind an id; returns up to `most` of them. Those that the stream does
    /// not have any more are not counted as delivered.
    ///
    /// # Errors
    /// There is no such group.
    pub fn reread_stream_group(
        &mut self,
        key: &[u8],
        (group, consumer): (&[u8], &[u8]),
        behind: EntryId,
        most: usize,
    ) -> Result<Vec<EntryId>, Refusal> {
        let now_ms = self.turn.now_ms();
        let mut entry = self.find(key).ok_or(Refusal::NoSuchGroup)?;
        let (stream, of_group) = group_of(&entry, group)?;
        let Some(of_consumer) = of_group.consumer(consumer) else {
            entry.admit(ids_record_bytes(key, [group, consumer], 0))?;
            entry.stream_ask(group, consumer, now_ms)?;
            return Ok(Vec::new());
        };
        // Redis begins at the least id where there is none behind.
        let from = behind.next().unwrap_or(behind);
        let ids: Vec<EntryId> = of_consumer.pending(from, EntryId::MAX).take(most).collect();
        let there: EntryIds = ids.iter().copied().filter(|id| stream.get(*id).is_some()).collect();
        if there.is_empty() {
            entry.stream_ask(group, consumer, now_ms)?;
        } else {
            entry.admit(ids_record_bytes(key, [group, consumer], there.len()))?;
            entry.stream_claim((group, consumer), &there, (now_ms, Times::More), now_ms)?;
        }
        Ok(ids)
    }

    /// Takes entries off the pending ones of a group; returns how many were, 0 if there is no such key or group.
    pub fn acknowledge_entries(&mut self, key: &[u8], group: &[u8], ids: &[EntryId]) -> Result<usize, Refusal> {
        let Some(mut entry) = self.find(key) else { return Ok(0) };
        match group_of(&entry, group) {
            Ok(_) => {}
            Err(Refusal::NoSuchGroup) => return Ok(0),
            Err(refusal) => return Err(refusal),
        }
        entry.admit(ids_record_bytes(key, [group, b""], ids.len()))?;
        entry.stream_acknowledge(group, ids.iter().copied())
    }

    /// Gives pending entries to a consumer, which is created if it is new; returns those that it has got. Ids that the stream
    /// does not have any more are not pending any more.
    ///
    /// # Errors
    /// There is no such group.
    pub fn claim_entries(
        &mut self,
        key: &[u8],
        (group, consumer): (&[u8], &[u8]),
        ids: &[EntryId],
        rule: ClaimRule,
    ) -> Result<EntryIds, Refusal> {
        let now_ms = self.turn.now_ms();
        let mut entry = self.find(key).ok_or(Refusal::NoSuchGroup)?;
        let (stream, of_group) = group_of(&entry, group)?;
        let raised = rule.last_id.filter(|id| *id > of_group.last_delivered());
        let (mut claimed, mut gone) = (EntryIds::new(), EntryIds::new());
        // When those were delivered that come twice.
        let mut changed: HashMap<EntryId, Option<u64>> = HashMap::new();
        for &id in ids {
            let before = || of_group.pending_entry(id).map(|entry| entry.delivered_ms);
            let delivered_ms = changed.get(&id).copied().unwrap_or_else(before);
            let new = if stream.get(id).is_none() {
                if delivered_ms.is_some() {
                    gone.push(id);
                }
                None
            } else {
                let is_idle = |ms: u64| rule.min_idle_ms == 0 || now_ms.saturating_sub(ms) >= rule.min_idle_ms;
                if !delivered_ms.map_or(rule.is_forced, is_idle) {
                    continue;
                }
                claimed.push(id);
                Some(rule.delivered_ms)
            };
            if ids.len() > 1 {
                changed.insert(id, new);
            }
        }
        let entries_read = of_group.entries_read();
        let names = [group, consumer];
        // Of the consumer, if it is new, and of what it gets.
        let ids_bytes = ids_record_bytes(key, names, 0) + ids_record_bytes(key, names, claimed.len());
        entry.admit(ids_bytes + ids_record_bytes(key, [group, b""], gone.len()) + group_record_bytes(key, group))?;
        if let Some(id) = raised {
            entry.stream_set_group(group, id, entries_read)?;
        }
        // A consumer that gets nothing is not created.
        if !claimed.is_empty() {
            entry.stream_claim((group, consumer), &claimed, (rule.delivered_ms, rule.times), now_ms)?;
        }
        entry.stream_acknowledge(group, gone.iter().copied())?;
        Ok(claimed)
    }

    /// Gives up to `most` pending entries from an id on to a consumer, which is created if it is new, of those that were
    /// delivered so many milliseconds ago; looks at ten times as many. Ids that the stream does not have any more count too, and
    /// are not pending any more.
    ///
    /// # Errors
    /// There is no such group.
    pub fn auto_claim_entries(
        &mut self,
        key: &[u8],
        (group, consumer): (&[u8], &[u8]),
        (from, most): (EntryId, usize),
        (min_idle_ms, times): (u64, Times),
    ) -> Result<AutoClaimed, Refusal> {
        /// The entries that are looked at for each that may be claimed.
        const LOOKS: usize = 10;
        let now_ms = self.turn.now_ms();
        let mut entry = self.find(key).ok_or(Refusal::NoSuchGroup)?;
        let (stream, of_group) = group_of(&entry, group)?;
        let (mut claimed, mut gone) = (EntryIds::new(), EntryIds::new());
        let mut pending = of_group.pending(from, EntryId::MAX);
        for (id, of_entry) in pending.by_ref().take(most.saturating_mul(LOOKS)) {
            if stream.get(id).is_none() {
                gone.push(id);
            } else if min_idle_ms == 0 || now_ms.saturating_sub(of_entry.delivered_ms) >= min_idle_ms {
                claimed.push(id);
            }
            if claimed.len() + gone.len() >= most {
                break;
            }
        }
        let next = pending.next().map(|(id, _)| id);
        drop(pending);
        let names = [group, consumer];
        // Of the consumer, if it is new, and of what it gets.
        let ids_bytes = ids_record_bytes(key, names, 0) + ids_record_bytes(key, names, claimed.len());
        entry.admit(ids_bytes + ids_record_bytes(key, [group, b""], gone.len()))?;
        if !claimed.is_empty() {
            entry.stream_claim((group, consumer), &claimed, (now_ms, times), now_ms)?;
        }
        entry.stream_acknowledge(group, gone.iter().copied())?;
        Ok(AutoClaimed { claimed, gone, next })
    }
}
