//! Events that a client appends to a stream, by the rules of its protocol; and the end of a stream.
//!
//! A stream is *deleted* where its metadata says so: it reads as if it had never existed, and goes on with its next
//! revision when something is appended. It is *ended* by a last event of type `$streamDeleted`: nothing is appended any
//! more. Both are about the stream: the key's value stays. A change of that value is recorded all the same, and begins an
//! ended stream again.

use super::Shard;
use crate::error::Refusal;
use crate::event::CustomType;
use crate::position::{Position, Revision, RingOffset};
use crate::stream_acl::{DefaultAcls, SETTINGS, StreamUse, Who, permits};
use crate::stream_metadata::{
    DELETED_TYPE, METADATA_TYPE, StreamMetadata, deleted_after, described_stream, metadata_stream, with_truncate_before,
};
use crate::turn::{ClientEvent, Turn};

/// The state that a writer expects a stream to be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Any state.
    Any,
    /// No counter: it has never existed, or its last event is forgotten.
    NoStream,
    /// It has a counter.
    Exists,
    /// Its last event has this revision.
    At(Revision),
}

/// Where a stream is after events were appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The position of the last of these events; none where there were none.
    pub position: Option<Position>,
    /// The revision of the last of these events, or of the stream where there were none; none where that has no event.
    pub revision: Option<Revision>,
}

/// What an append comes to.
pub(crate) enum Planned {
    /// The events are new.
    New(NewEvents),
    /// They were appended before.
    Repeated(Appended),
}

/// What appending new events to a stream takes.
pub(crate) struct NewEvents {
    /// The size of the records, in bytes.
    pub bytes: u64,
    /// The revision of the stream's last event so far.
    pub last: Option<Revision>,
    /// The metadata that begins a deleted stream again, and the name of its stream.
    reopening: Option<(Vec<u8>, Vec<u8>)>,
}

/// What there is to know of a stream before it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamState {
    /// The revision of the latest event; none where the stream has no counter.
    pub last: Option<Revision>,
    /// The place of the latest event.
    pub place: Option<RingOffset>,
    /// Whether it was ended for good.
    pub is_ended: bool,
    /// What its metadata says.
    pub metadata: StreamMetadata,
}

impl Shard {
    /// Appends an event to the stream of a key; the key's value is unchanged. An event whose id is among the stream's
    /// recent ones is not recorded again: the first one's position and revision are returned.
    ///
    /// The position is reserved at once; the event is published with the turn.
    pub fn append_event(
        &mut self,
        key: &[u8],
        event: ClientEvent<'_>,
        expected: Expected,
    ) -> Result<(Position, Revision), Refusal> {
        self.turn.admit(Turn::client_event_bytes(key, event), key.len())?;
        // An expired key is removed first: the writer has to have expected its `Expire` event.
        self.find(key);
        let hash = self.table.hash(key);
        let (last, actual) = self.stream_entry(hash, key).map_or((None, None), |e| (Some(e.last()), e.revision()));
        if last.is_some_and(|last| self.turn.is_of_type(last, DELETED_TYPE)) {
            return Err(Refusal::StreamEnded);
        }
        if let (Some(id), Some(last)) = (event.id, last)
            && let Some(first) = self.turn.find_id((hash, last), &id)
        {
            return Ok(first);
        }
        let as_expected = match expected {
            Expected::Any => true,
            Expected::NoStream => actual.is_none(),
            Expected::Exists => actual.is_some(),
            Expected::At(revision) => actual == Some(revision),
        };
        if !as_expected {
            return Err(Refusal::WrongRevision { actual });
        }
        let revision = self.write(key).append(event);
        let position = self.turn.last_position().unwrap_or_default();
        Ok((position, revision))
    }

