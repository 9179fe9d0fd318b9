//! Changes of a Redis stream. Each is one event, whatever it changes; times are those of the events.

use super::{EntryMut, Kind, Precondition, Value, ValueMut, ValueRef};
use crate::collection::redis_stream::{Pair, parse_id, parse_known};
use crate::collection::{Delivery, EntryId, EntryIds, IdText, RedisStream, RedisStreamValue, Times, Trim, TrimTo};
use crate::error::Refusal;
use crate::event::EventType;
use crate::number::parse_u64;
use crate::ring::{Data, Record, RecordData};
use smallvec::SmallVec;

/// The parts of an event, few of them mostly.
type Parts<'a> = SmallVec<[&'a [u8]; 16]>;

/// What stands for a number that is not known.
const UNKNOWN: &[u8] = b"-";

/// The part of a delivery whose entries do not become pending.
const NO_ACK: &[u8] = b"noack";

/// The text of a number that may not be known.
fn known(number: Option<u64>, digits: &mut itoa::Buffer) -> &[u8] {
    number.map_or(UNKNOWN, |number| digits.format(number).as_bytes())
}

/// The text of what becomes of a number of deliveries.
pub(crate) fn times_text(times: Times) -> String {
    match times {
        Times::More => "+1".to_owned(),
        Times::Same => "+0".to_owned(),
        Times::Are(number) => format!("={number}"),
    }
}

fn parse_times(text: &[u8]) -> Option<Times> {
    match text {
        b"+1" => Some(Times::More),
        b"+0" => Some(Times::Same),
        [b'=', digits @ ..] => parse_u64(digits).map(Times::Are),
        _ => None,
    }
}

