//! The accounts of the memory that the server holds for clients, one for each kind.

use crate::config::MemoryLimits;
use keytide_engine::account::Account;

/// One account for each kind of memory, shared by all cores.
pub struct Accounts {
    /// Consumer groups.
    pub groups: Account,
    /// Subscriptions.
    pub subscriptions: Account,
    /// Commands queued by MULTI.
    pub transactions: Account,
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
            waits: Account::new("waits-bytes", limits.waits),
            input: Account::new("input-bytes", limits.input),
            scripts: Account::new("scripts-bytes", limits.scripts),
        }
    }

    /// All accounts.
    pub fn all(&self) -> [&Account; 6] {
        [&self.groups, &self.subscriptions, &self.transactions, &self.waits, &self.input, &self.scripts]
    }
}
