//! The names of streams, and their grammar. A stream belongs to a key and has its name, unless the name is one of these:
//!
//! | name | stream |
//! |---|---|
//! | `$all` | every event |
//! | `$streams` | links to the first event of each stream |
//! | `$db` | the flushes |
//! | `$shard-<n>` | every event of one shard |
//! | `$ce-<category>` | links to the events of the streams whose name is so up to its first `-` or `:` |
//! | `$et-<type>` | links to the events of one type |
//!
//! These are system streams: no command writes to them. All other names that begin with `$` are keys like any other, but
//! their events count as the system's: see [`is_system`].

mod database;

pub use database::{DATABASES_MAX, Database};

use crate::number::parse_u64;
use crate::position::ShardId;

/// The stream of all events.
pub const ALL: &[u8] = b"$all";
/// The links to the first event of each stream.
pub const STREAMS: &[u8] = b"$streams";
/// The stream that flushes are recorded in; the key of those records is empty.
pub const FLUSHES: &[u8] = b"$db";
/// The type of an event that is a link to another one, as KurrentDB names it.
pub const LINK_TYPE: &[u8] = b"$>";
/// Begins the name of a shard's stream; the shard's number follows.
pub const SHARD_PREFIX: &[u8] = b"$shard-";
/// Begins the name of a category's stream; the category follows.
pub const CATEGORY_PREFIX: &[u8] = b"$ce-";
/// Begins the name of a type's stream; the name of the type follows.
pub const TYPE_PREFIX: &[u8] = b"$et-";

/// What a name names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamName<'a> {
    /// `$all`.
    All,
    /// `$streams`.
    Streams,
    /// `$db`.
    Flushes,
    /// `$shard-<n>`; none where what follows is no number of a shard in its one spelling, without leading zeros.
    Shard(Option<ShardId>),
    /// `$ce-<category>`, with the category.
    Category(&'a [u8]),
    /// `$et-<type>`, with the name of the type.
    Type(&'a [u8]),
    /// The stream of the key of this name.
    Key(&'a [u8]),
}

impl<'a> StreamName<'a> {
    /// Reads a name.
    pub fn of(name: &'a [u8]) -> StreamName<'a> {
        if name == ALL {
            StreamName::All
        } else if name == STREAMS {
            StreamName::Streams
        } else if name == FLUSHES {
            StreamName::Flushes
        } else if let Some(category) = name.strip_prefix(CATEGORY_PREFIX) {
            StreamName::Category(category)
        } else if let Some(event_type) = name.strip_prefix(TYPE_PREFIX) {
            StreamName::Type(event_type)
        } else if let Some(number) = name.strip_prefix(SHARD_PREFIX) {
            let number = parse_u64(number).and_then(|number| u16::try_from(number).ok());
            StreamName::Shard(number.map(ShardId))
        } else {
            StreamName::Key(name)
        }
    }
}

/// Whether a name is a system stream's, so that no command may write to it. Every protocol asks this of the keys of a
/// command that writes, before the command runs or is queued. `$shard-` is one whatever follows: what is no shard's number
/// today may be one after a start with more shards.
#[inline]
pub fn is_read_only(name: &[u8]) -> bool {
    is_system(name) && !matches!(StreamName::of(name), StreamName::Key(_))
}

/// Whether the name of a stream or of a type is the system's, so that filters with `NOSYSTEM` leave its events out.
#[inline]
pub fn is_system(name: &[u8]) -> bool {
    name.first() == Some(&b'$')
}

/// Whether a name looks like a system stream's and is none: a slip, where somebody wants to read it. `$$` begins the
/// metadata of a stream, which is a key.
pub fn is_unknown_system_stream(name: &[u8]) -> bool {
    is_system(name) && !name.starts_with(b"$$") && !is_read_only(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_names_of_system_streams_are_taken() {
        for name in ["$all", "$streams", "$db", "$shard-0", "$shard-17", "$shard-x", "$shard-", "$ce-user", "$et-Set"] {
            assert!(is_read_only(name.as_bytes()) && !is_unknown_system_stream(name.as_bytes()), "{name}");
        }
        for name in ["", "$", "all", "$alls", "$$all", "$shard", "$mine", "user:$all"] {
            assert!(!is_read_only(name.as_bytes()), "{name}");
        }
        for (name, is_slip) in [("$mine", true), ("$", true), ("$ce", true), ("$$mine", false), ("mine", false)] {
            assert_eq!(is_unknown_system_stream(name.as_bytes()), is_slip, "{name}");
        }
    }

    #[test]
    fn the_number_of_a_shard_has_one_spelling() {
        assert_eq!(StreamName::of(b"$shard-12"), StreamName::Shard(Some(ShardId(12))));
        for name in ["$shard-", "$shard-x", "$shard-+1", "$shard-01", "$shard-99999"] {
            assert_eq!(StreamName::of(name.as_bytes()), StreamName::Shard(None), "{name}");
        }
    }
}
