//! Attached consumers against a plain model: real shards and rings, any order of writes, rounds, acknowledgements, time,
//! and ends of consumers and of the server.

#![expect(clippy::vec_box, reason = "as in `model`")]

use super::model::history_and_shards_of;
use super::*;
use crate::shard::Shard;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use std::collections::HashMap;

const IDLE_MS: u64 = 2_000;
const KEY: &[u8] = b"*";
const NAME: &[u8] = b"g";

#[derive(Clone, Debug)]
enum Op {
    Write {
        stream: u8,
    },
    Attach {
        who: u8,
        window: usize,
    },
    Detach(u8),
    Open(u8),
    Round {
        bytes: u64,
    },
    Ack(Vec<usize>),
    Nack(Nack, Vec<usize>),
    /// A consumer that is not attached reads, and acknowledges at once.
    Read(usize),
    Replay,
    Wait(u64),
    Restart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be delivered.
    Due,
    /// Delivered to a consumer, by this time to be acknowledged.
    InFlight(u8, u64),
    Parked,
    Done,
}

struct Event {
    stream: u8,
    state: State,
    deliveries: u32,
}

struct World {
    shards: Vec<Box<Shard>>,
    history: History,
    table: GroupTable,
    journal: Vec<u8>,
    now_ms: u64,
    options: GroupOptions,
    push: PushOptions,
    /// Those that are attached, with their windows, and whether they take more.
    attached: HashMap<u8, (ConsumerId, usize, bool)>,
    events: BTreeMap<u64, Event>,
    /// The last position that was given of each stream for the first time.
    newest: HashMap<u8, u64>,
}

impl World {
    fn new(options: GroupOptions, push: PushOptions) -> World {
        let (shards, history) = history_and_shards_of(2, 1 << 20);
        let mut table = GroupTable::default();
        table.start_journal();
        let spec = GroupSpec { push, ..GroupSpec::default() };
        let made = Some((spec, by_keys(KEY).unwrap()));
        table.create_made(None, (KEY, NAME), Start::At(Position(0)), options, made, &history).unwrap();
        let (attached, newest) = (HashMap::new(), HashMap::new());
        let (mut journal, events, now_ms) = (Vec::new(), BTreeMap::new(), 1_000_000);
        table.write_changes(&mut journal);
        World { shards, history, table, journal, now_ms, options, push, attached, events, newest }
    }

    fn group(&mut self) -> &mut Group {
        self.table.get_mut(KEY, NAME).unwrap()
    }

    /// The positions of some events.
    fn some(&self, which: &[usize]) -> Vec<Position> {
        which.iter().filter_map(|at| self.events.keys().nth(*at).map(|position| Position(*position))).collect()
    }

