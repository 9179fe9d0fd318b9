//! The values with elements: hashes, sets and lists. Nothing outside knows how one is stored: a `…Value` owns the
//! elements, a `…Ref` reads them.

mod hash;
mod list;
mod member;
mod set;

pub use hash::{HashRef, HashValue};
pub use list::{End, ListRef, ListValue};
pub use member::Member;
pub use set::{SetRef, SetValue};

use smallvec::SmallVec;

/// A short byte string: up to 16 bytes without an allocation. Used for keys, and for elements on their way.
pub type Bytes = SmallVec<[u8; 16]>;
