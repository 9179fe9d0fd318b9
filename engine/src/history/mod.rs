//! The histories of all shards read as one: events in the order of their positions, from any position up to the frontier.
//!
//! ```text
//!   frontier F first ─► then each shard's published tail ─► merge what is below F, the least position next
//! ```
//!
//! Everything below F is published, so a tail that is read after F covers every record below F of its shard. A merge up to F
//! is therefore complete, and no later event can have a position below F. An idle shard holds nothing back.
//!
//! Lost events are described by one number over all shards: the highest position that any of them has lost. Up to it the
//! history has holes, so a reader gets one gap up to there, and continues behind it.
//!
//! Older generations, with the numbers of shards before `--shards` was changed, precede all records of the present shards. A
//! read that begins in one merges the shards of that generation up to its end, and continues with the next generation.

mod cursor;
mod merge;
mod older;
mod scan;
mod shard;

pub use cursor::HistoryCursor;
pub use older::OlderHistory;
pub use scan::{Gap, Page, Scan};
pub use shard::{ShardHistory, ShardReader};

use crate::filter::Filter;
use crate::interest::Source;
use crate::limits::SCAN_RECORDS_MAX;
use crate::log::SegmentError;
use crate::position::{Position, RingOffset, ShardId};
use crate::ring::{Lapped, Record};
use crate::sequencer::Sequencer;
use merge::{Bounds, Done, ShardCursor, merge, seek};
use older::Older;
use std::ops::Range;
use std::sync::Arc;
use thiserror::Error;

/// The histories of all shards. One per core, since it owns the buffers that records are copied to.
pub struct History {
    sequencer: Arc<Sequencer>,
    shards: Vec<ShardHistory>,
    cursors: Vec<ShardCursor>,
    /// The older generations, the oldest first.
    older: Vec<Older>,
    /// The end of the last older generation; 0 where there is none.
    older_end: Position,
    /// The error of the last read that failed.
    damage: Option<SegmentError>,
}

/// The request of a read.
pub struct Request<'a> {
    /// The first position that is wanted; 0 is the first event still available.
    pub cursor: Position,
    /// At most this many events.
    pub count: usize,
    /// No further event once the visited ones have cost this much, in bytes; at least one is visited.
    pub bytes: u64,
    /// The events that are wanted.
    pub filter: &'a Filter,
}

/// A cursor beyond the position of the next event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("cursor {cursor} is beyond the head {head}")]
pub struct BeyondHead {
    /// The cursor.
    pub cursor: Position,
    /// The last position handed out.
    pub head: Position,
}

