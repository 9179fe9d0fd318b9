//! What a subscription is to: one stream, all events, one shard's, or a computed stream of links.

use crate::event::EventType;
use crate::filter::{Filter, Pattern};
use crate::number::parse_u64;
use crate::position::{Revision, ShardId};
use crate::ring::Record;
use crate::slot::shard_of;
use std::ops::Range;

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
    /// The source of this name. Any name that is not computed is a stream; `$db` too, whose only events are flushes.
    pub fn of(name: &[u8]) -> Source {
        // In its one spelling: others name no shard.
        let shard = |digits: &[u8]| {
            let number = parse_u64(digits).and_then(|number| u16::try_from(number).ok());
            number.map(|number| Source::Shard(ShardId(number)))
        };
        let by_prefix = |prefix: &[u8]| name.strip_prefix(prefix).map(Box::from);
        match name {
            b"$all" => Source::All,
            b"$streams" => Source::Streams,
            _ => None
                .or_else(|| by_prefix(b"$ce-").map(Source::Category))
                .or_else(|| by_prefix(b"$et-").map(Source::Type))
                .or_else(|| name.strip_prefix(b"$shard-").and_then(shard))
                .unwrap_or_else(|| Source::Stream(name.into())),
        }
    }

    /// Its name, as a link names the stream that it is in.
    pub fn name(&self) -> Vec<u8> {
        match self {
            Source::All => b"$all".to_vec(),
            Source::Shard(shard) => format!("$shard-{shard}").into_bytes(),
            Source::Stream(name) => name.to_vec(),
            Source::Category(category) => [b"$ce-", &category[..]].concat(),
            Source::Type(name) => [b"$et-", &name[..]].concat(),
            Source::Streams => b"$streams".to_vec(),
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

/// The category of a stream: its name up to the first `-` or `:`; none where neither is in it.
pub fn category_of(stream: &[u8]) -> Option<&[u8]> {
    memchr::memchr2(b'-', b':', stream).map(|end| &stream[..end])
}

/// What one subscription, or several that want the same, wants of the shards' records.
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
