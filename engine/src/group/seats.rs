//! The consumers that are attached to a group: they do not read, but are given events as long as they have room. And which
//! of them gets an event.

use super::consumer::ConsumerId;
use super::pending::{PendingEntries, Pin};
use super::spec::Dispatch;
use crate::position::Position;
use crate::ring::Record;
use crate::stream_name::LINK_TYPE;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

/// How many consumers may be attached to one group.
pub const GROUP_SEATS_MAX: usize = 10_000;

/// What a consumer was given is looked through once it is so many entries more than twice its window.
const SEAT_GIVEN_SPARE: usize = 64;

/// How many pins there are.
const PINS: u64 = 1024;

/// The name of the property of an event's metadata by which [`Dispatch::PinnedByCorrelation`] pins.
const CORRELATION: &str = "$correlationId";

/// An attached consumer.
#[derive(Debug)]
struct Seat {
    /// The number of entries that may be in flight to it.
    window: usize,
    /// Whether it takes more at the moment.
    is_open: bool,
    /// What it was given; some of it is processed, or another's, since.
    given: Vec<Position>,
}

/// The attached consumers of a group, in the order in which they were attached.
#[derive(Default)]
pub(super) struct Seats {
    seats: BTreeMap<ConsumerId, Seat>,
    /// The one that was given something last, in turn.
    last: Option<ConsumerId>,
}

impl Seats {
    pub(super) fn len(&self) -> usize {
        self.seats.len()
    }

    pub(super) fn add(&mut self, consumer: ConsumerId, window: usize) {
        self.seats.insert(consumer, Seat { window, is_open: true, given: Vec::new() });
    }

    /// Removes a consumer. Returns what it was given, if it was attached.
    pub(super) fn remove(&mut self, consumer: ConsumerId) -> Option<Vec<Position>> {
        self.seats.remove(&consumer).map(|seat| seat.given)
    }

    pub(super) fn window(&self, consumer: ConsumerId) -> Option<usize> {
        self.seats.get(&consumer).map(|seat| seat.window)
    }

    pub(super) fn set_open(&mut self, consumer: ConsumerId, is_open: bool) {
        if let Some(seat) = self.seats.get_mut(&consumer) {
            seat.is_open = is_open;
        }
    }

    /// Notes what a consumer was given, so that it is found without a search when the consumer leaves.
    pub(super) fn note_given(&mut self, consumer: ConsumerId, position: Position, pending: &PendingEntries) {
        let Some(seat) = self.seats.get_mut(&consumer) else { return };
        // Each entry that is dropped here was noted once: a constant cost for each.
        if seat.given.len() > 2 * seat.window + SEAT_GIVEN_SPARE {
            seat.given.retain(|given| pending.get(*given).is_some_and(|entry| entry.consumer == Some(consumer)));
            seat.given.sort_unstable();
            seat.given.dedup();
        }
        seat.given.push(position);
    }

    /// Begins to give events out.
    pub(super) fn begin(&self, dispatch: Dispatch, pending: &PendingEntries) -> Round {
        let room = |(consumer, seat): (&ConsumerId, &Seat)| {
            let free = seat.window.saturating_sub(pending.in_flight(*consumer));
            (*consumer, if seat.is_open { free } else { 0 })
        };
        let free: Vec<(ConsumerId, usize)> = self.seats.iter().map(room).collect();
        let first = match self.last.filter(|_| dispatch == Dispatch::RoundRobin) {
            Some(last) => free.partition_point(|(consumer, _)| *consumer <= last),
            None => 0,
        };
        let turns: VecDeque<usize> = (first..free.len()).chain(0..first).filter(|at| free[*at].1 > 0).collect();
        let places = match dispatch.is_pinned() {
            true => free.iter().enumerate().map(|(at, (consumer, _))| (*consumer, at)).collect(),
            false => HashMap::new(),
        };
        Round { dispatch, left: free.iter().map(|(_, free)| free).sum(), free, turns, places, last: self.last }
    }

    /// Ends it.
    pub(super) fn end(&mut self, round: &Round) {
        self.last = round.last;
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
    /// The one that was given something last, in turn.
    last: Option<ConsumerId>,
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
                self.last = Some(self.free[at].0);
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