    /// Appends events to a stream together, by KurrentDB's rules of expectations and repetitions: what was appended before,
    /// with the same ids, is not appended again.
    ///
    /// # Errors
    /// The stream is not as expected, or is ended; or there is no room. Nothing is appended then.
    pub fn append_events(
        &mut self,
        key: &[u8],
        events: &[ClientEvent<'_>],
        expected: Expected,
    ) -> Result<Appended, Refusal> {
        let new = match self.plan_append(key, events, expected)? {
            Planned::Repeated(before) => return Ok(before),
            Planned::New(new) => new,
        };
        self.turn.admit(new.bytes, key.len())?;
        let mut revision = new.last;
        for event in events {
            revision = Some(self.write(key).append(*event));
        }
        let position = if events.is_empty() { None } else { self.turn.last_position() };
        self.reopen(new);
        Ok(Appended { position, revision })
    }

    /// What appending these events to a stream takes, or where they were appended before. Nothing of the stream changes, but
    /// for the end of a value whose TTL is over.
    ///
    /// # Errors
    /// The stream is not as expected, or is ended.
    pub(crate) fn plan_append(
        &mut self,
        key: &[u8],
        events: &[ClientEvent<'_>],
        expected: Expected,
    ) -> Result<Planned, Refusal> {
        self.find(key);
        let state = self.stream_state(key);
        if state.is_ended {
            return Err(Refusal::StreamEnded);
        }
        let is_deleted = state.metadata.is_deleted();
        let wrong = Refusal::WrongRevision { actual: state.last };
        match (expected, state.last) {
            (Expected::Any, _) => {}
            (Expected::NoStream, None) => {}
            (Expected::NoStream, Some(_)) if is_deleted => {}
            (Expected::NoStream, Some(last)) => return self.planned_from(0, last, (&state, events)),
            (Expected::Exists, Some(_)) if is_deleted => return Err(Refusal::StreamEnded),
            (Expected::Exists, Some(_)) => {}
            // A stream that has only metadata exists.
            (Expected::Exists, None) if self.stream_revision(&metadata_stream(key)).is_some() => {}
            (Expected::Exists, None) | (Expected::At(_), None) => return Err(wrong),
            (Expected::At(at), Some(last)) if at == last => {}
            (Expected::At(at), Some(last)) if at > last => return Err(wrong),
            (Expected::At(at), Some(last)) => return self.planned_from(at.0 + 1, last, (&state, events)),
        }
        if let (Expected::Any | Expected::Exists, Some(place)) = (expected, state.place)
            && let Some(id) = events.first().and_then(|event| event.id)
        {
            let stream = (self.table.hash(key), place);
            if self.turn.find_id(stream, &id).is_some() {
                return self.repeated(stream, events).map(Planned::Repeated).ok_or(wrong);
            }
        }
        let reopening = self.reopening(key, (&state, events));
        let metadata_bytes =
            reopening.as_ref().map_or(0, |(name, json)| (name.len() + json.len()) as u64 + EVENT_BYTES);
        let bytes = events.iter().map(|event| Turn::client_event_bytes(key, *event)).sum::<u64>() + metadata_bytes;
        Ok(Planned::New(NewEvents { bytes, last: state.last, reopening }))
    }

    /// The same where events were expected to be from this revision on: they are there, or the stream is not as expected.
    fn planned_from(
        &mut self,
        from: u64,
        last: Revision,
        (state, events): (&StreamState, &[ClientEvent<'_>]),
    ) -> Result<Planned, Refusal> {
        let before = self.repeated_from(from, last, state.place, events);
        before.map(Planned::Repeated).ok_or(Refusal::WrongRevision { actual: state.last })
    }

    /// Appends an event that was planned and admitted.
    pub(crate) fn append_planned(&mut self, key: &[u8], event: ClientEvent<'_>) -> Revision {
        self.write(key).append(event)
    }

    /// Begins a deleted stream again, behind its new events.
    pub(crate) fn reopen(&mut self, new: NewEvents) {
        if let Some((name, json)) = new.reopening {
            self.append_metadata(&name, &json);
        }
    }

    /// Where these events were appended before from this revision on, in this order and no other events between.
    fn repeated_from(
        &mut self,
        from: u64,
        last: Revision,
        place: Option<RingOffset>,
        events: &[ClientEvent<'_>],
    ) -> Option<Appended> {
        let mut end = None;
        let mut looked_at = 0;
        let mut offset = place?;
        let wanted = events.len() as u64;
        // From the last event back to the first of them.
        for revision in (from..=last.0).rev() {
            looked_at += 1;
            if looked_at > crate::limits::RECENT_IDS.max(events.len()) + events.len() {
                return None;
            }
            let (id, back, position) = self.turn.id_at(offset)?;
            if revision < from + wanted {
                let event = events.get((revision - from) as usize)?;
                if event.id.is_none() || event.id != id {
                    return None;
                }
                end.get_or_insert((position, Revision(revision)));
            }
            offset = back;
        }
        let (position, revision) = end.filter(|(_, revision)| revision.0 + 1 == from + wanted)?;
        Some(Appended { position: Some(position), revision: Some(revision) })
    }

    /// Where all of these events are among the recent ones: the place of the last of them.
    fn repeated(&mut self, stream: (u64, RingOffset), events: &[ClientEvent<'_>]) -> Option<Appended> {
        let mut last = None;
        for event in events {
            last = Some(self.turn.find_id(stream, &event.id?)?);
        }
        last.map(|(position, revision)| Appended { position: Some(position), revision: Some(revision) })
    }

    /// Events, or metadata, for a deleted stream begin it again behind its last event: the metadata that says so, with the
    /// name of its stream. None where the stream is not deleted.
    fn reopening(
        &mut self,
        key: &[u8],
        (state, events): (&StreamState, &[ClientEvent<'_>]),
    ) -> Option<(Vec<u8>, Vec<u8>)> {
        let last_event = events.last()?;
        if state.metadata.is_deleted() {
            let name = metadata_stream(key);
            let json = self.metadata_json(&name).unwrap_or_default();
            return Some((name, with_truncate_before(&json, state.last.map_or(0, |last| last.0 + 1))));
        }
        let described = described_stream(key).filter(|_| last_event.event_type.name() == METADATA_TYPE)?;
        let deleted = self.stream_state(described);
        deleted
            .metadata
            .is_deleted()
            .then(|| (key.to_vec(), with_truncate_before(last_event.data, deleted.last.map_or(0, |last| last.0 + 1))))
    }

    fn append_metadata(&mut self, name: &[u8], json: &[u8]) {
        let Ok(event_type) = CustomType::new(METADATA_TYPE) else { unreachable!("no built-in type begins with $") };
        let id = Some(self.rng.u128(..).to_be_bytes());
        self.write(name).append(ClientEvent { event_type, data: json, meta: None, id, json: true });
    }

    /// Deletes a stream: it reads as if it had never existed, until something is appended to it.
    ///
    /// # Errors
    /// It is not as expected, or is ended; or there is no room.
    pub fn delete_stream(&mut self, key: &[u8], expected: Expected) -> Result<Position, Refusal> {
        self.turn.admit(EVENT_BYTES + key.len() as u64, key.len())?;
        let state = self.stream_state(key);
        if state.is_ended {
            return Err(Refusal::StreamEnded);
        }
        let Some(last) = state.last else { return Err(Refusal::WrongRevision { actual: None }) };
        match expected {
            Expected::Any => {}
            Expected::Exists if state.metadata.is_deleted() => return Err(Refusal::StreamEnded),
            Expected::Exists => {}
            Expected::At(at) if at == last => {}
            Expected::NoStream | Expected::At(_) => return Err(Refusal::WrongRevision { actual: Some(last) }),
        }
        self.append_metadata(&metadata_stream(key), &deleted_after(last));
        Ok(self.turn.last_position().unwrap_or_default())
    }

    /// Ends a stream for good.
    ///
    /// # Errors
    /// It is not as expected, or is ended already; or there is no room.
    pub fn end_stream(&mut self, key: &[u8], expected: Expected) -> Result<Position, Refusal> {
        self.turn.admit(EVENT_BYTES + key.len() as u64, key.len())?;
        let state = self.stream_state(key);
        if state.is_ended {
            return Err(Refusal::StreamEnded);
        }
        let is_as_expected = match expected {
            Expected::Any => true,
            Expected::NoStream => state.last.is_none() || state.metadata.is_deleted(),
            Expected::Exists => state.last.is_some(),
            Expected::At(at) => state.last == Some(at),
        };
        if !is_as_expected {
            return Err(Refusal::WrongRevision { actual: state.last });
        }
        let Ok(event_type) = CustomType::new(DELETED_TYPE) else { unreachable!("no built-in type begins with $") };
        let id = Some(self.rng.u128(..).to_be_bytes());
        self.write(key).append(ClientEvent { event_type, data: b"", meta: None, id, json: false });
        Ok(self.turn.last_position().unwrap_or_default())
    }

    /// What there is to know of a stream before it is read.
    pub fn stream_state(&mut self, key: &[u8]) -> StreamState {
        let hash = self.table.hash(key);
        let (last, place) = match self.stream_entry(hash, key) {
            Some(entry) => (entry.revision(), Some(entry.last()).filter(|place| *place != RingOffset::NONE)),
            None => (None, None),
        };
        let is_ended = place.is_some_and(|place| self.turn.is_of_type(place, DELETED_TYPE));
        let name = metadata_stream(key);
        let mut metadata =
            self.metadata_json(&name).map_or_else(StreamMetadata::default, |json| StreamMetadata::parse(&json));
        if described_stream(key).is_some() {
            // Of a stream with metadata only the last event is read.
            metadata.max_count = Some(1);
        }
        StreamState { last, place, is_ended, metadata: metadata.at(last) }
    }

    /// Whether the metadata of a stream, or the defaults, permit somebody to use it; for a stream with metadata, what that says of
    /// itself.
    pub fn permits(&mut self, key: &[u8], what: StreamUse, who: &Who) -> bool {
        let name = if described_stream(key).is_some() { key.to_vec() } else { metadata_stream(key) };
        permits(self.metadata_json(&name).as_deref(), key, what, who)
    }

    /// What the stream of settings, of this shard, says of the rights of other streams, if it may have changed since this was
    /// last asked. To be asked behind a commit.
    pub fn take_changed_settings(&mut self) -> Option<DefaultAcls> {
        if !self.turn.take_settings_changed() {
            return None;
        }
        let state = self.stream_state(SETTINGS);
        let place = state.place.filter(|_| !state.is_ended && !state.metadata.is_deleted());
        let json = place.and_then(|place| self.turn.data_of_type(place, SETTINGS));
        Some(json.map(|json| DefaultAcls::parse(&json)).unwrap_or_default())
    }

    /// The data of the last event of a stream with metadata, where that is still there.
    fn metadata_json(&mut self, name: &[u8]) -> Option<Vec<u8>> {
        let place = self.stream_entry(self.table.hash(name), name)?.last();
        self.turn.data_of_type(place, METADATA_TYPE)
    }

    /// The revision of the latest event of a key's stream.
    pub fn stream_revision(&self, key: &[u8]) -> Option<Revision> {
        self.stream_entry(self.table.hash(key), key).and_then(|entry| entry.revision())
    }
}

/// More than the records of metadata that this server writes by itself take beside the names and the JSON, in bytes.
const EVENT_BYTES: u64 = 256;
