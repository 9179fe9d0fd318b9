//! The consumers that are attached to a group: they do not read, but are given events as long as they have room. And which
//! of them gets an event.

use super::consumer::ConsumerId;
use super::pending::{PendingEntries, Pin};
use super::spec::Dispatch;
use crate::ring::Record;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

/// How many consumers may be attached to one group.
pub const GROUP_SEATS_MAX: usize = 10_000;

/// How many pins there are.
const PINS: u64 = 1024;

/// The name of the property of an event's metadata by which [`Dispatch::PinnedByCorrelation`] pins.
const CORRELATION: &str = "$correlationId";

/// The type of a link.
const LINK_TYPE: &[u8] = b"$>";

/// An attached consumer.
#[derive(Clone, Copy, Debug)]
struct Seat {
    consumer: ConsumerId,
    /// The number of entries that may be in flight to it.
    window: usize,
    /// Whether it takes more at the moment.
    is_open: bool,
}

/// The attached consumers of a group.
#[derive(Default)]
pub(super) struct Seats {
    seats: Vec<Seat>,
    /// The one whose turn it is.
    next: usize,
}

impl Seats {
    pub(super) fn len(&self) -> usize {
        self.seats.len()
    }

    pub(super) fn add(&mut self, consumer: ConsumerId, window: usize) {
        self.seats.push(Seat { consumer, window, is_open: true });
    }

    /// Removes a consumer; whether it was attached.
    pub(super) fn remove(&mut self, consumer: ConsumerId) -> bool {
        let before = self.seats.len();
        self.seats.retain(|seat| seat.consumer != consumer);
        self.seats.len() < before
    }

    pub(super) fn window(&self, consumer: ConsumerId) -> Option<usize> {
        self.seats.iter().find(|seat| seat.consumer == consumer).map(|seat| seat.window)
    }

    pub(super) fn set_open(&mut self, consumer: ConsumerId, is_open: bool) {
        if let Some(seat) = self.seats.iter_mut().find(|seat| seat.consumer == consumer) {
            seat.is_open = is_open;
        }
    }

    /// Begins to give events out.
    pub(super) fn begin(&self, dispatch: Dispatch, pending: &PendingEntries) -> Round {
        let room = |seat: &Seat| {
            let free = seat.window.saturating_sub(pending.in_flight(seat.consumer));
            (seat.consumer, if seat.is_open { free } else { 0 })
        };
        let free: Vec<(ConsumerId, usize)> = self.seats.iter().map(room).collect();
        let first = if dispatch == Dispatch::RoundRobin { self.next.min(free.len()) } else { 0 };
        let turns: VecDeque<usize> = (first..free.len()).chain(0..first).filter(|at| free[*at].1 > 0).collect();
        let places = match dispatch.is_pinned() {
            true => free.iter().enumerate().map(|(at, (consumer, _))| (*consumer, at)).collect(),
            false => HashMap::new(),
        };
        Round { dispatch, left: free.iter().map(|(_, free)| free).sum(), free, turns, places, next: None }
    }

    /// Ends it.
    pub(super) fn end(&mut self, round: &Round) {
        self.next = round.next.unwrap_or(self.next);
    }
}

/// Giving events out, once.
pub(super) struct Round {
    dispatch: Dispatch,
    /// The attached consumers, and how many more entries each takes.
    free: Vec<(ConsumerId, usize)>,
    /// The sum of these.
    left: usize,
    /// Those that take more, the next one first.
    turns: VecDeque<usize>,
    /// Their places, where events are pinned.
    places: HashMap<ConsumerId, usize>,
    /// The one whose turn it is after this.
    next: Option<usize>,
}

impl Round {
    /// How many more entries are taken.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// The consumer that gets an entry with this pin, which counts as given; none where it has to wait. `holder` is the
    /// consumer to which others with the pin are in flight.
    pub(super) fn choose(&mut self, pin: Option<Pin>, holder: Option<ConsumerId>) -> Option<ConsumerId> {
        let at = match (self.dispatch, pin) {
            (Dispatch::First, _) => *self.turns.front()?,
            (Dispatch::PinnedByStream | Dispatch::PinnedByCorrelation, Some(Pin(pin))) => {
                // As long as others are in flight to a consumer that reads by itself, or is attached with another place,
                // they keep their order only there.
                match holder.map(|holder| self.places.get(&holder)) {
                    Some(Some(at)) => *at,
                    Some(None) => return None,
                    None => usize::from(pin) % self.free.len().max(1),
                }
            }
            _ => {
                let at = self.turns.pop_front()?;
                self.next = Some((at + 1) % self.free.len());
                if self.free[at].1 > 1 {
                    self.turns.push_back(at);
                }
                at
            }
        };
        let (consumer, free) = self.free.get_mut(at).filter(|(_, free)| *free > 0)?;
        *free -= 1;
        self.left -= 1;
        if *free == 0 && self.dispatch == Dispatch::First {
            self.turns.pop_front();
        }
        Some(*consumer)
    }
}

/// The pin of an event.
pub(super) fn pin_of(dispatch: Dispatch, record: &Record<'_>) -> Option<Pin> {
    let hash = |bytes: &[u8]| {
        // Without keys: the same at every start.
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(bytes);
        Pin((hash % PINS) as u16)
    };
    match dispatch {
        Dispatch::RoundRobin | Dispatch::First => None,
        Dispatch::PinnedByStream => Some(hash(stream_of(record))),
        Dispatch::PinnedByCorrelation => Some(match record.meta().and_then(correlation) {
            Some(id) => hash(id.as_bytes()),
            None => hash(stream_of(record)),
        }),
    }
}

/// The stream of an event, or of the event behind a link.
fn stream_of<'a>(record: &Record<'a>) -> &'a [u8] {
    let is_link = record.type_name() == LINK_TYPE;
    let target = || record.data_bytes().splitn(2, |byte| *byte == b'@').nth(1);
    Some(record).filter(|_| is_link).and_then(|_| target()).unwrap_or(record.key())
}

/// The `$correlationId` in metadata.
fn correlation(meta: &[u8]) -> Option<String> {
    match serde_json::from_slice(meta).ok()? {
        serde_json::Value::Object(mut fields) => match fields.remove(CORRELATION)? {
            serde_json::Value::String(id) => Some(id),
            _ => None,
        },
        _ => None,
    }
}
