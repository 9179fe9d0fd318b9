//! Which events a reader wants: a source (one stream, all events, one shard's, or a stream of links) and a filter on it.

use crate::event::EventType;
use crate::filter::{Filter, Pattern};
use crate::position::{Revision, ShardId};
use crate::ring::Record;
use crate::slot::shard_of;
use crate::stream_name::{
    ALL, CATEGORY_PREFIX, SHARD_PREFIX, STREAMS, StreamName, TYPE_PREFIX, is_unknown_system_stream,
};
use std::ops::Range;
use thiserror::Error;

/// Where the events of a subscription come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// `$all`: every event.
    All,
    /// `$shard-<n>`: every event of one shard.
    Shard(ShardId),
    /// The events of one stream, which is a key.
    Stream(Box<[u8]>),
    /// `$ce-<category>`: links to the events of the streams whose name goes so up to its first `-` or `:`.
    Category(Box<[u8]>),
    /// `$et-<type>`: links to the events of one type.
    Type(Box<[u8]>),
    /// `$streams`: links to the first event of each stream.
    Streams,
}

impl Source {
    /// The source of this name. A name that is not a system stream's is a key's stream. `$db` is one too, whose only events
    /// are flushes.
    pub fn of(name: &[u8]) -> Source {
        match StreamName::of(name) {
            StreamName::All => Source::All,
            StreamName::Streams => Source::Streams,
            StreamName::Category(category) => Source::Category(category.into()),
            StreamName::Type(event_type) => Source::Type(event_type.into()),
            StreamName::Shard(Some(shard)) => Source::Shard(shard),
            StreamName::Shard(None) | StreamName::Flushes | StreamName::Key(_) => Source::Stream(name.into()),
        }
    }

    /// As [`Source::of`], for a subscription at a server with this number of `shards`. `has_pattern` says whether its
    /// filter has a pattern.
    ///
    /// # Errors
    /// The name is a slip: a subscription to it would be silent for ever.
    pub fn to_subscribe(name: &[u8], shards: u16, has_pattern: bool) -> Result<Source, SourceError> {
        let looks_like_pattern = || name.iter().any(|byte| b"*?[".contains(byte));
        match StreamName::of(name) {
            StreamName::Shard(number) if number.is_none_or(|number| number.0 >= shards) => {
                Err(SourceError::NoSuchShard { shards })
            }
            StreamName::Key(name) if is_unknown_system_stream(name) => Err(SourceError::NoSuchSystemStream),
            StreamName::Key(_) if !has_pattern && looks_like_pattern() => Err(SourceError::Pattern),
            _ => Ok(Source::of(name)),
        }
    }

    /// Its name, as a link names the stream that it is in.
    pub fn name(&self) -> Vec<u8> {
        match self {
            Source::All => ALL.to_vec(),
            Source::Shard(shard) => [SHARD_PREFIX, shard.to_string().as_bytes()].concat(),
            Source::Stream(name) => name.to_vec(),
            Source::Category(category) => [CATEGORY_PREFIX, category].concat(),
            Source::Type(name) => [TYPE_PREFIX, name].concat(),
            Source::Streams => STREAMS.to_vec(),
        }
    }

    /// Whether a subscription to it may have checkpoints. One to a single stream has revisions to resume from.
    pub fn has_checkpoints(&self) -> bool {
        match self {
            Source::Stream(_) => false,
            Source::All | Source::Shard(_) | Source::Category(_) | Source::Type(_) | Source::Streams => true,
        }
    }

    /// Whether it holds links to events and not the events themselves.
    pub fn is_links(&self) -> bool {
        match self {
            Source::Category(_) | Source::Type(_) | Source::Streams => true,
            Source::All | Source::Shard(_) | Source::Stream(_) => false,
        }
    }

    /// The one shard, of `total`, that all of its events are on; none where they may be on any.
    pub fn shard(&self, total: u16) -> Option<ShardId> {
        match self {
            Source::Shard(shard) => Some(*shard),
            Source::Stream(name) => Some(shard_of(name, total)),
            Source::All | Source::Category(_) | Source::Type(_) | Source::Streams => None,
        }
    }