    fn time_out(&mut self) {
        for event in self.events.values_mut() {
            if matches!(event.state, State::InFlight(_, due_ms) if due_ms <= self.now_ms) {
                event.state = State::Due;
            }
        }
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Write { stream } => {
                let shard = usize::from(*stream) % 2;
                self.shards[shard].set_now_ms(self.now_ms);
                self.shards[shard].set(&[b'a' + *stream], b"x").unwrap();
                self.shards[shard].commit();
                let position = self.history.head();
                self.events.insert(position.0, Event { stream: *stream, state: State::Due, deliveries: 0 });
            }
            Op::Attach { who, window } => {
                let (now_ms, max) = (self.now_ms, self.push.max_seats as usize);
                let (is_known, count) = (self.attached.contains_key(who), self.attached.len());
                match self.group().attach(&[*who], *window, now_ms) {
                    Ok(id) => {
                        assert!(!is_known && (max == 0 || count < max));
                        self.attached.insert(*who, (id, *window, true));
                    }
                    Err(GroupError::Attached) => assert!(is_known),
                    Err(GroupError::TooManySeats { .. }) => assert_eq!(count, max),
                    Err(error) => panic!("{error}"),
                }
            }
            Op::Detach(who) => {
                if let Some((id, ..)) = self.attached.remove(who) {
                    self.group().detach(id);
                    self.release(*who);
                }
            }
            Op::Open(who) => {
                if let Some((id, _, is_open)) = self.attached.get_mut(who) {
                    *is_open = true;
                    let id = *id;
                    self.group().set_open(id, true);
                }
            }
            Op::Round { bytes } => self.round(*bytes),
            Op::Ack(which) => {
                let positions = self.some(which);
                self.group().ack(positions.clone());
                self.set(&positions, State::Done, |state| {
                    state == State::Parked || matches!(state, State::InFlight(..))
                });
                // An event that was never delivered is pending where it waits for its consumer.
                let gone = |world: &mut World, position: &Position| {
                    let group = world.group();
                    *position < group.cursor && group.pending.get(*position).is_none()
                };
                for position in &positions {
                    if gone(self, position) {
                        self.set(&[*position], State::Done, |state| state == State::Due);
                    }
                }
            }
            Op::Nack(nack, which) => {
                let positions = self.some(which);
                let pending: Vec<Position> =
                    positions.into_iter().filter(|position| self.group().pending.get(*position).is_some()).collect();
                self.group().nack(*nack, pending.clone());
                let state = match nack {
                    Nack::Retry => State::Due,
                    Nack::Park => State::Parked,
                    Nack::Skip => State::Done,
                };
                self.set(&pending, state, |state| state != State::Done);
            }
            Op::Read(count) => {
                self.time_out();
                let mut got = Vec::new();
                let World { table, history, now_ms, .. } = self;
                let group = table.get_mut(KEY, NAME).unwrap();
                let sink = |row: Row<'_>| {
                    if let Row::Event(record) = row {
                        got.push(record.position());
                    }
                    1
                };
                group.read(b"reads", *count, u64::MAX, *now_ms, history, sink).unwrap();
                group.ack(got.clone());
                self.set(&got, State::Done, |state| state == State::Due);
                self.note_parked();
            }
            Op::Replay => {
                self.group().replay(None);
                for event in self.events.values_mut().filter(|event| event.state == State::Parked) {
                    (event.state, event.deliveries) = (State::Due, 0);
                }
            }
            Op::Wait(ms) => self.now_ms += ms,
            Op::Restart => {
                let mut table = GroupTable::default();
                assert_eq!(table.replay(&self.journal, None).bytes, self.journal.len());
                let groups = table.iter().map(|(_, _, group)| group.spec().push).collect::<Vec<_>>();
                assert_eq!(groups, [self.push]);
                table.detach_all();
                table.start_journal();
                self.journal.clear();
                table.write_state(&mut self.journal);
                self.table = table;
                self.attached.clear();
                for event in self.events.values_mut().filter(|event| matches!(event.state, State::InFlight(..))) {
                    event.state = State::Due;
                }
            }
        }
        self.table.write_changes(&mut self.journal);
        self.check();
    }

    /// Sets the states of events whose present ones pass.
    fn set(&mut self, positions: &[Position], state: State, passes: impl Fn(State) -> bool) {
        for position in positions {
            if let Some(event) = self.events.get_mut(&position.0).filter(|event| passes(event.state)) {
                event.state = state;
            }
        }
    }

    fn release(&mut self, who: u8) {
        for event in self.events.values_mut() {
            if matches!(event.state, State::InFlight(holder, _) if holder == who) {
                event.state = State::Due;
            }
        }
    }

    /// Entries that are delivered too often are parked when they are looked at.
    fn note_parked(&mut self) {
        let max = self.options.max_deliveries;
        let parked: Vec<u64> = self.group().parked(0).map(|row| row.position.0).collect();
        for position in parked {
            let event = self.events.get_mut(&position).unwrap();
            if event.state == State::Due {
                assert!(
                    max != 0 && event.deliveries >= max,
                    "{position} is parked after {} deliveries",
                    event.deliveries
                );
                event.state = State::Parked;
            }
        }
    }

    fn round(&mut self, bytes: u64) {
        self.time_out();
        let mut given = Vec::new();
        let World { table, history, now_ms, .. } = self;
        let group = table.get_mut(KEY, NAME).unwrap();
        let done = group.distribute(bytes, *now_ms, history, |consumer, given_now| given.push((consumer, given_now)));
        let done = done.unwrap();
        assert_eq!((done.given, done.lost), (given.len(), None));
        for (id, Given { position, deliveries, place }) in &given {
            let (who, window) = {
                let (who, (_, window, is_open)) =
                    self.attached.iter().find(|(_, (other, ..))| other == id).expect("it is attached");
                assert!(*is_open, "it takes none at the moment");
                (*who, *window)
            };
            assert!(place.is_some());
            let event = self.events.get_mut(&position.0).unwrap();
            assert_eq!(event.state, State::Due, "{position} is given again without a reason");
            event.deliveries += 1;
            assert_eq!(event.deliveries, *deliveries);
            assert!(self.options.max_deliveries == 0 || *deliveries <= self.options.max_deliveries);
            event.state = State::InFlight(who, self.now_ms + IDLE_MS);
            let stream = event.stream;
            let in_flight = |event: &&Event| matches!(event.state, State::InFlight(holder, _) if holder == who);
            assert!(self.events.values().filter(in_flight).count() <= window);
            if self.push.dispatch.is_pinned() {
                let others = |event: &&Event| {
                    event.stream == stream && matches!(event.state, State::InFlight(holder, _) if holder != who)
                };
                assert_eq!(self.events.values().filter(others).count(), 0, "a stream is at two consumers");
                if *deliveries == 1 && self.newest.get(&stream).is_none_or(|newest| *newest < position.0) {
                    let before = self.events.range(..position.0).filter(|(_, event)| event.stream == stream);
                    let skipped =
                        before.filter(|(_, event)| event.deliveries == 0 && event.state == State::Due).count();
                    assert_eq!(skipped, 0, "{position} comes before an event of its stream that was never delivered");
                    self.newest.insert(stream, position.0);
                }
            }
        }
        for (other, _, is_open) in self.attached.values_mut() {
            *is_open &= given.iter().all(|(id, _)| id != other);
        }
        self.note_parked();
        // With room, nothing is kept back.
        if !self.push.dispatch.is_pinned() && !done.more {
            let due = self.events.values().filter(|event| event.state == State::Due).count();
            let room = self.attached.iter().filter(|(who, (_, window, is_open))| {
                let of = |event: &&Event| matches!(event.state, State::InFlight(holder, _) if holder == **who);
                *is_open && self.events.values().filter(of).count() < *window
            });
            assert!(room.count() == 0 || due == 0, "{due} events are kept back");
        }
    }

    /// The checkpoint passes only what is processed, and entries are what the model has.
    fn check(&mut self) {
        let now_ms = self.now_ms;
        let group = self.table.get(KEY, NAME).unwrap();
        group.pending.assert_consistent();
        let floor = group.info().floor;
        for (position, event) in &self.events {
            let is_open = matches!(event.state, State::Due | State::InFlight(..));
            assert!(
                !is_open || *position >= floor.0,
                "the checkpoint {floor} has passed {position}: {:?}",
                event.state
            );
        }
        let parked: Vec<u64> = group.parked(now_ms).map(|row| row.position.0).collect();
        let of_model = self.events.iter().filter(|(_, event)| event.state == State::Parked);
        assert_eq!(parked, of_model.map(|(position, _)| *position).collect::<Vec<_>>());
    }
}

