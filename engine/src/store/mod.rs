//! What stands around the logs: the directory of `--dir` as a whole, from which a start brings all shards back, and which
//! `keytide check` examines and repairs. The logs themselves are [`log`](crate::log).
//!
//! | file | what is in it |
//! |---|---|
//! | [`directory`] | the directory: its lock, how the last run ended, where positions go on |
//! | [`meta`] | `meta.toml`: what a directory says of itself |
//! | `examine` | a log looked at: what belongs to it, what is torn, what is damaged |
//! | [`recovery`] | what a start finds of a log, and where it goes on |
//! | [`found`] | the log that a start has found |
//! | [`restore`] | a shard brought back and set going |
//! | [`open`](mod@open) | all shards of a directory |
//! | [`reshard`] | the keys given to shards of another number |
//! | [`older`] | the history of shards of another number, and its end |
//! | [`check`] | a directory looked at without a server, and repaired |
//! | `damaged` | files taken out of use |

pub mod check;
mod damaged;
pub mod directory;
mod examine;
pub mod found;
pub mod meta;
pub mod older;
pub mod open;
pub mod recovery;
pub mod reshard;
pub mod restore;

pub use open::{LimitKeeper, Report, Store, StoreError, StoreOptions, open};

#[cfg(all(test, not(loom)))]
mod tests;
