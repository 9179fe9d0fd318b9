//! The keys of one shard. [`table`] finds an entry, which is a [`block`] of memory, [`entry`] is the only place where one
//! changes, and each change includes its record in the open [`turn`](crate::turn).

mod absent;
mod block;
mod census;
mod dropped;
pub mod entry;
mod expiries;
mod field_ends;
mod footprint;
mod table;

pub use crate::collection::Bytes;
pub(crate) use absent::{Absent, AbsentRow};
pub(crate) use block::Block;
pub(crate) use census::Census;
pub use census::DatabaseKeys;
pub(crate) use dropped::Dropped;
pub use entry::{Entry, EntryMut, Kind, Value, ValueRef};
pub(crate) use expiries::Expiries;
pub(crate) use field_ends::FieldEnds;
pub use footprint::{Footprint, Taken};
pub(crate) use table::{Found, Hand, Seen, Word};

/// The entries of a shard, by key.
pub(crate) type Keys = table::Table<Block>;
