//! Applies recorded or stored changes to an entry without recording them: a shard's log and its snapshots. A replay
//! uses the same changes as the commands, so that collections end up in the same order.

use super::{Counted, End, EntryMut, Kind, Value, ValueRef};
use crate::event::EventType;
use crate::keyspace::block::Block;
use crate::keyspace::table::Word;
use crate::limits::{FIELD_END_MAX_MS, STRING_BYTES_MAX};
use crate::number::{parse_f64, parse_i64, parse_u64};
use crate::position::RingOffset;
use crate::ring::{Record, RecordData};
use crate::shard::StoredEntry;
use crate::turn::Turn;
use thiserror::Error;

/// The precondition that a record violates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Precondition {
    /// A key that exists.
    #[error("the key to exist")]
    Key,
    /// A key that holds this type of value.
    #[error("the key to hold a {}", .0.name())]
    Kind(Kind),
    /// The element that the record removes.
    #[error("the value to have what the record removes")]
    Element,
    /// A member that is not in the set.
    #[error("the member to be new")]
    NewMember,
    /// An index within the list.
    #[error("the list to have the index")]
    Index,
    /// A TTL to remove.
    #[error("the key to have a TTL")]
    Ttl,
    /// Data in the form of this event type.
    #[error("other data")]
    Data,
    /// That the record follows the stream's latest one.
    #[error("the record to follow the one at offset {0}")]
    Successor(RingOffset),
    /// An event type that this version can apply.
    #[error("a type of event that can be applied")]
    Type,
}

impl<'a> EntryMut<'a> {
    /// Applies a record that is later than [`Entry::last`](super::Entry::last), in a turn that does not record. TTLs do not expire by the
    /// clock: an expiry has a record of its own.
    pub(crate) fn replay(
        word: &'a mut Word<Block>,
        turn: &'a mut Turn,
        hash: u64,
        record: &Record<'_>,
    ) -> Result<(), Precondition> {
        debug_assert!(!turn.is_recording());
        let rows = turn.absent.len();
        let first_field_end = word.get().first_field_end();
        let mut this = EntryMut { word: Counted::new(word), turn, hash, first_field_end };
        this.expect_successor(record)?;
        this.apply(record)?;
        this.word.set_head(record.revision().0.saturating_add(1), record.offset());
        if this.turn.absent.len() > rows
            && let Some(row) = this.turn.absent.back_mut()
        {
            // The ring's end when the command did the same: a client's event is recorded first.
            row.1 = if record.event_type() == EventType::Custom { record.end() } else { record.offset() };
        }
        Ok(())
    }

    /// Restores an entry as it was stored, unless the entry is later than that.
    pub(crate) fn restore(word: &'a mut Word<Block>, turn: &'a mut Turn, hash: u64, stored: StoredEntry<'_>) {
        let last = word.get().last();
        if last != RingOffset::NONE && (stored.last == RingOffset::NONE || stored.last < last) {
            return;
        }
        let rows = turn.absent.len();
        let first_field_end = word.get().first_field_end();
        let mut this = EntryMut { word: Counted::new(word), turn, hash, first_field_end };
        this.drop_ttl();
        match stored.value {
            Some(value) => {
                this.put_value(value);
                if stored.expire_at_ms != 0 {
                    this.put_ttl(stored.expire_at_ms);
                }
            }
            None => {
                this.drop_value();
                this.queue();
            }
        }
        this.word.set_head(stored.next_revision, stored.last);
        let age = this.view().age();
        if this.turn.absent.len() > rows
            && let Some(row) = this.turn.absent.back_mut()
        {
            row.1 = age;
        }
    }

    /// A record must follow its stream's latest one; it follows none if that was forgotten, which only happens to
    /// absent keys.
    fn expect_successor(&self, record: &Record<'_>) -> Result<(), Precondition> {
        let (last, link) = (self.view().last(), record.back_link());
        let follows = last == RingOffset::NONE || link == last || link == RingOffset::NONE && !self.view().has_value();
        if follows { Ok(()) } else { Err(Precondition::Successor(last)) }
    }