fn some() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(0..30_usize, 0..6)
}

fn op() -> impl Strategy<Value = Op> {
    let who = || 0..4_u8;
    let nack = prop_oneof![Just(Nack::Retry), Just(Nack::Park), Just(Nack::Skip)];
    prop_oneof![
        8 => (0..5_u8).prop_map(|stream| Op::Write { stream }),
        3 => (who(), 1..5_usize).prop_map(|(who, window)| Op::Attach { who, window }),
        1 => who().prop_map(Op::Detach),
        5 => who().prop_map(Op::Open),
        8 => prop_oneof![Just(u64::MAX), Just(200)].prop_map(|bytes| Op::Round { bytes }),
        5 => some().prop_map(Op::Ack),
        2 => (nack, some()).prop_map(|(nack, which)| Op::Nack(nack, which)),
        1 => (1..4_usize).prop_map(Op::Read),
        1 => Just(Op::Replay),
        3 => (1..IDLE_MS + 500).prop_map(Op::Wait),
        1 => Just(Op::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]
    #[test]
    fn every_event_is_given_until_it_is_processed_and_the_checkpoint_waits_for_it(
        ops in proptest::collection::vec(op(), 0..150),
        dispatch in 0..4_usize,
        max_seats in 0..3_u32,
        max_deliveries in 0..4_u32,
        few_ahead in any::<bool>(),
    ) {
        let all = [Dispatch::RoundRobin, Dispatch::First, Dispatch::PinnedByStream, Dispatch::PinnedByCorrelation];
        let push = PushOptions { dispatch: all[dispatch], max_seats, ahead: if few_ahead { 3 } else { 500 } };
        let options = GroupOptions { idle_ms: IDLE_MS, max_deliveries, max_pending: 1_000 };
        let mut world = World::new(options, push);
        for op in &ops {
            world.run(op);
        }
        // One consumer that acknowledges everything gets all that is left.
        (0..4).for_each(|who| world.run(&Op::Detach(who)));
        world.run(&Op::Attach { who: 9, window: 1_000 });
        for _ in 0..world.events.len() + 4 {
            world.run(&Op::Open(9));
            world.run(&Op::Round { bytes: u64::MAX });
            world.run(&Op::Ack((0..world.events.len()).collect()));
            world.run(&Op::Replay);
            if world.events.values().all(|event| event.state == State::Done) {
                break;
            }
        }
        let open = world.events.values().filter(|event| event.state != State::Done).count();
        assert_eq!(open, 0, "events are left");
        let cursor = world.group().info().cursor;
        assert_eq!(cursor, world.history.head().next());
    }
}
