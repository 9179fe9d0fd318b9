//! Groups against a plain model: real shards and rings, any order of writes, reads, acknowledgements and time.

#![expect(clippy::vec_box, reason = "commands over several shards take them boxed, as they are lent")]

use super::journal_tests::{dump, keep_changes, restored, whole};
use super::*;
use crate::position::ShardId;
use crate::ring;
use crate::sequencer::Sequencer;
use crate::shard::Shard;
use crate::shards::Shards;
use proptest::prelude::*;
use std::sync::Arc;

pub(super) const IDLE_MS: u64 = 100;
const RING_BYTES: u64 = 1024;

/// A server without cores: its shards, its history, a clock and one group.
pub(super) struct World {
    shards: Vec<Box<Shard>>,
    pub(super) history: History,
    pub(super) now_ms: u64,
    pub(super) group: Group,
    /// The group's journal: its state when the journal was last begun, and the changes since.
    journal: Vec<u8>,
    model: Model,
}

/// A plain model of the group.
struct Model {
    options: GroupOptions,
    cursor: u64,
    /// Every event that passes the glob, by position.
    events: BTreeMap<u64, Event>,
}

#[derive(Clone, Debug)]
struct Event {
    /// The shard that recorded it, none for a flush; and the shard where the group has found it.
    shard: Option<usize>,
    place: Option<usize>,
    state: State,
    owner: Option<u8>,
    deliveries: u32,
    delivered_ms: u64,
    due_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Pending,
    Parked,
    Acknowledged,
    Lost,
}

#[derive(Clone, Debug)]
pub(super) enum Op {
    Write {
        key: u8,
        bytes: usize,
    },
    Flush,
    Read {
        consumer: u8,
        count: usize,
    },
    Ack(Vec<usize>),
    Nack(Nack, Vec<usize>),
    Claim {
        consumer: u8,
        min_idle_ms: u64,
        which: Vec<usize>,
    },
    Replay(Option<Vec<usize>>),
    RemoveConsumer(u8),
    Wait(u64),
    /// Everything but the journal is lost. The journal is begun anew, or continued.
    Restart {
        anew: bool,
    },
}

/// What a sink saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Gap(u64, Option<u64>),
    Event(u64),
}

fn seen(row: Row<'_>) -> Seen {
    match row {
        Row::Gap { last, lost } => Seen::Gap(last.0, lost),
        Row::Event(record) => Seen::Event(record.position().0),
    }
}

pub(super) fn history_and_shards(shards: usize) -> (Vec<Box<Shard>>, History) {
    history_and_shards_of(shards, RING_BYTES)
}

pub(super) fn history_and_shards_of(shards: usize, ring_bytes: u64) -> (Vec<Box<Shard>>, History) {
    let sequencer = Arc::new(Sequencer::new(Position(1000), shards));
    let (writers, rings): (Vec<_>, Vec<_>) = (0..shards).map(|_| ring::create(ring_bytes).unwrap()).unzip();
    let shard = |(id, writer)| Box::new(Shard::new(ShardId(id as u16), sequencer.clone(), Some(writer), 16));
    (writers.into_iter().enumerate().map(shard).collect(), History::new(sequencer.clone(), &rings))
}

impl World {
    pub(super) fn new(glob: &[u8], options: GroupOptions) -> World {
        let (shards, history) = history_and_shards(2);
        let group = Group::new(glob, Start::At(Position(0)), options, &history).unwrap();
        let model = Model { options, cursor: 1000, events: BTreeMap::new() };
        let mut world = World { shards, history, now_ms: 1_000_000, group, journal: Vec::new(), model };
        world.write_anew();
        world
    }

    pub(super) fn journal(&self) -> &[u8] {
        &self.journal
    }

    /// Starts a new journal.
    fn write_anew(&mut self) {
        self.group.changes.start(self.group.cursor);
        self.journal = whole(&self.group);
    }

    /// Restores the group from its journal, as after a crash.
    fn restart(&mut self, anew: bool) {
        let restored = restored(&self.journal);
        assert_eq!(dump(&restored), dump(&self.group));
        // Passing over events of others may not have been noted.
        assert!(restored.cursor <= self.group.cursor);
        let cursor = restored.cursor.0.max(1000);
        let passed = self.model.events.range(cursor..self.model.cursor.max(cursor));
        assert_eq!(passed.filter(|(_, event)| event.state == State::New).count(), 0);
        (self.group, self.model.cursor) = (restored, cursor);
        let open = |event: &&mut Event| matches!(event.state, State::Pending | State::Parked);
        for event in self.model.events.values_mut().filter(open) {
            event.place = event.shard;
        }
        self.group.changes.start(self.group.cursor);
        if anew {
            self.write_anew();
        }
    }

