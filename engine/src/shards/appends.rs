//! Events for several streams, all or none, where each stream is as expected; streams to which nothing is appended may be
//! looked at too.

use super::Shards;
use crate::error::Refusal;
use crate::position::{Position, Revision, ShardId};
use crate::shard::{Expected, Planned};
use crate::turn::{ClientEvent, Turn};

/// What a writer wants a stream to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// As an append to it alone would expect it.
    State(Expected),
    /// Deleted, and not begun again.
    Deleted,
    /// Ended for good.
    Ended,
}

/// What a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamNow {
    /// It has no event.
    Missing,
    /// Its last event has this revision.
    At(Revision),
    /// It was deleted and not begun again.
    Deleted,
    /// It was ended for good.
    Ended,
}

/// A stream that is not as wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unexpected {
    /// Its place among the streams.
    pub index: usize,
    /// What it is.
    pub now: StreamNow,
}

/// Why nothing was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventsRefused {
    /// These streams are not as wanted: all of them, by their places.
    Unexpected(Vec<Unexpected>),
    /// By a shard.
    Shard(Refusal),
}

/// Where streams are after events were appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendedMany {
    /// For each stream the revision of its last new event; none for a stream that has got none.
    pub revisions: Vec<Option<Revision>>,
    /// The position of the last event; none where there were none.
    pub position: Option<Position>,
}

