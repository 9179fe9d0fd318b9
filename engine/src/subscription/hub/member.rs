//! A member of a hub is one subscription. This file has its phase and its progress, and sends events and checkpoints to its
//! client.

use super::begin::Begin;
use super::queue::Part;
use crate::account::{Owned, Share};
use crate::event::EventType;
use crate::position::Position;
use crate::ring::Record;
use crate::subscription::{ClientId, EventForm, OnGap, OnSlow, Outlet, Push, Subscribe};

/// The phase of a subscription between reading the history and live delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It waits for the shard's answer about the revision of its stream.
    Asked,
    /// It reads the history.
    Reading,
    /// It reads the history up to this position. The shards find its events from there on, and these wait in its queue.
    Joining(Position),
    /// It is sent each event that the shards find.
    Live,
}

/// When a subscription runs its next slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Schedule {
    /// It is in the queue of those with work to do.
    Ready,
    /// It becomes ready when more is merged.
    Polling,
    /// It waits for something of its own: room, credit, an answer, an event.
    Idle,
}

/// The recipients of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// The subscription alone.
    One,
    /// All of a shared delivery, between [`Outlet::begin_shared`] and [`Outlet::end_shared`].
    Group,
}

/// What members of an interest must have in common to share a delivery: the number of the subscription, the form of links,
/// and the positions of checkpoints.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DeliveryKey {
    pub id: u64,
    pub resolves: bool,
    pub checkpoint: Option<(u64, u64)>,
}

/// One subscription.
pub(super) struct Member {
    pub client: ClientId,
    pub id: u64,
    /// Distinguishes it from earlier members at the same index.
    pub serial: u32,
    /// The number of its interest.
    pub interest: u32,
    /// Its place among the members of the interest.
    pub interest_place: u32,
    /// Its memory, and what its user has of subscriptions.
    _shares: (Share, Owned),
    /// The stream of its links, where it is sent links or resolved links.
    link: Option<Box<[u8]>>,
    resolves: bool,
    checkpoint_events: Option<u64>,
    /// The number of events that may be sent before the client grants more credit; `None` for unlimited.
    credit: Option<u64>,
    pub on_slow: OnSlow,
    on_gap: OnGap,
    pub phase: Phase,
    pub schedule: Schedule,
    /// All events before this position were examined for it. While it is live, events before this position are not sent.
    pub cursor: Position,
    /// Examined events from this position on count for its next checkpoint: those before it are covered by the last
    /// checkpoint, or precede its start.
    pub checkpointed: Position,
    /// Its last checkpoint covers everything before this position; 0 before its first one. Checkpoints strictly advance.
    last_checkpoint: Position,
    /// Whether its last message about its progress was [`Push::CaughtUp`], and not [`Push::FellBehind`].
    pub is_caught_up: bool,
    /// Whether it relies on its interest being live.
    pub is_joined: bool,
    pub begin: Begin,
    /// The part of its interest's queue that waits for it.
    pub waiting: Part,
}

impl Member {
    /// A new subscription. `next` is the position that the next recorded event gets.
    pub fn new(
        client: ClientId,
        id: u64,
        serial: u32,
        wanted: Subscribe,
        next: Position,
        shares: (Share, Owned),
    ) -> Member {
        let source = &wanted.interest.source;
        let (begin, cursor) = Begin::of(wanted.start, next);
        Member {
            client,
            id,
            serial,
            interest: 0,
            interest_place: 0,
            _shares: shares,
            link: source.is_links().then(|| source.name().into()),
            resolves: wanted.resolve_links,
            checkpoint_events: wanted.checkpoint_events,
            credit: wanted.window,
            on_slow: wanted.on_slow,
            on_gap: wanted.on_gap,
            phase: if matches!(begin, Begin::Asked { .. }) { Phase::Asked } else { Phase::Reading },
            schedule: Schedule::Idle,
            cursor,
            checkpointed: cursor,
            last_checkpoint: Position(0),
            is_caught_up: false,
            is_joined: false,
            begin,
            waiting: Part::default(),
        }
    }

    /// Whether an event may be sent now.
    #[inline]
    pub fn may_deliver(&self, outlet: &mut impl Outlet) -> bool {
        self.credit != Some(0) && outlet.has_room(self.client)
    }

    /// Adds credit for `count` more events. Credit accumulates: a client may open its window further in advance.
    pub fn add_credit(&mut self, count: u64) {
        self.credit = self.credit.map(|credit| credit.saturating_add(count));
    }

