//! What a connection is to the server, whatever its protocol: its number, its names, what it has been allowed.

use std::net::SocketAddr;
use std::time::Instant;

/// The session of one connection.
pub struct Session {
    /// The client's number: unique over the server's life, from 1.
    pub client: u64,
    /// Whether it has given the password, or none is asked.
    pub authenticated: bool,
    /// Since when it is counted among the clients that have not given the password; none where it is not.
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

impl Session {
    /// The session of a new connection.
    pub fn new(
        client: u64,
        authenticated: bool,
        addresses: (Option<SocketAddr>, Option<SocketAddr>),
        now_ms: u64,
    ) -> Session {
        Session {
            client,
            authenticated,
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

    /// As it was when it connected, but for its number and addresses: RESET. The caller ends the subscriptions
    /// that it has no more.
    pub fn reset(&mut self, authenticated: bool) {
        self.authenticated = authenticated;
        self.subscriptions = 0;
        self.name.clear();
    }
}
