//! One key: its value, its TTL, and the head of its stream. The fields are private to this module and its children, and
//! every change goes through [`EntryMut`], which records it: a change without a record does not compile. Only
//! [`replay`] applies changes that are recorded or stored already.

mod counted;
mod discard;
mod encoding;
mod field_ends;
mod hash;
mod list;
mod memory;
mod parts;
mod redis_stream;
mod replay;
mod set;
mod sorted;
mod string;

pub use crate::collection::End;
pub use replay::Precondition;

use super::block::{Block, BlockRef, Encoding};
use super::table::Word;
use crate::collection::{
    FurtherStep, HashRef, HashValue, ListRef, ListValue, RedisStream, RedisStreamValue, SetRef, SetValue, SortedRef,
    SortedValue,
};
use crate::error::Refusal;
use crate::event::EventType;
use crate::position::{Revision, RingOffset};
use crate::ring::Data;
use crate::turn::{Change, Turn};
use counted::Counted;

/// The value of a key.
#[derive(Clone, Debug)]
pub enum Value {
    /// A string.
    Str(Vec<u8>),
    /// A hash; never empty.
    Hash(HashValue),
    /// A list; never empty.
    List(ListValue),
    /// A set; never empty.
    Set(SetValue),
    /// A sorted set; never empty.
    Sorted(SortedValue),
    /// A Redis stream, maybe without entries.
    RedisStream(RedisStreamValue),
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    String,
    /// A hash.
    Hash,
    /// A list.
    List,
    /// A set.
    Set,
    /// A sorted set.
    Sorted,
    /// A Redis stream.
    RedisStream,
}

impl Kind {
    /// The name that TYPE returns.
    pub fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::Hash => "hash",
            Kind::List => "list",
            Kind::Set => "set",
            Kind::Sorted => "zset",
            Kind::RedisStream => "stream",
        }
    }
}

impl Value {
    /// The value's type.
    pub fn kind(&self) -> Kind {
        self.view().kind()
    }

    /// A view of it, for reading.
    #[inline]
    pub fn view(&self) -> ValueRef<'_> {
        match self {
            Value::Str(bytes) => ValueRef::Str(bytes),
            Value::Hash(hash) => ValueRef::Hash(hash.view()),
            Value::List(list) => ValueRef::List(list.view()),
            Value::Set(set) => ValueRef::Set(set.view()),
            Value::Sorted(set) => ValueRef::Sorted(set.view()),
            Value::RedisStream(stream) => ValueRef::RedisStream(stream.view()),
        }
    }
}

