//! The log of one shard: its history in files below `--dir`, written once and read at the same offsets. It holds exactly
//! the bytes that the shard's ring holds. What stands around it (directory, recovery, repair) is [`store`](crate::store).
//!
//! | file | what is in it |
//! |---|---|
//! | [`segment`] | a file of records: its header and its name |
//! | [`index`] | the sparse index of a segment, from position to offset |
//! | [`streams`] | which streams are in which part of a segment |
//! | [`segments`] | the segments of a shard as its readers hold them |
//! | [`options`] | whose log it is, and how it is kept |
//! | [`writer`] | a turn's records written, from one segment into the next |
//! | `zero_padding` | zeros behind the records, for the sake of the pages' size |
//! | [`keeper`] | the threads that make segments, sync, seal, and remove what is not kept |
//! | [`failure`] | what ends all writing |
//! | [`reader`] | seek and read |
//! | [`scan`] | a segment read from record to record, each checked |
//! | [`torn_end`] | what lies behind a record that is not whole |
//! | `removal` | segments on their way off the disk |
//! | [`map`] | a file mapped for reading that may fail under its readers |
//! | [`synced`] | the mark of what is surely there |
//! | [`storage`] | the write side of files, behind a trait |
//! | `recording` | a write side that can lose the power, for tests |

pub mod failure;
pub mod index;
pub mod keeper;
pub mod map;
pub mod options;
pub mod reader;
#[cfg(test)]
pub(crate) mod recording;
pub(crate) mod removal;
pub mod scan;
pub mod segment;
pub mod segments;
pub mod storage;
pub mod streams;
pub mod synced;
pub mod torn_end;
pub mod writer;
mod zero_padding;

pub use failure::LogFailure;
pub use options::{Fsync, LogIdentity, LogOptions};
pub use reader::{SegmentError, SegmentReader};
pub use segments::Segments;
pub use writer::{LogError, LogWriter};
