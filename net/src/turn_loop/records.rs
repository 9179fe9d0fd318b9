//! Connections over TLS: their records on the way in, handshakes within a turn's budget, ends and failures.

use super::Core;
use crate::command::access::note_unknown_certificate;
use crate::connection::{Connection, Problem, ProtocolState, Transport};
use crate::limits::TURN_HANDSHAKES;
use crate::net_ring::{ConnectionId, NetOps};
use crate::session::Closing;
use crate::tls::{Stage, TlsScratch};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The TLS of one core's connections.
#[derive(Default)]
pub(super) struct Records {
    scratch: TlsScratch,
    /// Connections whose handshakes wait for a later turn, in the order in which they go on.
    waiting: VecDeque<ConnectionId>,
    /// The time that this turn's handshakes have taken.
    spent: Duration,
    pub handshakes: u64,
    pub failures: u64,
}

impl Core {
    /// Takes records that a connection has received.
    pub(super) fn receive_records(&mut self, ops: &mut NetOps, connection: &mut Connection, received: &[u8]) {
        let is_late = !self.records.waiting.is_empty() || self.records.spent >= TURN_HANDSHAKES;
        match &mut connection.transport {
            Transport::Tls(session) if is_late && session.stage() == Stage::Opening => {
                if session.keep(received) {
                    self.records.waiting.push_back(connection.id);
                }
                self.bound_handshake(connection);
            }
            Transport::Tls(_) | Transport::Plain => self.open_records(ops, connection, received),
        }
    }

    /// Closes a connection whose handshake takes more bytes than a stranger may send.
    fn bound_handshake(&mut self, connection: &mut Connection) {
        if let Transport::Tls(session) = &connection.transport {
            self.ends_for_bytes(&mut connection.session, session.kept_bytes());
        }
    }

    /// Goes on with handshakes that have waited, as far as the turn's budget goes; at least with one. Returns whether some
    /// are left.
    pub(super) fn run_handshakes(&mut self, ops: &mut NetOps) -> bool {
        if self.records.waiting.is_empty() {
            self.records.spent = Duration::ZERO;
            return false;
        }
        let mut is_first = true;
        while is_first || self.records.spent < TURN_HANDSHAKES {
            let Some(id) = self.records.waiting.pop_front() else { break };
            let Some(mut connection) = self.connections.take(id) else { continue };
            self.open_records(ops, &mut connection, &[]);
            connection.list(&mut self.listed);
            self.connections.put(connection);
            is_first = false;
        }
        self.records.spent = Duration::ZERO;
        !self.records.waiting.is_empty()
    }

    /// Makes a client the user that its certificate names, if there is one and it is on; else it stays who it is, and that
    /// is noted.
    fn log_in_by_certificate(&mut self, connection: &mut Connection) {
        let Transport::Tls(session) = &connection.transport else { return };
        let Some(name) = session.user_name() else { return };
        let (users, _) = self.server.users.table();
        match users.get(&name).filter(|user| user.is_on()) {
            Some(user) => {
                if let Err(over) = connection.session.log_in(user.clone()) {
                    connection.end_with(Problem::UserOverLimit(over));
                }
            }
            None => {
                let resp = match &connection.protocol {
                    ProtocolState::Resp(resp) => Some(&resp.session),
                    ProtocolState::Web(_) => None,
                };
                note_unknown_certificate(&self.server, (&connection.session, resp), &name, self.now_ms);
            }
        }
    }

    fn open_records(&mut self, ops: &mut NetOps, connection: &mut Connection, received: &[u8]) {
        let before = connection.transport.stage();
        let begun = (before == Stage::Opening).then(Instant::now);
        let mut scratch = std::mem::take(&mut self.records.scratch);
        let bytes = connection.transport.open(received, &mut scratch);
        let after = connection.transport.stage();
        if let Some(begun) = begun {
            self.records.spent += begun.elapsed();
            if matches!(after, Stage::Open | Stage::Ended) {
                self.records.handshakes += 1;
                connection.session.is_opening = false;
                self.log_in_by_certificate(connection);
                self.note_authentication(connection.id, &mut connection.session);
            }
        }
        if !bytes.is_empty() {
            self.receive_opened(ops, connection, bytes);
        }
        self.records.scratch = scratch;
        match after {
            Stage::Failed if before != Stage::Failed => {
                self.records.failures += 1;
                // An alert cannot pass what the client does not take.
                let is_stuck = connection.output.is_sending();
                connection.session.closing = if is_stuck { Closing::Now } else { Closing::AfterReplies };
            }
            Stage::Ended if before != Stage::Ended => {
                connection.has_ended = true;
                self.give_up_waiting(connection.id);
            }
            Stage::Opening => self.bound_handshake(connection),
            Stage::Open | Stage::Ended | Stage::Failed => {}
        }
    }
}
