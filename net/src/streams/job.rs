//! An operation on one stream: its arguments, how the shard of the stream does it, and the outcome.

use bytes::Bytes;
use keytide_engine::error::Refusal;
use keytide_engine::event::{CustomType, CustomTypeError};
use keytide_engine::position::{Position, ShardId};
use keytide_engine::shard::{Appended, Expected, StreamState};
use keytide_engine::shards::{AppendedMany, EventsRefused, Shards, Unexpected, Wanted};
use keytide_engine::slot::shard_of;
use keytide_engine::stream_acl::{StreamUse, Who};
use keytide_engine::turn::ClientEvent;
use std::sync::Arc;

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
    /// Append events to several streams, all or none.
    AppendMany {
        /// The streams, at least one, each with what the client wants it to be.
        streams: Vec<(Bytes, Wanted)>,
        /// The events, each with the place of its stream.
        events: Vec<(usize, Event)>,
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
    /// Do this, if what the metadata of its streams says permits it to somebody.
    As(Arc<Who>, Box<Job>),
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
    /// Of several streams these are not as the client wants them.
    Unexpected(Vec<Unexpected>),
    /// By the metadata of this stream.
    Denied(Bytes),
}

/// What has come of an operation.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Of [`Job::Append`].
    Appended(Result<Appended, JobRefused>),
    /// Of [`Job::AppendMany`].
    AppendedMany(Result<AppendedMany, JobRefused>),
    /// Of [`Job::Delete`] and [`Job::End`]: the position of the event that says so.
    Deleted(Result<Position, JobRefused>),
    /// Of [`Job::Describe`].
    Described(Result<StreamState, JobRefused>),
}

impl Outcome {
    /// The stream whose metadata does not permit it.
    pub fn denied(&self) -> Option<&[u8]> {
        let refused = match self {
            Outcome::Appended(result) => result.as_ref().err(),
            Outcome::AppendedMany(result) => result.as_ref().err(),
            Outcome::Deleted(result) => result.as_ref().err(),
            Outcome::Described(result) => result.as_ref().err(),
        };
        match refused {
            Some(JobRefused::Denied(stream)) => Some(stream),
            _ => None,
        }
    }
}

impl Job {
    /// Its stream; of several the first.
    pub fn stream(&self) -> &[u8] {
        match self {
            Job::As(_, job) => job.stream(),
            Job::AppendMany { streams, .. } => streams.first().map_or(&b""[..], |(stream, _)| stream),
            Job::Append { stream, .. }
            | Job::Delete { stream, .. }
            | Job::End { stream, .. }
            | Job::Describe { stream } => stream,
        }
    }

    /// The shard that does it, where that is one.
    pub fn shard(&self, shards: u16) -> ShardId {
        shard_of(self.stream(), shards)
    }

    /// The shards that do it together, in ascending order; none where one does it.
    pub fn several_shards(&self, total: u16) -> Option<Vec<ShardId>> {
        let streams = match self {
            Job::AppendMany { streams, .. } => streams,
            Job::As(_, job) => return job.several_shards(total),
            Job::Append { .. } | Job::Delete { .. } | Job::End { .. } | Job::Describe { .. } => return None,
        };
        let mut shards: Vec<ShardId> = streams.iter().map(|(stream, _)| shard_of(stream, total)).collect();
        shards.sort_unstable();
        shards.dedup();
        Some(shards).filter(|shards| shards.len() > 1)
    }

    /// About the memory that it takes, in bytes.
    pub fn memory_bytes(&self) -> usize {
        let of = |event: &Event| size_of::<Event>() + event.data.len() + event.meta.as_ref().map_or(0, Bytes::len);
        let parts = match self {
            Job::As(who, job) => return size_of::<Who>() + who.name.len() + job.memory_bytes(),
            Job::Append { events, .. } => events.iter().map(of).sum::<usize>(),
            Job::AppendMany { streams, events } => {
                let names = streams.iter().map(|(stream, _)| size_of::<(Bytes, Wanted)>() + stream.len());
                names.sum::<usize>() + events.iter().map(|(_, event)| of(event)).sum::<usize>()
            }
            Job::Delete { .. } | Job::End { .. } | Job::Describe { .. } => 0,
        };
        size_of::<Job>() + self.stream().len() + parts
    }

