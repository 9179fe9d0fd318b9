//! Encodes an entry as rows, and decodes it. A row is a record in the ring's layout, with its checksum:
//!
//! | field of the record | meaning in a row |
//! |---|---|
//! | type | the kind of data: `Set` bytes, `HSet` field, value, …, `HTtlSet` field, value, end of its TTL or 0, …, `RPush` elements, `SAdd` members, `ZAdd` score, member, …, `XAdd` items of a Redis stream, `Del` no value |
//! | key, data | the key; the value or, if it is large, a part of it |
//! | revision | the revision of the stream's next event |
//! | timestamp | the time at which the value expires, 0 = never |
//! | back link | the stream's latest record |
//! | more | whether the value continues in the next row |

use super::format;
use crate::collection::{HashValue, Member};
use crate::event::EventType;
use crate::keyspace::{Kind, Value, ValueRef};
use crate::position::{Revision, RingOffset};
use crate::ring::encode::Encoder;
use crate::ring::{Data, Draft, Record, RecordData};

/// A value continues in another row once a row has this much data, in bytes.
const ROW_BYTES: usize = 1 << 20;

/// Encodes rows, and keeps their number and digest.
pub(super) struct RowWriter {
    encoder: Encoder,
    pub(super) digest: u32,
    pub(super) count: u64,
}

/// The fields that every row of an entry repeats.
#[derive(Clone, Copy)]
pub(super) struct Head<'a> {
    pub(super) key: &'a [u8],
    pub(super) expire_at_ms: u64,
    pub(super) next_revision: u64,
    pub(super) last: RingOffset,
}

impl RowWriter {
    pub(super) fn new(digest: u32) -> RowWriter {
        RowWriter { encoder: Encoder::default(), digest, count: 0 }
    }

    /// Appends the rows of an entry to `out`.
    pub(super) fn entry(&mut self, head: Head<'_>, value: Option<ValueRef<'_>>, out: &mut Vec<u8>) {
        match value {
            None => self.row(head, EventType::Del, Data::None, false, out),
            Some(ValueRef::Str(bytes)) => {
                let mut rest = bytes;
                loop {
                    let (chunk, after) = rest.split_at(rest.len().min(ROW_BYTES));
                    self.row(head, EventType::Set, Data::One(chunk), !after.is_empty(), out);
                    rest = after;
                    if rest.is_empty() {
                        return;
                    }
                }
            }
            Some(ValueRef::Hash(hash)) if hash.is_timed() => {
                self.collection(head, EventType::HTtlSet, hash.triples(), out);
            }
            Some(ValueRef::Hash(hash)) => {
                let pairs = hash.iter().map(|(field, value)| [Member::of(field), Member::of(value)]);
                self.collection(head, EventType::HSet, pairs, out);
            }
            Some(ValueRef::List(list)) => {
                self.collection(head, EventType::RPush, list.iter().map(|element| [Member::of(element)]), out);
            }
            Some(ValueRef::Set(set)) => {
                self.collection(head, EventType::SAdd, set.iter().map(|member| [member]), out);
            }
            Some(ValueRef::Sorted(set)) => {
                let pairs = set.iter().map(|(member, score)| [Member::of_score(score), Member::of(member)]);
                self.collection(head, EventType::ZAdd, pairs, out);
            }
            Some(ValueRef::RedisStream(stream)) => self.collection(head, EventType::XAdd, stream.items(), out),
        }
    }

    fn collection<'v, E: AsRef<[Member<'v>]>>(
        &mut self,
        head: Head<'_>,
        event_type: EventType,
        elements: impl Iterator<Item = E>,
        out: &mut Vec<u8>,
    ) {
        let (mut parts, mut bytes): (Vec<Member<'_>>, usize) = (Vec::new(), 0);
        let mut row = |parts: &[Member<'_>], has_more| {
            let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_ref()).collect();
            self.row(head, event_type, Data::Parts(&parts), has_more, out);
        };
        for element in elements {
            if bytes >= ROW_BYTES {
                row(&parts, true);
                parts.clear();
                bytes = 0;
            }
            bytes += element.as_ref().iter().map(|part| part.len() + 4).sum::<usize>();
            parts.extend_from_slice(element.as_ref());
        }
        row(&parts, false);
    }

    fn row(&mut self, head: Head<'_>, event_type: EventType, data: Data<'_>, has_more: bool, out: &mut Vec<u8>) {
        let start = out.len();
        let draft = Draft {
            revision: Revision(head.next_revision),
            timestamp_ms: head.expire_at_ms,
            back_link: head.last,
            ..Draft::new(event_type, head.key, data)
        };
        self.encoder.encode(&draft, has_more, out);
        self.digest = format::digest_with(self.digest, &out[start..]);
        self.count += 1;
    }
}

