//! The members of a group: by name for those who ask, by number for the entries they hold.

use super::{GROUP_CONSUMERS_MAX, GroupError, check_name};
use std::collections::BTreeMap;

/// A consumer's number within its group; never given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ConsumerId(u64);

#[derive(Default)]
pub(super) struct Consumers {
    by_name: BTreeMap<Box<[u8]>, ConsumerId>,
    by_id: BTreeMap<ConsumerId, Consumer>,
    next: u64,
}

pub(super) struct Consumer {
    pub(super) name: Box<[u8]>,
    /// When it last read or claimed, Unix milliseconds.
    pub(super) seen_ms: u64,
}

impl Consumers {
    /// The consumer of this name, which has just been heard of; made where there is none.
    pub(super) fn seen(&mut self, name: &[u8], now_ms: u64) -> Result<ConsumerId, GroupError> {
        if let Some(&id) = self.by_name.get(name) {
            if let Some(consumer) = self.by_id.get_mut(&id) {
                consumer.seen_ms = now_ms;
            }
            return Ok(id);
        }
        check_name(name)?;
        if self.by_name.len() >= GROUP_CONSUMERS_MAX {
            return Err(GroupError::TooManyConsumers);
        }
        let id = ConsumerId(self.next);
        self.next += 1;
        self.by_name.insert(name.into(), id);
        self.by_id.insert(id, Consumer { name: name.into(), seen_ms: now_ms });
        Ok(id)
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> Option<ConsumerId> {
        let id = self.by_name.remove(name)?;
        self.by_id.remove(&id);
        Some(id)
    }

    /// The name of a consumer; empty for an entry that nobody holds.
    pub(super) fn name(&self, id: Option<ConsumerId>) -> &[u8] {
        id.and_then(|id| self.by_id.get(&id)).map_or(b"", |consumer| &consumer.name)
    }

    /// All, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ConsumerId, &Consumer)> {
        self.by_name.values().filter_map(|id| Some((*id, self.by_id.get(id)?)))
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }
}
