//! What a command is given to work on, by where it runs.

use crate::connection::Connections;
use crate::groups::Groups;
use crate::push::Clients;
use crate::server::Server;
use crate::session::Session;
use keytide_engine::filter::{FilterError, Pattern};
use keytide_engine::history::History;
use keytide_engine::position::Position;
use keytide_engine::shards::Shards;
use keytide_engine::subscription::{ClientId, Hub, Interest};
use std::sync::Arc;
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
    /// The same on the clock for durations, see `keytide_engine::clock`.
    pub steady_ms: u64,
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
    /// The same on the clock for durations, see `keytide_engine::clock`: what groups go by.
    pub steady_ms: u64,
}

/// What a command that waits keeps between its runs.
#[derive(Debug, Default)]
pub struct DeferredState {
    /// Which events it was asked for, once their filter is compiled.
    pub interest: Option<Arc<Interest>>,
    /// Where the regex of that filter comes from, while it is compiled.
    pub compiling: Option<Receiver<Result<Pattern, FilterError>>>,
    /// The snapshots that it waits for, by the number of its request.
    pub request: Option<u64>,
    /// How far it has read.
    pub cursor: Option<Position>,
    /// When it gives up waiting, steady milliseconds; `u64::MAX` = never. Set by the first run.
    pub deadline_ms: Option<u64>,
    /// The turn's time on the clock for durations, see `keytide_engine::clock`.
    pub steady_ms: u64,
}

impl DeferredState {
    /// Whether a command that found nothing has waited long enough. The first time `block_ms` sets the deadline:
    /// none does not wait at all, 0 waits for ever.
    pub fn is_over(&mut self, block_ms: Option<u64>) -> bool {
        let Some(block_ms) = block_ms else { return true };
        let end_ms = if block_ms == 0 { u64::MAX } else { self.steady_ms.saturating_add(block_ms) };
        self.steady_ms >= *self.deadline_ms.get_or_insert(end_ms)
    }

    /// Whether it waits no longer: its deadline has come, or nobody listens any more.
    pub fn has_given_up(&self) -> bool {
        self.deadline_ms.is_some_and(|at_ms| at_ms <= self.steady_ms)
    }

    /// Lets a command that waits look again in a while, milliseconds.
    pub fn look_again_in(&mut self, millis: u64) {
        self.deadline_ms = Some(self.steady_ms.saturating_add(millis));
    }
}

/// How far a deferred command has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has replied.
    Done,
    /// It has more to look at: again in the next turn.
    More,
    /// Nothing is there yet: again when something happens that it waits for, at its deadline, or when nobody listens any
    /// more.
    Wait(WaitFor),
}

/// What a command waits for, beside its deadline and the end of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitFor {
    /// Nothing else.
    Deadline,
    /// An event that its interest wants, from this position on, up to which it has looked at everything.
    Events(Position),
    /// Something for it in a consumer group.
    Group {
        /// The group's number.
        number: u64,
        /// From which position on an event of the group is something; none where the group has no room for new events.
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
