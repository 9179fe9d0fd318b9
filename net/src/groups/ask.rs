//! What calls ask of a consumer group on the core that keeps it, and the answers. They know no protocol.

use crate::access::Usage;
use bytes::Bytes;
use keytide_engine::group::{Given, GroupError, GroupInfo, GroupOptions, GroupSpec, Nack, Start};
use keytide_engine::interest::Interest;
use keytide_engine::position::{Position, Revision, ShardId};
use std::sync::Arc;

/// The names of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Its key pattern.
    pub key: Bytes,
    /// Its name.
    pub group: Bytes,
}

impl Names {
    /// The core that keeps it.
    pub fn core(&self, cores: u16) -> ShardId {
        super::core_of(&self.key, &self.group, cores)
    }
}

/// A group to be created, or the way it is to be from now on.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its names.
    pub names: Names,
    /// Where it starts.
    pub start: Start,
    /// Its options.
    pub options: GroupOptions,
    /// What it is made of.
    pub spec: GroupSpec,
    /// What the user has in use who creates it.
    pub creator: Option<Arc<Usage>>,
}

/// Who reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReaderInfo {
    /// The client's address.
    pub peer: String,
    /// The name of its user.
    pub user: String,
    /// What the client calls its connection.
    pub connection: String,
}

/// What a call asks.
#[derive(Clone, Debug)]
pub enum GroupAsk {
    /// Create a group with the events of this interest.
    Create(Box<Made>, Box<Interest>),
    /// Change a group, all but its events. Its readers are dropped.
    Update(Box<Made>),
    /// Destroy it. Its readers are dropped.
    Destroy(Names),
    /// Say what there is to know of it.
    Describe(Names),
    /// The same for groups of the core, or for those of this key pattern, behind the group with these names: not more than one
    /// turn has time for.
    List(Option<Bytes>, Option<Names>),
    /// Make parked events deliverable again: all, or those before this one in the order in which they were parked, where the
    /// first event that was ever parked is 0.
    Replay(Names, Option<u64>),
    /// Be given its events, so many at a time that are not acknowledged.
    Read(Names, usize, Box<ReaderInfo>),
    /// The reader has processed these. Where it is measured, how long it has taken for each, in milliseconds.
    Ack(Vec<Position>, Box<[u32]>),
    /// The reader has not processed these.
    Nack(Nack, Vec<Position>),
    /// The reader has room for more.
    Room,
    /// The reader is gone.
    Leave,
    /// Drop the readers of all groups of the core.
    DropReaders,
}

impl GroupAsk {
    /// Whether it changes what is kept of groups.
    pub fn writes(&self) -> bool {
        match self {
            GroupAsk::Create(..)
            | GroupAsk::Update(_)
            | GroupAsk::Destroy(_)
            | GroupAsk::Replay(..)
            | GroupAsk::Read(..)
            | GroupAsk::Ack(..)
            | GroupAsk::Nack(..) => true,
            GroupAsk::Describe(_) | GroupAsk::List(..) | GroupAsk::Room | GroupAsk::Leave | GroupAsk::DropReaders => {
                false
            }
        }
    }

    /// Whether it has to come behind everything that was acknowledged before it.
    pub fn waits_for_frontier(&self) -> bool {
        matches!(self, GroupAsk::Create(..) | GroupAsk::Update(_) | GroupAsk::Describe(_) | GroupAsk::List(..))
    }
}

/// Why it was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupRefused {
    /// By the group, or the table of groups.
    Group(GroupError),
    /// Changes of groups cannot be written; the text says why.
    Journal(String),
}

/// Why a reader was dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// The group was changed or destroyed, or an operator wants it.
    Ended,
    /// Events were lost that it had not processed; the first that is left is at this position.
    Lost(Position),
    /// Changes of groups cannot be written, or the history cannot be read; the text says why.
    Failed(String),
}

/// The figures of a reader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReaderState {
    /// Who it is.
    pub info: ReaderInfo,
    /// How many events it was given.
    pub total: u64,
    /// How many in the last whole second.
    pub per_second: u64,
    /// How many since then.
    pub since: u64,
    /// How many are in flight to it.
    pub in_flight: usize,
    /// How many more it may have in flight.
    pub free: usize,
    /// How long it has taken for each of the events that it has processed last, in milliseconds; none where that is not
    /// measured.
    pub times: Vec<u32>,
}

/// What there is to know of a group.
#[derive(Clone, Debug)]
pub struct GroupState {
    /// Its key pattern.
    pub key: Bytes,
    /// Its name.
    pub group: Bytes,
    /// Its figures.
    pub info: GroupInfo,
    /// What it is made of.
    pub spec: GroupSpec,
    /// Which events it has.
    pub interest: Arc<Interest>,
    /// Its readers.
    pub readers: Vec<ReaderState>,
    /// The last event before the first one that is not processed: its position, and its revision if that is known.
    pub checkpoint: Option<(Position, Option<Revision>)>,
    /// Whether the group has read all that there is.
    pub is_live: bool,
}

/// What a reader has to know of the group that it reads.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Which events it has.
    pub interest: Arc<Interest>,
    /// What its maker keeps with it.
    pub notes: Box<[u8]>,
}

/// The answer.
#[derive(Clone, Debug)]
pub enum GroupAnswer {
    /// It was done, or not.
    Done(Result<(), GroupRefused>),
    /// Of [`GroupAsk::Describe`].
    Described(Result<Box<GroupState>, GroupRefused>),
    /// Of [`GroupAsk::List`], and whether there may be more.
    Listed(Vec<GroupState>, bool),
    /// Of [`GroupAsk::Read`].
    Reads(Result<Box<Reading>, GroupRefused>),
    /// Events for a reader.
    Given(Vec<Given>),
    /// The reader gets no more.
    Dropped(Dropped),
}
