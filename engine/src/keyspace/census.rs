//! How many keys the databases have, for those beside the first: what is not theirs is the first one's.

use crate::stream_name::Database;
use std::collections::BTreeMap;

/// The keys of one database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatabaseKeys {
    /// The number of its keys. An expired key counts until the shard removes it.
    pub keys: usize,
    /// Those of them that have a TTL.
    pub expiring: usize,
}

/// The keys of all databases but the first.
#[derive(Debug, Default)]
pub(crate) struct Census {
    databases: BTreeMap<Database, DatabaseKeys>,
    /// Whether it has changed since it was last taken.
    is_new: bool,
}

impl Census {
    /// Notes a change of a key that is not the first database's.
    #[inline]
    pub fn note(&mut self, name: &[u8], change: impl FnOnce(&mut DatabaseKeys)) {
        let (database, _) = Database::of(name);
        if database != Database::FIRST {
            self.change(database, change);
        }
    }

    #[cold]
    fn change(&mut self, database: Database, change: impl FnOnce(&mut DatabaseKeys)) {
        self.is_new = true;
        let counts = self.databases.entry(database).or_default();
        change(counts);
        if counts.keys == 0 {
            self.databases.remove(&database);
        }
    }

    /// Forgets all keys.
    pub fn clear(&mut self) {
        self.is_new |= !self.databases.is_empty();
        self.databases.clear();
    }

    /// The keys of a database that is not the first.
    pub fn of(&self, database: Database) -> DatabaseKeys {
        self.databases.get(&database).copied().unwrap_or_default()
    }

    /// The databases that have keys, but the first.
    pub fn all(&self) -> impl Iterator<Item = (Database, DatabaseKeys)> {
        self.databases.iter().map(|(database, keys)| (*database, *keys))
    }

    /// Whether it has changed since this was last asked.
    #[inline]
    pub fn take_new(&mut self) -> bool {
        std::mem::take(&mut self.is_new)
    }
}
