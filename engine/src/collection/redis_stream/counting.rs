//! How many of all entries that were ever added a group has read, and how many it has not: as redis-server 7.0 counts them,
//! which is not always possible after entries were deleted.

use super::{EntryId, RedisStream, StreamGroup};

impl RedisStream {
    /// Whether an entry with this id or a greater one was deleted by itself, as far as is known, and others before it were
    /// not; `first` is the stream's first entry.
    fn has_deleted_from(&self, id: EntryId, first: Option<EntryId>) -> bool {
        self.max_deleted != EntryId::MIN
            && id <= self.max_deleted
            && first.is_some_and(|first| first <= self.max_deleted)
    }

    /// How many of all entries ever added were at or before an id, if that is certain; `first` is the stream's first entry.
    pub(crate) fn added_up_to(&self, id: EntryId, first: Option<EntryId>) -> Option<u64> {
        if self.added == 0 {
            return Some(0);
        }
        if self.is_empty() && id <= self.last_id || id == self.last_id {
            return Some(self.added);
        }
        if id > self.last_id {
            return None;
        }
        let first = first.unwrap_or(EntryId::MIN);
        let is_whole = self.max_deleted == EntryId::MIN || self.max_deleted < first;
        match id.cmp(&first) {
            _ if !is_whole => None,
            std::cmp::Ordering::Less => Some(self.added.saturating_sub(self.len())),
            std::cmp::Ordering::Equal => Some(self.added.saturating_sub(self.len()) + 1),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// How many a group has read once it has delivered these entries, which are behind its last one.
    pub(super) fn entries_read_after(&self, group: &StreamGroup, ids: &[EntryId]) -> Option<u64> {
        let (mut read, first) = (group.entries_read, self.first());
        for &id in ids {
            read = match read {
                Some(read) if !self.has_deleted_from(id, first) => Some(read.saturating_add(1)),
                _ if self.added > 0 => self.added_up_to(id, first),
                read => read,
            };
        }
        read
    }

    /// How many entries a group has not delivered yet, if that is certain; negative if it was told to have read more than
    /// there were.
    pub fn lag(&self, group: &StreamGroup) -> Option<i64> {
        let first = self.first();
        let behind = |read: u64| (self.added as i64).wrapping_sub(read as i64);
        match group.entries_read {
            _ if self.added == 0 => Some(0),
            Some(read) if !self.has_deleted_from(group.last_delivered, first) => Some(behind(read)),
            _ => self.added_up_to(group.last_delivered, first).map(behind),
        }
    }
}
