//! What the calls of a connection know of where they run.

use crate::access::User;
use crate::server::Server;
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// What calls know of where they run.
pub struct Surroundings<'a> {
    /// The server.
    pub server: &'a Server,
    /// The client's number.
    pub client: u64,
    /// Who the connection is; none where it has to log in.
    pub user: Option<&'a Arc<User>>,
    /// Whether the connection's calls may bring passwords.
    pub takes_credentials: bool,
    /// The client's address.
    pub peer: Option<SocketAddr>,
    /// The address that the client has connected to.
    pub local: Option<SocketAddr>,
    /// The turn's time, Unix milliseconds.
    pub now_ms: u64,
    /// The same on the clock for durations.
    pub steady_ms: u64,
    /// How many bytes of compressed messages the core may still unpack in this turn.
    pub unzip_left: Rc<Cell<usize>>,
}
