//! The histories of all shards read as one: events in the order of their positions, from any position up to the frontier.
//!
//! ```text
//!   frontier F first ─► then each shard's published tail ─► merge what is below F, the least position next
//! ```
//!
//! Everything below F is published, so a tail that is read after F covers every record below F of its shard: what is
//! merged up to F is complete, and no later event can carry a position below it. An idle shard holds nothing back.
//!
//! What is gone is one number over all shards: the highest position that any of them has lost. Up to it the history has
//! holes, so a reader is told of all of it as one gap, and goes on behind it.

//!
//! What was recorded by shards of another number, before `--shards` was changed, comes before all that these shards have:
//! a read that begins there merges those shards, up to where they end, and goes on with the next.

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

/// The histories of all shards, as one core reads them. One per core: it owns the scratch space that records are copied
/// to.
pub struct History {
    sequencer: Arc<Sequencer>,
    shards: Vec<ShardHistory>,
    cursors: Vec<ShardCursor>,
    /// What was before these shards, the oldest first.
    older: Vec<Older>,
    /// Where the last of those ends; 0 where there is none.
    older_end: Position,
    /// Why the last read that failed did.
    damage: Option<SegmentError>,
}

/// What a read asks for.
pub struct Request<'a> {
    /// The first position that is wanted; 0 is the first event still available.
    pub cursor: Position,
    /// At most this many events.
    pub count: usize,
    /// No further event once the visited ones have cost this much, in bytes; at least one is visited.
    pub bytes: u64,
    /// Which events.
    pub filter: &'a Filter,
}

/// A cursor beyond the position that the next event gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("cursor {cursor} is beyond the head {head}")]
pub struct BeyondHead {
    /// The cursor.
    pub cursor: Position,
    /// The last position handed out.
    pub head: Position,
}

