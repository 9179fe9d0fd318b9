//! What the calls of gRPC on this core are owed at a time: deadlines, signs of life, the end where the server stops.

use super::Core;
use crate::connection::{Connection, ProtocolState};
use crate::grpc::Life;
use crate::limits::CALL_LOOKS_MS;
use crate::net_ring::ConnectionId;
use crate::session::Closing;

/// When calls and their connections have to be looked at, steady milliseconds; `u64::MAX` for never.
pub(super) struct Due(pub u64);

impl Default for Due {
    fn default() -> Due {
        Due(u64::MAX)
    }
}

impl Due {
    /// When that is.
    pub fn at_ms(&self) -> Option<u64> {
        Some(self.0).filter(|at_ms| *at_ms != u64::MAX)
    }
}

impl Core {
    /// Ends calls whose deadlines are over, and connections whose clients give no sign of life.
    pub(super) fn run_call_timers(&mut self) {
        let now_ms = self.steady_ms;
        if now_ms < self.calls.due.0 {
            return;
        }
        self.calls.retry();
        let keepalive_ms = self.server.config.grpc_keepalive_ms;
        let mut next_ms = u64::MAX;
        for connection in self.connections.iter() {
            if connection.session.closing != Closing::No {
                continue;
            }
            // Where input waits here, or output there, silence says nothing of the client.
            let is_quiet = connection.stall.is_none() && connection.output.unsent_bytes() == 0;
            let heard_ms = if is_quiet { connection.session.active_ms } else { now_ms };
            let Some(calls) = connection.protocol.calls() else { continue };
            if !is_quiet {
                calls.forget_question();
            }
            let mut has_news = calls.end_late(now_ms);
            next_ms = next_ms.min(calls.next_deadline_ms());
            if let Some(span) = keepalive_ms {
                let life = calls.look_at_life((heard_ms, now_ms), span);
                has_news |= !matches!(life, Life::Until(_));
                match life {
                    Life::Until(at_ms) | Life::Asked(at_ms) => next_ms = next_ms.min(at_ms),
                    Life::Over => connection.session.closing = Closing::Now,
                }
            }
            if has_news {
                connection.list(&mut self.listed);
            }
        }
        self.calls.due.0 = next_ms.max(now_ms + CALL_LOOKS_MS);
    }

    /// Where the server stops: tells clients of gRPC, and ends their calls, but those that shards work on. In every turn of a
    /// stopping core.
    pub(super) fn end_calls(&mut self) {
        if !self.server.is_stopping() {
            return;
        }
        let is_of_calls = |connection: &Connection| matches!(connection.protocol, ProtocolState::Web(_));
        let ids: Vec<ConnectionId> = self.connections.iter().filter(|c| is_of_calls(c)).map(|c| c.id).collect();
        for id in ids {
            let Some(connection) = self.connections.get(id) else { continue };
            if connection.protocol.calls().is_some_and(|calls| calls.end_all()) {
                connection.list(&mut self.listed);
            }
        }
    }
}
