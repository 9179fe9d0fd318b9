//! The row of CONFIG for keyspace notifications.

use crate::keyspace_events::Classes;
use crate::server::Server;

/// Whether these are letters of classes.
pub(super) fn check(_server: &Server, value: &[u8]) -> Result<(), String> {
    Classes::parse(value).map(|_| ()).ok_or_else(|| Classes::INVALID.to_owned())
}

pub(super) fn apply(server: &Server, value: &[u8]) {
    if let Some(classes) = Classes::parse(value) {
        server.keyspace_events.set(classes);
    }
}
