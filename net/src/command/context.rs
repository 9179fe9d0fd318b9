//! The contexts in which commands run.

use crate::access::Usage;
use crate::channels::Channels;
use crate::connection::{Connection, Connections, ProtocolState, RespSession};
use crate::delivery::Recipients;
use crate::groups::Groups;
use crate::scripting::Scripts;
use crate::server::Server;
use crate::session::{Closing, Rights, Session};
use keytide_engine::collection::EntryId;
use keytide_engine::filter::{FilterError, Pattern};
use keytide_engine::history::History;
use keytide_engine::interest::Interest;
use keytide_engine::position::{Position, ShardId};
use keytide_engine::shards::Shards;
use keytide_engine::stream_name::Database;
use keytide_engine::subscription::{ClientId, Hub};
use keytide_engine::waiters::{Awaited, WaiterId};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

/// For commands on keys: the shards with the keys.
pub struct KeysContext<'a> {
    /// The shards of the command's keys.
    pub shards: Shards<'a>,
    /// The channels of publish/subscribe.
    pub channels: &'a Channels,
    /// The scripts of the core.
    pub scripts: &'a RefCell<Scripts>,
    /// State shared by the whole server.
    pub server: &'a Server,
    /// The turn's time, Unix milliseconds.
    pub now_ms: u64,
    /// The database that the client has selected, for commands on all of its keys. The keys among a command's arguments are names
    /// of streams already, which have it.
    pub database: Database,
    /// What Redis calls the change, for keyspace notifications; `None` where the records say it: see
    /// [`names`](crate::keyspace_events::names).
    pub event: Option<&'static str>,
}

/// For commands on keys that may wait for a value of one of them.
pub struct WaitContext<'a> {
    /// The shards of the command's keys.
    pub shards: Shards<'a>,
    /// The command among the waiters of its keys; `None` until it waits.
    pub waiter: Option<WaiterId>,
    /// The command's state from earlier runs; `None` in a transaction, where it must not wait.
    pub state: Option<&'a mut DeferredState>,
    /// As [`KeysContext::event`].
    pub event: Option<&'static str>,
}

impl WaitContext<'_> {
    /// Whether the command may take of a key's value of this type: no other command has waited longer for it. In a transaction it takes
    /// what there is, as a command does that never waits.
    pub fn is_next(&mut self, key: &[u8], awaited: Awaited) -> bool {
        self.state.is_none() || self.shards.of(key).waiters().is_next(key, awaited, self.waiter)
    }
}

/// The waiting commands of one core.
pub trait Waits {
    /// Ends the wait of a client's command, as if its time were over or with an error. Returns whether it waited on this
    /// core.
    fn unblock(&mut self, client: u64, error: Option<&'static str>) -> bool;
}

/// For commands about the client's own connection.
pub struct SessionContext<'a> {
    /// The connection's session.
    pub session: &'a mut Session,
    /// What only the Redis protocol has of it.
    pub resp: &'a mut RespSession,
    /// State shared by the whole server.
    pub server: &'a Server,
    /// The turn's time, Unix milliseconds.
    pub now_ms: u64,
}

/// A client of the Redis protocol, for commands of a transaction that are about its own connection.
pub struct RespClient<'a> {
    /// The connection's session.
    pub session: &'a mut Session,
    /// What only the Redis protocol has of it.
    pub resp: &'a mut RespSession,
}

impl RespClient<'_> {
    /// The client of a connection.
    pub fn of(connection: &mut Connection) -> RespClient<'_> {
        let ProtocolState::Resp(resp) = &mut connection.protocol else {
            unreachable!("only connections of the Redis protocol run commands")
        };
        RespClient { session: &mut connection.session, resp: &mut resp.session }
    }

    /// The same client, for a shorter lifetime.
    pub fn reborrow(&mut self) -> RespClient<'_> {
        RespClient { session: self.session, resp: self.resp }
    }
}

impl Server {
    /// Has all cores look at the rights of their clients, after users were changed.
    pub fn note_users_changed(&self) {
        (0..self.shards()).for_each(|core| self.wake(ShardId(core)));
    }
}

impl SessionContext<'_> {
    /// Has all cores look at their clients' rights after a change of users, and this session at its own; logs the change.
    /// `user` is empty where all users were changed.
    pub fn note_user_change(&mut self, change: &'static str, user: &[u8]) {
        let (user, by) = (user.escape_ascii(), self.session.user().name().escape_ascii());
        tracing::info!(change, %user, %by, client = self.session.client, "users changed");
        self.server.note_users_changed();
        let (users, version) = self.server.users.table();
        if self.session.refresh(&users, version) == Rights::Gone && self.session.closing == Closing::No {
            // It still gets its reply.
            self.session.closing = Closing::AfterReplies;
        }
    }
}

/// For commands that every core runs.
pub struct CoreContext<'a> {
    /// The connections of this core.
    pub connections: &'a mut Connections,
    /// The client's number.
    pub client: u64,
    /// The waiting commands of this core.
    pub waits: &'a mut dyn Waits,
    /// The consumer groups on this core.
    pub groups: &'a mut Groups,
    /// The merged history of all shards.
    pub history: &'a History,
    /// State shared by the whole server.
    pub server: &'a Server,
    /// The turn's time, Unix milliseconds.
    pub now_ms: u64,
    /// The same on the monotonic clock, see `keytide_engine::clock`.
    pub steady_ms: u64,
}

