//! Events that a client appends to a stream.

use super::Shard;
use crate::error::Refusal;
use crate::position::{Position, Revision};
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
        let (last, actual) = self.table.find(hash, key).map_or((None, None), |e| (Some(e.last()), e.revision()));
        if let (Some(id), Some(last)) = (event.id, last)
            && let Some(first) = self.turn.find_id(last, &id)
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

    /// The revision of the latest event of a key's stream.
    pub fn stream_revision(&self, key: &[u8]) -> Option<Revision> {
        self.table.find(self.table.hash(key), key).and_then(|entry| entry.revision())
    }
}