/// Why a read came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The cursor is beyond the head.
    #[error(transparent)]
    BeyondHead(#[from] BeyondHead),
    /// What comes next cannot be read.
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

    /// With what was before these shards, the oldest first.
    pub fn with_older(mut self, older: &[OlderHistory]) -> History {
        self.older = older.iter().cloned().map(Older::new).collect();
        self.older_end = older.last().map_or(Position(0), |older| older.end);
        self
    }

    /// The histories of the shards.
    pub fn shards(&self) -> &[ShardHistory] {
        &self.shards
    }

    /// Who hands out its positions.
    pub fn sequencer(&self) -> &Arc<Sequencer> {
        &self.sequencer
    }

    /// Why the last read that failed did.
    pub fn damage(&self) -> Option<&SegmentError> {
        self.damage.as_ref()
    }

    /// The highest position that any of these shards has lost.
    fn evicted_of(&self, shards: Range<usize>) -> Option<Position> {
        self.shards[shards].iter().filter_map(ShardHistory::evicted_through).max()
    }

    /// The highest position that any shard which can have something of a source has lost, or had.
    fn evicted_through(&self, source: &Source) -> Option<Position> {
        let older = || self.older.iter().rev().find_map(|older| older.evicted_through(source));
        self.evicted_of(self.shards_of(source)).or_else(older)
    }

    /// The first position that is still available; the next one to come where there is none.
    pub fn first_available(&self) -> Position {
        self.first_available_in(&Source::All)
    }

    /// The shards that can have something of a source.
    fn shards_of(&self, source: &Source) -> Range<usize> {
        let shards = source.shards(self.shards.len() as u16);
        shards.start as usize..shards.end as usize
    }

    /// The first position of a source that is still available; the next one to come where there is none.
    pub fn first_available_in(&self, source: &Source) -> Position {
        self.evicted_through(source).map_or(self.sequencer.first(), Position::next)
    }

    /// Every event before this position was recorded by shards of another number than these, and no other: 0 where there
    /// were none. It has no place.
    pub fn older_end(&self) -> Position {
        self.older_end
    }

    /// Whether the event at a position was recorded by shards of another number than these. It has no place then.
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

    /// The last position handed out; the one before the first where there is none.
    pub fn head(&self) -> Position {
        Position(self.sequencer.next().0 - 1)
    }

    /// Refuses a cursor that no event can have had.
    pub fn check_cursor(&self, cursor: Position) -> Result<(), BeyondHead> {
        let head = self.head();
        if cursor > head.next() { Err(BeyondHead { cursor, head }) } else { Ok(()) }
    }

    /// What a reader of a source at `cursor` has lost.
    fn gap_at(&self, cursor: Position, source: &Source) -> Option<Gap> {
        let first_of_run = self.sequencer.first();
        let evicted = self.evicted_through(source);
        if cursor.0 == 0 {
            // The start of this run: nothing is lost until something was overwritten.
            return evicted.map(|last| Gap { last, lost: Some(last.0 + 1 - first_of_run.0) });
        }
        if cursor < first_of_run {
            return Some(Gap { last: evicted.unwrap_or(Position(first_of_run.0 - 1)), lost: None });
        }
        evicted.filter(|last| *last >= cursor).map(|last| Gap { last, lost: Some(last.0 + 1 - cursor.0) })
    }

    /// Visits the events from a cursor on that pass the filter, in order, up to the frontier or a bound. The visitor
    /// answers what the event cost it, in bytes.
    ///
    /// # Errors
    /// A cursor beyond the head, or a log that cannot be read where the cursor is.
    pub fn read(
        &mut self,
        request: &Request<'_>,
        mut visit: impl FnMut(ShardId, &Record<'_>) -> u64,
    ) -> Result<Page, ReadError> {
        self.read_after_gap(request, |_, shard, record| visit(shard, record))
    }

    /// As [`History::read`], for who has to tell of the gap before the events: each is visited with the gap that
    /// lies before the page's first. Where nothing is visited, only the page has it.
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

    /// Visits what is wanted of a part of the history, each with the gap that lies before the first. The visitor
    /// answers what the event cost it, in bytes. Where everything comes from one shard, only that one's ring is read,
    /// and only what that one has lost is a gap.
    pub fn scan(&mut self, wanted: &Scan<'_>, mut visit: impl FnMut(Option<Gap>, ShardId, &Record<'_>) -> u64) -> Page {
        /// A writer that laps a reader again and again before it has read anything: the reader is then told of what
        /// is lost so far and asks again.
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
            // None: what these shards have.
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
                // Retention came between: what it took is told now.
                Err(SegmentError::Lapped(Lapped { .. })) => continue,
                Err(damage @ SegmentError::Damaged { .. }) => return self.damaged(page, damage),
            }
            // What a power loss has taken is told where a reader comes to it.
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
            // Looked at after seeking: what is overwritten from here on shows when it is read.
            if let Some(gap) = self.gap_at(wanted.cursor, wanted.source) {
                page.first = self.first_available_in(wanted.source);
                if done.scanned > 0 && page.next <= gap.last {
                    return page;
                }
                // What was read before it was lost is no gap.
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
                // What comes next is of another number of shards.
                Ok(Some(so_far)) if goes_on && !page.at_end => done = so_far,
                // Nothing is there before what a power loss has taken: that is told now, and passed.
                Ok(Some(so_far)) if so_far.scanned == 0 && !page.at_end => {}
                Ok(_) => return page,
                // Something was visited: the gap, or the damage, is for the next read to tell.
                Err(_) if page.next > start || done.scanned > 0 => return page,
                Err(SegmentError::Lapped(Lapped { .. })) => {}
                Err(damage @ SegmentError::Damaged { .. }) => return self.damaged(page, damage),
            }
        }
        page
    }

    /// Which of those that were before has a position, or what comes next to it.
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
            older.rest();
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
    /// Where it is in a segment that cannot be read.
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

    /// Where the record at a position lies, if any of these shards still has it; of a flush, which every shard has
    /// recorded, the first shard's that does. What [is older](History::is_older) has no place.
    ///
    /// # Errors
    /// Where it may be in a segment that cannot be read.
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
    /// Where it may be in a segment that cannot be read.
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

    /// The position below which a reader is about to lose events: less than a tenth of what is kept is left before it.
    /// None while nothing was overwritten.
    pub fn warning_mark(&self) -> Option<Position> {
        let first = self.evicted_through(&Source::All)?.next();
        Some(Position(first.0 + self.head().0.saturating_sub(first.0) / 10))
    }
}
