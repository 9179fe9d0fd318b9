//! What a shard keeps while clients watch keys, so that each learns whether its keys have changed.
//!
//! Each change of a key is recorded, and its entry knows the offset of its latest record: a key has changed since a moment if
//! that offset is not below the end that the history had then. So nothing is noted for a key that is watched, and a change
//! costs nothing. Only two things would be lost, and are kept while anybody watches: the entries of keys that have no value and
//! have changed since, which would be forgotten; and, where nothing is recorded, numbers that stand for the offsets.

use super::Turn;
use crate::position::RingOffset;

/// See the description of this file.
#[derive(Debug, Default)]
pub(super) struct Watching {
    /// The history's end when the first of those who watch now began; `None` while nobody watches.
    since: Option<RingOffset>,
    /// Where nothing is recorded: the number of the next change.
    unrecorded: u64,
    /// The latest change of an entry that was forgotten all the same, because there are too many.
    forgotten: Option<RingOffset>,
}

impl Watching {
    /// A change that is not recorded, because recording is off.
    #[inline]
    pub fn note_unrecorded(&mut self, last: &mut RingOffset) {
        if self.since.is_some() {
            *last = RingOffset(self.unrecorded);
            self.unrecorded += 8;
        }
    }
}

impl Turn {
    /// Where the next change will be, recorded or not.
    pub(crate) fn changes_end(&self) -> RingOffset {
        self.writer.as_ref().map_or(RingOffset(self.watching.unrecorded), |writer| writer.end())
    }

    /// Notes that a client watches keys, from now on.
    pub(crate) fn begin_watch(&mut self) {
        if self.watching.since.is_none() {
            self.watching.since = Some(self.changes_end());
            self.watching.forgotten = None;
        }
    }

    /// Whether a client may watch keys.
    #[inline]
    pub(crate) fn is_watched(&self) -> bool {
        self.watching.since.is_some()
    }

    /// Notes that nobody watches keys any more.
    pub(crate) fn end_watches(&mut self) {
        self.watching.since = None;
    }

    /// Entries of keys without a value that have changed from here on are kept: their events may be read, or a client may watch
    /// the key.
    pub(crate) fn kept_from(&self) -> RingOffset {
        self.watching.since.map_or(self.history_head(), |since| since.min(self.history_head()))
    }

    /// Notes that an entry whose latest change was there is forgotten.
    pub(crate) fn note_forgotten(&mut self, last: RingOffset) {
        let is_seen = |since| last != RingOffset::NONE && last >= since;
        if self.watching.since.is_some_and(is_seen) {
            self.watching.forgotten = self.watching.forgotten.max(Some(last));
        }
    }

    /// Whether an entry may have been forgotten that has changed from there on.
    pub(crate) fn may_have_forgotten(&self, end: RingOffset) -> bool {
        self.watching.forgotten.is_some_and(|last| last >= end)
    }
}