    /// Keys 0 to 3 pass the glob; they alternate between the shards.
    pub(super) fn write(&mut self, key: u8, bytes: usize) {
        let shard = usize::from(key % 2);
        let passes = key < 4;
        let name = format!("{}{key}", if passes { "a" } else { "b" });
        self.shards[shard].set_now_ms(self.now_ms);
        self.shards[shard].set(name.as_bytes(), &vec![b'x'; bytes]).unwrap();
        self.shards[shard].commit();
        if passes {
            self.note_event(Some(shard));
        }
    }

    pub(super) fn flush(&mut self) {
        Shards::Several { shards: &mut self.shards, total: 2 }.flush();
        self.note_event(None);
    }

    fn note_event(&mut self, shard: Option<usize>) {
        // A flush, which every shard records, is first found in the first shard.
        let place = Some(shard.unwrap_or(0));
        let event =
            Event { shard, place, state: State::New, owner: None, deliveries: 0, delivered_ms: 0, due_ms: u64::MAX };
        self.model.events.insert(self.history.head().0, event);
    }

    /// The highest position that each shard's ring has lost.
    fn evicted(&self) -> Vec<Option<u64>> {
        self.history.shards().iter().map(|shard| shard.ring().evicted_through().map(|position| position.0)).collect()
    }

    pub(super) fn read(&mut self, consumer: u8, count: usize) -> (GroupRead, Vec<Seen>) {
        let mut rows = Vec::new();
        let sink = |row: Row<'_>| {
            rows.push(seen(row));
            1
        };
        let read = self.group.read(&[consumer], count, u64::MAX, self.now_ms, &mut self.history, sink).unwrap();
        (read, rows)
    }

    fn positions(&self, which: &[usize]) -> Vec<Position> {
        let all: Vec<u64> = self.model.events.keys().copied().collect();
        let pick = |index: &usize| if all.is_empty() { 7 } else { all[all.len() - 1 - index % all.len()] };
        which.iter().map(|index| Position(pick(index))).collect()
    }

    pub(super) fn run(&mut self, op: &Op) {
        match op {
            Op::Write { key, bytes } => self.write(*key, *bytes),
            Op::Flush => self.flush(),
            Op::Wait(ms) => self.now_ms += ms,
            Op::Read { consumer, count } => {
                let evicted = self.evicted();
                let next = self.history.head().next().0;
                let expected = self.model.read(*consumer, *count, self.now_ms, &evicted, next);
                let (read, rows) = self.read(*consumer, *count);
                assert_eq!(rows, expected);
                let events = expected.iter().filter(|row| matches!(row, Seen::Event(_))).count();
                assert_eq!((read.events, read.gaps), (events, expected.len() - events));
            }
            Op::Ack(which) => {
                let positions = self.positions(which);
                assert_eq!(self.group.ack(positions.clone()), self.model.ack(&positions));
            }
            Op::Nack(nack, which) => {
                let positions = self.positions(which);
                assert_eq!(self.group.nack(*nack, positions.clone()), self.model.nack(*nack, &positions));
            }
            Op::Claim { consumer, min_idle_ms, which } => {
                let (positions, evicted) = (self.positions(which), self.evicted());
                let expected = self.model.claim(*consumer, *min_idle_ms, &positions, self.now_ms, &evicted);
                let mut rows = Vec::new();
                let sink = |row: Row<'_>| {
                    rows.push(seen(row));
                    1
                };
                let (now_ms, history) = (self.now_ms, &mut self.history);
                self.group.claim(&[*consumer], *min_idle_ms, positions, u64::MAX, now_ms, history, sink).unwrap();
                assert_eq!(rows, expected);
            }
            Op::Replay(which) => {
                let positions = which.as_ref().map(|which| self.positions(which));
                assert_eq!(self.group.replay(positions.as_deref()), self.model.replay(positions.as_deref()));
            }
            Op::RemoveConsumer(consumer) => {
                let held = self.group.remove_consumer(&[*consumer]).unwrap_or(0);
                assert_eq!(held, self.model.remove_consumer(*consumer));
            }
            Op::Restart { anew } => self.restart(*anew),
        }
        keep_changes(&mut self.group, &mut self.journal);
        self.check();
    }

    /// The lists agree with the model.
    fn check(&self) {
        self.group.pending.assert_consistent();
        for (state, rows) in [
            (State::Pending, self.group.pending(self.now_ms).collect::<Vec<_>>()),
            (State::Parked, self.group.parked(self.now_ms).collect()),
        ] {
            let expected = self.model.events.iter().filter(|(_, event)| event.state == state);
            let expected = expected.map(|(position, event)| {
                let consumer = event.owner.map(|owner| vec![owner]).unwrap_or_default();
                (*position, consumer, event.deliveries, self.now_ms - event.delivered_ms)
            });
            let rows = rows.iter().map(|row| (row.position.0, row.consumer.to_vec(), row.deliveries, row.idle_ms));
            assert!(
                rows.clone().eq(expected.clone()),
                "{:?} {:?}",
                rows.collect::<Vec<_>>(),
                expected.collect::<Vec<_>>()
            );
        }
        let held: usize = self.group.consumers(self.now_ms).iter().map(|consumer| consumer.pending).sum();
        let owned = self.model.events.values().filter(|event| event.state == State::Pending && event.owner.is_some());
        assert_eq!(held, owned.count());
    }
}

