//! Databases: their keys among those of the shard, which are told apart by their names.

use super::Shard;
use crate::keyspace::DatabaseKeys;
use crate::limits::DATABASE_SLICE;
use crate::stream_name::Database;

impl Shard {
    /// The keys of a database.
    pub fn keys_of(&self, database: Database) -> DatabaseKeys {
        if database != Database::FIRST {
            return self.turn.census.of(database);
        }
        let mut first = DatabaseKeys { keys: self.key_count(), expiring: self.volatile_count() };
        for (_, others) in self.turn.census.all() {
            first.keys -= others.keys;
            first.expiring -= others.expiring;
        }
        first
    }

    /// The databases beside the first that have keys, where that has changed since it was last asked for.
    pub fn take_new_databases(&mut self) -> Option<Vec<(Database, DatabaseKeys)>> {
        self.turn.census.take_new().then(|| self.turn.census.all().collect())
    }

    /// Whether other databases than this one have keys.
    pub fn has_keys_beside(&self, database: Database) -> bool {
        self.keys_of(database).keys < self.key_count()
    }

    /// The names of some keys of a database from a rank in the order of hashes on, and the rank of the next ones; none at the end.
    pub(crate) fn names_from(&self, database: Database, rank: u64) -> (Vec<Vec<u8>>, Option<u64>) {
        let mut names = Vec::new();
        let next = self.table.scan(rank, |entry| {
            if entry.has_value() && Database::of(entry.key()).0 == database {
                names.push(entry.key().to_vec());
            }
            names.len() < DATABASE_SLICE
        });
        (names, next)
    }
}
