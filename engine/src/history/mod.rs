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

mod cursor;
mod shard;

pub use cursor::HistoryCursor;
pub use shard::{ShardHistory, ShardReader};

use crate::filter::Filter;
use crate::limits::{HISTORY_RUN_BYTES, SCAN_BYTES_MAX, SCAN_RECORDS_MAX};
use crate::log::SegmentError;
use crate::log::streams::StreamBits;
use crate::position::{Position, RingOffset, ShardId};
use crate::ring::{Lapped, Record, Ring};
use crate::sequencer::Sequencer;
use crate::subscription::Source;
use crate::subscription::source::wants;
use std::ops::Range;
use std::sync::Arc;
use thiserror::Error;

/// The histories of all shards, as one core reads them. One per core: it owns the scratch space that records are copied
/// to.
pub struct History {
    sequencer: Arc<Sequencer>,
    shards: Vec<ShardHistory>,
    cursors: Vec<ShardCursor>,
    /// Why the last read that failed did.
    damage: Option<SegmentError>,
}

struct ShardCursor {
    shard: ShardId,
    place: HistoryCursor,
    /// The position of the record that comes next from this shard; none when it has no more below the bound.
    head: Option<Position>,
    /// How many bytes the next run of records takes.
    run_bytes: usize,
}

/// What a short event takes: for how much to copy when so many are asked for.
const EVENT_BYTES: usize = 192;

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

/// What part of the history is looked at, and for what.
#[derive(Clone, Copy)]
pub struct Scan<'a> {
    /// The first position that is wanted; 0 is the first event still available.
    pub cursor: Position,
    /// Nothing from this position on, which the frontier has reached before; none for the frontier.
    pub until: Option<Position>,
    /// At most this many events.
    pub count: usize,
    /// No further event once the visited ones have cost this much, in bytes; at least one is visited.
    pub bytes: u64,
    /// At most about so many records are looked at in vain.
    pub records: usize,
    /// Where the events come from.
    pub source: &'a Source,
    /// Which of them.
    pub filter: &'a Filter,
}

/// What a read came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Everything below this position was looked at: where to read on.
    pub next: Position,
    /// What was lost before the events of this page.
    pub gap: Option<Gap>,
    /// The first position that is still available.
    pub first: Position,
    /// Whether everything below the frontier was looked at.
    pub at_end: bool,
    /// Whether the name of the event at `next` is so long that the filter's regex would hold up the core: see
    /// [`REGEX_NAME_WORK_MAX`](crate::limits::REGEX_NAME_WORK_MAX). Nothing behind it was looked at.
    pub is_too_long: bool,
    /// Whether what comes next cannot be read: [`History::damage`] says why.
    pub is_damaged: bool,
}

/// Events that are no longer available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The last position that is lost.
    pub last: Position,
    /// How many are lost; none when the cursor is from an earlier run, whose positions say nothing about how many.
    pub lost: Option<u64>,
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

impl Scan<'_> {
    #[inline]
    fn is_too_long(&self, record: &Record<'_>, shard: ShardId) -> bool {
        self.filter.is_too_long(record.key(), record.type_name()) && self.source.has(record, shard)
    }
}

impl History {
    /// The history of these shards, in their order.
    pub fn new<H: Clone + Into<ShardHistory>>(sequencer: Arc<Sequencer>, shards: &[H]) -> History {
        let shards: Vec<ShardHistory> = shards.iter().cloned().map(Into::into).collect();
        let cursor = |(index, shard): (usize, &ShardHistory)| ShardCursor {
            shard: ShardId(index as u16),
            place: HistoryCursor::new(shard),
            head: None,
            run_bytes: HISTORY_RUN_BYTES,
        };
        let cursors = shards.iter().enumerate().map(cursor).collect();
        History { sequencer, shards, cursors, damage: None }
    }

    /// The histories of the shards.
    pub fn shards(&self) -> &[ShardHistory] {
        &self.shards
    }

