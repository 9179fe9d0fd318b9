//! History that outlives memory and the process: the log of a shard, in files below `--dir`. It holds exactly the bytes
//! that the shard's ring holds, at the same offsets.
//!
//! | file | what is in it |
//! |---|---|
//! | [`directory`] | the directory: its lock, how the last run ended, where positions go on |
//! | [`meta`] | `meta.toml`: what a directory says of itself |
//! | [`segment`] | a file of records: its header and its name |
//! | [`index`] | the sparse index of a segment, from position to offset |
//! | [`streams`] | which streams are in which part of a segment |
//! | [`segments`] | the segments of a shard as its readers hold them |
//! | [`writer`] | a turn's records written, from one segment into the next |
//! | `ahead` | zeros behind the records, for the sake of the pages' size |
//! | [`keeper`] | the thread that makes segments, syncs, seals, and removes what is not kept |
//! | [`failure`] | what ends all writing |
//! | [`reader`] | seek and read |
//! | [`scan`] | a segment read from record to record, each checked |
//! | `examine` | a log looked at: what belongs to it, what is torn, what is damaged |
//! | `behind` | what lies behind a record that is not whole |
//! | [`recovery`] | what a start finds of a log, and where it goes on |
//! | [`check`] | a directory looked at without a server, and repaired |
//! | [`found`] | the log that a start has found |
//! | [`restore`] | a shard brought back and set going |
//! | [`reshard`] | the keys given to shards of another number |
//! | `removal` | segments on their way off the disk |
//! | `damaged` | files taken out of use |
//! | [`older`] | the history of shards of another number, and its end |
//! | [`store`] | all shards of a directory |
//! | [`map`] | a file mapped for reading that may fail under its readers |
//! | [`synced`] | the mark of what is surely there |
//! | [`storage`] | the write side of files, behind a trait |
//! | [`recording`] | a write side that can lose the power, for tests |

mod ahead;
mod behind;
pub mod check;
mod damaged;
pub mod directory;
mod examine;
pub mod failure;
pub mod found;
pub mod index;
pub mod keeper;
pub mod map;
pub mod meta;
pub mod older;
pub mod reader;
pub mod recording;
pub mod recovery;
mod removal;
pub mod reshard;
pub mod restore;
pub mod scan;
pub mod segment;
pub mod segments;
pub mod storage;
pub mod store;
pub mod streams;
pub mod synced;
pub mod writer;

pub use failure::LogFailure;
pub use reader::{SegmentError, SegmentReader};
pub use segments::Segments;
pub use writer::{Fsync, LogError, LogIdentity, LogOptions, LogWriter};

#[cfg(all(test, not(loom)))]
mod damage_tests;
#[cfg(all(test, not(loom)))]
mod large_tests;
#[cfg(all(test, not(loom)))]
mod loss_tests;
#[cfg(all(test, not(loom)))]
mod power_tests;
#[cfg(all(test, not(loom)))]
mod reshard_tests;
#[cfg(all(test, not(loom)))]
mod revision_tests;
#[cfg(all(test, not(loom)))]
mod snapshot_tests;
#[cfg(all(test, not(loom)))]
mod tests;
