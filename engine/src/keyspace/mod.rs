//! The keys of one shard. [`table`] finds an entry, [`entry`] is the only place where one changes, and each change
//! includes its record in the open [`turn`](crate::turn).

pub mod entry;
mod expiries;
mod table;

pub use crate::collection::Bytes;
pub(crate) use entry::Stored;
pub use entry::{Entry, EntryMut, Kind, Value, ValueRef};
pub(crate) use expiries::Expiries;
pub(crate) use table::Table;