impl Model {
    /// Whether no shard still has the event: the one where it was found, or any if it was not found yet.
    fn is_lost(event: &mut Event, position: u64, evicted: &[Option<u64>]) -> bool {
        let has = |shard: &usize| evicted[*shard].is_none_or(|last| last < position);
        event.place = event.place.or_else(|| (0..evicted.len()).find(has));
        !event.place.as_ref().is_some_and(has)
    }

    fn give(&mut self, position: u64, consumer: u8, now_ms: u64) {
        let idle_ms = self.options.idle_ms;
        let event = self.events.get_mut(&position).unwrap();
        event.state = State::Pending;
        event.owner = Some(consumer);
        event.deliveries += 1;
        event.delivered_ms = now_ms;
        event.due_ms = now_ms + idle_ms;
    }

    /// Gives these pending entries, parks the spent ones, drops the lost ones; at most `count`.
    fn give_again(
        &mut self,
        positions: &[u64],
        consumer: u8,
        count: usize,
        now_ms: u64,
        evicted: &[Option<u64>],
    ) -> Vec<Seen> {
        let (mut rows, mut events) = (Vec::new(), 0);
        for &position in positions {
            if events == count {
                break;
            }
            let max = self.options.max_deliveries;
            let event = self.events.get_mut(&position).unwrap();
            if max != 0 && event.deliveries >= max {
                event.state = State::Parked;
            } else if Model::is_lost(event, position, evicted) {
                event.state = State::Lost;
                match rows.last_mut() {
                    Some(Seen::Gap(last, Some(lost))) => (*last, *lost) = (position, *lost + 1),
                    _ => rows.push(Seen::Gap(position, Some(1))),
                }
            } else {
                self.give(position, consumer, now_ms);
                rows.push(Seen::Event(position));
                events += 1;
            }
        }
        rows
    }

    fn read(&mut self, consumer: u8, count: usize, now_ms: u64, evicted: &[Option<u64>], next: u64) -> Vec<Seen> {
        let due = self.events.iter().filter(|(_, event)| event.state == State::Pending && event.due_ms <= now_ms);
        let due: Vec<u64> = due.map(|(position, _)| *position).collect();
        let mut rows = self.give_again(&due, consumer, count, now_ms, evicted);
        let events = rows.iter().filter(|row| matches!(row, Seen::Event(_))).count();
        let pending = self.events.values().filter(|event| event.state == State::Pending).count();
        let wanted = (count - events).min(self.options.max_pending.saturating_sub(pending));
        if wanted == 0 {
            return rows;
        }
        if let Some(last) = evicted.iter().flatten().max().filter(|last| **last >= self.cursor) {
            rows.push(Seen::Gap(*last, Some(last + 1 - self.cursor)));
            for (_, event) in self.events.range_mut(self.cursor..=*last) {
                event.state = State::Lost;
            }
            self.cursor = last + 1;
        }
        let new: Vec<u64> = self.events.range(self.cursor..).map(|(position, _)| *position).take(wanted).collect();
        for &position in &new {
            self.give(position, consumer, now_ms);
            rows.push(Seen::Event(position));
        }
        self.cursor = if new.len() == wanted { new[wanted - 1] + 1 } else { next };
        rows
    }

    fn pending(&mut self, position: &Position) -> Option<&mut Event> {
        self.events.get_mut(&position.0).filter(|event| event.state == State::Pending)
    }

    fn ack(&mut self, positions: &[Position]) -> usize {
        let mut removed = 0;
        for position in positions {
            if let Some(event) = self.events.get_mut(&position.0)
                && matches!(event.state, State::Pending | State::Parked)
            {
                event.state = State::Acknowledged;
                removed += 1;
            }
        }
        removed
    }