/// The fields of a row besides the value.
pub(super) fn head<'r>(row: &Record<'r>) -> Head<'r> {
    Head { key: row.key(), expire_at_ms: row.timestamp_ms(), next_revision: row.revision().0, last: row.back_link() }
}

/// The value that an entry's first row begins. `Some(None)` for an entry without a value, `None` for an invalid row.
pub(super) fn begin(row: &Record<'_>) -> Option<Option<Value>> {
    match content(row.event_type())? {
        Content::NoValue => (row.data().is_none() && !row.has_more()).then_some(None),
        content @ (Content::Of(_) | Content::TimedHash) => {
            let mut value = content.empty()?;
            (extend(row, &mut value) && !value.is_empty_collection()).then_some(Some(value))
        }
    }
}

/// Adds a row's part to a value. False where the row does not belong to the value.
pub(super) fn extend(row: &Record<'_>, value: &mut Value) -> bool {
    let own = if value.is_timed() { Content::TimedHash } else { Content::Of(value.kind()) };
    if content(row.event_type()) != Some(own) {
        return false;
    }
    match row.data() {
        Some(RecordData::One(bytes)) => value.kind() == Kind::String && value.add_parts(std::iter::once(bytes)),
        Some(RecordData::Parts(parts)) => value.kind() != Kind::String && value.add_parts(parts),
        None => false,
    }
}

/// The content of a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    /// The entry has no value, only a history.
    NoValue,
    /// A value of this kind, or a part of one.
    Of(Kind),
    /// The same of a hash whose fields have TTLs, or have had.
    TimedHash,
}

impl Content {
    /// A value without parts; `None` for no value.
    fn empty(self) -> Option<Value> {
        match self {
            Content::NoValue => None,
            Content::Of(kind) => Some(Value::empty(kind)),
            Content::TimedHash => Some(Value::Hash(HashValue::timed())),
        }
    }
}

/// The content of a row of this type; `None` if snapshots have no such rows. Every type has an arm, so adding a type
/// requires a decision.
#[deny(clippy::wildcard_enum_match_arm)]
fn content(event_type: EventType) -> Option<Content> {
    match event_type {
        EventType::Del => Some(Content::NoValue),
        EventType::Set => Some(Content::Of(Kind::String)),
        EventType::HSet => Some(Content::Of(Kind::Hash)),
        EventType::HTtlSet => Some(Content::TimedHash),
        EventType::RPush => Some(Content::Of(Kind::List)),
        EventType::SAdd => Some(Content::Of(Kind::Set)),
        EventType::ZAdd => Some(Content::Of(Kind::Sorted)),
        EventType::XAdd => Some(Content::Of(Kind::RedisStream)),
        EventType::Custom
        | EventType::Expire
        | EventType::Evict
        | EventType::HDel
        | EventType::HTtlCleared
        | EventType::HExpire
        | EventType::LPush
        | EventType::LPop
        | EventType::RPop
        | EventType::SRem
        | EventType::ZRem
        | EventType::TtlSet
        | EventType::TtlCleared
        | EventType::LSet
        | EventType::LInsert
        | EventType::LRem
        | EventType::LTrim
        | EventType::Rename
        | EventType::SetRange
        | EventType::Copy
        | EventType::Restore
        | EventType::FlushDb
        | EventType::XDel
        | EventType::XTrim
        | EventType::XSetId
        | EventType::XGroup
        | EventType::XGroupDel
        | EventType::XConsumer
        | EventType::XConsumerDel
        | EventType::XReadGroup
        | EventType::XClaim
        | EventType::XAck => None,
    }
}
