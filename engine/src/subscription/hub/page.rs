//! A page of the history, delivered to one member: events, and the gaps before them.

use super::begin::{Begin, FromStart, Seek};
use super::member::{Audience, Member, before};
use crate::event::EventType;
use crate::history::{Gap, Page};
use crate::interest::Interest;
use crate::position::{Position, ShardId};
use crate::ring::Record;
use crate::sequencer::Sequencer;
use crate::subscription::{Outlet, Reason};

/// The cost of a record behind which a page ends.
const ENDS_THE_PAGE: u64 = u64::MAX;

/// Delivers a page to a member.
pub(super) struct PageReader<'a, O> {
    member: &'a mut Member,
    interest: &'a Interest,
    outlet: &'a mut O,
    sequencer: &'a Sequencer,
    /// The first position of this run of the server.
    first_of_run: Position,
    /// The last position of the source that retention has removed.
    evicted: Position,
    /// The search for the start, as it was when the page began.
    seek: Option<Seek>,
    is_gap_met: bool,
    ended: Option<Ended>,
    /// Where the member reads again, for the flushes that it has passed while it searched.
    again: Option<Position>,
    /// How many events it has delivered.
    pub events: u64,
}

/// Why the subscription is dropped in the middle of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// The revision behind which it starts did not exist when it was made.
    Ahead,
    /// There is a gap before this position.
    Gap(Position),
}

impl<'a, O: Outlet> PageReader<'a, O> {
    /// `evicted` is the last position of the interest's source that retention has removed.
    pub fn new(
        member: &'a mut Member,
        interest: &'a Interest,
        outlet: &'a mut O,
        sequencer: &'a Sequencer,
        (first_of_run, evicted): (Position, Position),
    ) -> PageReader<'a, O> {
        let seek = member.begin.seek();
        PageReader {
            member,
            interest,
            outlet,
            sequencer,
            first_of_run,
            evicted,
            seek,
            is_gap_met: false,
            ended: None,
            again: None,
            events: 0,
        }
    }

    /// Takes a record of the page, and the gap before the page. Returns the record's cost: see [`History::scan`].
    #[inline]
    pub fn record(&mut self, gap: Option<Gap>, shard: ShardId, record: &Record<'_>) -> u64 {
        if let Some(gap) = gap {
            self.gap_before_page(gap);
        }
        let bytes = record.bytes().len() as u64;
        if let Begin::Seeking(seek) = self.member.begin
            && !self.is_over()
            && !self.is_behind_start(seek, record)
        {
            return if self.is_over() { ENDS_THE_PAGE } else { bytes };
        }
        if self.is_over() {
            return ENDS_THE_PAGE;
        }
        // A member that seeks its start reads everything of its source, to see which revisions are missing.
        if self.seek.is_some() && !self.interest.wants(record, shard) {
            return bytes;
        }
        self.events += 1;
        self.member.checkpoint_each(record.position(), Audience::One, self.outlet);
        self.member.deliver(record, Audience::One, self.outlet);
        if self.member.may_deliver(self.outlet) { bytes } else { ENDS_THE_PAGE }
    }

    /// Whether a record lies behind the start. The search ends with the record at the start, or with the first behind it;
    /// events that are missing before that one are sent as a gap.
    fn is_behind_start(&mut self, seek: Seek, record: &Record<'_>) -> bool {
        match seek.place(record) {
            place @ (FromStart::Before | FromStart::At) => {
                if seek.is_ahead(record) {
                    self.ended = Some(Ended::Ahead);
                }
                if place == FromStart::At {
                    self.member.begin = Begin::Found;
                } else if record.event_type() == EventType::FlushDb {
                    self.member.begin = Begin::Seeking(seek.behind_flush(record.position()));
                }
                false
            }
            place @ (FromStart::Behind | FromStart::BehindGap) => {
                self.end_search(seek, place == FromStart::BehindGap, record.position());
                true
            }
        }
    }

    /// Whether the rest of the page is not for the member.
    fn is_over(&self) -> bool {
        self.ended.is_some() || self.again.is_some()
    }

    /// Ends the search at a position without having found the event of the revision. `is_missing`: retention has removed
    /// events behind it too. A power loss before the position may also have lost some behind the start.
    fn end_search(&mut self, seek: Seek, is_missing: bool, position: Position) {
        let lost = self.sequencer.lost_before(position);
        // Retention has removed the event of the revision: it was at or before this position.
        let mut passed = self.evicted;
        if is_missing || lost.is_some() {
            passed = passed.max(lost.unwrap_or_default());
            self.meet_gap(passed);
        }
        self.member.begin = Begin::Found;
        // So a flush that is still there, and not within the gap, lies behind the start.
        self.again = seek.has_passed_flush(passed).then(|| passed.next());
    }

    fn gap_before_page(&mut self, gap: Gap) {
        if !std::mem::replace(&mut self.is_gap_met, true) && self.seek.is_none_or(|seek| seek.has_gap(gap.last)) {
            self.meet_gap(gap.last);
        }
    }

    fn meet_gap(&mut self, last: Position) {
        if !self.member.meet_gap(last, self.first_of_run, self.outlet) {
            self.ended = Some(Ended::Gap(last.next()));
        }
    }

    /// Ends the page. If the subscription is to be dropped, returns the reason and the position; `head` is the last
    /// position that was handed out.
    pub fn finish(&mut self, page: &Page, head: Position) -> Option<(Reason, Position)> {
        if self.ended.is_none()
            && let Some(gap) = page.gap
        {
            self.gap_before_page(gap);
        }
        if let Some(ended) = self.ended {
            return Some(ended.reason(head));
        }
        let member = &mut *self.member;
        if let Some(again) = self.again {
            member.cursor = again;
            return None;
        }
        member.cursor = member.cursor.max(page.next);
        if page.is_too_long {
            return Some((Reason::TooSlow, before(page.next)));
        }
        if page.is_damaged {
            return Some((Reason::Internal, before(page.next)));
        }
        if let Begin::Seeking(seek) = member.begin
            && seek.is_past(member.cursor)
        {
            // The event behind the revision did not exist when the shard answered, or it is gone.
            let cursor = member.cursor;
            self.end_search(seek, !seek.is_at_end(), cursor);
            if let Some(ended) = self.ended {
                return Some(ended.reason(head));
            }
            if let Some(again) = self.again {
                self.member.cursor = again;
                return None;
            }
        }
        // What a search has passed may still be sent, as a gap or as events.
        if self.member.begin.seek().is_none() {
            self.member.checkpoint_each(self.member.cursor, Audience::One, self.outlet);
        }
        None
    }
}

impl Ended {
    fn reason(self, head: Position) -> (Reason, Position) {
        match self {
            Ended::Ahead => (Reason::RevisionAhead, head),
            Ended::Gap(first) => (Reason::PositionEvicted, first),
        }
    }
}
