//! The consumers of a group: by name for commands, by number for the entries that they hold.

use super::codec::ID_MAX;
use super::error::{GROUP_CONSUMERS_MAX, GroupError, check_name};
use std::collections::BTreeMap;

/// A consumer's number within its group, never used for another consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId(pub(super) u64);

/// The memory of a consumer besides its names, in bytes.
const CONSUMER_BYTES: usize = 128;

#[derive(Default)]
pub(super) struct Consumers {
    by_name: BTreeMap<Box<[u8]>, ConsumerId>,
    by_id: BTreeMap<ConsumerId, Consumer>,
    next: u64,
    /// The total length of all names.
    name_bytes: usize,
}

pub(super) struct Consumer {
    pub(super) name: Box<[u8]>,
    /// The time of its last read or claim, Unix milliseconds.
    pub(super) seen_ms: u64,
}

impl Consumers {
    /// The consumer of this name, noted as seen now, and whether it was added because it is new.
    pub(super) fn seen(&mut self, name: &[u8], now_ms: u64) -> Result<(ConsumerId, bool), GroupError> {
        if let Some(&id) = self.by_name.get(name) {
            self.set_seen(id, now_ms);
            return Ok((id, false));
        }
        check_name(name)?;
        if self.by_name.len() >= GROUP_CONSUMERS_MAX || self.next > ID_MAX {
            return Err(GroupError::TooManyConsumers);
        }
        let id = ConsumerId(self.next);
        self.put(id, name, now_ms);
        Ok((id, true))
    }

    /// Adds a consumer with this number. Replaces those that had the number or the name.
    pub(super) fn put(&mut self, id: ConsumerId, name: &[u8], seen_ms: u64) {
        self.remove(id);
        self.id(name).into_iter().for_each(|before| self.remove(before));
        self.next = self.next.max(id.0 + 1);
        self.name_bytes += name.len();
        self.by_name.insert(name.into(), id);
        self.by_id.insert(id, Consumer { name: name.into(), seen_ms });
    }

    /// Notes the time of a consumer's read or claim.
    pub(super) fn set_seen(&mut self, id: ConsumerId, seen_ms: u64) {
        if let Some(consumer) = self.by_id.get_mut(&id) {
            consumer.seen_ms = seen_ms;
        }
    }

    /// Limits the times at which consumers were seen to `now_ms`.
    pub(super) fn bound_times(&mut self, now_ms: u64) {
        self.by_id.values_mut().for_each(|consumer| consumer.seen_ms = consumer.seen_ms.min(now_ms));
    }

    /// The number of the next new consumer.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Makes the numbers of new consumers start at `next`, or above if they already do.
    pub(super) fn continue_from(&mut self, next: u64) {
        self.next = self.next.max(next);
    }

    pub(super) fn id(&self, name: &[u8]) -> Option<ConsumerId> {
        self.by_name.get(name).copied()
    }

    pub(super) fn remove(&mut self, id: ConsumerId) {
        if let Some(consumer) = self.by_id.remove(&id) {
            self.by_name.remove(&consumer.name);
            self.name_bytes -= consumer.name.len();
        }
    }

    /// The name of an entry's consumer; empty where no consumer holds the entry.
    pub(super) fn name(&self, id: Option<ConsumerId>) -> &[u8] {
        id.and_then(|id| self.by_id.get(&id)).map_or(b"", |consumer| &consumer.name)
    }

    /// The consumer of a number.
    pub(super) fn get(&self, id: ConsumerId) -> Option<&Consumer> {
        self.by_id.get(&id)
    }

    /// All consumers, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ConsumerId, &Consumer)> {
        self.by_name.values().filter_map(|id| Some((*id, self.by_id.get(id)?)))
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// The approximate memory of the consumers, in bytes. Each name is stored twice.
    pub(super) fn memory_bytes(&self) -> usize {
        self.name_bytes * 2 + self.by_name.len() * CONSUMER_BYTES
    }
}
