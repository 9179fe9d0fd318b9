//! The keys of one shard. [`table`] finds an entry, [`entry`] is the only place where one changes, and each change
//! includes its record in the open [`turn`](crate::turn).

pub mod entry;
mod expiries;
mod table;

pub(crate) use entry::Stored;
pub use entry::{Entry, EntryMut, HashValue, Kind, ListValue, SetValue, Value, ValueRef};
pub(crate) use expiries::Expiries;
pub(crate) use table::Table;

use smallvec::SmallVec;

/// A short byte string: up to 16 bytes without an allocation. Used for keys, fields, members and list elements.
pub type Bytes = SmallVec<[u8; 16]>;
