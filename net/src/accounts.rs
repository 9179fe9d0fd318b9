//! The accounts of the memory that the server holds for clients, one for each kind.

use crate::config::MemoryLimits;
use keytide_engine::account::Account;

/// One account for each kind of memory, shared by all cores.
pub struct Accounts {
    /// Consumer groups.
    pub groups: Account,
    /// Subscriptions.
    pub subscriptions: Account,
    /// Commands queued by MULTI, and watched keys.
    pub transactions: Account,
    /// Not bytes but the connections that watch keys, of which there may be any number.
    pub watchers: Account,
    /// Commands that wait for keys.
    pub waits: Account,
    /// Input that has not run yet.
    pub input: Account,
    /// The texts of scripts.
    pub scripts: Account,
}

impl Accounts {
    /// Empty accounts with these limits.
    pub fn new(limits: &MemoryLimits) -> Accounts {
        Accounts {
            groups: Account::new("groups-bytes", limits.groups),
            subscriptions: Account::new("subscriptions-bytes", limits.subscriptions),
            transactions: Account::new("transactions-bytes", limits.transactions),
            watchers: Account::default(),
            waits: Account::new("waits-bytes", limits.waits),
            input: Account::new("input-bytes", limits.input),
            scripts: Account::new("scripts-bytes", limits.scripts),
        }
    }

    /// All accounts of bytes.
    pub fn all(&self) -> [&Account; 6] {
        [&self.groups, &self.subscriptions, &self.transactions, &self.waits, &self.input, &self.scripts]
    }
}
