//! How many keys the databases have, but the first: each core tells of its shard where that has changed.

use super::Server;
use keytide_engine::keyspace::DatabaseKeys;
use keytide_engine::shard::Shard;
use keytide_engine::stream_name::Database;
use std::collections::BTreeMap;
use std::sync::PoisonError;

impl Server {
    /// Publishes how many keys of these databases a core's shard has, if that has changed.
    pub fn tell_databases(&self, shard: &mut Shard) {
        if let Some(databases) = shard.take_new_databases() {
            let own = &self.cores[shard.id().0 as usize].databases;
            *own.lock().unwrap_or_else(PoisonError::into_inner) = databases;
        }
    }

    /// How many keys these databases have on all shards.
    pub fn databases(&self) -> BTreeMap<Database, DatabaseKeys> {
        let mut all: BTreeMap<Database, DatabaseKeys> = BTreeMap::new();
        for core in &self.cores {
            for (database, DatabaseKeys { keys, expiring }) in
                core.databases.lock().unwrap_or_else(PoisonError::into_inner).iter()
            {
                let sum = all.entry(*database).or_default();
                sum.keys += keys;
                sum.expiring += expiring;
            }
        }
        all
    }
}
