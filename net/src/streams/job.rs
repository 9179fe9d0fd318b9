//! An operation on one stream: its arguments, how the shard of the stream does it, and the outcome.

use bytes::Bytes;
use keytide_engine::error::Refusal;
use keytide_engine::event::{CustomType, CustomTypeError};
use keytide_engine::position::{Position, ShardId};
use keytide_engine::shard::{Appended, Expected, Shard, StreamState};
use keytide_engine::slot::shard_of;
use keytide_engine::turn::ClientEvent;

/// An event to be appended. Its bytes are parts of the message that has brought it.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its id.
    pub id: [u8; 16],
    /// Its type's name.
    pub event_type: Bytes,
    /// Its data.
    pub data: Bytes,
    /// Its metadata; none where it is empty.
    pub meta: Option<Bytes>,
    /// Whether the client has declared its data as JSON.
    pub is_json: bool,
}

/// An operation on one stream.
#[derive(Clone, Debug)]
pub enum Job {
    /// Append these events, all or none.
    Append {
        /// The stream.
        stream: Bytes,
        /// What the client expects of it.
        expected: Expected,
        /// The events.
        events: Vec<Event>,
    },
    /// Delete the stream; it may be begun again.
    Delete {
        /// The stream.
        stream: Bytes,
        /// What the client expects of it.
        expected: Expected,
    },
    /// End the stream for good.
    End {
        /// The stream.
        stream: Bytes,
        /// What the client expects of it.
        expected: Expected,
    },
    /// Say what there is to know of the stream.
    Describe {
        /// The stream.
        stream: Bytes,
    },
}

/// Why an operation was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobRefused {
    /// By the shard.
    Shard(Refusal),
    /// For a type that no event may have.
    Type(CustomTypeError),
    /// For want of memory, or of room in the log: the text says which.
    NoRoom(String),
}

/// What has come of an operation.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Of [`Job::Append`].
    Appended(Result<Appended, JobRefused>),
    /// Of [`Job::Delete`] and [`Job::End`]: the position of the event that says so.
    Deleted(Result<Position, JobRefused>),
    /// Of [`Job::Describe`].
    Described(StreamState),
}

impl Job {
    /// Its stream.
    pub fn stream(&self) -> &[u8] {
        match self {
            Job::Append { stream, .. }
            | Job::Delete { stream, .. }
            | Job::End { stream, .. }
            | Job::Describe { stream } => stream,
        }
    }

    /// The shard that does it.
    pub fn shard(&self, shards: u16) -> ShardId {
        shard_of(self.stream(), shards)
    }

    /// About the memory that it takes, in bytes.
    pub fn memory_bytes(&self) -> usize {
        let events = match self {
            Job::Append { events, .. } => &events[..],
            Job::Delete { .. } | Job::End { .. } | Job::Describe { .. } => &[],
        };
        let of = |event: &Event| size_of::<Event>() + event.data.len() + event.meta.as_ref().map_or(0, Bytes::len);
        size_of::<Job>() + self.stream().len() + events.iter().map(of).sum::<usize>()
    }

    /// Whether it changes anything.
    pub fn writes(&self) -> bool {
        !matches!(self, Job::Describe { .. })
    }

    /// What comes of it where it may not be done.
    pub fn refused(&self, refused: JobRefused) -> Outcome {
        match self {
            Job::Append { .. } => Outcome::Appended(Err(refused)),
            Job::Delete { .. } | Job::End { .. } => Outcome::Deleted(Err(refused)),
            Job::Describe { .. } => Outcome::Described(StreamState::default()),
        }
    }

    /// Does it.
    pub fn run(&self, shard: &mut Shard) -> Outcome {
        if self.writes() {
            // The records of one operation are recovered all or none.
            shard.begin_command();
            if let Err(full) = shard.check_log() {
                return self.refused(JobRefused::NoRoom(full.to_string()));
            }
        }
        match self {
            Job::Append { stream, expected, events } => {
                let events = events.iter().map(Event::as_client_event).collect::<Result<Vec<_>, _>>();
                Outcome::Appended(match events {
                    Ok(events) => shard.append_events(stream, &events, *expected).map_err(JobRefused::Shard),
                    Err(error) => Err(JobRefused::Type(error)),
                })
            }
            Job::Delete { stream, expected } => {
                Outcome::Deleted(shard.delete_stream(stream, *expected).map_err(JobRefused::Shard))
            }
            Job::End { stream, expected } => {
                Outcome::Deleted(shard.end_stream(stream, *expected).map_err(JobRefused::Shard))
            }
            Job::Describe { stream } => Outcome::Described(shard.stream_state(stream)),
        }
    }
}

impl Event {
    fn as_client_event(&self) -> Result<ClientEvent<'_>, CustomTypeError> {
        Ok(ClientEvent {
            event_type: CustomType::new(&self.event_type)?,
            data: &self.data,
            meta: self.meta.as_deref(),
            id: Some(self.id),
            json: self.is_json,
        })
    }
}