    /// Sends an event, after the checkpoint that is due before it.
    #[inline]
    pub fn deliver(&mut self, record: &Record<'_>, to: Audience, outlet: &mut impl Outlet) {
        self.checkpoint(record.position(), to, outlet);
        self.begin = Begin::Found;
        if let Some(credit) = &mut self.credit {
            *credit -= 1;
        }
        self.push(Push::Event(record, self.form(record)), to, outlet);
    }

    #[inline]
    fn push(&self, push: Push<'_>, to: Audience, outlet: &mut impl Outlet) {
        match to {
            Audience::One => outlet.push(self.client, self.id, push),
            Audience::Group => outlet.push_shared(push),
        }
    }

    /// The last checkpoint covers everything before this position; 0 before the first one.
    pub fn last_checkpoint(&self) -> Position {
        self.last_checkpoint
    }

    /// Notes a shared delivery to the member: whether it had events, and its last checkpoint if it had one.
    pub fn note_delivered(&mut self, has_events: bool, last_checkpoint: Option<Position>) {
        if has_events {
            self.begin = Begin::Found;
        }
        if let Some(next) = last_checkpoint {
            (self.checkpointed, self.last_checkpoint) = (next, next);
        }
    }

    /// Whether the member can share a delivery: neither its credit nor its start needs a check for each event.
    pub fn can_share(&self) -> bool {
        self.credit.is_none() && matches!(self.begin, Begin::Found | Begin::Anywhere)
    }

    /// The key of the deliveries that the member can share.
    pub fn delivery_key(&self) -> DeliveryKey {
        let checkpoint = self.checkpoint_due().map(|due| (due.0, self.checkpoint_events.unwrap_or_default()));
        DeliveryKey { id: self.id, resolves: self.resolves, checkpoint }
    }

    fn form(&self, record: &Record<'_>) -> EventForm<'_> {
        match &self.link {
            Some(_) if record.event_type() == EventType::FlushDb => EventForm::Event,
            Some(stream) if self.resolves => EventForm::Resolved(stream),
            Some(stream) => EventForm::Link(stream),
            None => EventForm::Event,
        }
    }

    /// The position of the next checkpoint, which is due once everything before it was examined. It is a multiple of
    /// `checkpoint_events`, so that members with the same number share deliveries; so a member's first one comes early.
    pub fn checkpoint_due(&self) -> Option<Position> {
        let events = self.checkpoint_events?.max(1);
        Some(Position((self.checkpointed.0 / events).saturating_add(1).saturating_mul(events)))
    }

    /// Sends a checkpoint if one is due, where everything before `next` was examined and the wanted events were sent.
    #[inline]
    pub fn checkpoint(&mut self, next: Position, to: Audience, outlet: &mut impl Outlet) {
        if self.checkpoint_due().is_some_and(|due| due <= next) {
            self.checkpoint_now(next, to, outlet);
        }
    }

    /// Sends each checkpoint that is due: see [`Member::checkpoint`].
    pub fn checkpoint_each(&mut self, next: Position, to: Audience, outlet: &mut impl Outlet) {
        while let Some(due) = self.checkpoint_due().filter(|due| *due <= next) {
            self.checkpoint_now(due, to, outlet);
        }
    }

    /// Sends a checkpoint, due or not, unless this one was sent already: see [`Member::checkpoint`].
    pub fn checkpoint_now(&mut self, next: Position, to: Audience, outlet: &mut impl Outlet) {
        if self.checkpoint_events.is_some() && self.last_checkpoint < next {
            (self.checkpointed, self.last_checkpoint) = (next, next);
            self.push(Push::Checkpoint(before(next)), to, outlet);
        }
    }

    /// Handles a gap in the history up to `last`: sends it, and moves the cursor behind it. Returns false if the subscription
    /// must be dropped instead.
    pub fn meet_gap(&mut self, last: Position, first_of_run: Position, outlet: &mut impl Outlet) -> bool {
        if self.on_gap == OnGap::Drop && self.begin != Begin::Anywhere {
            return false;
        }
        // A search for a revision has not passed a wanted event yet.
        let is_seeking = self.begin.seek().is_some();
        let from = if self.cursor.0 == 0 || is_seeking { first_of_run } else { self.cursor };
        if is_seeking {
            self.begin = Begin::Found;
        }
        outlet.push(self.client, self.id, Push::Gap(from, last));
        self.cursor = self.cursor.max(last.next());
        // Lost events were not examined.
        self.checkpointed = self.checkpointed.max(self.cursor);
        true
    }
}

/// The position before another; 0 before 0.
pub(super) fn before(position: Position) -> Position {
    Position(position.0.saturating_sub(1))
}