impl Shards<'_> {
    /// Appends events to streams together; each event names its stream by its place. Their positions have the order of the
    /// events, over all shards. What was appended before, with the same ids, is not appended again, if all of it was. The
    /// shards at hand must be those of all the streams.
    ///
    /// # Errors
    /// Streams are not as wanted, or there is no room. Nothing is appended then.
    pub fn append_events(
        &mut self,
        streams: &[(&[u8], Wanted)],
        events: &[(usize, ClientEvent<'_>)],
    ) -> Result<AppendedMany, EventsRefused> {
        let mut of_stream: Vec<Vec<ClientEvent<'_>>> = vec![Vec::new(); streams.len()];
        events.iter().for_each(|(index, event)| of_stream[*index].push(*event));
        // Before the streams are looked at: that records the end of values whose TTL is over.
        let record = |(index, event): &(usize, ClientEvent<'_>)| {
            (streams[*index].0, Turn::client_event_bytes(streams[*index].0, *event))
        };
        self.admit(events.iter().map(record)).map_err(EventsRefused::Shard)?;
        let (mut planned, mut unexpected) = (Vec::with_capacity(streams.len()), Vec::new());
        for (index, ((key, wanted), own)) in streams.iter().zip(&of_stream).enumerate() {
            let plan = match self.plan(key, *wanted, own) {
                Err(EventsRefused::Unexpected(streams)) => {
                    unexpected.extend(streams.into_iter().map(|stream| Unexpected { index, ..stream }));
                    None
                }
                plan => plan?,
            };
            planned.push(plan);
        }
        if unexpected.is_empty() {
            let repeated = |plan: &Option<Planned>| matches!(plan, Some(Planned::Repeated(_)));
            let is_new = |plan: &Option<Planned>| matches!(plan, Some(Planned::New(_)));
            if planned.iter().any(repeated) {
                if !planned.iter().any(is_new) {
                    return Ok(before(&planned));
                }
                // A part of it was appended before.
                for (index, plan) in planned.iter().enumerate().filter(|(_, plan)| repeated(plan)) {
                    debug_assert!(plan.is_some());
                    unexpected.push(Unexpected { index, now: self.now(streams[index].0) });
                }
            }
        }
        if !unexpected.is_empty() {
            return Err(EventsRefused::Unexpected(unexpected));
        }
        let records = streams.iter().zip(&planned).filter_map(|((key, _), plan)| match plan {
            Some(Planned::New(new)) => Some((*key, new.bytes)),
            Some(Planned::Repeated(_)) | None => None,
        });
        self.admit(records).map_err(EventsRefused::Shard)?;
        let appended = self.append_in_order(streams, events);
        for ((key, _), plan) in streams.iter().zip(planned) {
            if let Some(Planned::New(new)) = plan {
                self.of(key).reopen(new);
            }
        }
        Ok(appended)
    }

    /// What appending to one stream takes; none where nothing is to be appended.
    fn plan(
        &mut self,
        key: &[u8],
        wanted: Wanted,
        events: &[ClientEvent<'_>],
    ) -> Result<Option<Planned>, EventsRefused> {
        let now = self.now(key);
        let unexpected = |now| EventsRefused::Unexpected(vec![Unexpected { index: 0, now }]);
        let expected = match wanted {
            Wanted::State(expected) => expected,
            Wanted::Deleted if now == StreamNow::Deleted => Expected::Any,
            Wanted::Ended if now == StreamNow::Ended && events.is_empty() => return Ok(None),
            Wanted::Deleted | Wanted::Ended => return Err(unexpected(now)),
        };
        if events.is_empty() {
            let is_as_wanted = match (expected, now) {
                (_, StreamNow::Ended) => false,
                (Expected::Any, _) => true,
                (Expected::NoStream, now) => matches!(now, StreamNow::Missing | StreamNow::Deleted),
                (Expected::Exists, now) => matches!(now, StreamNow::At(_)),
                (Expected::At(at), now) => now == StreamNow::At(at),
            };
            return if is_as_wanted { Ok(None) } else { Err(unexpected(now)) };
        }
        match self.of(key).plan_append(key, events, expected) {
            Ok(plan) => Ok(Some(plan)),
            Err(Refusal::WrongRevision { .. } | Refusal::StreamEnded) => Err(unexpected(self.now(key))),
            Err(refusal) => Err(EventsRefused::Shard(refusal)),
        }
    }

    fn now(&mut self, key: &[u8]) -> StreamNow {
        let state = self.of(key).stream_state(key);
        match state.last {
            _ if state.is_ended => StreamNow::Ended,
            None => StreamNow::Missing,
            Some(_) if state.metadata.is_deleted() => StreamNow::Deleted,
            Some(last) => StreamNow::At(last),
        }
    }

    /// Appends events that were admitted.
    fn append_in_order(&mut self, streams: &[(&[u8], Wanted)], events: &[(usize, ClientEvent<'_>)]) -> AppendedMany {
        let mut revisions = vec![None; streams.len()];
        let mut last: Option<(ShardId, &[u8])> = None;
        for (index, event) in events {
            let key = streams[*index].0;
            let id = self.of(key).id();
            if let Some((before, its_key)) = last
                && before != id
            {
                // What another shard records next comes behind.
                self.of(its_key).assign_positions();
            }
            last = Some((id, key));
            revisions[*index] = Some(self.of(key).append_planned(key, *event));
        }
        let position = last.and_then(|(_, key)| self.of(key).last_position());
        AppendedMany { revisions, position }
    }
}

/// Where events are that were all appended before.
fn before(planned: &[Option<Planned>]) -> AppendedMany {
    let appended: Vec<_> = planned
        .iter()
        .map(|plan| match plan {
            Some(Planned::Repeated(before)) => Some(*before),
            Some(Planned::New(_)) | None => None,
        })
        .collect();
    AppendedMany {
        revisions: appended.iter().map(|before| before.and_then(|before| before.revision)).collect(),
        position: appended.iter().filter_map(|before| before.and_then(|before| before.position)).max(),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::event::CustomType;
    use crate::limits::RING_BYTES_MIN;
    use crate::ring::{self, Ring};
    use crate::sequencer::Sequencer;
    use crate::shard::Shard;
    use crate::slot::shard_of;
    use std::sync::Arc;

    #[expect(clippy::vec_box, reason = "as they are where they are lent")]
    struct World {
        shards: Vec<Box<Shard>>,
        rings: Vec<Ring>,
    }

    impl World {
        fn new(count: u16) -> World {
            let sequencer = Arc::new(Sequencer::new(Position(1), count.into()));
            let (mut shards, mut rings) = (Vec::new(), Vec::new());
            for id in 0..count {
                let (writer, ring) = ring::create(RING_BYTES_MIN).expect("there is memory for a small ring");
                shards.push(Box::new(Shard::new(ShardId(id), sequencer.clone(), Some(writer), 100)));
                rings.push(ring);
            }
            World { shards, rings }
        }

        fn shards(&mut self) -> Shards<'_> {
            let total = self.shards.len() as u16;
            Shards::Several { shards: &mut self.shards, total }
        }

        fn append(
            &mut self,
            streams: &[(&str, Wanted)],
            events: &[(usize, u8)],
        ) -> Result<AppendedMany, EventsRefused> {
            let streams: Vec<_> = streams.iter().map(|(name, wanted)| (name.as_bytes(), *wanted)).collect();
            let events: Vec<_> = events.iter().map(|(index, id)| (*index, event(*id))).collect();
            self.shards().append_events(&streams, &events)
        }

        fn shard(&mut self, stream: &str) -> &mut Shard {
            let total = self.shards.len() as u16;
            &mut self.shards[shard_of(stream.as_bytes(), total).0 as usize]
        }

        /// The ids of all events, in the order of their positions.
        fn history(&mut self) -> Vec<u8> {
            self.shards.iter_mut().for_each(|shard| _ = shard.commit());
            let mut all = Vec::new();
            for ring in &self.rings {
                let mut reader = ring.reader();
                let batch = reader.read(ring.head(), 1 << 20).expect("it is not lapped");
                all.extend(batch.map(|record| (record.position(), record.id().unwrap_or_default()[0])));
            }
            all.sort_unstable();
            all.into_iter().map(|(_, id)| id).collect()
        }
    }

    fn event(id: u8) -> ClientEvent<'static> {
        let event_type = CustomType::new(b"T").expect("no built-in type");
        ClientEvent { event_type, data: b"d", meta: None, id: Some([id; 16]), json: false }
    }

    const ANY: Wanted = Wanted::State(Expected::Any);
    const NONE: Wanted = Wanted::State(Expected::NoStream);

    fn at(revision: u64) -> Wanted {
        Wanted::State(Expected::At(Revision(revision)))
    }

    fn refused(streams: &[(usize, StreamNow)]) -> Result<AppendedMany, EventsRefused> {
        let unexpected = |&(index, now)| Unexpected { index, now };
        Err(EventsRefused::Unexpected(streams.iter().map(unexpected).collect()))
    }

    fn revisions(appended: Result<AppendedMany, EventsRefused>) -> Vec<Option<u64>> {
        let revisions = appended.expect("all are as wanted").revisions;
        revisions.into_iter().map(|revision| revision.map(|revision| revision.0)).collect()
    }

    #[test]
    fn events_have_their_order_over_all_shards() {
        for shards in [1, 2, 8] {
            let mut world = World::new(shards);
            let streams: Vec<String> = (0..10).map(|n| format!("s{n}")).collect();
            let streams: Vec<(&str, Wanted)> = streams.iter().map(|name| (name.as_str(), NONE)).collect();
            let events: Vec<(usize, u8)> = (0..100u8).map(|id| (usize::from(id) * 7 % 10, id + 1)).collect();
            assert_eq!(revisions(world.append(&streams, &events)), [Some(9); 10], "{shards} shards");
            assert_eq!(world.history(), (1..=100).collect::<Vec<u8>>(), "{shards} shards");
        }
    }

    #[test]
    fn all_streams_are_as_wanted_or_nothing_is_appended() {
        let mut world = World::new(4);
        assert_eq!(revisions(world.append(&[("a", NONE), ("b", ANY)], &[(0, 1), (1, 2), (0, 3)])), [Some(1), Some(0)]);
        let all = [("a", at(0)), ("b", NONE), ("c", Wanted::State(Expected::Exists)), ("d", ANY)];
        let found = world.append(&all, &[(3, 9), (0, 8)]);
        let is_at = |revision| StreamNow::At(Revision(revision));
        assert_eq!(found, refused(&[(0, is_at(1)), (1, is_at(0)), (2, StreamNow::Missing)]));
        // Streams that are only looked at.
        assert_eq!(
            revisions(world.append(&[("a", at(1)), ("c", NONE), ("d", NONE)], &[(2, 4)])),
            [None, None, Some(0)]
        );
        assert!(world.shard("b").delete_stream(b"b", Expected::Any).is_ok());
        assert!(world.shard("d").end_stream(b"d", Expected::Any).is_ok());
        assert_eq!(
            world.append(&[("b", at(0)), ("d", ANY)], &[]),
            refused(&[(0, StreamNow::Deleted), (1, StreamNow::Ended)])
        );
        let both = [("b", Wanted::Deleted), ("d", Wanted::Ended), ("a", Wanted::Deleted)];
        assert_eq!(world.append(&both, &[]), refused(&[(2, is_at(1))]));
        assert_eq!(world.append(&both[..2], &[(1, 5)]), refused(&[(1, StreamNow::Ended)]));
        // A deleted stream is begun again.
        assert_eq!(revisions(world.append(&both[..2], &[(0, 5)])), [Some(1), None]);
        assert!(!world.shard("b").stream_state(b"b").metadata.is_deleted());
    }

    #[test]
    fn what_is_repeated_is_appended_once_and_a_part_of_it_is_refused() {
        let mut world = World::new(4);
        let (streams, events) = ([("a", NONE), ("b", ANY)], [(0, 1), (1, 2), (0, 3)]);
        let first = world.append(&streams, &events);
        assert_eq!(revisions(world.append(&[("a", ANY)], &[(0, 4)])), [Some(2)]);
        assert_eq!(world.append(&streams, &events), first);
        let part = world.append(&[("a", NONE), ("c", ANY)], &[(0, 1), (0, 3), (1, 7)]);
        assert_eq!(part, refused(&[(0, StreamNow::At(Revision(2)))]));
        assert_eq!(world.history(), [1, 2, 3, 4]);
    }

    #[test]
    fn what_is_too_large_for_one_shard_changes_none() {
        let mut world = World::new(2);
        let names: Vec<String> = (0..100).map(|n| format!("s{n}")).collect();
        let of = |shard| names.iter().find(|name| shard_of(name.as_bytes(), 2) == ShardId(shard)).expect("of 100");
        let (small, large) = (of(0).clone(), of(1).clone());
        let data = vec![b'x'; RING_BYTES_MIN as usize];
        let large_event = ClientEvent { data: &data, ..event(2) };
        let streams = [(small.as_bytes(), ANY), (large.as_bytes(), ANY)];
        let found = world.shards().append_events(&streams, &[(0, event(1)), (1, large_event)]);
        assert!(matches!(found, Err(EventsRefused::Shard(Refusal::ChangeTooLarge { .. }))), "{found:?}");
        assert!(world.history().is_empty());
    }
}
