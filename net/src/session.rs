//! What a connection is to the server, whatever its protocol: its number, its names, what it has been allowed.

use crate::access::{User, UserTable};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// The session of one connection.
pub struct Session {
    /// The client's number: unique over the server's life, from 1.
    pub client: u64,
    /// Whether it has given the password, or none is asked.
    pub authenticated: bool,
    /// Whether everything is permitted to it, so that its commands need no check.
    pub is_unlimited: bool,
    /// The version of the table of users that its user is of.
    pub users_version: u64,
    /// Whether its rights were changed and its subscriptions and waiting commands not been looked at since.
    pub has_new_rights: bool,
    /// Whether it has logged in, or has begun when nobody had to.
    has_logged_in: bool,
    user: Arc<User>,
    /// Whether its transport is still being opened, such as by the handshake of TLS.
    pub is_opening: bool,
    /// Since when it is counted among the strangers; none where it is not.
    pub stranger_since: Option<Instant>,
    /// How many subscriptions it has.
    pub subscriptions: usize,
    /// What CLIENT SETNAME gave.
    pub name: Vec<u8>,
    /// What CLIENT SETINFO gave: the client library's name and version.
    pub library: (Vec<u8>, Vec<u8>),
    /// The client's address.
    pub peer: Option<SocketAddr>,
    /// The address that it has connected to.
    pub local: Option<SocketAddr>,
    /// The descriptor of its socket; -1 where the socket is gone already.
    pub descriptor: i32,
    /// When it connected, steady milliseconds.
    pub connected_ms: u64,
    /// When its last command came, steady milliseconds.
    pub active_ms: u64,
    /// The name of its last command.
    pub last_command: &'static str,
    /// Whether the connection is to be closed.
    pub closing: Closing,
}

/// Whether and when a connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// It stays.
    No,
    /// Once all replies have left.
    AfterReplies,
    /// At once: it is broken, or was killed.
    Now,
}

/// What a session finds when it looks at the table of users again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Its user is as before.
    Same,
    /// Its user was changed.
    Changed,
    /// Its user was deleted: the connection is to be closed.
    Gone,
}

impl Session {
    /// The session of a new connection: of the default user.
    pub fn new(
        client: u64,
        (users, version): (&UserTable, u64),
        addresses: (Option<SocketAddr>, Option<SocketAddr>),
        now_ms: u64,
    ) -> Session {
        let user = users.default_user().clone();
        let authenticated = user.is_open();
        Session {
            client,
            authenticated,
            is_unlimited: authenticated && user.is_unlimited(),
            users_version: version,
            has_new_rights: false,
            has_logged_in: authenticated,
            user,
            is_opening: false,
            stranger_since: None,
            subscriptions: 0,
            name: Vec::new(),
            library: (Vec::new(), Vec::new()),
            peer: addresses.0,
            local: addresses.1,
            descriptor: -1,
            connected_ms: now_ms,
            active_ms: now_ms,
            last_command: "NULL",
            closing: Closing::No,
        }
    }

    /// The user that it is.
    #[inline]
    pub fn user(&self) -> &Arc<User> {
        &self.user
    }

    /// Whether the bounds of strangers are its: it has to give a password, or its transport is still being opened.
    #[inline]
    pub fn is_stranger(&self) -> bool {
        !self.authenticated || self.is_opening
    }

    /// It has logged in as this user.
    pub fn log_in(&mut self, user: Arc<User>) {
        (self.user, self.has_logged_in, self.authenticated) = (user, true, true);
        self.is_unlimited = self.user.is_unlimited();
        self.has_new_rights = true;
    }

    /// Takes its user from the table of this version.
    pub fn refresh(&mut self, users: &UserTable, version: u64) -> Rights {
        self.users_version = version;
        let (user, rights) = match users.newest(&self.user) {
            Some(user) if Arc::ptr_eq(user, &self.user) => (user, Rights::Same),
            Some(user) => (user, Rights::Changed),
            None => {
                self.has_logged_in = false;
                (users.default_user(), Rights::Gone)
            }
        };
        self.user = user.clone();
        // Where the default user needs no password any more, its clients need no login.
        self.authenticated = rights != Rights::Gone && (self.has_logged_in || users.default_user().is_open());
        self.is_unlimited = self.authenticated && self.user.is_unlimited();
        self.has_new_rights |= rights == Rights::Changed;
        rights
    }

    /// As it was when it connected, but for its number and addresses: RESET. The caller ends the subscriptions
    /// that it has no more.
    pub fn reset(&mut self, users: &UserTable, version: u64) {
        self.user = users.default_user().clone();
        self.has_logged_in = self.user.is_open();
        self.refresh(users, version);
        self.subscriptions = 0;
        self.name.clear();
    }
}

#[cfg(test)]
impl Session {
    /// A session for tests that are about something else, of a default user who needs a password or none.
    pub fn for_tests(client: u64, authenticated: bool) -> Session {
        let users = tests::users();
        if !authenticated {
            users.set_default_password(b"secret").expect("it is short");
        }
        let (table, version) = users.table();
        Session::new(client, (&table, version), (None, None), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Catalogue, Users};

    pub(super) fn users() -> Users {
        Users::new(Box::leak(Box::new(Catalogue::new(Vec::new()))), None, 128)
    }

    fn set(users: &Users, name: &str, rules: &str) {
        users.set(name.as_bytes(), rules.split(' ').map(str::as_bytes)).expect("rules");
    }

    /// What the session finds, and whether it is authenticated and unlimited then.
    fn look(session: &mut Session, users: &Users) -> (Rights, bool, bool) {
        let (table, version) = users.table();
        (session.refresh(&table, version), session.authenticated, session.is_unlimited)
    }

    #[test]
    fn a_session_learns_what_becomes_of_its_user() {
        let users = users();
        set(&users, "a", "on nopass +@all ~* &*");
        let (table, version) = users.table();
        let mut session = Session::new(1, (&table, version), (None, None), 0);
        session.log_in(users.authenticate(b"a", b"").expect("it needs no password"));
        assert_eq!(look(&mut session, &users), (Rights::Same, true, true));
        set(&users, "b", "on");
        assert_eq!(look(&mut session, &users), (Rights::Same, true, true));
        // Who is logged in stays so, as in Redis, even if nobody can log in as this user any more.
        set(&users, "a", "off resetkeys ~a");
        assert_eq!(look(&mut session, &users), (Rights::Changed, true, false));
        users.delete([&b"a"[..]].into_iter()).expect("not the default user");
        set(&users, "a", "on nopass +@all ~* &*");
        assert_eq!(look(&mut session, &users), (Rights::Gone, false, false));
    }

    #[test]
    fn who_has_not_logged_in_depends_on_the_default_user() {
        let users = users();
        let (table, version) = users.table();
        let mut early = Session::new(1, (&table, version), (None, None), 0);
        users.set_default_password(b"secret").expect("it is short");
        let (table, version) = users.table();
        let mut late = Session::new(2, (&table, version), (None, None), 0);
        assert_eq!(look(&mut early, &users), (Rights::Changed, true, true));
        assert_eq!(look(&mut late, &users), (Rights::Same, false, false));
        users.set_default_password(b"").expect("it is short");
        assert_eq!(look(&mut late, &users), (Rights::Changed, true, true));
        users.set_default_password(b"secret").expect("it is short");
        assert_eq!(look(&mut late, &users), (Rights::Changed, false, false));
        let (table, version) = users.table();
        early.reset(&table, version);
        assert!(!early.authenticated && !early.is_unlimited);
    }
}