    /// The rings of the shards.
    pub fn rings(&self) -> impl ExactSizeIterator<Item = &Ring> {
        self.shards.iter().map(ShardHistory::ring)
    }

    /// Why the last read that failed did.
    pub fn damage(&self) -> Option<&SegmentError> {
        self.damage.as_ref()
    }

    /// The highest position that any of these shards has lost.
    fn evicted_through(&self, shards: &Range<usize>) -> Option<Position> {
        self.shards[shards.clone()].iter().filter_map(ShardHistory::evicted_through).max()
    }

    fn first_available_of(&self, shards: &Range<usize>) -> Position {
        self.evicted_through(shards).map_or(self.sequencer.first(), Position::next)
    }

    /// The first position that is still available; the next one to come where there is none.
    pub fn first_available(&self) -> Position {
        self.first_available_of(&(0..self.shards.len()))
    }

    /// The shards that can have something of a source.
    fn shards_of(&self, source: &Source) -> Range<usize> {
        let shards = source.shards(self.shards.len() as u16);
        shards.start as usize..shards.end as usize
    }

    /// The first position of a source that is still available; the next one to come where there is none.
    pub fn first_available_in(&self, source: &Source) -> Position {
        self.first_available_of(&self.shards_of(source))
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

    /// What a reader of these shards at `cursor` has lost.
    fn gap_at(&self, cursor: Position, shards: &Range<usize>) -> Option<Gap> {
        let first_of_run = self.sequencer.first();
        let evicted = self.evicted_through(shards);
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
            first: self.first_available_of(&shards),
            at_end: false,
            is_too_long: false,
            is_damaged: false,
        };
        for _ in 0..ATTEMPTS {
            let bound = wanted.until.unwrap_or_else(|| self.frontier());
            match self.seek(page.next, wanted, &shards) {
                Ok(()) => {}
                // Retention came between: what it took is told now.
                Err(SegmentError::Lapped(Lapped { .. })) => continue,
                Err(damage @ SegmentError::Damaged { .. }) => return self.damaged(page, damage),
            }
            // What a power loss has taken is told where a reader comes to it.
            let lost = self.sequencer.lost_from(page.next).filter(|lost| lost.start < bound);
            if let Some(lost) = lost.filter(|lost| lost.start <= page.next) {
                page.gap = Some(Gap { last: Position(lost.end.0 - 1), lost: None });
                page.next = lost.end;
                continue;
            }
            let bound = (lost.map_or(bound, |lost| lost.start), bound);
            // Looked at after seeking: what is overwritten from here on shows when it is read.
            if let Some(gap) = self.gap_at(wanted.cursor, &shards) {
                page.first = self.first_available_of(&shards);
                if page.gap.is_none_or(|known| known.last < gap.last) {
                    page.gap = Some(gap);
                }
                if page.next <= gap.last {
                    page.next = gap.last.next();
                    continue;
                }
            }
            let start = page.next;
            match self.merge(bound, (wanted, &shards), &mut page, &mut visit) {
                Ok(()) => return page,
                // Something was visited: the gap, or the damage, is for the next read to tell.
                Err(_) if page.next > start => return page,
                Err(SegmentError::Lapped(Lapped { .. })) => {}
                Err(damage @ SegmentError::Damaged { .. }) => return self.damaged(page, damage),
            }
        }
        page
    }

    fn seek(&mut self, position: Position, wanted: &Scan<'_>, shards: &Range<usize>) -> Result<(), SegmentError> {
        let stream = match wanted.source {
            Source::Stream(name) => Some(StreamBits::of(name)),
            _ => None,
        };
        for cursor in &mut self.cursors[shards.clone()] {
            cursor.place.seek(position, stream)?;
            cursor.run_bytes = wanted.count.saturating_mul(EVENT_BYTES).min(HISTORY_RUN_BYTES);
        }
        Ok(())
    }

    fn damaged(&mut self, page: Page, damage: SegmentError) -> Page {
        tracing::error!(position = %page.next, %damage, "history cannot be read");
        self.damage = Some(damage);
        Page { is_damaged: true, ..page }
    }