    /// Whether it changes anything.
    pub fn writes(&self) -> bool {
        match self {
            Job::As(_, job) => job.writes(),
            Job::Describe { .. } => false,
            Job::Append { .. } | Job::AppendMany { .. } | Job::Delete { .. } | Job::End { .. } => true,
        }
    }

    /// What comes of it where it may not be done.
    pub fn refused(&self, refused: JobRefused) -> Outcome {
        match self {
            Job::As(_, job) => job.refused(refused),
            Job::Append { .. } => Outcome::Appended(Err(refused)),
            Job::AppendMany { .. } => Outcome::AppendedMany(Err(refused)),
            Job::Delete { .. } | Job::End { .. } => Outcome::Deleted(Err(refused)),
            Job::Describe { .. } => Outcome::Described(Err(refused)),
        }
    }

    /// Does it, on its shard or its shards.
    pub fn run(&self, mut shards: Shards<'_>) -> Outcome {
        if let Job::As(who, job) = self {
            let denied = job.uses().into_iter().find(|(stream, what)| !shards.of(stream).permits(stream, *what, who));
            return match denied {
                Some((stream, _)) => job.refused(JobRefused::Denied(Bytes::copy_from_slice(stream))),
                None => job.run(shards),
            };
        }
        if self.writes() {
            let mut full = None;
            shards.each(|shard| {
                // The records of one operation are recovered all or none.
                shard.begin_command();
                full = full.take().or(shard.check_log().err());
            });
            if let Some(full) = full {
                return self.refused(JobRefused::NoRoom(full.to_string()));
            }
        }
        match self {
            Job::Append { stream, expected, events } => {
                let events = events.iter().map(Event::as_client_event).collect::<Result<Vec<_>, _>>();
                Outcome::Appended(match events {
                    Ok(events) => {
                        shards.of(stream).append_events(stream, &events, *expected).map_err(JobRefused::Shard)
                    }
                    Err(error) => Err(JobRefused::Type(error)),
                })
            }
            Job::AppendMany { streams, events } => Outcome::AppendedMany(append_many(&mut shards, streams, events)),
            Job::Delete { stream, expected } => {
                Outcome::Deleted(shards.of(stream).delete_stream(stream, *expected).map_err(JobRefused::Shard))
            }
            Job::End { stream, expected } => {
                Outcome::Deleted(shards.of(stream).end_stream(stream, *expected).map_err(JobRefused::Shard))
            }
            Job::Describe { stream } => Outcome::Described(Ok(shards.of(stream).stream_state(stream))),
            Job::As(..) => unreachable!("it was taken apart above"),
        }
    }

    /// Its streams, with what is done with each.
    fn uses(&self) -> Vec<(&[u8], StreamUse)> {
        match self {
            Job::As(_, job) => job.uses(),
            Job::Append { stream, .. } => vec![(stream, StreamUse::Append)],
            Job::Delete { stream, .. } | Job::End { stream, .. } => vec![(stream, StreamUse::Delete)],
            Job::Describe { stream } => vec![(stream, StreamUse::Read)],
            Job::AppendMany { streams, events } => {
                let mut uses: Vec<(&[u8], StreamUse)> =
                    streams.iter().map(|(stream, _)| (&stream[..], StreamUse::Read)).collect();
                events.iter().for_each(|(index, _)| uses[*index].1 = StreamUse::Append);
                uses
            }
        }
    }
}

fn append_many(
    shards: &mut Shards<'_>,
    streams: &[(Bytes, Wanted)],
    events: &[(usize, Event)],
) -> Result<AppendedMany, JobRefused> {
    let streams: Vec<(&[u8], Wanted)> = streams.iter().map(|(stream, wanted)| (&stream[..], *wanted)).collect();
    let events = events.iter().map(|(index, event)| Ok((*index, event.as_client_event()?)));
    let events = events.collect::<Result<Vec<_>, _>>().map_err(JobRefused::Type)?;
    shards.append_events(&streams, &events).map_err(|refused| match refused {
        EventsRefused::Unexpected(streams) => JobRefused::Unexpected(streams),
        EventsRefused::Shard(refusal) => JobRefused::Shard(refusal),
    })
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