    /// The shards, of `total`, that its events may be on: none where it is of a shard that there is not.
    pub fn shards(&self, total: u16) -> Range<u16> {
        let only = self.shard(total).map(|shard| shard.0.min(total)..shard.0.saturating_add(1).min(total));
        only.unwrap_or(0..total)
    }

    /// Whether an event of this shard is in it. A flush is in every source.
    pub fn has(&self, record: &Record<'_>, shard: ShardId) -> bool {
        match self {
            Source::All => true,
            _ if record.event_type() == EventType::FlushDb => true,
            Source::Shard(only) => *only == shard,
            Source::Stream(name) => record.key() == &name[..],
            Source::Category(category) => category_of(record.key()) == Some(category),
            Source::Type(name) => record.type_name() == &name[..],
            Source::Streams => record.revision() == Revision(0),
        }
    }
}

/// Why nobody subscribes to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SourceError {
    /// It begins as a shard's stream, and there is no such shard.
    #[error("no such shard, there are {shards}")]
    NoSuchShard {
        /// How many shards there are.
        shards: u16,
    },
    /// It begins with `$` and is no system stream.
    #[error("no such system stream")]
    NoSuchSystemStream,
    /// It is a pattern in the place of a name.
    #[error("the name of one stream is a pattern")]
    Pattern,
}

/// The category of a stream: its name up to the first `-` or `:`; none where neither is in it.
pub fn category_of(stream: &[u8]) -> Option<&[u8]> {
    memchr::memchr2(b'-', b':', stream).map(|end| &stream[..end])
}

/// Which of the shards' records a reader wants. Readers that want the same share it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Interest {
    /// Where its events come from.
    pub source: Source,
    /// Which of those it wants.
    pub filter: Filter,
}

impl Interest {
    /// About the memory that it takes, in bytes. A regex counts twice: it caches what it has matched.
    pub fn memory_bytes(&self) -> u64 {
        let name = match &self.source {
            Source::Stream(name) | Source::Category(name) | Source::Type(name) => name.len(),
            Source::All | Source::Shard(_) | Source::Streams => 0,
        };
        let pattern = self.filter.pattern();
        let times = if matches!(pattern, Pattern::Regex(_)) { 2 } else { 1 };
        (size_of::<Interest>() + name + pattern.memory_bytes() * times) as u64
    }

    /// Whether an event is wanted. A flush always is.
    pub fn wants(&self, record: &Record<'_>, shard: ShardId) -> bool {
        wants(&self.source, &self.filter, record, shard)
    }
}

/// Whether an event is in a source and passes a filter. A flush is, and does.
#[inline]
pub(crate) fn wants(source: &Source, filter: &Filter, record: &Record<'_>, shard: ShardId) -> bool {
    source.has(record, shard) && filter.passes(record.event_type(), record.type_name(), record.key(), shard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_it_is() {
        let all = [
            ("$all", Source::All),
            ("$streams", Source::Streams),
            ("$shard-12", Source::Shard(ShardId(12))),
            ("$ce-user", Source::Category(b"user"[..].into())),
            ("$et-HSet", Source::Type(b"HSet"[..].into())),
            ("user:1", Source::Stream(b"user:1"[..].into())),
            ("$mine", Source::Stream(b"$mine"[..].into())),
            ("$shard-x", Source::Stream(b"$shard-x"[..].into())),
            ("$shard-+1", Source::Stream(b"$shard-+1"[..].into())),
            ("$shard-01", Source::Stream(b"$shard-01"[..].into())),
            ("$shard-99999", Source::Stream(b"$shard-99999"[..].into())),
            ("$db", Source::Stream(b"$db"[..].into())),
        ];
        for (name, source) in all {
            assert_eq!(Source::of(name.as_bytes()), source);
            assert_eq!(source.name(), name.as_bytes());
        }
    }

    #[test]
    fn a_category_ends_at_the_first_dash_or_colon() {
        assert_eq!(category_of(b"user-1:2"), Some(&b"user"[..]));
        assert_eq!(category_of(b"user:1-2"), Some(&b"user"[..]));
        assert_eq!(category_of(b"user"), None);
        assert_eq!(category_of(b":x"), Some(&b""[..]));
    }
}
