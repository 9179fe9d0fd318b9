//! The log of one shard: its history in files below `--dir`, written once and read at the same offsets. It holds exactly
//! the bytes that the shard's ring holds. The directory around the logs, recovery and repair are in
//! [`store`](crate::store), which uses this module and is not used by it.
//!
//! | file | content |
//! |---|---|
//! | [`segment`] | the format of a segment: its header and its name |
//! | [`index`] | the sparse index of a segment, from position to offset |
//! | [`streams`] | which streams are in which part of a segment |
//! | [`segments`] | the list of a shard's segments that its readers share |
//! | [`options`] | which shard a log belongs to, how it is written and retained |
//! | [`writer`] | writes the records of a turn, from one segment into the next |
//! | `zero_padding` | zeros behind the records, so that pages are allocated in groups |
//! | [`keeper`] | threads that create segments, seal, sync, and remove |
//! | `removal` | removes segments in order |
//! | [`failure`] | the failure that ends all writes |
//! | [`reader`] | seeks and reads, for the history |
//! | [`map`] | a mapped file that may be damaged under its readers |
//! | [`scan`] | reads a segment from record to record, each checked |
//! | [`torn_end`] | tells a torn end from damage |
//! | [`synced`] | the durable mark: up to where the log is on the disk |
//! | [`storage`] | how files are written, behind a trait |
//! | `recording` | a storage for tests that simulates power losses |

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
