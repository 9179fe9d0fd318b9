//! What a client asks a hub for, and what the hub sends it.

use crate::interest::{Interest, Source};
use crate::limits::CHECKPOINT_EVENTS;
use crate::position::{Position, Revision};
use crate::ring::Record;

/// Who takes the pushes of a subscription; what it means is known to the [`Outlet`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);

impl ClientId {
    /// No client's.
    pub const NOBODY: ClientId = ClientId(u64::MAX);
}

/// Where a subscription starts: the first event is the one after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Before the first event still available. Never an error: what is gone is told as a gap.
    Start,
    /// Behind the last event published when the subscription is made.
    End,
    /// Behind this revision of the stream; for a subscription to one stream only.
    Revision(Revision),
    /// Behind this position.
    Position(Position),
}

impl Start {
    /// Behind a number, as a client says it without a word beside: a revision of one stream, a position of anything else.
    pub fn behind(number: u64, source: &Source) -> Start {
        match source {
            Source::Stream(_) => Start::Revision(Revision(number)),
            Source::All | Source::Shard(_) | Source::Category(_) | Source::Type(_) | Source::Streams => {
                Start::behind_position(number)
            }
        }
    }

    /// Behind a position, whatever number a client gives for it.
    pub fn behind_position(number: u64) -> Start {
        match number {
            // No event is at position 0, so everything comes behind it, as behind the cursor 0.
            0 => Start::Start,
            // Beyond the last position that there can be, one number is like another.
            number => Start::Position(Position(number).min(Position::END)),
        }
    }
}

/// What happens to a subscription that takes its events too slowly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnSlow {
    /// It falls behind and catches up again from the history.
    #[default]
    Fallback,
    /// It is dropped.
    Drop,
}

/// What happens to a subscription whose next events are no longer available.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnGap {
    /// It is dropped.
    #[default]
    Drop,
    /// It is told of the gap and goes on behind it.
    Skip,
}

/// A subscription that is asked for.
#[derive(Clone, Debug)]
pub struct Subscribe {
    /// What to.
    pub interest: Interest,
    /// From where on.
    pub start: Start,
    /// A checkpoint after so many events looked at; none for no checkpoints.
    pub checkpoint_events: Option<u64>,
    /// Whether a link's event comes in its stead.
    pub resolve_links: bool,
    /// How many events may be on their way that the client has not acknowledged; none for any number.
    pub window: Option<u64>,
    /// What happens if it is too slow.
    pub on_slow: OnSlow,
    /// What happens if its events are gone.
    pub on_gap: OnGap,
}

impl Subscribe {
    /// A subscription to this, with everything else as it is by default.
    pub fn to(interest: Interest) -> Subscribe {
        Subscribe {
            start: Start::Start,
            checkpoint_events: interest.source.has_checkpoints().then_some(CHECKPOINT_EVENTS),
            resolve_links: false,
            window: None,
            on_slow: OnSlow::default(),
            on_gap: OnGap::default(),
            interest,
        }
    }
}

/// Why a subscription has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The client ended it.
    Unsubscribed,
    /// Its queue overflowed, and it was to be dropped then.
    TooSlow,
    /// Its next events are no longer available. The position is the first one that is.
    PositionEvicted,
    /// It was to start beyond the last position.
    PositionAhead,
    /// It was to start beyond the next revision of its stream.
    RevisionAhead,
    /// The client may no longer read this.
    AccessRevoked,
    /// The server stops.
    ShuttingDown,
    /// A defect of this program.
    Internal,
}

/// How an event is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum As<'a> {
    /// As itself.
    Event,
    /// As a link in the stream of this name; the link's revision is the event's position, its type `$>`, its data
    /// `revision@stream`, and it has no metadata.
    Link(&'a [u8]),
    /// As itself, with the link in the stream of this name beside it.
    Resolved(&'a [u8]),
}

/// What a subscriber is told.
#[derive(Clone, Copy, Debug)]
pub enum Push<'a> {
    /// An event. A flush is always told as itself; its stream is `$db`.
    Event(&'a Record<'a>, As<'a>),
    /// Everything up to this position was told: from here on events come as they happen.
    CaughtUp(Position),
    /// Events come from the history again, from behind this position.
    FellBehind(Position),
    /// Everything up to this position was looked at: it is safe to resume from.
    Checkpoint(Position),
    /// The events from the first to the last of these positions are lost.
    Gap(Position, Position),
    /// The subscription has ended.
    Dropped(Reason, Position),
}

/// Where pushes go: the side of the engine's user.
pub trait Outlet {
    /// Whether the client takes more at the moment. Where not, [`Hub::note_room`](super::Hub::note_room) is called
    /// once it does.
    fn has_room(&mut self, client: ClientId) -> bool;
    /// Tells the client something of its subscription `id`. Never refused; it is told nothing but short notices where
    /// there is no room.
    fn push(&mut self, client: ClientId, id: u64, push: Push<'_>);

    /// Begins what several clients are told alike, each of its subscription `id`: what follows up to
    /// [`Outlet::end_shared`] is for all of them. All of them have room.
    fn begin_shared(&mut self, clients: &[ClientId], id: u64);
    /// Tells those something.
    fn push_shared(&mut self, push: Push<'_>);
    /// Ends it.
    fn end_shared(&mut self);
}
