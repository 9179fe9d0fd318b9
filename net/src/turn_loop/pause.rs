//! CLIENT PAUSE on a core: connections whose commands have to wait stand still, and cost nothing until the pause ends or changes.

use super::Core;
use super::resp::Client;
use crate::command::table::TABLE;
use crate::command::transaction::Step;
use crate::command::{Command, Run};
use crate::connection::Stall;
use crate::net_ring::ConnectionId;

/// The connections of a core that wait for the end of a pause.
#[derive(Default)]
pub(super) struct Paused {
    connections: Vec<ConnectionId>,
    /// The pause that they wait for.
    word: u64,
}

/// Whether a command, or one of the transaction that it ends, may write, or publish.
fn may_write(client: &Client<'_>, command: &Command) -> bool {
    let writes = |command: &Command| match command.run {
        Run::Script(call) => !call.reads_only,
        Run::Publish(_) => true,
        _ => command.may_write(),
    };
    match (&command.run, &client.resp.transaction) {
        (Run::Transaction(Step::Exec), Some(queued)) => queued.commands().any(|(index, _)| writes(TABLE.get(index))),
        _ => writes(command),
    }
}

impl Core {
    /// Lets a client wait, if the pause is for its command. Those that monitor are not paused, as in Redis.
    #[cold]
    pub(super) fn waits_for_pause(&mut self, client: &mut Client<'_>, command: &Command) -> bool {
        let Some(pause) = self.server.pause.look(keytide_engine::clock::steady_millis()) else { return false };
        if client.session.channels.monitors > 0 || !pause.is_of_all && !may_write(client, command) {
            return false;
        }
        if self.paused.connections.is_empty() {
            self.paused.word = self.server.pause.word();
        }
        self.paused.connections.push(client.id);
        *client.stall = Some(Stall::Pause);
        true
    }

    /// Whether the pause that connections wait for has changed.
    pub(super) fn has_new_pause(&self) -> bool {
        !self.paused.connections.is_empty() && self.server.pause.word() != self.paused.word
    }

    /// When the pause ends, steady milliseconds.
    pub(super) fn pause_ends_ms(&self) -> Option<u64> {
        self.server.pause.get(self.steady_ms).map(|pause| pause.until_ms)
    }

    /// Lets connections go on whose pause is over, or another one.
    pub(super) fn look_at_pause(&mut self) {
        if self.paused.connections.is_empty() || self.pause_ends_ms().is_some() && !self.has_new_pause() {
            return;
        }
        for id in std::mem::take(&mut self.paused.connections) {
            let Some(connection) = self.connections.get(id) else { continue };
            if connection.stall == Some(Stall::Pause) {
                connection.stall = Some(Stall::Turn);
                if !connection.has_turn {
                    connection.has_turn = true;
                    self.left.of(connection.weight.now()).push_back(id);
                }
            }
        }
    }
}
