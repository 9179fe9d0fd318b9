//! The values with elements: hashes, sets, lists, sorted sets and Redis streams. Nothing outside knows how one is stored: a `…Value` owns the
//! elements, a `…Ref` reads them.
//!
//! | | small | large |
//! |---|---|---|
//! | hash, set | [`packed`]; sets of integers [`ints`] | [`dense`]: elements of one pointer at places, with an index |
//! | list | [`packed`] | [`chunks`]: a deque of packed bytes |
//! | sorted set | packed, in order | as a set, with a tree of the order |
//! | Redis stream | – | a deque of packed blocks of entries, trees of what is pending |
//!
//! The [`Thresholds`] say what is small. A large collection becomes compact again at half of them.

mod chunks;
mod dense;
#[cfg(all(test, not(loom)))]
mod footprint_tests;
mod garbage;
mod hash;
mod ints;
mod list;
mod member;
#[cfg(all(test, not(loom)))]
mod model;
mod packed;
pub(crate) mod redis_stream;
mod rows;
mod set;
mod size_class;
pub(crate) mod small;
pub(crate) mod sorted;
mod thin;
mod thresholds;

pub(crate) use garbage::{Garbage, Unused};
pub use hash::{HashRef, HashValue};
pub(crate) use list::FurtherStep;
pub use list::{End, ListRef, ListValue};
pub use member::Member;
pub(crate) use packed::SmallBytes;
pub use redis_stream::{
    Delivery, EntryId, EntryIds, Fields, GroupConsumer, IdText, PendingEntry, RedisStream, RedisStreamValue,
    StreamEntry, StreamGroup, Times, Trim, TrimTo,
};
pub use set::{SetRef, SetValue};
pub(crate) use size_class::{allocated, size_class};
pub use sorted::{
    Decision, LexBound, LexRange, ScoreBound, ScoreRange, Selection, SortedPairs, SortedRef, SortedValue,
};
pub use thresholds::Thresholds;

use smallvec::SmallVec;

/// A short byte string: up to 16 bytes without an allocation. Used for keys, and for elements on their way.
pub type Bytes = SmallVec<[u8; 16]>;
