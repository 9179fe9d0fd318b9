//! The rights of this core's clients. A command is checked before it runs or is queued; live subscriptions and waiting
//! commands are checked again when users change.

use super::Core;
use super::resp::Client;
use crate::command::access::{check, note_denied};
use crate::command::cdc::may_subscribe;
use crate::command::{Command, Flag};
use crate::connection::ProtocolState;
use crate::mesh::message::Message;
use crate::net_ring::ConnectionId;
use crate::resp::{Args, CommandIndex, error_text};
use crate::session::{Closing, Rights, Session};

impl Core {
    /// Whether a client may not run a command, because it has not logged in or its user may not. It has its error then.
    pub(super) fn refuse_access(
        &mut self,
        client: &mut Client<'_>,
        (index, command): (CommandIndex, &Command),
        args: Args<'_>,
    ) -> bool {
        if !client.session.authenticated {
            let is_refused = !command.is(Flag::NoAuth);
            if is_refused {
                self.reject(client, args, error_text::NO_AUTH.as_bytes());
            }
            return is_refused;
        }
        let Err(refused) = check(client.session.user(), index, args) else { return false };
        // As in Redis, this comes before the user's rights.
        if client.resp.transaction.is_some() && command.is(Flag::NoMulti) {
            self.reject(client, args, error_text::NOT_IN_MULTI.as_bytes());
            return true;
        }
        let is_queued = client.resp.transaction.is_some();
        note_denied(&self.server, (client.session, client.resp), &refused, (is_queued, self.now_ms));
        self.reject(client, args, refused.text().as_bytes());
        true
    }

    /// Takes a session's user from the newest table.
    #[cold]
    pub(super) fn refresh_rights(&mut self, session: &mut Session) {
        let (users, version) = self.server.users.table();
        let rights = session.refresh(&users, version);
        if rights == Rights::Gone && session.closing == Closing::No {
            session.closing = Closing::Now;
        }
    }

    /// Looks at all clients if users were changed, else at those who have logged in as others: closes those whose user is
    /// gone, and ends subscriptions and waits that are not permitted any more.
    pub(super) fn look_at_rights(&mut self) {
        let version = self.server.users.version();
        if version == self.users_version && self.renewed.is_empty() {
            return;
        }
        let mut renewed = std::mem::take(&mut self.renewed);
        if version != self.users_version {
            self.users_version = version;
            renewed = self.connections.iter().map(|connection| connection.id).collect();
        }
        for id in renewed {
            self.look_at_rights_of(id);
        }
    }

    fn look_at_rights_of(&mut self, id: ConnectionId) {
        let Some(mut connection) = self.connections.take(id) else { return };
        let session = &mut connection.session;
        if session.users_version != self.users_version {
            self.refresh_rights(session);
            if session.is_stranger() != session.stranger_since.is_some() {
                self.note_authentication(id, session);
            }
        }
        let has_new_rights = std::mem::take(&mut session.has_new_rights);
        let is_of_calls = matches!(connection.protocol, ProtocolState::Web(_));
        if is_of_calls {
            self.look_at_calls(&mut connection);
            self.connections.put(connection);
            return;
        }
        let session = &mut connection.session;
        let (user, is_closing) = (session.user().clone(), session.closing != Closing::No);
        if is_closing {
            connection.list(&mut self.listed);
        }
        if has_new_rights && !self.channels.are_permitted(id, &user) && connection.session.closing == Closing::No {
            // As Redis does it: the client would take the silence for a channel without messages.
            connection.session.closing = Closing::Now;
            connection.list(&mut self.listed);
        }
        let subscriber = connection.subscriber;
        let waits = connection.replies.waiting() > 0;
        self.connections.put(connection);
        if !has_new_rights {
            return;
        }
        if let Some(subscriber) = subscriber {
            let outlet = &mut self.live.delivery.to(&mut self.connections, &mut self.listed);
            self.live.hub.revoke(subscriber, |interest| may_subscribe(&user, interest), outlet);
        }
        if waits {
            self.recheck_wait(self.id, id, &user);
            self.tell_all(|| Message::Rights(id, user.clone()));
        }
    }
}
