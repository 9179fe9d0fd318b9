//! What the calls of a connection want of their core.

use crate::groups::ask::GroupAsk;
use crate::streams::Job;
use keytide_engine::position::ShardId;
use keytide_engine::subscription::{ClientId, Subscribe};

/// A call of a connection: its place, and how often that was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId {
    pub(super) index: u32,
    pub(super) generation: u32,
}

/// What calls want of their core.
#[derive(Default)]
pub struct Asked {
    /// Jobs, with their numbers in their calls.
    pub jobs: Vec<(CallId, u32, Job)>,
    /// Calls that read the history.
    pub reads: Vec<CallId>,
    /// Calls that read it a moment later.
    pub later: Vec<CallId>,
    /// Whether calls have messages that the turn had no time for.
    pub goes_on: bool,
    /// What calls ask of consumer groups, with the cores that keep them and the numbers in their calls.
    pub groups: Vec<(CallId, ShardId, u32, GroupAsk)>,
    /// Calls that subscribe.
    pub subscriptions: Vec<(CallId, Box<Subscribe>)>,
    /// Subscribers whose calls have ended.
    pub ended: Vec<ClientId>,
    /// Subscribers whose calls have room again.
    pub has_room: Vec<ClientId>,
}
