//! Consumer groups: the events of a key pattern are distributed among consumers. Each event is pending until a consumer has
//! acknowledged it.
//!
//! ```text
//!   history ──new──► pending ──ack, skip──► gone
//!                     │  ▲ └──record overwritten: reported as a gap──► gone
//!     too often, park ▼  │ replay
//!                    parked
//! ```
//!
//! A group has one cursor, below which every event of its pattern was delivered at least once, or reported as lost. An event
//! that was delivered and not acknowledged is a pending entry: its position, the consumer that holds it, and the place of
//! its record, so that it can be delivered again without a search. The history does not wait for groups: a record that the
//! ring overwrites first is lost to them, and reported as a gap.
//!
//! | module | what is in it |
//! |---|---|
//! | `consumer` | the consumers of a group, by name and number |
//! | `pending` | the pending entries by position, and which of them are due |
//! | `consume` | operations of consumers: read, acknowledge, release, claim |
//! | `spec` | which events a group has, if not those of its key pattern, and how they are given to attached consumers |
//! | `seats`, `distribute` | consumers that are attached, and are given events as long as they have room |
//! | `manage` | operations of administrators: inspect, set the cursor, replay, remove |
//! | `table` | all groups, by key pattern and name |
//! | `persist` | writes the groups' journal, and restores groups from it |
//! | `journal`, `frame` | the changes that a table notes itself, and the frames of a journal |
//! | `changes`, `decode` | encodes the changes of a group, and decodes those of a frame |
//! | `error` | the errors of group commands |
//! | `check`, `restore` | checks all changes of a frame, and then applies them |
//! | `codec` | the encoding of numbers and byte strings |

mod changes;
mod check;
mod codec;
mod consume;
mod consumer;
mod decode;
mod distribute;
mod error;
mod frame;
mod journal;
#[cfg(test)]
mod journal_tests;
mod manage;
#[cfg(test)]
mod model;
mod pending;
mod persist;
#[cfg(test)]
mod push_model;
mod restore;
mod seats;
mod spec;
mod table;
#[cfg(test)]
mod tests;

pub use changes::Urgency;
pub use consume::{GroupRead, Nack, Row};
pub use consumer::ConsumerId;
pub use distribute::{Distributed, GROUP_PUSH_IDLE_MS_MIN, Given};
pub use error::{GROUP_CONSUMERS_MAX, GROUP_NAME_BYTES_MAX, GROUPS_MAX, GroupError};
pub use frame::{first_frame, place_frames, write_end};
pub use manage::{ConsumerInfo, GroupInfo, PendingRow};
pub use persist::Replayed;
pub use seats::GROUP_SEATS_MAX;
pub use spec::{
    Dispatch, FilterText, GROUP_AHEAD_DEFAULT, GROUP_AHEAD_MAX, GROUP_NOTES_BYTES_MAX, GroupSpec, PatternText,
    PushOptions, Selection,
};
pub use table::GroupTable;

use crate::account::OverLimit;
use crate::filter::{Filter, FilterError, Pattern, Target};
use crate::history::{BeyondHead, History};
use crate::interest::{Interest, Source};
use crate::position::{Position, Revision};
use changes::Changes;
use codec::COUNT_MAX;
use consumer::Consumers;
use pending::{Entry, PendingEntries};
use seats::Seats;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// The default of IDLE: the time without acknowledgement after which an entry is delivered again, in milliseconds.
pub const GROUP_IDLE_MS_DEFAULT: u64 = 30_000;

/// The default of MAXPENDING: the number of pending entries at which new events are held back.
pub const GROUP_PENDING_DEFAULT: usize = 65_536;

/// The highest value of MAXPENDING.
pub const GROUP_PENDING_MAX: usize = 1 << 20;

/// The approximate memory of a pending entry, in bytes.
const GROUP_PENDING_BYTES: usize = 128;

/// The approximate memory of a parked entry, in bytes.
const GROUP_PARKED_BYTES: usize = 96;

/// The approximate memory of an attached consumer besides that of every consumer, in bytes.
const GROUP_SEAT_BYTES: usize = 64;

/// The maximum number of parked entries of a group. Beyond it, an entry that should be parked stays pending.
pub const GROUP_PARKED_MAX: usize = 65_536;

/// The maximum number of due entries that one read examines without delivering them, because they are lost or exhausted.
pub const GROUP_FRUITLESS_MAX: usize = 16_384;

/// Where a group starts to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At this position, inclusive; 0 is the first event still available.
    At(Position),
    /// Behind the last position handed out so far.
    Head,
}

impl Start {
    /// The cursor for this start at the moment.
    ///
    /// # Errors
    /// Where the position is beyond the head of the history.
    pub fn cursor(self, history: &History) -> Result<Position, BeyondHead> {
        match self {
            Start::Head => Ok(history.head().next()),
            Start::At(position) => history.check_cursor(position).map(|()| position),
        }
    }
}

