//! One subscription: what it has been told, and what waits for it.

use super::live::Alike;
use super::queue::Part;
use crate::account::Share;
use crate::event::EventType;
use crate::position::{Position, Revision};
use crate::ring::Record;
use crate::subscription::{As, ClientId, OnGap, OnSlow, Outlet, Push, Reason, Start, Subscribe};

/// Where a subscription is between the history and what happens now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It waits for the shard to say where its stream is.
    Asked,
    /// It reads the history.
    Reading,
    /// It reads the history up to this position; what comes from there on is found by the shards, and waits.
    Joining(Position),
    /// It is told what the shards find.
    Live,
}

/// Who is to look at a subscription next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It is in the line of those that have something to do.
    InLine,
    /// It looks again when more is published.
    Polls,
    /// Something has to happen to it first: room, credit, an answer, an event.
    Rests,
}

/// Who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// The subscription.
    Itself,
    /// It and all who are told alike, between [`Outlet::begin_shared`] and [`Outlet::end_shared`].
    AllAlike,
}

/// One subscription.
pub(super) struct Member {
    pub client: ClientId,
    pub id: u64,
    /// Tells it from others that have had its place.
    pub serial: u32,
    /// The interest that it shares.
    pub interest: u32,
    /// Its place among those who share it.
    pub interest_place: u32,
    /// The memory that it takes.
    _share: Share,
    /// The stream that its links are in, where it is told links or resolves them.
    link: Option<Box<[u8]>>,
    resolves: bool,
    checkpoint_events: Option<u64>,
    /// How many more events may be told before the client gives more credit; none for any number.
    credit: Option<u64>,
    pub on_slow: OnSlow,
    on_gap: OnGap,
    pub phase: Phase,
    pub place: Place,
    /// Everything before this was looked at for it. While it is live: nothing before this is told.
    pub cursor: Position,
    /// From where on the events looked at count for its next checkpoint: everything before this is covered by its last
    /// one, or was never to be looked at.
    pub checkpointed: Position,
    /// Its last checkpoint covers everything before this; 0 before its first one. Checkpoints strictly advance.
    last_checkpoint: Position,
    /// Whether it was told that it is caught up, and not since that it fell behind.
    pub is_caught_up: bool,
    /// Whether it relies on its interest being live.
    pub is_joined: bool,
    /// Whether it has been told an event.
    has_told: bool,
    /// Whether it starts at whatever is first available.
    floats: bool,
    /// Why it is refused: its start lies ahead of everything that had happened when it was made.
    pub ahead: Option<Reason>,
    /// The position that would have been handed out next when it was made.
    pub made_at: Position,
    /// The revision that it starts behind, as long as it looks for the place of that.
    pub after: Option<Revision>,
    /// Which revision the stream's next event was to get when it began to look, and from which position on.
    pub next_revision: (u64, Position),
    /// What waits for it, of what waits for those who share its interest.
    pub waiting: Part,
}

impl Member {
    /// A subscription that is made when `next` is the position that would be handed out next.
    pub fn new(client: ClientId, id: u64, serial: u32, wanted: Subscribe, next: Position, share: Share) -> Member {
        let source = &wanted.interest.source;
        let (cursor, after) = match wanted.start {
            Start::Start | Start::End | Start::Position(Position(0)) => (Position(0), None),
            Start::Position(position) => (Position(position.0.saturating_add(1)), None),
            Start::Revision(revision) => (Position(0), Some(revision)),
        };
        // What would come first must be an event that is there or the next one: whatever came before it would be skipped.
        let ahead = (cursor > next && after.is_none()).then_some(Reason::PositionAhead);
        Member {
            client,
            id,
            serial,
            interest: 0,
            interest_place: 0,
            _share: share,
            link: source.is_links().then(|| source.name().into()),
            resolves: wanted.resolve_links,
            checkpoint_events: wanted.checkpoint_events,
            credit: wanted.window,
            on_slow: wanted.on_slow,
            on_gap: wanted.on_gap,
            phase: if after.is_some() { Phase::Asked } else { Phase::Reading },
            place: Place::Rests,
            cursor,
            checkpointed: cursor,
            last_checkpoint: Position(0),
            is_caught_up: false,
            is_joined: false,
            has_told: false,
            floats: cursor == Position(0) && after.is_none(),
            ahead,
            made_at: next,
            after,
            next_revision: (0, Position(0)),
            waiting: Part::default(),
        }
    }

    /// Whether an event may be told now.
    #[inline]
    pub fn may_tell(&self, outlet: &mut impl Outlet) -> bool {
        self.credit != Some(0) && outlet.has_room(self.client)
    }

    /// Takes credit for so many more events. It adds up: who gives it ahead opens the window that far.
    pub fn add_credit(&mut self, count: u64) {
        self.credit = self.credit.map(|credit| credit.saturating_add(count));
    }

    /// Tells an event, after the checkpoint that is due before it.
    #[inline]
    pub fn tell(&mut self, record: &Record<'_>, to: To, outlet: &mut impl Outlet) {
        self.checkpoint(record.position(), to, outlet);
        self.has_told = true;
        if let Some(credit) = &mut self.credit {
            *credit -= 1;
        }
        self.push(Push::Event(record, self.form(record)), to, outlet);
    }

    #[inline]
    fn push(&self, push: Push<'_>, to: To, outlet: &mut impl Outlet) {
        match to {
            To::Itself => outlet.push(self.client, self.id, push),
            To::AllAlike => outlet.push_shared(push),
        }
    }

