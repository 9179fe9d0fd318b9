//! One subscription: what it has been told, and what waits for it.

use super::live::Alike;
use super::queue::Part;
use crate::event::EventType;
use crate::history::Gap;
use crate::position::{Position, Revision};
use crate::ring::Record;
use crate::subscription::{As, ClientId, OnGap, OnSlow, Outlet, Push, Start, Subscribe};

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
    /// Everything before this is covered by its last checkpoint.
    pub checkpointed: Position,
    /// Whether it was told that it is caught up, and not since that it fell behind.
    pub is_caught_up: bool,
    /// Whether it relies on its interest being live.
    pub is_joined: bool,
    /// Whether it has been told an event.
    has_told: bool,
    /// Whether it starts at whatever is first available.
    floats: bool,
    /// Whether it starts behind a revision and has not found where that is.
    starts_behind: bool,
    /// The revision that it starts behind, as long as it looks for the first event after it.
    pub after: Option<Revision>,
    /// Whether the event of that revision was found.
    pub found_start: bool,
    /// Which revision the stream's next event was to get when it began to look, and from which position on.
    pub next_revision: (u64, Position),
    /// What waits for it, of what waits for those who share its interest.
    pub waiting: Part,
}

impl Member {
    pub fn new(client: ClientId, id: u64, serial: u32, wanted: Subscribe) -> Member {
        let source = &wanted.interest.source;
        let (cursor, after) = match wanted.start {
            Start::Start | Start::End | Start::Position(Position(0)) => (Position(0), None),
            Start::Position(position) => (Position(position.0.saturating_add(1)), None),
            Start::Revision(revision) => (Position(0), Some(revision)),
        };
        Member {
            client,
            id,
            serial,
            interest: 0,
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
            is_caught_up: false,
            is_joined: false,
            has_told: false,
            floats: cursor == Position(0) && after.is_none(),
            starts_behind: after.is_some(),
            after,
            found_start: false,
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
        if record.event_type() != EventType::FlushDb {
            (self.starts_behind, self.after) = (false, None);
        }
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

    /// Notes what it was told with all who are told alike: events, or none, and checkpoints.
    pub fn note_told(&mut self, has_told: bool, checkpointed: Position) {
        self.has_told |= has_told;
        self.starts_behind &= !has_told;
        self.checkpointed = checkpointed;
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

    /// As [`Member::checkpoint`], due or not.
    pub fn checkpoint_now(&mut self, next: Position, to: To, outlet: &mut impl Outlet) {
        if self.checkpoint_events.is_some() {
            self.checkpointed = next;
            self.push(Push::Checkpoint(before(next)), to, outlet);
        }
    }

    /// Meets a gap in the history before `first`. Tells it where the subscription goes on behind it; otherwise the
    /// subscription is to be dropped.
    pub fn meet_gap(&mut self, gap: Gap, first_of_run: Position, outlet: &mut impl Outlet) -> bool {
        let floats = self.floats && !self.has_told;
        if !floats && self.on_gap == OnGap::Drop {
            return false;
        }
        // Who starts behind a revision has looked at nothing that it wants yet.
        let from = if self.cursor.0 == 0 || self.starts_behind { first_of_run } else { self.cursor };
        self.starts_behind = false;
        outlet.push(self.client, self.id, Push::Gap(from, gap.last));
        self.cursor = self.cursor.max(gap.last.next());
        // What is lost was not looked at.
        self.checkpointed = self.checkpointed.max(self.cursor);
        true
    }

    /// Whether an event that was found for it is not wanted, because it lies before the revision that it starts behind.
    #[inline]
    pub fn passes(&self, record: &Record<'_>) -> bool {
        record.event_type() != EventType::FlushDb && self.stands(record) == Stands::Before
    }

    /// Where an event stands to the revision that the subscription starts behind.
    pub fn stands(&self, record: &Record<'_>) -> Stands {
        let Some(after) = self.after else { return Stands::Behind };
        if record.event_type() == EventType::FlushDb {
            // As long as the event that it starts behind has not been found, nobody knows.
            return if self.found_start { Stands::Behind } else { Stands::Before };
        }
        if record.revision() <= after {
            return Stands::Before;
        }
        if record.revision().0 == after.0 + 1 { Stands::Behind } else { Stands::BehindGap }
    }
}

/// Where an event stands to a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    /// It is not wanted.
    Before,
    /// It is wanted.
    Behind,
    /// It is wanted, and others before it are gone.
    BehindGap,
}

/// The position before one; a subscription that has looked at nothing stands before the first.
pub(super) fn before(position: Position) -> Position {
    Position(position.0.saturating_sub(1))
}
