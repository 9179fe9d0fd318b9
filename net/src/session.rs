//! The session of a connection, for any protocol: the client's number, its names, its user and rights.

use crate::access::{User, UserTable};
use crate::changes::Subscribed;
use crate::channels::Counts;
use keytide_engine::account::{OverLimit, Share};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// The session of one connection.
pub struct Session {
    /// The client's number: unique over the server's life, from 1.
    pub client: u64,
    /// Whether the client has authenticated, or need not.
    pub authenticated: bool,
    /// Whether credentials of one of its calls were right, where each call has its own.
    pub has_known_calls: bool,
    /// Whether the user may run everything, so that commands need no check.
    pub is_unlimited: bool,
    /// The version of the table of users from which `user` was taken.
    pub users_version: u64,
    /// Whether the rights have changed since the subscriptions and waiting commands were last checked.
    pub has_new_rights: bool,
    /// Whether the client has logged in, or connected when no login was required.
    has_logged_in: bool,
    user: Arc<User>,
    /// Counts the connection for its user; `None` before a login.
    counted: Option<Share>,
    /// Whether the transport is still being opened, for example by the TLS handshake.
    pub is_opening: bool,
    /// The time from which the client counts as a stranger; `None` if it is not one.
    pub stranger_since: Option<Instant>,
    /// The number of its subscriptions.
    pub subscriptions: usize,
    /// The numbers of channels that it is subscribed to.
    pub channels: Counts,
    /// Those of its subscriptions that are channels of changes.
    pub changes: Subscribed,
    /// Whether CLIENT NO-EVICT keeps it from being closed for the memory that it takes.
    pub is_kept: bool,
    /// The name set by CLIENT SETNAME.
    pub name: Vec<u8>,
    /// The client library's name and version, set by CLIENT SETINFO.
    pub library: (Vec<u8>, Vec<u8>),
    /// The client's address.
    pub peer: Option<SocketAddr>,
    /// The server's address that the client has connected to.
    pub local: Option<SocketAddr>,
    /// The descriptor of the socket; -1 if the socket is closed.
    pub descriptor: i32,
    /// The time of the connection, steady milliseconds.
    pub connected_ms: u64,
    /// The time of the last command, steady milliseconds.
    pub active_ms: u64,
    /// The name of the last command.
    pub last_command: &'static str,
    /// Whether and when the connection is closed.
    pub closing: Closing,
}

/// Whether and when a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// It stays open.
    No,
    /// After all replies were sent.
    AfterReplies,
    /// At once: the connection is broken or was killed.
    Now,
}

/// The result of a look at a newer table of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// The user is unchanged.
    Same,
    /// The user was changed.
    Changed,
    /// The user was deleted: the connection is closed.
    Gone,
}

impl Session {
    /// The session of a new connection, with the default user.
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
            has_known_calls: false,
            is_unlimited: authenticated && user.is_unlimited(),
            users_version: version,
            has_new_rights: false,
            has_logged_in: authenticated,
            user,
            counted: None,
            is_opening: false,
            stranger_since: None,
            subscriptions: 0,
            channels: Counts::default(),
            changes: Subscribed::default(),
            is_kept: false,
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

    /// The user.
    #[inline]
    pub fn user(&self) -> &Arc<User> {
        &self.user
    }

    /// Whether it is subscribed to streams or channels.
    #[inline]
    pub fn is_subscriber(&self) -> bool {
        self.subscriptions + self.channels.total() > 0
    }

    /// Whether the limits of strangers apply: the client must authenticate, or the transport is still being opened.
    #[inline]
    pub fn is_stranger(&self) -> bool {
        !(self.authenticated || self.has_known_calls) || self.is_opening
    }

    /// Counts the connection for its first user, if that user needs no login.
    ///
    /// # Errors
    /// If the user has the most connections allowed.
    pub fn count_in(&mut self) -> Result<(), OverLimit> {
        if self.authenticated { self.count_as(&self.user.clone()) } else { Ok(()) }
    }

    fn count_as(&mut self, user: &User) -> Result<(), OverLimit> {
        if self.counted.as_ref().is_none_or(|share| !user.usage().has_connection(share)) {
            let mut share = user.usage().connection();
            share.take(1)?;
            self.counted = Some(share);
        }
        Ok(())
    }

    /// Notes that the client has logged in as this user.
    ///
    /// # Errors
    /// If the user has the most connections allowed. Then the session keeps its user.
    pub fn log_in(&mut self, user: Arc<User>) -> Result<(), OverLimit> {
        self.count_as(&user)?;
        (self.user, self.has_logged_in, self.authenticated) = (user, true, true);
        self.is_unlimited = self.user.is_unlimited();
        self.has_new_rights = true;
        Ok(())
    }

    /// Takes the user anew from the table of this version.
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
        self.recount();
        rights
    }

    /// Counts the connection for a user that it got without a login, whatever the limit.
    fn recount(&mut self) {
        let usage = self.user.usage();
        if !self.authenticated {
            self.counted = None;
        } else if self.counted.as_ref().is_none_or(|share| !usage.has_connection(share)) {
            let mut share = usage.connection();
            share.set(1);
            self.counted = Some(share);
        }
    }

    /// Makes the session as new, except for number and addresses: RESET. The caller ends the subscriptions.
    pub fn reset(&mut self, users: &UserTable, version: u64) {
        self.user = users.default_user().clone();
        self.has_logged_in = self.user.is_open();
        self.refresh(users, version);
        self.subscriptions = 0;
        self.changes.clear();
        self.channels = Counts::default();
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

    /// The result of a refresh, and whether the session is then authenticated and unlimited.
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
        session.log_in(users.authenticate(b"a", b"").expect("it needs no password")).expect("there is no limit");
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
    fn connections_are_counted_for_the_user_that_they_are() {
        let users = users();
        users.limits.connections.set_max(1);
        for name in ["a", "b"] {
            set(&users, name, "on nopass");
        }
        let user = |name: &str| users.authenticate(name.as_bytes(), b"").expect("it needs no password");
        let (table, version) = users.table();
        let new = |client| Session::new(client, (&table, version), (None, None), 0);
        let (mut first, mut second) = (new(1), new(2));
        assert_eq!(first.count_in(), Ok(()));
        let error = second.count_in().expect_err("the default user has one");
        assert!(
            error.to_string().starts_with("this would exceed the limit user-connections of 1 connections"),
            "{error}"
        );
        // Who logs in again is one, and who becomes another frees its place.
        assert_eq!([first.log_in(user("a")), first.log_in(user("a")), second.count_in()], [Ok(()), Ok(()), Ok(())]);
        assert!(second.log_in(user("a")).is_err() && second.user().name() == b"default");
        assert_eq!(first.log_in(user("b")), Ok(()));
        assert_eq!(second.log_in(user("a")), Ok(()));
        // A change of its rules makes no other user of it, and RESET goes back however many there are.
        set(&users, "a", "~a");
        assert!(first.log_in(user("a")).is_err());
        let (table, version) = users.table();
        first.reset(&table, version);
        second.reset(&table, version);
        assert!(first.log_in(user("a")).is_ok() && second.count_in().is_ok());
        drop(first);
        assert_eq!(second.log_in(user("a")), Ok(()));
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