/// For commands that read the recorded history.
pub struct HistoryContext<'a> {
    /// The merged history of all shards.
    pub history: &'a mut History,
    /// The command's state from earlier runs.
    pub state: &'a mut DeferredState,
    /// State shared by the whole server.
    pub server: &'a Server,
    /// The turn's time, Unix milliseconds.
    pub now_ms: u64,
}

/// For commands on the client's subscriptions.
pub struct SubscriptionContext<'a, 'c> {
    /// The subscriptions of this core's clients.
    pub hub: &'a mut Hub,
    /// The merged history of all shards.
    pub history: &'a History,
    /// The delivery of their messages.
    pub outlet: &'a mut Recipients<'c>,
    /// The client, as the hub identifies it.
    pub client: ClientId,
    /// The command's state from earlier runs.
    pub state: &'a mut DeferredState,
    /// State shared by the whole server.
    pub server: &'a Server,
}

/// For commands on a consumer group, on the core that owns it.
pub struct GroupContext<'a> {
    /// The consumer groups on this core.
    pub groups: &'a mut Groups,
    /// The merged history of all shards.
    pub history: &'a mut History,
    /// The command's state from earlier runs.
    pub state: &'a mut DeferredState,
    /// For a command that creates the group, what the client's user has in use.
    pub creator: Option<&'a Usage>,
    /// State shared by the whole server.
    pub server: &'a Server,
    /// The turn's time, Unix milliseconds.
    pub now_ms: u64,
    /// The same on the monotonic clock, see `keytide_engine::clock`: the time base of groups.
    pub steady_ms: u64,
}

/// The state of a waiting command between its runs.
#[derive(Debug, Default)]
pub struct DeferredState {
    /// The requested events, once their filter is compiled.
    pub interest: Option<Arc<Interest>>,
    /// Receives that filter's pattern while its regex is compiled.
    pub compiling: Option<Receiver<Result<Pattern, FilterError>>>,
    /// The snapshots that it waits for, by the number of its request.
    pub request: Option<u64>,
    /// The ids behind which it reads its Redis streams.
    pub read_behind: Vec<EntryId>,
    /// The position up to which it has read.
    pub cursor: Option<Position>,
    /// The deadline of its wait, steady milliseconds; `u64::MAX` = never. Set by the first run.
    pub deadline_ms: Option<u64>,
    /// The turn's time on the monotonic clock, see `keytide_engine::clock`.
    pub steady_ms: u64,
}

impl DeferredState {
    /// Whether a command that found nothing has waited long enough. The first call sets the deadline by `block_ms`:
    /// `None` does not wait at all, 0 waits forever.
    pub fn is_over(&mut self, block_ms: Option<u64>) -> bool {
        let Some(block_ms) = block_ms else { return true };
        let end_ms = if block_ms == 0 { u64::MAX } else { self.steady_ms.saturating_add(block_ms) };
        self.steady_ms >= *self.deadline_ms.get_or_insert(end_ms)
    }

    /// Whether the wait has ended: the deadline has passed, or the client has gone.
    pub fn has_given_up(&self) -> bool {
        self.deadline_ms.is_some_and(|at_ms| at_ms <= self.steady_ms)
    }

    /// Runs a waiting command again after this many milliseconds.
    pub fn run_again_in(&mut self, millis: u64) {
        self.deadline_ms = Some(self.steady_ms.saturating_add(millis));
    }
}

/// The result of running a deferred command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has replied.
    Done,
    /// It has more to read: run it again in the next turn.
    More,
    /// There is nothing yet: run it again when something happens that it waits for, at its deadline, or when the client
    /// has gone.
    Wait(WaitFor),
}

/// The event that a command waits for, besides its deadline and the end of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitFor {
    /// Nothing else.
    Deadline,
    /// An event that its interest wants, from this position on; everything before it has been read.
    Events(Position),
    /// A value of one of the keys that the command waits for: see [`Run::Waiting`](super::Run::Waiting).
    Keys,
    /// A delivery of a consumer group.
    Group {
        /// The group's number.
        number: u64,
        /// The position from which on the group delivers events; `None` if it has no room for new events.
        reads_from: Option<Position>,
        /// When an entry is due again, steady milliseconds.
        due_ms: Option<u64>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_a_while_after_it_began_and_not_before() {
        let mut state = DeferredState { steady_ms: 1_000, ..DeferredState::default() };
        assert!(state.is_over(None) && !state.is_over(Some(500)) && !state.has_given_up());
        state.steady_ms = 1_499;
        assert!(!state.is_over(Some(500)));
        state.steady_ms = 1_500;
        assert!(state.is_over(Some(500)) && state.has_given_up());
        let mut state = DeferredState { steady_ms: 1_000, ..DeferredState::default() };
        assert!(!state.is_over(Some(0)));
        state.steady_ms = u64::MAX - 1;
        assert!(!state.is_over(Some(0)) && !state.has_given_up());
    }
}
