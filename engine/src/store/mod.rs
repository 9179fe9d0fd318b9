//! The directory of `--dir` around the logs: a start restores all shards from it, and `keytide check` examines and repairs
//! it. The logs themselves are in [`log`](crate::log).
//!
//! | file | content |
//! |---|---|
//! | [`directory`] | the directory: its lock and layout, how the previous run ended, where positions continue |
//! | [`meta`] | `meta.toml`, the metadata of a directory |
//! | [`recovery`] | the log of one shard: examined, its torn end cut off |
//! | [`restore`] | one shard: its log, its snapshot, the replay |
//! | `restore_all` | all shards of the current generation |
//! | `lost` | the positions that a power loss has lost |
//! | `reshard` | the keys distributed over another number of shards |
//! | [`older`] | older generations, and their retention |
//! | [`open`](mod@open) | a directory opened, its shards restored and started |
//! | `limit_keeper` | the background thread of an open directory |
//! | `options`, `report`, `error` | how a directory is used, what a start found, why it cannot be used |
//! | [`check`](mod@check) | a directory checked without a server, and repaired |
//! | `set_aside` | damaged files taken out of use |

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
pub use report::StartReport;

#[cfg(all(test, not(loom)))]
mod tests;
