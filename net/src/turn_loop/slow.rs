//! Slow commands: what SLOWLOG shows. A command is timed where its turn's budget reads the clock anyway: behind each that may take
//! long by itself. Those whose time is bounded by their bytes are timed only where less than a millisecond is slow already.

use super::Core;
use super::resp::Client;
use crate::command::table::TABLE;
use crate::command::transaction::Step;
use crate::command::{Run, secrets};
use crate::mesh::message::Message;
use crate::net_ring::ConnectionId;
use crate::resp::{Args, CommandIndex};
use crate::server::Server;
use crate::session::Session;
use crate::slow_log::{SlowCommand, cut_arguments};
use keytide_engine::position::ShardId;
use std::time::Duration;

/// A command that took so long, without its client.
#[cold]
fn slow_command(index: CommandIndex, args: Args<'_>, took: Duration) -> SlowCommand {
    SlowCommand {
        id: 0,
        at_s: keytide_engine::clock::unix_millis() / 1_000,
        took_us: took.as_micros() as u64,
        args: cut_arguments(args.len(), |place| secrets::shown(index, args, place)),
        address: String::new(),
        name: Vec::new(),
    }
}

/// Logs a command of a client, if it was slow.
#[inline]
pub(super) fn note(server: &Server, session: &Session, (index, args): (CommandIndex, Args<'_>), took: Duration) {
    if server.slow_log.is_slow(took) {
        add(server, session, slow_command(index, args, took));
    }
}

#[cold]
fn add(server: &Server, session: &Session, command: SlowCommand) {
    let address = session.peer.map(|address| address.to_string()).unwrap_or_default();
    server.slow_log.add(SlowCommand { address, name: session.name.clone(), ..command });
}

impl Core {
    /// Logs a command of this core's client, if it was slow. What a transaction runs is logged by itself.
    #[inline]
    pub(super) fn note_own(&self, client: &Client<'_>, (index, args): (CommandIndex, Args<'_>), took: Duration) {
        if !matches!(TABLE.get(index).run, Run::Transaction(Step::Exec)) {
            note(&self.server, client.session, (index, args), took);
        }
    }

    /// Logs a command that ran here for the client of a connection, which its own core knows, if it was slow.
    #[inline]
    pub(super) fn note_slow(
        &mut self,
        (core, connection): (ShardId, ConnectionId),
        (index, args): (CommandIndex, Args<'_>),
        took: Duration,
    ) {
        if self.server.slow_log.is_slow(took) {
            let command = slow_command(index, args, took);
            if core == self.id {
                self.log_slow(connection, command);
            } else {
                self.lanes.to(core).push(Message::Slow(connection, Box::new(command)));
            }
        }
    }

    /// Logs a slow command of a client of this core.
    pub(super) fn log_slow(&mut self, connection: ConnectionId, command: SlowCommand) {
        match self.connections.get(connection) {
            Some(connection) => add(&self.server, &connection.session, command),
            None => self.server.slow_log.add(command),
        }
    }
}
