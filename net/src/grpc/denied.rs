//! What calls are denied, for ACL LOG and the log.

use super::calls::Surroundings;
use crate::access::{Context, DeniedRequest, Reason};
use std::net::SocketAddr;

/// The client of a call, and when.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// Its number.
    pub client: u64,
    /// Its address.
    pub peer: Option<SocketAddr>,
    /// The address that it has connected to.
    pub local: Option<SocketAddr>,
    /// The turn's time, Unix milliseconds.
    pub now_ms: u64,
}

impl Surroundings<'_> {
    /// The client of the calls.
    pub fn caller(&self) -> Caller {
        Caller { client: self.client, peer: self.peer, local: self.local, now_ms: self.now_ms }
    }
}

/// Notes that a call of a user was denied something: the command whose right it lacks, or the key; for a failed login the
/// method that was called.
#[cold]
pub fn note_denied(denials: &crate::access::Denials, caller: Caller, user: &[u8], (reason, object): (Reason, &[u8])) {
    let address = |address: Option<SocketAddr>| address.map_or_else(|| "?:0".to_owned(), |a| a.to_string());
    let Caller { client, peer, local, now_ms } = caller;
    // As CLIENT LIST names what it has too.
    let (peer, local, name) = (address(peer), address(local), String::from_utf8_lossy(user));
    let info = format!("id={client} addr={peer} laddr={local} user={name} proto=grpc");
    denials.note(&DeniedRequest { reason, context: Context::TopLevel, object, user, client, now_ms }, info);
}
