//! `maxmemory-clients`: while the buffers of all clients take more, the client that takes most is closed.

use super::Core;
use crate::limits::CLIENTS_LIMIT_WAIT_MS;
use crate::memory::ClientsLimit;
use crate::server::Stat;
use crate::session::Closing;
use keytide_engine::position::ShardId;

impl Core {
    /// Closes the client that takes most, if it is one of this core's and all together take too much. To be called in each turn.
    /// Returns whether this core has to look again soon.
    #[inline]
    pub(super) fn limit_clients(&mut self) -> bool {
        if self.server.clients_limit.get() == ClientsLimit::None {
            return false;
        }
        let excess = self.server.excess_of_clients();
        let is_told = self.server.stat(self.id, Stat::LargestClient) > 0;
        match excess {
            0 if is_told => self.server.tell(self.id, Stat::LargestClient, 0),
            0 => {}
            _ if self.steady_ms < self.clients_wait_ms => return true,
            _ => return self.close_largest(excess, is_told),
        }
        false
    }

    /// `is_told` says whether the other cores know of this one's largest client, and have had the time to tell theirs.
    #[cold]
    fn close_largest(&mut self, excess: u64, is_told: bool) -> bool {
        let candidates = self.connections.iter().filter(|connection| {
            !connection.session.is_kept && !connection.is_closed && connection.session.closing != Closing::Now
        });
        let largest = candidates.map(|connection| (connection.buffer_bytes() as u64, connection.id));
        let Some((bytes, id)) = largest.max_by_key(|row| row.0).filter(|row| row.0 > 0) else {
            self.server.tell(self.id, Stat::LargestClient, 0);
            return false;
        };
        self.server.tell(self.id, Stat::LargestClient, bytes);
        let others = (0..self.server.shards()).map(ShardId).filter(|core| *core != self.id);
        let most = others.clone().map(|core| self.server.stat(core, Stat::LargestClient)).max().unwrap_or(0);
        if !is_told || most > bytes {
            // They look too, and the core of the largest one closes it.
            others.for_each(|core| self.server.wake(core));
            self.clients_wait_ms = self.steady_ms + CLIENTS_LIMIT_WAIT_MS;
            return !is_told;
        }
        if let Some(connection) = self.connections.get(id) {
            let client = connection.session.client;
            let address = connection.session.peer.map(|address| address.to_string()).unwrap_or_default();
            tracing::warn!(
                client,
                address,
                bytes,
                excess,
                "closed: the buffers of all clients exceed maxmemory-clients"
            );
            connection.session.closing = Closing::Now;
            connection.list(&mut self.listed);
            self.figures.evicted_clients += 1;
            // What it has had is counted until it is gone.
            self.clients_wait_ms = self.steady_ms + CLIENTS_LIMIT_WAIT_MS;
        }
        true
    }
}
