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

/// What a short event takes: for how much to copy when so many are asked for.
const EVENT_BYTES: usize = 192;

pub(super) struct ShardCursor {
    pub shard: ShardId,
    pub place: HistoryCursor,
    /// The position of the record that comes next from this shard; none when it has no more below the bound.
    head: Option<Position>,
    /// How many bytes the next run of records takes.
    run_bytes: usize,
}

/// How far a merge goes.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// Nothing from here on.
    pub until: Position,
    /// Where there is nothing more to read for now.
    pub end: Position,
    /// How many shards there are now.
    pub total: u16,
}

/// What a read has done so far.
#[derive(Clone, Copy, Default)]
pub(super) struct Done {
    visited: usize,
    cost: u64,
    /// How many records it has looked at.
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

    /// Lets go of whatever the cursor holds open.
    pub fn rest(&mut self, history: &ShardHistory) {
        (self.place, self.head) = (HistoryCursor::new(history), None);
    }

    /// Goes to the record at a position; none where this shard does not have it, or not any more.
    pub fn find(&mut self, position: Position) -> Result<Option<(ShardId, RingOffset)>, SegmentError> {
        match self.place.seek(position, None).and_then(|()| self.place.fill(1)) {
            Ok(_) => {}
            // Meanwhile it is gone.
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
            // Where so few did not do, as with a filter that lets little pass, more are copied at once.
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

/// Lets all cursors go to a position, to read from there what is wanted.
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

/// Visits what is wanted of the cursors' records, the least position next, as one read that has done so much already.
/// Answers what it has done where it came to the bound; none where it has done enough. `OLDER`: the cursors are those of
/// shards of another number than there are now.
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

/// The shard, of `total` that there are now, that a record of another number of shards counts to. A flush counts to
/// every shard.
fn shard_now(record: &Record<'_>, source: &Source, total: u16) -> ShardId {
    match source {
        Source::Shard(shard) if record.key().is_empty() => *shard,
        _ => shard_of(record.key(), total),
    }
}
