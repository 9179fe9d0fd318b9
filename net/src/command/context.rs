//! What a command is given to work on, by where it runs.

use crate::connection::Connections;
use crate::groups::Groups;
use crate::push::Clients;
use crate::server::Server;
use crate::session::Session;
use keytide_engine::filter::{Filter, FilterError, Pattern};
use keytide_engine::history::History;
use keytide_engine::position::Position;
use keytide_engine::shards::Shards;
use keytide_engine::subscription::{ClientId, Hub};
use std::sync::mpsc::Receiver;

/// For commands that work on keys: the shards that hold them.
pub struct KeysContext<'a> {
    /// The shards of the command's keys.
    pub shards: Shards<'a>,
    /// What the whole server shares.
    pub server: &'a Server,
    /// The turn's time, Unix milliseconds.
    pub now_ms: u64,
}

/// For commands about the client's own connection.
pub struct SessionContext<'a> {
    /// The connection's session.
    pub session: &'a mut Session,
    /// What the whole server shares.
    pub server: &'a Server,
    /// The turn's time, Unix milliseconds.
    pub now_ms: u64,
}

/// For commands that ask every core.
pub struct CoreContext<'a> {
    /// The connections of this core.
    pub connections: &'a mut Connections,
    /// The client that asks, by its number.
    pub client: u64,
    /// The consumer groups that this core keeps.
    pub groups: &'a mut Groups,
    /// All rings as one.
    pub history: &'a History,
    /// What the whole server shares.
    pub server: &'a Server,
    /// The turn's time, Unix milliseconds.
    pub now_ms: u64,
}

/// For commands that read the recorded history.
pub struct HistoryContext<'a> {
    /// All rings as one.
    pub history: &'a mut History,
    /// What this command has found out when it ran before.
    pub state: &'a mut DeferredState,
    /// What the whole server shares.
    pub server: &'a Server,
    /// The turn's time, Unix milliseconds.
    pub now_ms: u64,
}

/// For commands on the client's subscriptions.
pub struct SubscriptionContext<'a, 'c> {
    /// The subscriptions of this core's clients.
    pub hub: &'a mut Hub,
    /// All rings as one.
    pub history: &'a History,
    /// Where they are told of them.
    pub outlet: &'a mut Clients<'c>,
    /// The client, as the hub knows it.
    pub client: ClientId,
    /// What this command has found out when it ran before.
    pub state: &'a mut DeferredState,
    /// What the whole server shares.
    pub server: &'a Server,
}

/// For commands on a consumer group, on the core that keeps it.
pub struct GroupContext<'a> {
    /// The consumer groups that this core keeps.
    pub groups: &'a mut Groups,
    /// All rings as one.
    pub history: &'a mut History,
    /// What this command has found out when it ran before.
    pub state: &'a mut DeferredState,
    /// What the whole server shares.
    pub server: &'a Server,
    /// The turn's time, Unix milliseconds.
    pub now_ms: u64,
}

/// What a command that waits keeps between its runs.
#[derive(Debug, Default)]
pub struct DeferredState {
    /// The filter that it was given, once compiled.
    pub filter: Option<Filter>,
    /// Where the regex of that filter comes from, while it is compiled.
    pub compiling: Option<Receiver<Result<Pattern, FilterError>>>,
    /// The snapshots that it waits for, by the number of its request.
    pub request: Option<u64>,
    /// How far it has read.
    pub cursor: Option<Position>,
    /// When it gives up waiting, Unix milliseconds; `u64::MAX` = never. Set by the first run.
    pub deadline_ms: Option<u64>,
}

impl DeferredState {
    /// Whether a command that found nothing has waited long enough. The first time `block_ms` sets the deadline:
    /// none does not wait at all, 0 waits for ever.
    pub fn is_over(&mut self, now_ms: u64, block_ms: Option<u64>) -> bool {
        let Some(block_ms) = block_ms else { return true };
        let forever = if block_ms == 0 { u64::MAX } else { now_ms.saturating_add(block_ms) };
        now_ms >= *self.deadline_ms.get_or_insert(forever)
    }
}

/// How far a deferred command has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has replied.
    Done,
    /// It has more to look at: again in the next turn.
    More,
    /// Nothing is there yet: again when something was published, or at its deadline.
    Wait,
}
