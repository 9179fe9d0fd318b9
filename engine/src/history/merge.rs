//! The records of several shards in the order of their positions.

use super::cursor::HistoryCursor;
use super::scan::{Gap, Page, Scan};
use super::shard::ShardHistory;
use crate::clock::monotonic_ns;
use crate::interest::{Source, wants};
use crate::limits::{HISTORY_RUN_BYTES, REGEX_NAME_BYTES_MAX, SCAN_BYTES_MAX, SCAN_NS_MAX};
use crate::log::SegmentError;
use crate::log::streams::StreamBits;
use crate::position::{Position, RingOffset, ShardId};
use crate::ring::Record;
use crate::slot::shard_of;

/// The approximate length of a short event in bytes. It estimates how much to copy for a requested number of events.
const EVENT_BYTES: usize = 192;

pub(super) struct ShardCursor {
    pub shard: ShardId,
    pub place: HistoryCursor,
    /// The position of this shard's next record; none where it has no more below the bound.
    head: Option<Position>,
    /// The length of the next run to copy, in bytes.
    run_bytes: usize,
}

/// The bounds of a merge.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// The merge stops before this position.
    pub until: Position,
    /// The end of the whole read: the frontier, or the bound of the request.
    pub end: Position,
    /// The present number of shards.
    pub total: u16,
}

/// The progress of a read against its limits.
#[derive(Clone, Copy, Default)]
pub(super) struct Done {
    visited: usize,
    cost: u64,
    /// The number of records it has examined.
    pub scanned: usize,
    scanned_bytes: u64,
}

impl ShardCursor {
    /// A cursor for each shard.
    pub fn of_all(shards: &[ShardHistory]) -> Vec<ShardCursor> {
        let cursor = |(index, shard): (usize, &ShardHistory)| ShardCursor {
            shard: ShardId(index as u16),
            place: HistoryCursor::new(shard),
            head: None,
            run_bytes: HISTORY_RUN_BYTES,
        };
        shards.iter().enumerate().map(cursor).collect()
    }

    /// Closes the files that the cursor holds open.
    pub fn close(&mut self, history: &ShardHistory) {
        (self.place, self.head) = (HistoryCursor::new(history), None);
    }

    /// Moves to the record at a position. None where this shard does not have it, or no longer.
    pub fn find(&mut self, position: Position) -> Result<Option<(ShardId, RingOffset)>, SegmentError> {
        match self.place.seek(position, None).and_then(|()| self.place.fill(1)) {
            Ok(_) => {}
            // The record was overwritten meanwhile.
            Err(SegmentError::Lapped(_)) => return Ok(None),
            Err(damage @ SegmentError::Damaged { .. }) => return Err(damage),
        }
        let found = self.place.peek().filter(|record| record.position() == position);
        Ok(found.map(|record| (self.shard, record.offset())))
    }

    /// Makes the next record below the bound the head.
    #[inline]
    fn fill(&mut self, bound: Position) -> Result<(), SegmentError> {
        if self.place.fill(self.run_bytes)? {
            // If the first run did not suffice, as with a selective filter, the next ones are longer.
            self.run_bytes = (self.run_bytes * 2).min(HISTORY_RUN_BYTES);
        }
        self.head = self.place.position().filter(|position| *position < bound);
        Ok(())
    }

    #[inline]
    fn advance(&mut self, bound: Position) -> Result<(), SegmentError> {
        self.place.advance();
        self.fill(bound)
    }
}

/// Moves all cursors to a position, to read the wanted events from there.
pub(super) fn seek(cursors: &mut [ShardCursor], position: Position, wanted: &Scan<'_>) -> Result<(), SegmentError> {
    let stream = match wanted.source {
        Source::Stream(name) => Some(StreamBits::of(name)),
        Source::All | Source::Shard(_) | Source::Category(_) | Source::Type(_) | Source::Streams => None,
    };
    for cursor in cursors {
        cursor.place.seek(position, stream)?;
        cursor.run_bytes = wanted.count.saturating_mul(EVENT_BYTES).min(HISTORY_RUN_BYTES);
    }
    Ok(())
}

/// Whether matching the record's names may take long.
#[inline]
fn is_long(record: &Record<'_>) -> bool {
    record.key().len().max(record.type_name().len()) > REGEX_NAME_BYTES_MAX
}

/// Visits the wanted records of the cursors in the order of positions, as a part of a read whose progress is `done`.
/// Returns the progress where it has reached the bound, none where it has reached a limit of the read. `OLDER`: the cursors
/// are of an older generation, with another number of shards.
pub(super) fn merge<const OLDER: bool>(
    cursors: &mut [ShardCursor],
    bounds: Bounds,
    done: Done,
    wanted: &Scan<'_>,
    page: &mut Page,
    visit: &mut impl FnMut(Option<Gap>, ShardId, &Record<'_>) -> u64,
) -> Result<Option<Done>, SegmentError> {
    let bound = bounds.until;
    let passes_all = wanted.filter.is_all() && *wanted.source == Source::All;
    let Done { mut visited, mut cost, mut scanned, mut scanned_bytes } = done;
    let clock = wanted.filter.clock_records().map(|records| (records, monotonic_ns() + SCAN_NS_MAX));
    for cursor in &mut *cursors {
        cursor.fill(bound)?;
    }
    loop {
        let next = cursors.iter_mut().filter(|cursor| cursor.head.is_some()).min_by_key(|cursor| cursor.head);
        let Some(cursor) = next else {
            page.next = page.next.max(bound);
            page.at_end = bound == bounds.end;
            return Ok(Some(Done { visited, cost, scanned, scanned_bytes }));
        };
        let Some(record) = cursor.place.peek() else { unreachable!("a head is the position of a peeked record") };
        let position = record.position();
        // A flush is recorded by every shard at one position, and is one event.
        if position >= page.next {
            let shard = if OLDER { shard_now(&record, wanted.source, bounds.total) } else { cursor.shard };
            if !passes_all && wanted.is_too_long(&record, shard) {
                page.next = position;
                page.is_too_long = true;
                return Ok(None);
            }
            page.next = position.next();
            scanned += 1;
            scanned_bytes += record.end().0 - record.offset().0;
            if passes_all || wants(wanted.source, wanted.filter, &record, shard) {
                cost = visit(page.gap, shard, &record).saturating_add(cost);
                visited += 1;
                if visited == wanted.count || cost >= wanted.bytes {
                    return Ok(None);
                }
            } else if scanned >= wanted.records || scanned_bytes >= SCAN_BYTES_MAX {
                return Ok(None);
            }
            if let Some((records, until_ns)) = clock
                && (scanned.is_multiple_of(records) || is_long(&record))
                && monotonic_ns() >= until_ns
            {
                return Ok(None);
            }
        }
        cursor.advance(bound)?;
    }
}

/// The shard, of the `total` present ones, to which a record of an older generation belongs. A flush belongs to every shard.
fn shard_now(record: &Record<'_>, source: &Source, total: u16) -> ShardId {
    match source {
        Source::Shard(shard) if record.key().is_empty() => *shard,
        _ => shard_of(record.key(), total),
    }
}
