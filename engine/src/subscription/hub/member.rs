//! One subscription: what it was sent, and what waits for it.

use super::begin::Begin;
use super::queue::Part;
use crate::account::Share;
use crate::event::EventType;
use crate::position::Position;
use crate::ring::Record;
use crate::subscription::{As, ClientId, OnGap, OnSlow, Outlet, Push, Subscribe};

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

/// What members of an interest must have in common to share a delivery: the number of the subscription, how links are
/// sent, and when checkpoints are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Alike {
    pub id: u64,
    pub resolves: bool,
    pub checkpoint: Option<(u64, u64)>,
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
    /// What it knows of its start.
    pub begin: Begin,
    /// What waits for it, of what waits for those who share its interest.
    pub waiting: Part,
}

impl Member {
    /// A subscription that is made when `next` is the position that would be handed out next.
    pub fn new(client: ClientId, id: u64, serial: u32, wanted: Subscribe, next: Position, share: Share) -> Member {
        let source = &wanted.interest.source;
        let (begin, cursor) = Begin::of(wanted.start, next);
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
            phase: if matches!(begin, Begin::Asked { .. }) { Phase::Asked } else { Phase::Reading },
            place: Place::Rests,
            cursor,
            checkpointed: cursor,
            last_checkpoint: Position(0),
            is_caught_up: false,
            is_joined: false,
            begin,
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
        self.begin = Begin::Found;
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
        if has_told {
            self.begin = Begin::Found;
        }
        if let Some(next) = last_checkpoint {
            (self.checkpointed, self.last_checkpoint) = (next, next);
        }
    }

    /// Whether it can share a delivery: neither its credit nor its start needs a check for each event.
    pub fn is_plain(&self) -> bool {
        self.credit.is_none() && matches!(self.begin, Begin::Found | Begin::Anywhere)
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

    /// Meets a gap in the history up to `last`. Sends it, and goes on behind it; false where the subscription is to be
    /// dropped instead.
    pub fn meet_gap(&mut self, last: Position, first_of_run: Position, outlet: &mut impl Outlet) -> bool {
        if self.on_gap == OnGap::Drop && self.begin != Begin::Anywhere {
            return false;
        }
        // A start behind a revision has passed no event yet that was wanted.
        let is_seeking = self.begin.seek().is_some();
        let from = if self.cursor.0 == 0 || is_seeking { first_of_run } else { self.cursor };
        if is_seeking {
            self.begin = Begin::Found;
        }
        outlet.push(self.client, self.id, Push::Gap(from, last));
        self.cursor = self.cursor.max(last.next());
        // What is lost was not looked at.
        self.checkpointed = self.checkpointed.max(self.cursor);
        true
    }
}

/// The position before one; a subscription that has looked at nothing stands before the first.
pub(super) fn before(position: Position) -> Position {
    Position(position.0.saturating_sub(1))
}