/// A value, for reading.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    /// A string.
    Str(&'a [u8]),
    /// A hash; never empty.
    Hash(HashRef<'a>),
    /// A list; never empty.
    List(ListRef<'a>),
    /// A set; never empty.
    Set(SetRef<'a>),
    /// A sorted set; never empty.
    Sorted(SortedRef<'a>),
    /// A Redis stream, maybe without entries.
    RedisStream(&'a RedisStream),
}

impl<'a> ValueRef<'a> {
    /// The value's type.
    pub fn kind(self) -> Kind {
        match self {
            ValueRef::Str(_) => Kind::String,
            ValueRef::Hash(_) => Kind::Hash,
            ValueRef::List(_) => Kind::List,
            ValueRef::Set(_) => Kind::Set,
            ValueRef::Sorted(_) => Kind::Sorted,
            ValueRef::RedisStream(_) => Kind::RedisStream,
        }
    }
}

/// A value, for changing it in place.
pub(crate) enum ValueMut<'a> {
    /// A string, which the entry changes as a whole.
    Str,
    Hash(&'a mut HashValue),
    List(&'a mut ListValue),
    Set(&'a mut SetValue),
    Sorted(&'a mut SortedValue),
    RedisStream(&'a mut RedisStreamValue),
    /// A small collection of this form, whose bytes are changed through the block.
    Small(Encoding),
}

/// What is left of a collection after a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// No element.
    Nothing,
    /// Some, compactly, though not in the block.
    Compact,
    /// Some, where they belong.
    Other,
}

impl Rest {
    /// The rest of a collection that is not in the block.
    #[inline]
    fn outside(is_empty: bool, compact_bytes: Option<usize>) -> Rest {
        match (is_empty, compact_bytes) {
            (true, _) => Rest::Nothing,
            (false, Some(_)) => Rest::Compact,
            (false, None) => Rest::Other,
        }
    }

    /// The rest of a collection in the block, which are these bytes.
    #[inline]
    fn inside(bytes: &[u8]) -> Rest {
        if bytes.is_empty() { Rest::Nothing } else { Rest::Other }
    }
}

/// One key of a shard, for reading. It remains, without a value, while events of its stream may still be read: it
/// contains the stream's revision counter.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a>(BlockRef<'a>);

impl<'a> Entry<'a> {
    #[inline]
    pub(crate) fn of(block: BlockRef<'a>) -> Entry<'a> {
        Entry(block)
    }

    /// The key.
    #[inline]
    pub fn key(self) -> &'a [u8] {
        self.0.key()
    }

    /// The value; `None` if the key does not exist and only its stream is known.
    #[inline]
    pub fn value(self) -> Option<ValueRef<'a>> {
        self.0.value()
    }

    /// Whether there is a value, even an expired one.
    #[inline]
    pub(crate) fn has_value(self) -> bool {
        self.0.has_value()
    }

    /// Prefetches the entry itself, with a short value.
    #[inline]
    pub(crate) fn prefetch(self) {
        self.0.prefetch();
    }

    /// Prefetches the beginning of a value that is not short. Reads the entry. Returns whether there is
    /// [more](Entry::prefetch_further) to prefetch.
    #[inline]
    pub(crate) fn prefetch_value(self) -> bool {
        self.0.prefetch_value()
    }

    /// Prefetches what lies behind the beginning of a value, which is read.
    pub(crate) fn prefetch_further(self, step: FurtherStep) {
        self.0.prefetch_further(step);
    }

    /// The value's expiry, Unix time in milliseconds.
    #[inline]
    pub fn expire_at_ms(self) -> Option<u64> {
        Some(self.0.expire_at_ms()).filter(|&at_ms| at_ms != 0)
    }

    /// Whether the value has an expiry.
    #[inline]
    pub(crate) fn expires(self) -> bool {
        self.0.expires()
    }

    /// Whether the value has expired at `now_ms`.
    #[inline]
    pub fn is_expired(self, now_ms: u64) -> bool {
        self.expire_at_ms().is_some_and(|at_ms| at_ms <= now_ms)
    }

    /// Whether the key exists at `now_ms`.
    #[inline]
    pub fn is_live(self, now_ms: u64) -> bool {
        self.has_value() && !self.is_expired(now_ms) && !self.fields_have_ended(now_ms)
    }

    /// The revision of the stream's latest event.
    pub fn revision(self) -> Option<Revision> {
        self.next_revision().checked_sub(1).map(Revision)
    }

    /// The revision of the stream's next event.
    pub(crate) fn next_revision(self) -> u64 {
        self.0.next_revision()
    }

    /// The stream's latest record.
    pub(crate) fn last(self) -> RingOffset {
        self.0.last()
    }

    /// Whether an event of its stream may still be read, if the history of its shard begins at `head`. Without a record
    /// there, its events are those that shards of an earlier number recorded: they become unreadable once anything of
    /// this shard's own history is lost.
    pub(crate) fn may_have_history(self, head: RingOffset) -> bool {
        match self.last() {
            RingOffset::NONE => self.next_revision() > 0 && head == RingOffset(0),
            last => last >= head,
        }
    }

    /// Its age among the entries without a value, of which the oldest is forgotten first: the offset of its latest
    /// record. Events that shards of an earlier number recorded are older than any offset.
    pub(crate) fn age(self) -> RingOffset {
        if self.last() == RingOffset::NONE { RingOffset(0) } else { self.last() }
    }

    /// Whether it is as new: no value, and no counter.
    pub(crate) fn is_blank(self) -> bool {
        !self.has_value() && self.next_revision() == 0 && !self.is_queued()
    }

    pub(crate) fn is_queued(self) -> bool {
        self.0.is_queued()
    }
}

/// An entry and the open turn: the only way to change a key. Each method that changes anything records it.
pub struct EntryMut<'a> {
    word: Counted<'a>,
    turn: &'a mut Turn,
    hash: u64,
    /// When the first of its fields ended before any change.
    first_field_end: Option<u64>,
}

impl<'a> EntryMut<'a> {
    /// Opens an entry for this turn; an expired value is removed first, with its record.
    #[inline]
    pub(crate) fn new(word: &'a mut Word<Block>, turn: &'a mut Turn, hash: u64) -> EntryMut<'a> {
        let mut this = EntryMut { word: Counted::new(word), turn, hash, first_field_end: None };
        if this.view().expires() || this.view().is_timed() {
            this.end_if_expired();
        }
        this
    }

    /// A view of it, for reading.
    #[inline]
    pub fn view(&self) -> Entry<'_> {
        self.word.get()
    }

    /// The value, for changing it in place; the caller records the change.
    #[inline]
    fn value_mut(&mut self) -> Option<ValueMut<'_>> {
        self.word.edit()
    }

    /// Refuses a change of this entry whose records would be too large; see [`Turn::admit`].
    #[inline]
    pub(crate) fn admit(&mut self, bytes: u64) -> Result<(), Refusal> {
        self.turn.admit(bytes, self.word.get().key().len())
    }

    /// Records one event of this entry's stream and advances the stream's head.
    #[inline]
    fn record(&mut self, event_type: EventType, data: Data<'_>) {
        let EntryMut { word, turn, .. } = self;
        word.advance(|block, head| turn.record(block.key(), event_type, data, &mut head.0, &mut head.1));
    }

    /// Appends a client's own event to the stream; the key's value is unchanged.
    pub(crate) fn append(&mut self, event: crate::turn::ClientEvent<'_>) -> Revision {
        let EntryMut { word, turn, .. } = self;
        let mut revision = Revision(0);
        word.advance(|block, head| revision = turn.append(block.key(), event, &mut head.0, &mut head.1));
        if !self.view().has_value() {
            self.queue();
        }
        revision
    }

    /// Removes the value and its TTL, recorded as `event_type`; returns whether there was a value.
    pub fn remove(&mut self, event_type: EventType) -> bool {
        let had_one = self.drop_value();
        if had_one {
            self.record(event_type, Data::None);
        }
        had_one
    }

    /// Moves the value out, for another key, and leaves an empty string in its place. The caller deletes this key next.
    pub(crate) fn move_out(&mut self) -> Option<Value> {
        let mut block = self.word.lend();
        let value = block.take()?;
        drop(block.set_string(b""));
        drop(block);
        self.note_lost(&value);
        Some(value)
    }

    /// A copy of the value.
    pub(crate) fn copy_value(&self) -> Option<Value> {
        let value = self.view().value()?;
        let mut copy = Value::empty_as(value);
        copy.add_parts_within(value.parts().iter().map(|part| part.as_ref()), &self.turn.thresholds);
        Some(copy)
    }

    /// Replaces the value, recorded as `event_type`: a `Rename` or a `Copy` of `source`, or a `Restore` of nothing; removes
    /// the TTL.
    pub(crate) fn take_over(&mut self, event_type: EventType, source: Option<&[u8]>, value: Value) {
        let of_value = value.view().parts();
        let mut parts: Vec<&[u8]> = source.into_iter().chain([value.view().form().as_bytes()]).collect();
        parts.extend(of_value.iter().map(|part| part.as_ref()));
        self.record(event_type, Data::Parts(&parts));
        drop(of_value);
        self.drop_ttl();
        self.put_value(value);
    }

    /// Sets the TTL to end at `at_ms` (Unix time in milliseconds, not 0).
    pub fn set_ttl(&mut self, at_ms: u64) {
        debug_assert!(self.view().has_value() && at_ms != 0);
        self.put_ttl(at_ms);
        let mut digits = itoa::Buffer::new();
        self.record(EventType::TtlSet, Data::One(digits.format(at_ms).as_bytes()));
    }

    /// Removes the TTL; returns whether there was one.
    #[inline]
    pub fn clear_ttl(&mut self) -> bool {
        let had_one = self.drop_ttl();
        if had_one {
            self.record(EventType::TtlCleared, Data::None);
        }
        had_one
    }

    fn put_ttl(&mut self, at_ms: u64) {
        if self.view().expire_at_ms().is_none() {
            self.turn.expiries.count += 1;
            self.turn.census.note(self.word.get().key(), |counts| counts.expiring += 1);
        }
        self.word.lend().set_expiry(at_ms);
        self.turn.expiries.note(at_ms, self.hash);
    }

    #[inline]
    fn drop_ttl(&mut self) -> bool {
        let had_one = self.view().expires();
        if had_one {
            self.turn.expiries.count -= 1;
            self.turn.census.note(self.word.get().key(), |counts| counts.expiring -= 1);
            self.word.lend().set_expiry(0);
        }
        had_one
    }

    fn put_value(&mut self, value: Value) {
        self.count_value();
        if matches!(value, Value::List(_) | Value::Sorted(_) | Value::RedisStream(_)) {
            // Commands may wait for its elements.
            self.turn.waiters.signal(self.word.get().key());
        }
        let old = self.word.lend().put(value);
        self.discard(old);
    }

    /// Gives a key without a value an empty collection, which the caller fills.
    #[inline]
    fn begin_small(&mut self, encoding: Encoding) {
        self.count_value();
        drop(self.word.lend().begin(encoding));
    }

    /// As [`EntryMut::settle`], for a caller that knows what is left of the value.
    #[inline]
    fn settle_rest(&mut self, rest: Rest) {
        match rest {
            Rest::Nothing => _ = self.drop_value(),
            Rest::Compact => self.word.lend().settle(),
            Rest::Other => {}
        }
    }

    /// Removes a value that has become empty; else takes it into the block, if it has become small.
    fn settle(&mut self) {
        if self.view().value().is_some_and(ValueRef::is_empty_collection) {
            self.drop_value();
        } else {
            self.word.lend().settle();
        }
    }

    /// Changes a collection that is too large for the block, or for its form there.
    fn outside<T>(&mut self, change: impl FnOnce(&mut Value) -> T) -> Option<T> {
        let mut block = self.word.lend();
        let mut value = block.take()?;
        let result = change(&mut value);
        // The block has no value now.
        drop(block.put(value));
        Some(result)
    }

    /// Removes value and TTL without a record: for changes whose own record implies that nothing is left. Returns
    /// whether there was a value.
    fn drop_value(&mut self) -> bool {
        if !self.view().has_value() {
            return false;
        }
        self.drop_ttl();
        let old = self.word.lend().clear();
        self.discard(old);
        self.turn.dropped.note();
        self.turn.live_keys -= 1;
        self.turn.census.note(self.word.get().key(), |counts| counts.keys -= 1);
        if self.turn.changes.is_on() {
            self.turn.changes.note(self.word.get().key(), Change::Ended);
        }
        self.queue();
        true
    }

    /// Queues the entry to be forgotten once its last event has left the ring.
    fn queue(&mut self) {
        if !self.view().is_queued() {
            self.word.lend().set_queued(true);
            self.turn.absent.push_back((self.hash, self.turn.ring_end()));
        }
    }
}