    /// Changes the entry as the command that recorded this did. Every type has its arm, so that a type which is recorded
    /// and not replayed does not compile.
    #[deny(clippy::wildcard_enum_match_arm)]
    fn apply(&mut self, record: &Record<'_>) -> Result<(), Precondition> {
        match record.event_type() {
            EventType::Set => self.set_string(one(record)?),
            EventType::SetRange => {
                let [at, bytes] = two(record)?;
                let offset = index(at)?;
                let end = offset.checked_add(bytes.len()).filter(|&end| end <= STRING_BYTES_MAX);
                end.ok_or(Precondition::Data)?;
                self.overwrite_string(offset, bytes).map_err(|_| Precondition::Kind(Kind::String))?;
            }
            event_type @ (EventType::Del | EventType::Expire | EventType::Evict) => {
                expect(self.remove(event_type), Precondition::Key)?;
            }
            EventType::HSet => {
                let [field, value] = two(record)?;
                self.hash_set(field, value).map_err(|_| Precondition::Kind(Kind::Hash))?;
            }
            EventType::HDel => {
                let deleted = self.hash_delete(one(record)?).map_err(|_| Precondition::Kind(Kind::Hash))?;
                expect(deleted, Precondition::Element)?;
            }
            EventType::HTtlSet => {
                let [field, at_ms] = two(record)?;
                let at_ms = parse_u64(at_ms).filter(|&at_ms| at_ms != 0 && at_ms <= FIELD_END_MAX_MS);
                expect(self.set_field_ttl(field, at_ms.ok_or(Precondition::Data)?), Precondition::Element)?;
            }
            EventType::HTtlCleared => expect(self.clear_field_ttl(one(record)?), Precondition::Ttl)?,
            EventType::HExpire if record.data().is_none() => {
                expect(self.view().is_timed(), Precondition::Ttl)?;
                self.remove(EventType::HExpire);
            }
            EventType::HExpire => {
                let ended = self.hash_remove(one(record)?, EventType::HExpire);
                expect(ended.map_err(|_| Precondition::Kind(Kind::Hash))?, Precondition::Element)?;
            }
            EventType::LPush => self.replay_push(End::Head, record)?,
            EventType::RPush => self.replay_push(End::Tail, record)?,
            EventType::LPop => self.replay_pop(End::Head, record)?,
            EventType::RPop => self.replay_pop(End::Tail, record)?,
            EventType::SAdd => {
                let added = self.set_add(one(record)?).map_err(|_| Precondition::Kind(Kind::Set))?;
                expect(added, Precondition::NewMember)?;
            }
            EventType::SRem => {
                let removed = self.set_remove(one(record)?).map_err(|_| Precondition::Kind(Kind::Set))?;
                expect(removed, Precondition::Element)?;
            }
            EventType::ZAdd => {
                let [score, member] = two(record)?;
                let score = parse_f64(score).ok_or(Precondition::Data)?;
                self.sorted_set(score, member).map_err(|_| Precondition::Kind(Kind::Sorted))?;
            }
            EventType::ZRem => {
                let removed = self.sorted_remove(one(record)?).map_err(|_| Precondition::Kind(Kind::Sorted))?;
                expect(removed, Precondition::Element)?;
            }
            EventType::TtlSet => {
                let at_ms = parse_u64(one(record)?).filter(|&at_ms| at_ms != 0).ok_or(Precondition::Data)?;
                expect(self.view().has_value(), Precondition::Key)?;
                self.set_ttl(at_ms);
            }
            EventType::TtlCleared => expect(self.clear_ttl(), Precondition::Ttl)?,
            EventType::LSet => {
                let [at, element] = two(record)?;
                self.expect_list()?;
                self.list_set(index(at)?, element).map_err(|_| Precondition::Index)?;
            }
            EventType::LInsert => {
                let [at, element] = two(record)?;
                self.expect_list()?;
                self.list_insert(index(at)?, element).map_err(|_| Precondition::Index)?;
            }
            EventType::LRem => self.replay_remove(record)?,
            EventType::LTrim => {
                let [first, last] = two(record)?;
                let length = self.expect_list()?;
                self.list_trim(index(first)?, index(last)?).map_err(|_| Precondition::Kind(Kind::List))?;
                expect(self.list_length() != Some(length), Precondition::Index)?;
            }
            event_type @ (EventType::Rename | EventType::Copy | EventType::Restore) => {
                let value = whole(record, event_type != EventType::Restore).ok_or(Precondition::Data)?;
                self.drop_ttl();
                self.put_value(value);
            }
            EventType::XAdd
            | EventType::XDel
            | EventType::XTrim
            | EventType::XSetId
            | EventType::XGroup
            | EventType::XGroupDel
            | EventType::XConsumer
            | EventType::XConsumerDel
            | EventType::XReadGroup
            | EventType::XClaim
            | EventType::XAck => self.replay_stream(record)?,
            EventType::Custom if record.type_code() == EventType::Custom.code() => {
                if !self.view().has_value() {
                    self.queue();
                }
            }
            // The code of a later version.
            EventType::Custom => return Err(Precondition::Type),
            // The whole shard replays a flush; it belongs to no entry.
            EventType::FlushDb => return Err(Precondition::Type),
        }
        Ok(())
    }

