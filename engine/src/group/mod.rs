//! Consumer groups: the events of a key pattern shared out among workers, each event pending until one of them has
//! acknowledged it.
//!
//! ```text
//!   history ──new──► pending ──ack, skip──► gone
//!                     │  ▲ └──record overwritten, told as a gap──► gone
//!     too often, park ▼  │ replay
//!                    parked
//! ```
//!
//! A group has one cursor, below which every event of its pattern was delivered at least once, or told as lost. What
//! was delivered and not acknowledged is a pending entry: the position, who has it, and where its record lies, so that
//! it can be delivered again without a search. The history does not wait for groups: what the ring overwrites first is
//! lost to them, and they are told.
//!
//! | module | what is in it |
//! |---|---|
//! | `consumer` | the members of a group, by name and number |
//! | `pending` | the pending entries by position, and which of them are due |
//! | `consume` | what members do: read, acknowledge, give back, claim |
//! | `manage` | what administrators do: inspect, reposition, replay, remove |
//! | `table` | all groups, by key pattern and name |
//! | `persist` | the journal that outlives the process, and groups made of it again |
//! | `journal`, `frame` | what a table notes for it, and the frames that it consists of |
//! | `changes`, `restore` | one group's changes as bytes, and back |
//! | `error` | why a group command is refused |
//! | `check` | checks the changes of a frame before they are applied |
//! | `codec` | numbers as a journal holds them |

mod changes;
mod check;
mod codec;
mod consume;
mod consumer;
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
mod restore;
mod table;
#[cfg(test)]
mod tests;

pub use changes::Urgency;
pub use consume::{GroupRead, Nack, Row};
pub use error::{GROUP_CONSUMERS_MAX, GROUP_NAME_BYTES_MAX, GROUPS_MAX, GroupError};
pub use frame::{first_frame, place_frames, write_end};
pub use manage::{ConsumerInfo, GroupInfo, PendingRow};
pub use persist::Replayed;
pub use table::GroupTable;

use crate::account::OverLimit;
use crate::filter::{Filter, FilterError, Pattern, Target};
use crate::history::{BeyondHead, History};
use crate::interest::{Interest, Source};
use crate::position::Position;
use changes::Changes;
use consumer::Consumers;
use pending::{Entry, PendingEntries};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// After how long without acknowledgement an entry is delivered again, IDLE, in milliseconds.
pub const GROUP_IDLE_MS_DEFAULT: u64 = 30_000;

/// How many entries may be pending before new events are held back, MAXPENDING.
pub const GROUP_PENDING_DEFAULT: usize = 65_536;

/// What MAXPENDING can be raised to.
pub const GROUP_PENDING_MAX: usize = 1 << 20;

/// About the memory that a pending entry takes, in bytes.
const GROUP_PENDING_BYTES: usize = 128;

/// About the memory that a parked entry takes, in bytes.
const GROUP_PARKED_BYTES: usize = 96;

/// How many entries of one group may be parked. Beyond it an entry that should be parked stays pending.
pub const GROUP_PARKED_MAX: usize = 65_536;

/// How many due entries one read looks at in vain at the most, because they are lost or to be parked.
pub const GROUP_LOOKS_MAX: usize = 16_384;

/// Where a group starts to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At this position, inclusive; 0 is the first event still available.
    At(Position),
    /// After everything that was handed a position so far.
    Head,
}

impl Start {
    /// The cursor that this means now.
    ///
    /// # Errors
    /// A position that no event can have had yet.
    pub fn cursor(self, history: &History) -> Result<Position, BeyondHead> {
        match self {
            Start::Head => Ok(history.head().next()),
            Start::At(position) => history.check_cursor(position).map(|()| position),
        }
    }
}

/// How a group treats its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupOptions {
    /// After how long without acknowledgement an entry is delivered again, milliseconds.
    pub idle_ms: u64,
    /// How many times an entry is delivered before it is parked; 0 = for ever.
    pub max_deliveries: u32,
    /// How many entries may be pending before new events are held back; at least 1.
    pub max_pending: usize,
}

impl Default for GroupOptions {
    fn default() -> GroupOptions {
        GroupOptions { idle_ms: GROUP_IDLE_MS_DEFAULT, max_deliveries: 0, max_pending: GROUP_PENDING_DEFAULT }
    }
}

/// One consumer group.
pub struct Group {
    /// The events that it shares out.
    interest: Arc<Interest>,
    options: GroupOptions,
    /// Every event below it that passes the filter was delivered, or told as lost.
    cursor: Position,
    consumers: Consumers,
    pending: PendingEntries,
    parked: BTreeMap<Position, Entry>,
    counts: GroupCounts,
    /// What a journal is still to be told.
    changes: Changes,
    /// Why nothing more may be kept for it; none where something may.
    no_room: Option<OverLimit>,
    /// Whether it was told to somebody that the history is about to lose what the group has not read.
    is_warned_of: bool,
}

/// What a group has counted since it was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupCounts {
    /// Events delivered for the first time.
    pub delivered: u64,
    /// Deliveries of events that had been delivered before, claims included.
    pub redelivered: u64,
    /// Entries acknowledged or skipped.
    pub acknowledged: u64,
    /// Pending entries whose record was overwritten before they were acknowledged.
    pub lost: u64,
    /// Times that an entry was parked.
    pub parked: u64,
}

impl Group {
    /// A group of the events whose key matches `key_pattern` (see [`Pattern::keys`]).
    ///
    /// # Errors
    /// A start beyond the head, or a pattern that is none.
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

    /// The events that it shares out.
    pub fn interest(&self) -> &Arc<Interest> {
        &self.interest
    }

    /// Where it reads on, if it has room for new events: what a read that has found nothing waits for comes from there.
    /// None where so many entries are pending that no new events are looked at.
    pub fn reads_from(&self) -> Option<Position> {
        (self.pending.len() < self.options.max_pending).then_some(self.cursor)
    }

    /// Notes that there is none of its events in a range: it reads on behind it, if it has read up to there.
    pub fn pass_over(&mut self, range: Range<Position>) {
        if range.contains(&self.cursor) {
            self.cursor = range.end;
            self.changes.read_to(self.cursor, false);
        }
    }

    fn empty(key_pattern: &[u8], options: GroupOptions) -> Result<Group, FilterError> {
        let filter = Filter::new(Target::Stream, Pattern::keys(key_pattern)?, false);
        Ok(Group {
            interest: Arc::new(Interest { source: Source::All, filter }),
            options,
            cursor: Position(0),
            consumers: Consumers::default(),
            pending: PendingEntries::default(),
            parked: BTreeMap::new(),
            counts: GroupCounts::default(),
            changes: Changes::default(),
            no_room: None,
            is_warned_of: false,
        })
    }

    /// About the memory that it takes, in bytes.
    fn memory_bytes(&self) -> usize {
        let entries = self.pending.len() * GROUP_PENDING_BYTES + self.parked.len() * GROUP_PARKED_BYTES;
        size_of::<Group>() + self.interest.memory_bytes() as usize + self.consumers.memory_bytes() + entries
    }
}
