//! Clients that do not take their output: when they are stalled, and when they are closed.

use super::Core;
use crate::connection::{Connection, Stall};
use crate::mesh::message::Message;
use crate::net_ring::{ConnectionId, NetOps};
use crate::server::Stat;
use crate::session::{Closing, Session};
use crate::unread::{CoreOutput, Level};
use std::time::{Duration, Instant};

/// How often stalled clients are checked.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// How long a stalled client may take nothing while all clients' output is more than a quarter above its limit: single
/// replies are that large, or that many.
const OVERFULL_PATIENCE: Duration = Duration::from_secs(1);

/// The output that one core's clients leave unread.
pub(super) struct Unread {
    pub output: CoreOutput,
    /// Clients that were stalled and are watched.
    pub watched: Vec<ConnectionId>,
    /// When they are examined next.
    pub watch_at: Instant,
}

impl Core {
    /// Counts a connection's output.
    #[inline]
    pub(super) fn count_output(&mut self, connection: &mut Connection) {
        let bytes = connection.output_bytes();
        self.unread.output.count(&mut connection.output.unread, bytes);
    }

    /// Acknowledges replies of other cores if the client has room for more, and watches the connection if its commands wait
    /// because of its output.
    #[inline]
    pub(super) fn settle_output(&mut self, connection: &mut Connection) {
        // Only unsent bytes count, not replies that wait for an earlier reply of another core: that core may itself wait for
        // this acknowledgement.
        if !connection.output.unacknowledged.is_empty()
            && connection.output.unsent_bytes() <= self.unread.output.level()
        {
            self.acknowledge(connection);
        }
        if connection.is_stalled_by_output() && !connection.output.unread.is_watched {
            connection.output.unread.is_watched = true;
            self.unread.watched.push(connection.id);
            self.server.tell(self.id, Stat::StalledClients, self.unread.watched.len() as u64);
        }
    }

    fn acknowledge(&mut self, connection: &mut Connection) {
        for (core, bytes) in std::mem::take(&mut connection.output.unacknowledged) {
            self.lanes.to(core).push(Message::Acknowledged { connection: connection.id, bytes });
        }
    }

    /// Adapts the level of unread output to the sum of all clients', and checks stalled clients from time to time.
    /// To be called after the connections were settled.
    pub(super) fn adapt_output_level(&mut self, ops: &NetOps, now: Instant) {
        let client_bytes = self.server.client_output_bytes();
        if let Some(bytes) = self.unread.output.take_changed() {
            self.server.tell(self.id, Stat::OutputBytes, bytes);
        }
        if self.unread.output.is_small(client_bytes) && self.unread.watched.is_empty() {
            return;
        }
        let all_bytes = self.server.total(Stat::OutputBytes);
        let clients_bytes = self.server.config.clients_output_bytes;
        if self.unread.output.adapt(all_bytes, client_bytes, clients_bytes) == Level::Risen {
            for id in &self.unread.watched {
                if let Some(connection) = self.connections.get(*id) {
                    connection.list(&mut self.listed);
                }
            }
        }
        if now >= self.unread.watch_at {
            self.unread.watch_at = now + WATCH_EVERY;
            let patience = match self.server.output_stall_seconds() {
                _ if all_bytes > clients_bytes.saturating_add(clients_bytes / 4) => OVERFULL_PATIENCE,
                0 => Duration::MAX,
                seconds => Duration::from_secs(seconds),
            };
            self.watch(ops, now, client_bytes, patience);
        }
    }

    fn watch(&mut self, ops: &NetOps, now: Instant, client_bytes: u64, patience: Duration) {
        if self.unread.output.is_short(client_bytes) {
            // A client whose commands ran before may still have much unread output.
            let level = self.unread.output.level();
            for connection in self.connections.iter() {
                if connection.stall.is_none() && connection.output_bytes() > level {
                    connection.stall = Some(Stall::Output);
                    connection.list(&mut self.listed);
                }
            }
        }
        let Core { unread, connections, listed, figures, .. } = self;
        unread.watched.retain(|&id| {
            let Some(connection) = connections.get(id).filter(|connection| !connection.is_closed) else { return false };
            if !connection.is_stalled_by_output() {
                connection.output.unread.end_watch();
                return false;
            }
            let idle = connection.output.unread.idle_for(ops.taken_bytes(id), now);
            if idle >= patience {
                let (client, bytes) = (connection.session.client, connection.output_bytes());
                let address = connection.session.peer.map(|address| address.to_string()).unwrap_or_default();
                tracing::warn!(
                    client,
                    address,
                    bytes,
                    seconds = idle.as_secs(),
                    "closed: the client does not read its output"
                );
                figures.output_closed += 1;
                connection.session.closing = Closing::Now;
                connection.list(listed);
            }
            true
        });
        self.server.tell(self.id, Stat::StalledClients, self.unread.watched.len() as u64);
    }

    /// Closes a client whose transaction's reply is larger than it may leave unread.
    pub(super) fn close_for_reply(&mut self, session: &mut Session) {
        let address = session.peer.map(|address| address.to_string()).unwrap_or_default();
        tracing::warn!(client = session.client, address, "closed: the reply of its transaction is too large");
        self.figures.output_closed += 1;
        session.closing = Closing::Now;
    }
}