    fn list_length(&self) -> Option<usize> {
        match self.view().value() {
            Some(ValueRef::List(list)) => Some(list.len()),
            _ => None,
        }
    }

    fn expect_list(&self) -> Result<usize, Precondition> {
        self.list_length().ok_or(Precondition::Kind(Kind::List))
    }

    fn replay_push(&mut self, end: End, record: &Record<'_>) -> Result<(), Precondition> {
        self.list_push(end, one(record)?).map(|_| ()).map_err(|_| Precondition::Kind(Kind::List))
    }

    fn replay_pop(&mut self, end: End, record: &Record<'_>) -> Result<(), Precondition> {
        self.expect_list()?;
        let popped = self.list_pop(end).map_err(|_| Precondition::Kind(Kind::List))?;
        expect(popped.as_deref() == Some(one(record)?), Precondition::Element)
    }

    fn replay_remove(&mut self, record: &Record<'_>) -> Result<(), Precondition> {
        let [count, element] = two(record)?;
        let count = parse_i64(count).filter(|&count| count != 0).ok_or(Precondition::Data)?;
        self.expect_list()?;
        let from = if count < 0 { End::Tail } else { End::Head };
        let wanted = usize::try_from(count.unsigned_abs()).map_err(|_| Precondition::Data)?;
        let removed = self.list_remove(from, wanted, element).map_err(|_| Precondition::Kind(Kind::List))?;
        expect(removed == wanted, Precondition::Element)
    }
}

fn expect(holds: bool, violated: Precondition) -> Result<(), Precondition> {
    if holds { Ok(()) } else { Err(violated) }
}

/// Data that is one byte string.
fn one<'r>(record: &Record<'r>) -> Result<&'r [u8], Precondition> {
    match record.data() {
        Some(RecordData::One(bytes)) => Ok(bytes),
        Some(RecordData::Parts(_)) | None => Err(Precondition::Data),
    }
}

/// Data of two parts.
fn two<'r>(record: &Record<'r>) -> Result<[&'r [u8]; 2], Precondition> {
    let Some(RecordData::Parts(mut parts)) = record.data() else { return Err(Precondition::Data) };
    match (parts.next(), parts.next(), parts.next()) {
        (Some(first), Some(second), None) => Ok([first, second]),
        _ => Err(Precondition::Data),
    }
}

/// An index of a list. The greatest number is invalid: arithmetic on it must not overflow.
fn index(text: &[u8]) -> Result<usize, Precondition> {
    let index = parse_u64(text).and_then(|index| usize::try_from(index).ok());
    index.filter(|&index| index < usize::MAX).ok_or(Precondition::Data)
}

/// The value that a `Rename`, a `Copy` or a `Restore` contains; the first two have another key before it.
fn whole(record: &Record<'_>, has_source: bool) -> Option<Value> {
    let Some(RecordData::Parts(mut parts)) = record.data() else { return None };
    if has_source {
        parts.next()?;
    }
    let mut value = Value::of_form(parts.next()?)?;
    if value.kind() == Kind::String && parts.clone().count() != 1 {
        return None;
    }
    (value.add_parts(parts) && !value.is_empty_collection()).then_some(value)
}