/// Why a read has failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The cursor is beyond the head.
    #[error(transparent)]
    BeyondHead(#[from] BeyondHead),
    /// The next record cannot be read.
    #[error(transparent)]
    Damaged(#[from] SegmentError),
}

impl History {
    /// The history of these shards, in their order.
    pub fn new<H: Clone + Into<ShardHistory>>(sequencer: Arc<Sequencer>, shards: &[H]) -> History {
        let shards: Vec<ShardHistory> = shards.iter().cloned().map(Into::into).collect();
        let cursors = ShardCursor::of_all(&shards);
        History { sequencer, shards, cursors, older: Vec::new(), older_end: Position(0), damage: None }
    }

    /// Adds the older generations, the oldest first.
    pub fn with_older(mut self, older: &[OlderHistory]) -> History {
        self.older = older.iter().cloned().map(Older::new).collect();
        self.older_end = older.last().map_or(Position(0), |older| older.end);
        self
    }

    /// The histories of the shards.
    pub fn shards(&self) -> &[ShardHistory] {
        &self.shards
    }

    /// The sequencer that hands out the positions.
    pub fn sequencer(&self) -> &Arc<Sequencer> {
        &self.sequencer
    }

    /// The error of the last read that failed.
    pub fn damage(&self) -> Option<&SegmentError> {
        self.damage.as_ref()
    }

    /// The highest position that any of these shards has lost.
    fn evicted_of(&self, shards: Range<usize>) -> Option<Position> {
        self.shards[shards].iter().filter_map(ShardHistory::evicted_through).max()
    }

    /// The highest lost position of the shards that can have events of a source, older generations included.
    fn evicted_through(&self, source: &Source) -> Option<Position> {
        let older = || self.older.iter().rev().find_map(|older| older.evicted_through(source));
        self.evicted_of(self.shards_of(source)).or_else(older)
    }

    /// The first position that is still available; that of the next event where none is.
    pub fn first_available(&self) -> Position {
        self.first_available_in(&Source::All)
    }

    /// The shards that can have events of a source.
    fn shards_of(&self, source: &Source) -> Range<usize> {
        let shards = source.shards(self.shards.len() as u16);
        shards.start as usize..shards.end as usize
    }

    /// The first position of a source that is still available; that of the next event where none is.
    pub fn first_available_in(&self, source: &Source) -> Position {
        self.evicted_through(source).map_or(self.sequencer.first(), Position::next)
    }

    /// The end of the older generations: exactly the events before this position are theirs. 0 where there are none. Their
    /// events have no place.
    pub fn older_end(&self) -> Position {
        self.older_end
    }

    /// Whether the event at a position is of an older generation. It has no place then.
    #[inline]
    pub fn is_older(&self, position: Position) -> bool {
        position < self.older_end
    }

    /// The first position of this run.
    pub fn first_of_run(&self) -> Position {
        self.sequencer.first()
    }

    /// The position below which everything is published.
    pub fn frontier(&self) -> Position {
        self.sequencer.frontier()
    }

    /// The last position handed out; the one before the first where none was.
    pub fn head(&self) -> Position {
        Position(self.sequencer.next().0 - 1)
    }

    /// Refuses a cursor beyond the position of the next event.
    pub fn check_cursor(&self, cursor: Position) -> Result<(), BeyondHead> {
        let head = self.head();
        if cursor > head.next() { Err(BeyondHead { cursor, head }) } else { Ok(()) }
    }

    /// The gap of a reader of a source at `cursor`, if events behind its cursor are lost.
    fn gap_at(&self, cursor: Position, source: &Source) -> Option<Gap> {
        let first_of_run = self.sequencer.first();
        let evicted = self.evicted_through(source);
        if cursor.0 == 0 {
            // Cursor 0 is the start of this run: nothing is lost before something was overwritten.
            return evicted.map(|last| Gap { last, lost: Some(last.0 + 1 - first_of_run.0) });
        }
        if cursor < first_of_run {
            return Some(Gap { last: evicted.unwrap_or(Position(first_of_run.0 - 1)), lost: None });
        }
        evicted.filter(|last| *last >= cursor).map(|last| Gap { last, lost: Some(last.0 + 1 - cursor.0) })
    }

    /// Visits the events from a cursor on that match the filter, in order, up to the frontier or a limit of the request. The
    /// visitor returns the cost of the event in bytes.
    ///
    /// # Errors
    /// Where the cursor is beyond the head, or the log cannot be read at the cursor.
    pub fn read(
        &mut self,
        request: &Request<'_>,
        mut visit: impl FnMut(ShardId, &Record<'_>) -> u64,
    ) -> Result<Page, ReadError> {
        self.read_after_gap(request, |_, shard, record| visit(shard, record))
    }

    /// As [`History::read`], for a reader that reports the gap before the events: each event is visited with the gap before
    /// the page's first event. Where no event is visited, only the page has the gap.
    ///
    /// # Errors
    /// As [`History::read`].
    pub fn read_after_gap(
        &mut self,
        request: &Request<'_>,
        visit: impl FnMut(Option<Gap>, ShardId, &Record<'_>) -> u64,
    ) -> Result<Page, ReadError> {
        let &Request { cursor, count, bytes, filter } = request;
        self.check_cursor(cursor)?;
        let source = &Source::All;
        let scan = Scan { cursor, until: None, count, bytes, records: SCAN_RECORDS_MAX, source, filter };
        let page = self.scan(&scan, visit);
        match &self.damage {
            Some(damage) if page.is_damaged => Err(damage.clone().into()),
            _ => Ok(page),
        }
    }

    /// Visits the wanted events of a part of the history, each with the gap before the first. The visitor returns the cost
    /// of the event in bytes. Where the source is of one shard, the scan reads only that shard, and only that shard's losses
    /// are a gap.
    pub fn scan(&mut self, wanted: &Scan<'_>, mut visit: impl FnMut(Option<Gap>, ShardId, &Record<'_>) -> u64) -> Page {
        /// A writer may lap the reader again and again before the reader has visited anything. After this many attempts
        /// the page ends with the gap so far, and the reader continues with its next scan.
        const ATTEMPTS: usize = 8;
        let shards = self.shards_of(wanted.source);
        let mut page = Page {
            next: wanted.cursor,
            gap: None,
            first: self.first_available_in(wanted.source),
            at_end: false,
            is_too_long: false,
            is_damaged: false,
        };
        let mut done = Done::default();
        for _ in 0..ATTEMPTS + self.older.len() {
            let end = wanted.until.unwrap_or_else(|| self.frontier());
            // None where the position is in the present generation.
            let older = if self.is_older(page.next) { self.older_at(page.next) } else { None };
            let mut bounds = Bounds { until: end, end, total: self.shards.len() as u16 };
            let cursors = match older.and_then(|older| self.older.get_mut(older)) {
                None => &mut self.cursors[shards.clone()],
                Some(older) => {
                    bounds.until = bounds.until.min(older.history.end);
                    older.cursors_of(wanted.source)
                }
            };
            match seek(cursors, page.next, wanted) {
                Ok(()) => {}
                Err(_) if done.scanned > 0 => return page,
                // Retention has removed segments meanwhile: the next attempt finds the gap.
                Err(SegmentError::Lapped(Lapped { .. })) => continue,
                Err(damage @ SegmentError::Damaged { .. }) => return self.damaged(page, damage),
            }
            // A gap of a power loss is reported when a reader reaches it.
            let lost = self.sequencer.lost_from(page.next).filter(|lost| lost.start < bounds.until);
            if let Some(lost) = lost.filter(|lost| lost.start <= page.next) {
                if done.scanned > 0 {
                    return page;
                }
                page.gap = Some(Gap { last: Position(lost.end.0 - 1), lost: None });
                page.next = lost.end;
                continue;
            }
            let goes_on = older.is_some() && lost.is_none();
            bounds.until = lost.map_or(bounds.until, |lost| lost.start);
            // The gap is determined after seeking: records that are overwritten from now on are noticed when they are read.
            if let Some(gap) = self.gap_at(wanted.cursor, wanted.source) {
                page.first = self.first_available_in(wanted.source);
                if done.scanned > 0 && page.next <= gap.last {
                    return page;
                }
                // Events that were read before they were lost are no gap.
                if done.scanned == 0 && page.gap.is_none_or(|known| known.last < gap.last) {
                    page.gap = Some(gap);
                }
                if page.next <= gap.last {
                    page.next = gap.last.next();
                    continue;
                }
            }
            let start = page.next;
            let merged = match older {
                None => merge::<false>(&mut self.cursors[shards.clone()], bounds, done, wanted, &mut page, &mut visit),
                Some(older) => self.merge_older(older, bounds, done, wanted, &mut page, &mut visit),
            };
            match merged {
                // The next generation continues.
                Ok(Some(so_far)) if goes_on && !page.at_end => done = so_far,
                // No record lies before the positions that a power loss took: the next attempt reports their gap.
                Ok(Some(so_far)) if so_far.scanned == 0 && !page.at_end => {}
                Ok(_) => return page,
                // Records were visited: the next scan reports the gap or the damage.
                Err(_) if page.next > start || done.scanned > 0 => return page,
                Err(SegmentError::Lapped(Lapped { .. })) => {}
                Err(damage @ SegmentError::Damaged { .. }) => return self.damaged(page, damage),
            }
        }
        page
    }

    /// The index of the older generation that a position lies in.
    #[cold]
    fn older_at(&self, position: Position) -> Option<usize> {
        let at = self.older.partition_point(|older| older.history.end <= position);
        (at < self.older.len()).then_some(at)
    }

    #[cold]
    fn merge_older(
        &mut self,
        older: usize,
        bounds: Bounds,
        done: Done,
        wanted: &Scan<'_>,
        page: &mut Page,
        visit: &mut impl FnMut(Option<Gap>, ShardId, &Record<'_>) -> u64,
    ) -> Result<Option<Done>, SegmentError> {
        let older = &mut self.older[older];
        let merged = merge::<true>(older.cursors_of(wanted.source), bounds, done, wanted, page, visit);
        if merged.is_err() || page.next >= older.history.end {
            older.close();
        }
        merged
    }

    fn damaged(&mut self, page: Page, damage: SegmentError) -> Page {
        tracing::error!(position = %page.next, %damage, "history cannot be read");
        self.damage = Some(damage);
        Page { is_damaged: true, ..page }
    }

    /// Visits the record at a known place, if the history still has it.
    ///
    /// # Errors
    /// Where the record is in a segment that cannot be read.
    pub fn record_at<T>(
        &mut self,
        shard: ShardId,
        offset: RingOffset,
        visit: impl FnOnce(&Record<'_>) -> T,
    ) -> Result<Option<T>, SegmentError> {
        let Some(cursor) = self.cursors.get_mut(shard.0 as usize) else { return Ok(None) };
        match cursor.place.record_at(offset) {
            Ok(record) => Ok(record.map(|record| visit(&record))),
            Err(SegmentError::Lapped(_)) => Ok(None),
            Err(damage @ SegmentError::Damaged { .. }) => Err(damage),
        }
    }

    /// The place of the record at a position; none where no shard has it any more, or where it [is
    /// older](History::is_older). Every shard records a flush: its place is that in the first shard that still has it.
    ///
    /// # Errors
    /// Where the record may be in a segment that cannot be read.
    pub fn find(&mut self, position: Position) -> Result<Option<(ShardId, RingOffset)>, SegmentError> {
        for shard in 0..self.shards.len() {
            if self.evicted_of(shard..shard + 1).is_some_and(|last| last >= position) {
                continue;
            }
            if let Some(found) = self.cursors[shard].find(position)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Visits the record at a position that [is older](History::is_older), if it is still there.
    ///
    /// # Errors
    /// Where the record may be in a segment that cannot be read.
    pub fn visit_older<T>(
        &mut self,
        position: Position,
        visit: impl FnOnce(&Record<'_>) -> T,
    ) -> Result<Option<T>, SegmentError> {
        match self.older_at(position) {
            Some(older) => self.older[older].visit_at(position, visit),
            None => Ok(None),
        }
    }

    /// The position below which a reader will soon lose events: it lies a tenth of the kept positions behind the oldest
    /// available one. None while nothing was overwritten.
    pub fn warning_mark(&self) -> Option<Position> {
        let first = self.evicted_through(&Source::All)?.next();
        Some(Position(first.0 + self.head().0.saturating_sub(first.0) / 10))
    }
}
