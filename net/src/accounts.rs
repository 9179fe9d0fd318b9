//! The accounts of memory that clients have the server keep, one for each kind.

use crate::config::MemoryLimits;
use keytide_engine::account::Account;

/// One account for each kind, all cores together.
pub struct Accounts {
    /// Consumer groups.
    pub groups: Account,
    /// Subscriptions.
    pub subscriptions: Account,
    /// Commands queued by MULTI.
    pub transactions: Account,
    /// Input that has not been run.
    pub input: Account,
}

impl Accounts {
    /// Nothing in use, with these limits.
    pub fn new(limits: &MemoryLimits) -> Accounts {
        Accounts {
            groups: Account::new("groups-bytes", limits.groups),
            subscriptions: Account::new("subscriptions-bytes", limits.subscriptions),
            transactions: Account::new("transactions-bytes", limits.transactions),
            input: Account::new("input-bytes", limits.input),
        }
    }

    /// All of them.
    pub fn all(&self) -> [&Account; 4] {
        [&self.groups, &self.subscriptions, &self.transactions, &self.input]
    }
}