    fn nack(&mut self, nack: Nack, positions: &[Position]) -> usize {
        let mut done = 0;
        match nack {
            Nack::Skip => done = self.ack(positions),
            Nack::Park => {
                for position in positions {
                    if let Some(event) = self.pending(position) {
                        event.state = State::Parked;
                        done += 1;
                    }
                }
            }
            Nack::Retry => {
                for position in positions {
                    if let Some(event) = self.pending(position) {
                        (event.owner, event.due_ms) = (None, 0);
                        done += 1;
                    }
                }
            }
        }
        done
    }

    fn claim(
        &mut self,
        consumer: u8,
        min_idle_ms: u64,
        positions: &[Position],
        now_ms: u64,
        evicted: &[Option<u64>],
    ) -> Vec<Seen> {
        let mut rows = Vec::new();
        for position in positions {
            let may = |event: &Event| event.owner.is_none() || now_ms - event.delivered_ms >= min_idle_ms;
            if self.pending(position).is_some_and(|event| may(event)) {
                let one = self.give_again(&[position.0], consumer, 1, now_ms, evicted);
                match (rows.last_mut(), &one[..]) {
                    (Some(Seen::Gap(last, Some(lost))), [Seen::Gap(next, _)]) => (*last, *lost) = (*next, *lost + 1),
                    _ => rows.extend(one),
                }
            }
        }
        rows
    }

    fn replay(&mut self, positions: Option<&[Position]>) -> usize {
        let mut replayed = 0;
        for (position, event) in &mut self.events {
            if event.state == State::Parked && positions.is_none_or(|list| list.contains(&Position(*position))) {
                (event.state, event.owner, event.deliveries, event.due_ms) = (State::Pending, None, 0, 0);
                replayed += 1;
            }
        }
        replayed
    }

    fn remove_consumer(&mut self, consumer: u8) -> usize {
        let mut held = 0;
        for event in self.events.values_mut().filter(|event| event.owner == Some(consumer)) {
            held += usize::from(event.state == State::Pending);
            (event.owner, event.due_ms) = (None, 0);
        }
        held
    }
}

fn some_entries() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(0..24_usize, 0..6)
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let consumer = || 0..3_u8;
    let nack = prop_oneof![Just(Nack::Retry), Just(Nack::Park), Just(Nack::Skip)];
    prop_oneof![
        8 => (0..6_u8, 0..120_usize).prop_map(|(key, bytes)| Op::Write { key, bytes }),
        1 => Just(Op::Flush),
        8 => (consumer(), 1..8_usize).prop_map(|(consumer, count)| Op::Read { consumer, count }),
        3 => some_entries().prop_map(Op::Ack),
        2 => (nack, some_entries()).prop_map(|(nack, which)| Op::Nack(nack, which)),
        2 => (consumer(), prop_oneof![Just(0), Just(IDLE_MS / 2), Just(IDLE_MS)], some_entries())
            .prop_map(|(consumer, min_idle_ms, which)| Op::Claim { consumer, min_idle_ms, which }),
        1 => proptest::option::of(some_entries()).prop_map(Op::Replay),
        1 => consumer().prop_map(Op::RemoveConsumer),
        3 => (1..IDLE_MS + 20).prop_map(Op::Wait),
        2 => proptest::bool::ANY.prop_map(|anew| Op::Restart { anew }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn every_event_is_delivered_or_reported_lost_and_redelivered_only_for_a_reason(
        ops in proptest::collection::vec(op(), 0..120),
        max_deliveries in 0..4_u32,
        max_pending in prop_oneof![Just(6_usize), Just(1000)],
    ) {
        let mut world = World::new(b"a*", GroupOptions { idle_ms: IDLE_MS, max_deliveries, max_pending });
        for op in &ops {
            world.run(op);
        }
        // After all is read and acknowledged, no event is left that was neither delivered nor reported.
        world.now_ms += IDLE_MS;
        world.run(&Op::Replay(None));
        for _ in 0..world.model.events.len() + 4 {
            world.run(&Op::Read { consumer: 0, count: 5 });
            let held: Vec<Position> = world.group.pending(world.now_ms).map(|row| row.position).collect();
            prop_assert_eq!(world.group.ack(held.clone()), world.model.ack(&held));
            world.run(&Op::Replay(None));
        }
        let open = |event: &Event| !matches!(event.state, State::Acknowledged | State::Lost);
        prop_assert_eq!(world.model.events.values().filter(|event| open(event)).count(), 0);
        prop_assert_eq!(world.group.info().cursor, world.history.head().next());
    }
}
