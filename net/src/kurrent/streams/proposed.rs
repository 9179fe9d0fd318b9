//! Events that a client proposes, of Append and BatchAppend; and what it expects of their stream.

use super::super::error::{append_too_large, event_too_large, missing_metadata};
use super::super::id;
use super::super::proto::StreamIdentifier;
use super::super::proto::streams::ProposedMessage;
use crate::grpc::Status;
use crate::limits::{APPEND_BYTES_MAX, APPEND_EVENT_BYTES_MAX, APPEND_EVENTS_MAX};
use crate::streams::Event;
use bytes::Bytes;
use keytide_engine::position::Revision;
use keytide_engine::shard::Expected;

/// Events, as they come.
#[derive(Default)]
pub struct Proposed {
    events: Vec<Event>,
    bytes: usize,
}

impl Proposed {
    /// Adds an event.
    ///
    /// # Errors
    /// It lacks something, or is too large, or all of them together are.
    pub fn add(&mut self, message: ProposedMessage) -> Result<(), Status> {
        let property = |name: &str| message.metadata.get(name).ok_or_else(|| missing_metadata(name));
        let event_type = property("type")?;
        let is_json = property("content-type")? == "application/json";
        let id = id::read(message.id.as_ref())?;
        if id == [0; 16] {
            return Err(Status::invalid("Empty eventId provided."));
        }
        if event_type.is_empty() {
            return Err(Status::invalid("Empty eventType provided."));
        }
        let bytes = message.data.len() + message.custom_metadata.len() + 2 * event_type.len();
        if bytes > APPEND_EVENT_BYTES_MAX {
            return Err(event_too_large(&id, bytes, APPEND_EVENT_BYTES_MAX));
        }
        // With what it takes here: very many may have no data.
        self.bytes += bytes + size_of::<Event>();
        if self.bytes > APPEND_BYTES_MAX || self.events.len() >= APPEND_EVENTS_MAX {
            return Err(append_too_large(APPEND_BYTES_MAX));
        }
        self.events.push(Event {
            id,
            event_type: Bytes::copy_from_slice(event_type.as_bytes()),
            data: message.data,
            meta: Some(message.custom_metadata).filter(|meta| !meta.is_empty()),
            is_json,
        });
        Ok(())
    }

    /// The bytes of the events.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The events.
    pub fn take(&mut self) -> Vec<Event> {
        self.bytes = 0;
        std::mem::take(&mut self.events)
    }
}

/// The name of a stream.
///
/// # Errors
/// It is missing or empty, or names the metadata of no stream.
pub fn stream_name(identifier: Option<StreamIdentifier>) -> Result<Bytes, Status> {
    let name = identifier.map(|identifier| identifier.stream_name).unwrap_or_default();
    match &name[..] {
        b"" => Err(Status::invalid("Stream must be non-empty.")),
        b"$$" => Err(Status::invalid("Stream must not be a metastream of no stream.")),
        _ => Ok(name),
    }
}

/// An expectation of a revision.
///
/// # Errors
/// No stream can be there.
pub fn expected_revision(revision: u64) -> Result<Expected, Status> {
    match i64::try_from(revision) {
        Ok(_) => Ok(Expected::At(Revision(revision))),
        Err(_) => Err(Status::invalid("the expected revision is out of range")),
    }
}