    /// Its last checkpoint covers everything before this; 0 before its first one.
    pub fn last_checkpoint(&self) -> Position {
        self.last_checkpoint
    }

    /// Notes what it was told with all who are told alike: events, or none, and checkpoints up to `last_checkpoint`, or
    /// none.
    pub fn note_told(&mut self, has_told: bool, last_checkpoint: Option<Position>) {
        self.has_told |= has_told;
        if let Some(next) = last_checkpoint {
            (self.checkpointed, self.last_checkpoint) = (next, next);
        }
    }

    /// Whether nothing but its events has to be kept account of.
    pub fn is_plain(&self) -> bool {
        self.credit.is_none() && self.after.is_none()
    }

    /// What it has in common with those that are told alike.
    pub fn common(&self) -> Alike {
        let checkpoint = self.checkpoint_due().map(|due| (due.0, self.checkpoint_events.unwrap_or_default()));
        Alike { id: self.id, resolves: self.resolves, checkpoint }
    }

    fn form(&self, record: &Record<'_>) -> As<'_> {
        match &self.link {
            Some(_) if record.event_type() == EventType::FlushDb => As::Event,
            Some(stream) if self.resolves => As::Resolved(stream),
            Some(stream) => As::Link(stream),
            None => As::Event,
        }
    }

    /// When its next checkpoint is due: when everything before this position was looked at. At the same positions for
    /// all who want one after so many events, so that they can be told alike; the first one thus comes early.
    pub fn checkpoint_due(&self) -> Option<Position> {
        let events = self.checkpoint_events?.max(1);
        Some(Position((self.checkpointed.0 / events).saturating_add(1).saturating_mul(events)))
    }

    /// Everything before `next` was looked at, and told where it was wanted: tells a checkpoint if one is due.
    #[inline]
    pub fn checkpoint(&mut self, next: Position, to: To, outlet: &mut impl Outlet) {
        if self.checkpoint_due().is_some_and(|due| due <= next) {
            self.checkpoint_now(next, to, outlet);
        }
    }

    /// As [`Member::checkpoint`], with each that is due.
    pub fn checkpoint_each(&mut self, next: Position, to: To, outlet: &mut impl Outlet) {
        while let Some(due) = self.checkpoint_due().filter(|due| *due <= next) {
            self.checkpoint_now(due, to, outlet);
        }
    }

    /// As [`Member::checkpoint`], due or not, unless it was told this one already.
    pub fn checkpoint_now(&mut self, next: Position, to: To, outlet: &mut impl Outlet) {
        if self.checkpoint_events.is_some() && self.last_checkpoint < next {
            (self.checkpointed, self.last_checkpoint) = (next, next);
            self.push(Push::Checkpoint(before(next)), to, outlet);
        }
    }

    /// Meets a gap in the history up to `last`. Tells it where the subscription goes on behind it; otherwise the
    /// subscription is to be dropped.
    pub fn meet_gap(&mut self, last: Position, first_of_run: Position, outlet: &mut impl Outlet) -> bool {
        let floats = self.floats && !self.has_told;
        if !floats && self.on_gap == OnGap::Drop {
            return false;
        }
        // Who starts behind a revision has looked at nothing that it wants yet.
        let looks_for_start = self.after.take().is_some();
        let from = if self.cursor.0 == 0 || looks_for_start { first_of_run } else { self.cursor };
        outlet.push(self.client, self.id, Push::Gap(from, last));
        self.cursor = self.cursor.max(last.next());
        // What is lost was not looked at.
        self.checkpointed = self.checkpointed.max(self.cursor);
        true
    }

    /// The last lost position behind the revision that it starts behind, whose own event is not there any more; none
    /// where nothing is lost. `is_missing`: revisions behind it are, which retention has taken, up to `evicted`. `lost`
    /// is the last position before here that a power loss has taken: it may have been behind the start.
    pub fn lost_behind_start(&self, is_missing: bool, evicted: Position, lost: Option<Position>) -> Option<Position> {
        self.after?;
        (is_missing || lost.is_some()).then_some(evicted.max(lost.unwrap_or_default()))
    }

    /// Whether the event after the revision that it starts behind had not happened when its stream was asked for.
    pub fn starts_at_the_end(&self) -> bool {
        self.after.is_some_and(|Revision(after)| self.next_revision.0 <= after + 1)
    }

    /// Where an event stands to the revision that the subscription starts behind.
    pub fn stands(&self, record: &Record<'_>) -> Stands {
        let Some(Revision(after)) = self.after else { return Stands::Behind };
        // What happened after the stream was asked for is behind, also where the stream was forgotten and began anew.
        if record.position() >= self.next_revision.1 {
            return if self.starts_at_the_end() { Stands::Behind } else { Stands::BehindGap };
        }
        // As long as the event that it starts behind has not been found, nobody knows where a flush stands.
        if record.event_type() == EventType::FlushDb {
            return Stands::Before;
        }
        match record.revision().0 {
            revision if revision < after => Stands::Before,
            revision if revision == after => Stands::Start,
            revision if revision == after + 1 => Stands::Behind,
            _ => Stands::BehindGap,
        }
    }
}

/// Where an event stands to a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    /// It is not wanted.
    Before,
    /// It is not wanted, and everything behind it is.
    Start,
    /// It is wanted.
    Behind,
    /// It is wanted, and others before it are gone.
    BehindGap,
}

/// The position before one; a subscription that has looked at nothing stands before the first.
pub(super) fn before(position: Position) -> Position {
    Position(position.0.saturating_sub(1))
}
