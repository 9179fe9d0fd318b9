//! What stands around the logs: the directory of `--dir` as a whole, from which a start brings all shards back, and which
//! `keytide check` examines and repairs. The logs themselves are [`log`](crate::log).
//!
//! | file | what is in it |
//! |---|---|
//! | [`directory`] | the directory: its lock, how the last run ended, where positions go on |
//! | [`meta`] | `meta.toml`: what a directory says of itself |
//! | [`recovery`] | what a start finds of a log, and where it goes on |
//! | [`restore`] | a shard brought back and set going |
//! | `restore_all` | all shards of the current generation brought back |
//! | `lost` | positions that a power loss has taken |
//! | [`open`](mod@open) | all shards of a directory set going |
//! | `reshard` | the keys given to shards of another number |
//! | [`older`] | the history of shards of another number, and its end |
//! | `limit_keeper` | the thread that works for a directory in use |
//! | `options`, `report`, `error` | how a directory is used, what a start has found, why it cannot be used |
//! | [`check`] | a directory looked at without a server, and repaired |
//! | `set_aside` | files taken out of use |

pub mod check;
pub mod directory;
mod error;
mod limit_keeper;
mod lost;
pub mod meta;
pub mod older;
pub mod open;
mod options;
pub mod recovery;
mod report;
mod reshard;
pub mod restore;
mod restore_all;
mod set_aside;

pub use error::StoreError;
pub use limit_keeper::LimitKeeper;
pub use open::{Store, open};
pub use options::StoreOptions;
pub use report::Report;

#[cfg(all(test, not(loom)))]
mod tests;
