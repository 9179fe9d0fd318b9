//! Where clients are, by their numbers: for those that name another one. A core changes only its own part.

use super::Server;
use crate::net_ring::ConnectionId;
use keytide_engine::position::ShardId;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The connections of one core by the numbers of their clients, behind a lock that the begin and the end of a connection take, and
/// a search for a client.
#[derive(Debug, Default)]
pub(super) struct Clients(Mutex<HashMap<u64, ConnectionId>>);

impl Clients {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, ConnectionId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Notes a client of a core.
    pub fn note_client(&self, core: ShardId, client: u64, connection: ConnectionId) {
        self.cores[core.0 as usize].clients.lock().insert(client, connection);
    }

    /// Notes that a client of a core has gone.
    pub fn forget_client(&self, core: ShardId, client: u64) {
        self.cores[core.0 as usize].clients.lock().remove(&client);
    }

    /// The core and the connection of a client; `None` if there is none of this number.
    pub fn find_client(&self, client: u64) -> Option<(ShardId, ConnectionId)> {
        let find = |(core, shared): (usize, &super::CoreShared)| {
            Some((ShardId(core as u16), *shared.clients.lock().get(&client)?))
        };
        self.cores.iter().map(|core| &**core).enumerate().find_map(find)
    }
}