impl EntryMut<'_> {
    /// The stream, for changing it; the caller records the change. Refused if there is none.
    #[inline]
    fn stream_mut(&mut self) -> Result<&mut RedisStream, Refusal> {
        match self.value_mut() {
            Some(ValueMut::RedisStream(stream)) => Ok(stream.edit()),
            Some(_) => Err(Refusal::WrongType),
            None => Err(Refusal::NoSuchKey),
        }
    }

    /// As [`EntryMut::stream_mut`]; creates an empty stream if there is no value.
    #[inline]
    fn stream_or_new(&mut self) -> Result<&mut RedisStream, Refusal> {
        if !self.view().has_value() {
            self.put_value(Value::RedisStream(RedisStreamValue::default()));
        }
        self.stream_mut()
    }

    /// Records an event whose last parts are ids.
    fn record_ids(&mut self, event_type: EventType, first: &[&[u8]], ids: &[EntryId]) {
        let texts: SmallVec<[IdText; 8]> = ids.iter().map(|id| id.text()).collect();
        let mut parts: Parts<'_> = first.iter().copied().collect();
        parts.extend(texts.iter().map(|text| &text[..]));
        self.record(event_type, Data::Parts(&parts));
    }

    /// Appends an entry. Its id must be greater than the last one. Creates the stream if there is no value, and wakes the
    /// commands that wait for the key.
    pub fn stream_append<'k>(
        &mut self,
        id: EntryId,
        pairs: impl Iterator<Item = Pair<'k>> + Clone,
    ) -> Result<(), Refusal> {
        let thresholds = self.turn.thresholds;
        // Before there is a stream: a key that is new would keep an empty one.
        if id == EntryId::MIN {
            return Err(Refusal::EntryIdNotGreater);
        }
        if !self.stream_or_new()?.append(id, pairs.clone(), &thresholds) {
            return Err(Refusal::EntryIdNotGreater);
        }
        let text = id.text();
        let mut parts: Parts<'_> = SmallVec::new();
        parts.push(&text);
        pairs.for_each(|(name, value)| parts.extend([name, value]));
        self.record(EventType::XAdd, Data::Parts(&parts));
        self.turn.waiters.signal(self.word.get().key());
        Ok(())
    }

    /// Deletes entries; returns those that existed.
    pub fn stream_delete(&mut self, ids: impl Iterator<Item = EntryId>) -> Result<EntryIds, Refusal> {
        let stream = self.stream_mut()?;
        let deleted: EntryIds = ids.filter(|id| stream.delete(*id)).collect();
        if !deleted.is_empty() {
            self.record_ids(EventType::XDel, &[], &deleted);
        }
        Ok(deleted)
    }

    /// Trims the stream; returns how many entries were removed.
    #[inline]
    pub fn stream_trim(&mut self, trim: Trim) -> Result<u64, Refusal> {
        let thresholds = self.turn.thresholds;
        let Some(cut) = self.stream_mut()?.trim(trim, &thresholds) else { return Ok(0) };
        if let Some(unused) = cut.unused {
            Value::RedisStream(unused).discard(&mut self.turn.garbage);
        }
        self.record(EventType::XTrim, Data::One(&cut.last.text()));
        Ok(cut.removed)
    }

    /// Sets what the stream knows of entries that it does not have.
    pub fn stream_set_state(&mut self, last_id: EntryId, added: u64, max_deleted: EntryId) -> Result<(), Refusal> {
        self.stream_mut()?.set_state(last_id, added, max_deleted);
        self.record(
            EventType::XSetId,
            Data::Parts(&[&last_id.text(), added.to_string().as_bytes(), &max_deleted.text()]),
        );
        Ok(())
    }

    /// Creates a group, with an empty stream if there is no value, or sets how far it has delivered.
    pub fn stream_set_group(
        &mut self,
        group: &[u8],
        last_delivered: EntryId,
        entries_read: Option<u64>,
    ) -> Result<(), Refusal> {
        self.stream_or_new()?.set_group(group, last_delivered, entries_read);
        let mut digits = itoa::Buffer::new();
        let read = known(entries_read, &mut digits);
        self.record(EventType::XGroup, Data::Parts(&[group, &last_delivered.text(), read]));
        Ok(())
    }

    /// Removes a group; returns whether it existed. Wakes the commands that read from it, which then fail.
    pub fn stream_remove_group(&mut self, group: &[u8]) -> Result<bool, Refusal> {
        let Some(unused) = self.stream_mut()?.remove_group(group) else { return Ok(false) };
        Value::RedisStream(unused).discard(&mut self.turn.garbage);
        self.record(EventType::XGroupDel, Data::One(group));
        self.turn.waiters.signal(self.word.get().key());
        Ok(true)
    }

    /// Notes that a consumer has asked for entries and got none, which is not recorded; creates one that is new.
    pub fn stream_ask(&mut self, group: &[u8], consumer: &[u8], now_ms: u64) -> Result<(), Refusal> {
        if !self.stream_add_consumer(group, consumer, now_ms)? {
            self.stream_mut()?.note_asked(group, consumer, now_ms);
        }
        Ok(())
    }

    /// Creates a consumer; returns whether it is new.
    pub fn stream_add_consumer(&mut self, group: &[u8], consumer: &[u8], now_ms: u64) -> Result<bool, Refusal> {
        let stream = self.stream_mut()?;
        let of_group = stream.group(group).ok_or(Refusal::NoSuchGroup)?;
        if of_group.consumer(consumer).is_some() {
            return Ok(false);
        }
        stream.see_consumer(group, consumer, now_ms);
        self.record(EventType::XConsumer, Data::Parts(&[group, consumer]));
        Ok(true)
    }

    /// Removes a consumer; returns how many entries it had, `None` if there is no such group or consumer.
    pub fn stream_remove_consumer(&mut self, group: &[u8], consumer: &[u8]) -> Result<Option<usize>, Refusal> {
        let removed = self.stream_mut()?.remove_consumer(group, consumer);
        if removed.is_some() {
            self.record(EventType::XConsumerDel, Data::Parts(&[group, consumer]));
        }
        Ok(removed)
    }

    /// Delivers the entries behind the last one that the group has delivered, up to `most` of them and up to this id.
    pub fn stream_deliver(
        &mut self,
        (group, consumer): (&[u8], &[u8]),
        (to, most): (EntryId, usize),
        is_acknowledged: bool,
        now_ms: u64,
    ) -> Result<Option<Delivery>, Refusal> {
        self.stream_add_consumer(group, consumer, now_ms)?;
        let delivered = self.stream_mut()?.deliver((group, consumer), (to, most), is_acknowledged, now_ms);
        if let Some(Delivery { last, entries_read, .. }) = delivered {
            let mut digits = itoa::Buffer::new();
            let last = last.text();
            let parts: [&[u8]; 5] = [group, consumer, &last, known(entries_read, &mut digits), NO_ACK];
            self.record(EventType::XReadGroup, Data::Parts(&parts[..if is_acknowledged { 5 } else { 4 }]));
        }
        Ok(delivered)
    }

    /// Gives entries, at least one, to a consumer, as delivered at `delivered_ms`.
    pub fn stream_claim(
        &mut self,
        (group, consumer): (&[u8], &[u8]),
        ids: &[EntryId],
        (delivered_ms, times): (u64, Times),
        now_ms: u64,
    ) -> Result<(), Refusal> {
        self.stream_add_consumer(group, consumer, now_ms)?;
        let stream = self.stream_mut()?;
        stream
            .claim((group, consumer), ids.iter().copied(), (delivered_ms, times), now_ms)
            .ok_or(Refusal::NoSuchGroup)?;
        let (delivered, times) = (delivered_ms.to_string(), times_text(times));
        self.record_ids(EventType::XClaim, &[group, consumer, delivered.as_bytes(), times.as_bytes()], ids);
        Ok(())
    }

    /// Takes entries off the pending ones of a group; returns how many were.
    pub fn stream_acknowledge(&mut self, group: &[u8], ids: impl Iterator<Item = EntryId>) -> Result<usize, Refusal> {
        let acknowledged = self.stream_mut()?.acknowledge(group, ids);
        if !acknowledged.is_empty() {
            self.record_ids(EventType::XAck, &[group], &acknowledged);
        }
        Ok(acknowledged.len())
    }

    /// Applies a record of a Redis stream.
    pub(super) fn replay_stream(&mut self, record: &Record<'_>) -> Result<(), Precondition> {
        let now_ms = record.timestamp_ms();
        let parts: Parts<'_> = match record.data().ok_or(Precondition::Data)? {
            RecordData::One(bytes) => SmallVec::from_slice(&[bytes]),
            RecordData::Parts(parts) => parts.collect(),
        };
        // Only these create a stream.
        let may_create = matches!(record.event_type(), EventType::XAdd | EventType::XGroup);
        match self.view().value() {
            Some(ValueRef::RedisStream(_)) => {}
            None if may_create => {}
            _ => return Err(Precondition::Kind(Kind::RedisStream)),
        }
        self.apply_stream(record.event_type(), &parts, now_ms)
    }

    fn apply_stream(&mut self, event_type: EventType, parts: &[&[u8]], now_ms: u64) -> Result<(), Precondition> {
        let id = |text: &[u8]| parse_id(text).ok_or(Precondition::Data);
        let number = |text: &[u8]| parse_u64(text).ok_or(Precondition::Data);
        let ids = |texts: &[&[u8]]| texts.iter().map(|text| id(text)).collect::<Result<EntryIds, _>>();
        // What these refuse but for the type is something that the record needs and the stream does not have.
        let missing = |_: Refusal| Precondition::Element;
        let is_done = match (event_type, parts) {
            (EventType::XAdd, [id_text, words @ ..]) if !words.is_empty() && words.len() % 2 == 0 => {
                let pairs = words.chunks_exact(2).map(|pair| (pair[0], pair[1]));
                self.stream_append(id(id_text)?, pairs).map_err(missing)?;
                true
            }
            (EventType::XDel, texts) => {
                let deleted = self.stream_delete(ids(texts)?.into_iter()).map_err(missing)?;
                !deleted.is_empty() && deleted.len() == texts.len()
            }
            (EventType::XTrim, [last]) => {
                let to = id(last)?.next().map_or(TrimTo::Length(0), TrimTo::From);
                self.stream_trim(Trim { to, is_approximate: false, limit: None }).map_err(missing)? > 0
            }
            (EventType::XSetId, [last_id, added, max_deleted]) => {
                let state = (id(last_id)?, number(added)?, id(max_deleted)?);
                self.stream_set_state(state.0, state.1, state.2).map_err(missing)?;
                true
            }
            (EventType::XGroup, [group, last_delivered, read]) => {
                let read = parse_known(read).ok_or(Precondition::Data)?;
                self.stream_set_group(group, id(last_delivered)?, read).map_err(missing)?;
                true
            }
            (EventType::XGroupDel, [group]) => self.stream_remove_group(group).map_err(missing)?,
            (EventType::XConsumer, [group, consumer]) => {
                self.stream_add_consumer(group, consumer, now_ms).map_err(missing)?
            }
            (EventType::XConsumerDel, [group, consumer]) => {
                self.stream_remove_consumer(group, consumer).map_err(missing)?.is_some()
            }
            (EventType::XReadGroup, [group, consumer, last, read, rest @ ..]) if matches!(rest, [] | [NO_ACK]) => {
                let (last, read) = (id(last)?, parse_known(read).ok_or(Precondition::Data)?);
                let of = (*group, *consumer);
                let delivered =
                    self.stream_deliver(of, (last, usize::MAX), !rest.is_empty(), now_ms).map_err(missing)?;
                delivered.is_some_and(|delivered| delivered.last == last && delivered.entries_read == read)
            }
            (EventType::XClaim, [group, consumer, delivered_ms, times, texts @ ..]) => {
                let times = parse_times(times).ok_or(Precondition::Data)?;
                let of = (*group, *consumer);
                self.stream_claim(of, &ids(texts)?, (number(delivered_ms)?, times), now_ms).map_err(missing)?;
                true
            }
            (EventType::XAck, [group, texts @ ..]) => {
                let acknowledged = self.stream_acknowledge(group, ids(texts)?.into_iter()).map_err(missing)?;
                acknowledged > 0 && acknowledged == texts.len()
            }
            _ => return Err(Precondition::Data),
        };
        if is_done { Ok(()) } else { Err(Precondition::Element) }
    }
}