/// The options of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupOptions {
    /// The time without acknowledgement after which an entry is delivered again, in milliseconds.
    pub idle_ms: u64,
    /// The number of deliveries after which an entry is parked; 0 for no limit.
    pub max_deliveries: u32,
    /// The number of pending entries at which new events are held back; at least 1.
    pub max_pending: usize,
}

impl Default for GroupOptions {
    fn default() -> GroupOptions {
        GroupOptions { idle_ms: GROUP_IDLE_MS_DEFAULT, max_deliveries: 0, max_pending: GROUP_PENDING_DEFAULT }
    }
}

/// One consumer group.
pub struct Group {
    /// The events that it distributes.
    interest: Arc<Interest>,
    options: GroupOptions,
    /// Every event below that matches the filter was delivered, or reported as lost.
    cursor: Position,
    consumers: Consumers,
    pending: PendingEntries,
    parked: BTreeMap<Position, Entry>,
    counts: GroupCounts,
    /// Changes that were not written to the journal yet.
    changes: Changes,
    /// The limit that forbids it further memory, if one does.
    over_limit: Option<OverLimit>,
    /// Whether the last check of retention has warned: see [`Group::retention_warning`].
    was_warned: bool,
    /// What it is made of.
    spec: GroupSpec,
    /// The consumers that are given events.
    seats: Seats,
    /// The consumers that were attached, also by an earlier run.
    attached: BTreeSet<ConsumerId>,
    /// Position and revision of the last event that it has got.
    last_seen: Option<(Position, Revision)>,
    /// Up to here events were lost that may have been some of its stream: the revision of the next one tells.
    suspected: Option<Position>,
    /// The name of the user who created the group; empty if the journal does not tell.
    creator: Arc<[u8]>,
}

/// The totals of a group since it was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupCounts {
    /// Events delivered for the first time.
    pub delivered: u64,
    /// Repeated deliveries of an event, including claims.
    pub redelivered: u64,
    /// Entries acknowledged or skipped.
    pub acknowledged: u64,
    /// Pending entries whose record was overwritten before they were acknowledged.
    pub lost: u64,
    /// Entries parked; an entry that is parked again counts again.
    pub parked: u64,
}

/// The events whose key matches a pattern.
fn by_keys(key_pattern: &[u8]) -> Result<Interest, FilterError> {
    let filter = Filter::new(Target::Stream, Pattern::keys(key_pattern)?, false);
    Ok(Interest { source: Source::All, filter })
}

/// Adds to a total, which stops at its maximum.
fn add(total: &mut u64, count: u64) {
    *total = total.saturating_add(count).min(COUNT_MAX);
}

impl Group {
    /// A group of the events whose key matches `key_pattern` (see [`Pattern::keys`]).
    ///
    /// # Errors
    /// Where the start is beyond the head of the history, or the pattern is invalid.
    pub fn new(
        key_pattern: &[u8],
        start: Start,
        options: GroupOptions,
        history: &History,
    ) -> Result<Group, GroupError> {
        let mut group = Group::empty(key_pattern, options)?;
        group.cursor = start.cursor(history)?;
        Ok(group)
    }

    /// Sets what the group is made of, and the events that it has by that.
    fn set_spec(&mut self, spec: GroupSpec, interest: Interest) {
        (self.spec, self.interest) = (spec, Arc::new(interest));
    }

    /// The events that the group distributes.
    pub fn interest(&self) -> &Arc<Interest> {
        &self.interest
    }

    /// The position from which on a read that found nothing waits for new events; none where the maximum of entries is
    /// pending, so that new events are held back.
    pub fn reads_from(&self) -> Option<Position> {
        (self.pending.len() < self.options.max_pending).then_some(self.cursor)
    }

    /// Notes that a range of the history has no event of the group. A cursor within the range moves to its end.
    pub fn pass_over(&mut self, range: Range<Position>) {
        if range.contains(&self.cursor) {
            self.cursor = range.end;
            self.changes.read_to(self.cursor, false);
        }
    }

    fn empty(key_pattern: &[u8], options: GroupOptions) -> Result<Group, FilterError> {
        Ok(Group {
            interest: Arc::new(by_keys(key_pattern)?),
            options,
            cursor: Position(0),
            consumers: Consumers::default(),
            pending: PendingEntries::default(),
            parked: BTreeMap::new(),
            counts: GroupCounts::default(),
            changes: Changes::default(),
            over_limit: None,
            was_warned: false,
            spec: GroupSpec::default(),
            seats: Seats::default(),
            attached: BTreeSet::new(),
            last_seen: None,
            creator: Arc::default(),
            suspected: None,
        })
    }

    /// The approximate memory of the group, in bytes.
    fn memory_bytes(&self) -> usize {
        let entries = self.pending.len() * GROUP_PENDING_BYTES + self.parked.len() * GROUP_PARKED_BYTES;
        size_of::<Group>()
            + self.spec.memory_bytes()
            + self.creator.len()
            + self.seats.len() * GROUP_SEAT_BYTES
            + self.interest.memory_bytes() as usize
            + self.consumers.memory_bytes()
            + entries
    }
}
