//! Admission of connections, as long as there is a place; and of strangers, which have not given the password yet, for as
//! long as it stays within the bounds of strangers.

use super::Core;
use crate::connection::{Connection, Problem, ProtocolState, Transport};
use crate::limits::UNAUTHENTICATED_BYTES_MAX;
use crate::net_ring::{ConnectionId, NetOps};
use crate::port::{Port, TransportKind};
use crate::session::{Closing, Session};
use crate::strangers::Dismissal;
use crate::tls::TlsSession;
use std::time::{Duration, Instant};

impl Core {
    /// Lets a connection in that the listener of a port has accepted, or closes it at once: what is too many must not keep
    /// a descriptor.
    pub(super) fn accept(&mut self, ops: &mut NetOps, id: ConnectionId, listener: usize) {
        self.figures.accepted += 1;
        let port = self.server.ports[listener];
        let (users, version) = self.server.users.table();
        let authenticated = users.default_user().is_open();
        // Until a handshake has ended its client is a stranger, also where no password is asked.
        let is_stranger = !authenticated || port.transport == TransportKind::Tls;
        let now = is_stranger.then(Instant::now);
        let Some(number) = self.server.admit_client() else {
            self.refuse(ops, id, port, Problem::TooManyClients);
            if self.rejection_told.is_due() {
                let (maxclients, total) = (self.server.maxclients(), self.figures.rejected);
                tracing::warn!(
                    maxclients,
                    total,
                    "connections are closed: there are as many clients as --maxclients allows"
                );
            }
            return;
        };
        if now.is_some_and(|now| !self.has_place_for_stranger(now)) {
            self.server.dismiss_client();
            self.strangers.note(Dismissal::Number);
            return self.refuse(ops, id, port, Problem::TooManyClients);
        }
        let Some(transport) = self.transport(port.transport) else {
            self.server.dismiss_client();
            self.server.dismiss_stranger();
            return self.refuse(ops, id, port, Problem::TooManyClients);
        };
        let addresses = (ops.peer(id).ok(), ops.local(id).ok());
        let mut session = Session::new(number, (&users, version), addresses, self.steady_ms);
        session.descriptor = ops.descriptor(id).unwrap_or(-1);
        session.is_opening = port.transport == TransportKind::Tls;
        if let Err(over) = session.count_in() {
            self.server.dismiss_client();
            if is_stranger {
                self.server.dismiss_stranger();
            }
            return self.refuse(ops, id, port, Problem::UserOverLimit(over));
        }
        if let Some(now) = now {
            self.strangers.add(id, &mut session, now);
        }
        let mut connection =
            Connection::new(id, session, (transport, port.protocol), self.server.accounts.input.share());
        self.figures.clients += 1;
        self.server.note_client(self.id, number, id);
        connection.list(&mut self.listed);
        if let Some(mut closed) = self.connections.insert(connection) {
            self.count_out(&mut closed);
        }
    }

    /// Closes a connection that was just accepted. Over TLS nothing can be said before the handshake.
    fn refuse(&mut self, ops: &mut NetOps, id: ConnectionId, port: Port, problem: Problem) {
        self.figures.rejected += 1;
        let mut text = Vec::new();
        if port.transport == TransportKind::Plain {
            ProtocolState::new(port.protocol).encode_problem(&mut text, problem);
        }
        ops.refuse(id, &text);
    }

    /// The transport of a connection that begins; none where TLS cannot begin with the configuration in use.
    fn transport(&self, kind: TransportKind) -> Option<Transport> {
        match kind {
            TransportKind::Plain => Some(Transport::Plain),
            TransportKind::Tls => {
                let (config, names_user) = self.server.tls.as_ref()?.config();
                let session = TlsSession::new(config).ok()?.naming_user(names_user);
                Some(Transport::Tls(Box::new(session)))
            }
        }
    }

    /// Whether there is a place for one more stranger: free, or the oldest one's, which goes.
    fn has_place_for_stranger(&mut self, now: Instant) -> bool {
        if self.server.admit_stranger() {
            return true;
        }
        let Some(oldest) = self.strangers.oldest_to_go(now) else { return false };
        self.dismiss(oldest, Dismissal::Number);
        self.server.admit_stranger()
    }

    /// Closes the strangers that have not given the password in time.
    #[inline]
    pub(super) fn end_slow_strangers(&mut self, now: Instant) {
        let Some(timeout_ms) = self.server.config.auth_timeout_ms else { return };
        while let Some(id) = self.strangers.oldest_after(Duration::from_millis(timeout_ms), now) {
            self.dismiss(id, Dismissal::Time);
        }
    }

    /// Closes a stranger.
    fn dismiss(&mut self, id: ConnectionId, dismissal: Dismissal) {
        self.strangers.note(dismissal);
        let Some(mut connection) = self.connections.take(id) else { return };
        connection.session.closing = Closing::Now;
        self.forget_stranger(&mut connection.session);
        connection.list(&mut self.listed);
        self.connections.put(connection);
    }

    /// Counts a stranger out, which is none any more.
    pub(super) fn forget_stranger(&mut self, session: &mut Session) {
        if self.strangers.remove(session) {
            self.server.dismiss_stranger();
        }
    }

    /// Counts a client that has given the password out of the strangers, or, after RESET, in again.
    #[cold]
    pub(super) fn note_authentication(&mut self, id: ConnectionId, session: &mut Session) {
        if !session.is_stranger() {
            self.forget_stranger(session);
        } else if session.stranger_since.is_none() {
            // It is here already: it counts even if it is one too many.
            self.server.count_stranger();
            self.strangers.add(id, session, Instant::now());
        }
    }

    /// Closes a stranger that has sent, or left unread, more than it may. Returns whether it has.
    #[cold]
    pub(super) fn ends_for_bytes(&mut self, session: &mut Session, bytes: usize) -> bool {
        let is_too_much = bytes > UNAUTHENTICATED_BYTES_MAX;
        if is_too_much && session.closing != Closing::Now {
            self.strangers.note(Dismissal::Bytes);
            session.closing = Closing::Now;
        }
        is_too_much
    }
}
