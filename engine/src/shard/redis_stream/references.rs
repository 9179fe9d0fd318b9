//! Deleting entries of Redis streams with what becomes of the references that groups have to them, as Redis 8.2 does.

use super::ID_BYTES;
use super::groups::{group_of, ids_record_bytes};
use crate::collection::{EntryId, EntryIds, RedisStream};
use crate::error::Refusal;
use crate::keyspace::{Bytes, EntryMut};
use crate::ring::record_bytes_parts;
use crate::shard::Shard;
use std::collections::HashSet;

/// What becomes of the entries that are pending in groups as they are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum References {
    /// They stay pending.
    Keep,
    /// They are not pending any more.
    Delete,
    /// An entry is deleted only if every group has delivered it and it is pending in none.
    Await,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryFate {
    /// There is none with this id, or the group did not have it pending.
    Absent,
    /// It was deleted, and acknowledged if that was asked for.
    Deleted,
    /// A group has it pending, or has not delivered it yet.
    Referenced,
}

/// Whether a group other than `but` has an entry pending, or any group has not delivered its id yet.
fn is_referenced(stream: &RedisStream, id: EntryId, but: Option<&[u8]>) -> bool {
    stream
        .groups()
        .any(|(name, group)| group.last_delivered() < id || Some(name) != but && group.pending_entry(id).is_some())
}

/// The groups in which entries stop being pending.
fn groups_to_clear(stream: &RedisStream, references: References) -> Vec<Bytes> {
    let groups = stream.groups().filter(|(_, group)| references == References::Delete && group.pending_count() > 0);
    groups.map(|(name, _)| Bytes::from_slice(name)).collect()
}

/// Requests room for the records of these ids, for each of the groups and for the entries.
fn admit(entry: &mut EntryMut<'_>, key: &[u8], groups: &[Bytes], ids: usize) -> Result<(), Refusal> {
    let acknowledged = groups.iter().map(|group| ids_record_bytes(key, [group, b""], ids)).sum::<u64>();
    entry.admit(acknowledged + record_bytes_parts(key.len(), std::iter::repeat_n(ID_BYTES, ids)))
}

impl Shard {
    /// Deletes entries; returns what became of each. All of them are absent if there is no such key.
    pub fn delete_entries_and(
        &mut self,
        key: &[u8],
        ids: &[EntryId],
        references: References,
    ) -> Result<Vec<EntryFate>, Refusal> {
        let absent = vec![EntryFate::Absent; ids.len()];
        let Some(mut entry) = self.find(key) else { return Ok(absent) };
        let Some(stream) = entry.view().redis_stream()? else { return Ok(absent) };
        let (mut going, mut seen) = (EntryIds::new(), HashSet::new());
        let mut fate = |id: EntryId| {
            if references == References::Await && is_referenced(stream, id, None) {
                return EntryFate::Referenced;
            }
            if stream.get(id).is_none() || !seen.insert(id) {
                return EntryFate::Absent;
            }
            going.push(id);
            EntryFate::Deleted
        };
        let fates = ids.iter().map(|id| fate(*id)).collect();
        let groups = groups_to_clear(stream, references);
        admit(&mut entry, key, &groups, ids.len())?;
        for group in &groups {
            entry.stream_acknowledge(group, ids.iter().copied())?;
        }
        entry.stream_delete(going.into_iter())?;
        Ok(fates)
    }

    /// Takes entries off the pending ones of a group, and deletes them; returns what became of each. All of them are absent
    /// if there is no such key or group.
    pub fn acknowledge_and_delete(
        &mut self,
        key: &[u8],
        group: &[u8],
        ids: &[EntryId],
        references: References,
    ) -> Result<Vec<EntryFate>, Refusal> {
        let absent = vec![EntryFate::Absent; ids.len()];
        let Some(mut entry) = self.find(key) else { return Ok(absent) };
        let (stream, of_group) = match group_of(&entry, group) {
            Err(Refusal::NoSuchGroup) => return Ok(absent),
            found => found?,
        };
        let (mut acknowledged, mut going, mut seen) = (EntryIds::new(), EntryIds::new(), HashSet::new());
        let mut fate = |id: EntryId| {
            if of_group.pending_entry(id).is_none() || !seen.insert(id) {
                return EntryFate::Absent;
            }
            acknowledged.push(id);
            if references == References::Await && is_referenced(stream, id, Some(group)) {
                return EntryFate::Referenced;
            }
            going.push(id);
            EntryFate::Deleted
        };
        let fates = ids.iter().map(|id| fate(*id)).collect();
        let mut groups = groups_to_clear(stream, references);
        groups.retain(|name| &name[..] != group);
        groups.push(Bytes::from_slice(group));
        admit(&mut entry, key, &groups, ids.len())?;
        for group in &groups {
            entry.stream_acknowledge(group, acknowledged.iter().copied())?;
        }
        entry.stream_delete(going.into_iter())?;
        Ok(fates)
    }
}
