//! The request and the result of a scan of the history.

use crate::filter::Filter;
use crate::interest::Source;
use crate::position::{Position, ShardId};
use crate::ring::Record;

/// The part of the history that a scan examines, and the events that it selects.
#[derive(Clone, Copy)]
pub struct Scan<'a> {
    /// The first position that is wanted; 0 is the first event still available.
    pub cursor: Position,
    /// The end, exclusive: a position that the frontier has reached before. None for the frontier.
    pub until: Option<Position>,
    /// At most this many events.
    pub count: usize,
    /// No further event once the visited ones have cost this much, in bytes; at least one is visited.
    pub bytes: u64,
    /// The scan stops after about this many records that it does not select.
    pub records: usize,
    /// The source of the events.
    pub source: &'a Source,
    /// The events of the source that are wanted.
    pub filter: &'a Filter,
}

/// The result of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// The next position to read from: the scan has examined everything below it.
    pub next: Position,
    /// The gap before the events of this page, if there is one.
    pub gap: Option<Gap>,
    /// The first position that is still available.
    pub first: Position,
    /// Whether the scan has examined everything below the frontier.
    pub at_end: bool,
    /// Whether the name of the event at `next` is so long that the filter's regex would hold up the core: see
    /// [`REGEX_NAME_WORK_MAX`](crate::limits::REGEX_NAME_WORK_MAX). The scan has examined nothing behind it.
    pub is_too_long: bool,
    /// Whether the next record cannot be read: [`History::damage`] says why.
    pub is_damaged: bool,
}

/// Events that are no longer available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The last lost position.
    pub last: Position,
    /// The number of lost positions; none where the cursor is from an earlier run, which makes it unknown.
    pub lost: Option<u64>,
}

impl Scan<'_> {
    /// Whether the filter's regex would hold up the core on the names of this record.
    #[inline]
    pub(super) fn is_too_long(&self, record: &Record<'_>, shard: ShardId) -> bool {
        self.filter.is_too_long(record.key(), record.type_name()) && self.source.has(record, shard)
    }
}