    fn merge(
        &mut self,
        (bound, frontier): (Position, Position),
        (wanted, shards): (&Scan<'_>, &Range<usize>),
        page: &mut Page,
        visit: &mut impl FnMut(Option<Gap>, ShardId, &Record<'_>) -> u64,
    ) -> Result<(), SegmentError> {
        let passes_all = wanted.filter.is_all() && *wanted.source == Source::All;
        let (mut visited, mut cost, mut scanned, mut scanned_bytes) = (0, 0, 0, 0);
        let cursors = &mut self.cursors[shards.clone()];
        for cursor in &mut *cursors {
            cursor.fill(bound)?;
        }
        loop {
            let next = cursors.iter_mut().filter(|cursor| cursor.head.is_some()).min_by_key(|cursor| cursor.head);
            let Some(cursor) = next else {
                page.next = page.next.max(bound);
                page.at_end = bound == frontier;
                return Ok(());
            };
            let Some(record) = cursor.place.peek() else { unreachable!("a head is the position of a peeked record") };
            let position = record.position();
            // A flush is recorded by every shard at one position, and is one event.
            if position >= page.next {
                if !passes_all && wanted.is_too_long(&record, cursor.shard) {
                    page.next = position;
                    page.is_too_long = true;
                    return Ok(());
                }
                page.next = position.next();
                scanned += 1;
                scanned_bytes += record.end().0 - record.offset().0;
                if passes_all || wants(wanted.source, wanted.filter, &record, cursor.shard) {
                    cost = visit(page.gap, cursor.shard, &record).saturating_add(cost);
                    visited += 1;
                    if visited == wanted.count || cost >= wanted.bytes {
                        return Ok(());
                    }
                } else if scanned >= wanted.records || scanned_bytes >= SCAN_BYTES_MAX {
                    return Ok(());
                }
            }
            cursor.advance(bound)?;
        }
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

    /// Where the record at a position lies, if any shard still has it; of a flush, which every shard has recorded, the
    /// first shard's that does.
    ///
    /// # Errors
    /// Where it may be in a segment that cannot be read.
    pub fn find(&mut self, position: Position) -> Result<Option<(ShardId, RingOffset)>, SegmentError> {
        for shard in 0..self.shards.len() {
            if self.evicted_through(&(shard..shard + 1)).is_some_and(|last| last >= position) {
                continue;
            }
            let cursor = &mut self.cursors[shard];
            let found = cursor.place.seek(position, None).and_then(|()| cursor.place.fill(1));
            match found {
                Ok(_) => {}
                // Meanwhile it is gone.
                Err(SegmentError::Lapped(_)) => continue,
                Err(damage @ SegmentError::Damaged { .. }) => return Err(damage),
            }
            if let Some(record) = cursor.place.peek().filter(|record| record.position() == position) {
                return Ok(Some((cursor.shard, record.offset())));
            }
        }
        Ok(None)
    }

    /// The position below which a reader is about to lose events: less than a tenth of what is kept is left before it.
    /// None while nothing was overwritten.
    pub fn warning_mark(&self) -> Option<Position> {
        let first = self.evicted_through(&(0..self.shards.len()))?.next();
        Some(Position(first.0 + self.head().0.saturating_sub(first.0) / 10))
    }
}

impl ShardCursor {
    /// Makes the next record below the bound the head.
    fn fill(&mut self, bound: Position) -> Result<(), SegmentError> {
        if self.place.fill(self.run_bytes)? {
            // Where so few did not do, as with a filter that lets little pass, more are copied at once.
            self.run_bytes = (self.run_bytes * 2).min(HISTORY_RUN_BYTES);
        }
        self.head = self.place.position().filter(|position| *position < bound);
        Ok(())
    }

    fn advance(&mut self, bound: Position) -> Result<(), SegmentError> {
        self.place.advance();
        self.fill(bound)
    }
}
