//! What a client asks a hub for, and what the hub sends it.

use crate::interest::{Interest, Source};
use crate::limits::CHECKPOINT_EVENTS;
use crate::position::{Position, Revision};
use crate::ring::Record;

/// The recipient of a subscription's messages. Only the [`Outlet`] knows what the number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);

impl ClientId {
    /// The id of no client.
    pub const NOBODY: ClientId = ClientId(u64::MAX);
}

/// Where a subscription starts: the first event is the one after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Before the first event still available. Never an error: events that are gone are reported as a gap.
    Start,
    /// Behind the last event published when the subscription is made.
    End,
    /// Behind this revision of the stream; for a subscription to one stream only.
    Revision(Revision),
    /// Behind this position.
    Position(Position),
}

impl Start {
    /// Behind a bare number of a client: a revision where the source is one stream, else a position.
    pub fn behind(number: u64, source: &Source) -> Start {
        match source {
            Source::Stream(_) => Start::Revision(Revision(number)),
            Source::All | Source::Shard(_) | Source::Category(_) | Source::Type(_) | Source::Streams => {
                Start::behind_position(number)
            }
        }
    }

    /// Behind a position. Accepts any number that a client may give.
    pub fn behind_position(number: u64) -> Start {
        match number {
            // No event is at position 0, so every event comes behind it.
            0 => Start::Start,
            // Numbers beyond the last possible position all mean the same.
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
    /// It is sent the gap, and continues behind it.
    Skip,
}

/// A request for a subscription.
#[derive(Clone, Debug)]
pub struct Subscribe {
    /// The events that the client wants.
    pub interest: Interest,
    /// Where the subscription starts.
    pub start: Start,
    /// The number of examined events after which a checkpoint is sent; none for no checkpoints.
    pub checkpoint_events: Option<u64>,
    /// Whether the event that a link points to is sent together with the link.
    pub resolve_links: bool,
    /// How many events may be sent that the client has not acknowledged; none for any number.
    pub window: Option<u64>,
    /// What happens if the client is too slow.
    pub on_slow: OnSlow,
    /// What happens if the next events are no longer available.
    pub on_gap: OnGap,
}

impl Subscribe {
    /// A subscription to an interest from its first available event on, with default options.
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
    /// Its queue overflowed, and its client chose [`OnSlow::Drop`].
    TooSlow,
    /// Its next events are no longer available. The position is that of the first available event.
    PositionEvicted,
    /// Its start lies beyond the last position.
    PositionAhead,
    /// Its start lies beyond the next revision of its stream.
    RevisionAhead,
    /// The client may no longer read these events.
    AccessRevoked,
    /// The server stops.
    ShuttingDown,
    /// A defect of this program.
    Internal,
}

/// The form in which an event is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventForm<'a> {
    /// The event.
    Event,
    /// A link in the stream of this name. The link's revision is the event's position, its type `$>`, its data
    /// `revision@stream`; it has no metadata.
    Link(&'a [u8]),
    /// The event, together with the link in the stream of this name.
    Resolved(&'a [u8]),
}

/// A message to a subscriber.
#[derive(Clone, Copy, Debug)]
pub enum Push<'a> {
    /// An event. A flush always has the form [`EventForm::Event`]; its stream is `$db`.
    Event(&'a Record<'a>, EventForm<'a>),
    /// All wanted events up to this position were sent: later ones are sent as they happen.
    CaughtUp(Position),
    /// Events are read from the history again, from behind this position.
    FellBehind(Position),
    /// All events up to this position were examined: the client can resume from it.
    Checkpoint(Position),
    /// The events from the first to the second position, both included, are lost.
    Gap(Position, Position),
    /// The subscription has ended.
    Dropped(Reason, Position),
}

/// Takes the messages of a hub. The user of the engine implements it.
pub trait Outlet {
    /// Whether the client takes more events now. After an answer of false, the outlet's owner calls
    /// [`Hub::note_room`](super::Hub::note_room) once the client does.
    fn has_room(&mut self, client: ClientId) -> bool;
    /// Sends the client a message of its subscription `id`. Must not refuse. Without room, the hub pushes short notices
    /// only, no events.
    fn push(&mut self, client: ClientId, id: u64, push: Push<'_>);

    /// Begins a shared delivery: the messages up to [`Outlet::end_shared`] go to all of these clients, each for its
    /// subscription `id`. All of them have room.
    fn begin_shared(&mut self, clients: &[ClientId], id: u64);
    /// Sends a message to all clients of the shared delivery.
    fn push_shared(&mut self, push: Push<'_>);
    /// Ends the shared delivery.
    fn end_shared(&mut self);
}
