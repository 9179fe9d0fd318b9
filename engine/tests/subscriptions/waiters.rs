//! Watchers, tested in many small worlds: each is woken when there is an event of its interest, in whatever order shards
//! publish, fan out, answer and skip records; and none is woken for an event of others.

use crate::model::Wanted;
use crate::{Seed, number};
use keytide_engine::fanout::{Ask, Fanned, Fanout, Notice};
use keytide_engine::filter::{Filter, Pattern, Target};
use keytide_engine::history::{History, Scan};
use keytide_engine::interest::{Interest, Source};
use keytide_engine::limits::SubscriptionLimits;
use keytide_engine::position::{Position, ShardId};
use keytide_engine::ring;
use keytide_engine::sequencer::Sequencer;
use keytide_engine::shard::Shard;
use keytide_engine::shards::Shards;
use keytide_engine::slot::shard_of;
use keytide_engine::subscription::{ClientId, Hub, OnGap, Outlet, Push, Reading, Start, Subscribe, WatcherId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

const KEYS: [&str; 7] = ["user:1", "user:13", "order-3", "$sys", "plain", "er:x", "nobody"];

/// The outlet of subscribers that only share interests with the watchers. Drops their messages.
struct Deaf;

impl Outlet for Deaf {
    fn has_room(&mut self, _: ClientId) -> bool {
        true
    }

    fn push(&mut self, _: ClientId, _: u64, _: Push<'_>) {}

    fn begin_shared(&mut self, _: &[ClientId], _: u64) {}

    fn push_shared(&mut self, _: Push<'_>) {}

    fn end_shared(&mut self) {}
}

/// A blocked read.
struct Waiter {
    interest: Arc<Interest>,
    /// The position where it began.
    start: Position,
    cursor: Position,
    /// Whether it was woken.
    reads: bool,
}

enum Message {
    Ask(Ask),
    Fanned(Box<Fanned>),
}

struct Core {
    shard: Shard,
    fanout: Fanout,
    hub: Hub,
    history: History,
    waiters: BTreeMap<u64, Waiter>,
}

#[derive(Debug, Default)]
struct Counts {
    answered: u64,
    gaps: u64,
    in_vain: u64,
    lost: u64,
    demoted: u64,
}

struct World {
    cores: Vec<Core>,
    lanes: Vec<Vec<VecDeque<Message>>>,
    lane_max: usize,
    /// How far the frontier of reads lies below that of the last merge: the frontier may step back.
    lag: u64,
    next_id: u64,
    counts: Counts,
}

impl World {
    fn new(shards: u16, ring_bytes: u64, lane_max: usize) -> World {
        let sequencer = Arc::new(Sequencer::new(Position(5000), shards as usize));
        let ring = |_| ring::create(ring_bytes).expect("there is memory for a small ring");
        let (writers, rings): (Vec<_>, Vec<_>) = (0..shards).map(ring).unzip();
        let core = |(id, writer)| Core {
            shard: Shard::new(ShardId(id), sequencer.clone(), Some(writer), 100),
            fanout: Fanout::new(ShardId(id), shards),
            hub: Hub::new(&rings, SubscriptionLimits::default()),
            history: History::new(sequencer.clone(), &rings),
            waiters: BTreeMap::new(),
        };
        let lanes = (0..shards).map(|_| (0..shards).map(|_| VecDeque::new()).collect()).collect();
        let cores = (0..shards).zip(writers).map(core).collect();
        World { cores, lanes, lane_max, lag: 0, next_id: 0, counts: Counts::default() }
    }

    fn step(&mut self, rng: &mut fastrand::Rng) {
        let (core, other) = (rng.usize(..self.cores.len()), rng.usize(..self.cores.len()));
        self.lag = if rng.u8(..3) == 0 { rng.u64(1..6) } else { 0 };
        match rng.u8(..40) {
            0..8 => self.write(KEYS[rng.usize(..KEYS.len())]),
            8..13 => _ = self.cores[core].shard.commit(),
            13..18 => self.fan_out(core, rng.u8(..40) == 0),
            18..24 => _ = self.deliver(core, other),
            24..31 => _ = self.turn(core, rng.u8(..4) > 0, rng.usize(..3)),
            31..34 => self.run_waiters(core),
            34..38 => self.begin_waiting(rng, core),
            38 => self.subscribe(rng, core),
            _ => match rng.u8(..8) {
                0 => self.flush(),
                1 => (0..rng.usize(10..80)).for_each(|_| {
                    self.write(KEYS[rng.usize(..KEYS.len())]);
                    self.cores.iter_mut().for_each(|core| _ = core.shard.commit());
                }),
                // A client disconnects.
                _ => {
                    let Core { waiters, hub, .. } = &mut self.cores[core];
                    if let Some((id, _)) = waiters.pop_first() {
                        hub.unwatch(WatcherId(id));
                    }
                }
            },
        }
    }

    fn write(&mut self, key: &str) {
        let owner = shard_of(key.as_bytes(), self.cores.len() as u16);
        let shard = &mut self.cores[owner.0 as usize].shard;
        shard.make_room();
        shard.set(key.as_bytes(), b"value").expect("a small value");
    }

    fn flush(&mut self) {
        self.cores.iter_mut().for_each(|core| _ = core.shard.commit());
        let total = self.cores.len() as u16;
        let (mut shards, rest): (Vec<Box<Shard>>, Vec<_>) = std::mem::take(&mut self.cores)
            .into_iter()
            .map(|core| (Box::new(core.shard), (core.fanout, core.hub, core.history, core.waiters)))
            .unzip();
        Shards::Several { shards: &mut shards, total }.flush();
        let core = |(shard, (fanout, hub, history, waiters)): (Box<Shard>, _)| Core {
            shard: *shard,
            fanout,
            hub,
            history,
            waiters,
        };
        self.cores = shards.into_iter().zip(rest).map(core).collect();
    }

    /// Fans out a shard's records. The shard may demote an interest.
    fn fan_out(&mut self, core: usize, demotes: bool) {
        let World { cores, lanes, lane_max, counts, .. } = self;
        let Core { fanout, shard, .. } = &mut cores[core];
        let batches = fanout.turn(shard, |to| lanes[core][to.0 as usize].len() >= *lane_max);
        for (to, mut batch) in batches {
            counts.lost += u64::from(batch.has_lost);
            let live = batch.notices.iter().find_map(|notice| match notice {
                Notice::Live { number, .. } => Some(*number),
                Notice::Demoted { .. } | Notice::Revision { .. } => None,
            });
            if let Some(number) = live.filter(|_| demotes) {
                batch.notices.push(Notice::Demoted { number });
                fanout.ask(to, Ask::Remove { number });
                counts.demoted += 1;
            }
            lanes[core][to.0 as usize].push_back(Message::Fanned(batch));
        }
    }

    fn deliver(&mut self, from: usize, to: usize) -> bool {
        let Some(message) = self.lanes[from][to].pop_front() else { return false };
        match message {
            Message::Ask(ask) => self.cores[to].fanout.ask(ShardId(from as u16), ask),
            Message::Fanned(batch) => self.cores[to].hub.receive(ShardId(from as u16), batch, &mut Deaf),
        }
        true
    }

    fn turn(&mut self, core: usize, delivers_live: bool, mut slices: usize) -> bool {
        let Core { hub, history, waiters, .. } = &mut self.cores[core];
        let again = hub.turn(history, &mut Deaf, delivers_live, |_: Reading| {
            let may = slices > 0;
            slices = slices.saturating_sub(1);
            may
        });
        for WatcherId(id) in hub.take_woken() {
            if let Some(waiter) = waiters.get_mut(&id) {
                waiter.reads = true;
            }
        }
        self.pass_asks(core) || again
    }

    fn pass_asks(&mut self, core: usize) -> bool {
        let asks = self.cores[core].hub.take_asks();
        let any = !asks.is_empty();
        asks.into_iter().for_each(|(shard, ask)| self.lanes[core][shard.0 as usize].push_back(Message::Ask(ask)));
        any
    }

    fn begin_waiting(&mut self, rng: &mut fastrand::Rng, core: usize) {
        let filter = Wanted::ALL[rng.usize(..Wanted::ALL.len())];
        let interest = Arc::new(Interest { source: Source::All, filter: filter.filter() });
        self.wait_for(core, interest);
    }

    fn wait_for(&mut self, core: usize, interest: Arc<Interest>) {
        let Core { history, waiters, .. } = &mut self.cores[core];
        let start = history.head().next();
        waiters.insert(self.next_id, Waiter { interest, start, cursor: start, reads: true });
        self.next_id += 1;
    }

    fn subscribe(&mut self, rng: &mut fastrand::Rng, core: usize) {
        let filter = Wanted::ALL[rng.usize(..Wanted::ALL.len())];
        let interest = Interest { source: Source::All, filter: filter.filter() };
        let (start, on_gap) = (Start::End, OnGap::Skip);
        let wanted = Subscribe { start, checkpoint_events: None, on_gap, ..Subscribe::to(interest) };
        let Core { hub, history, .. } = &mut self.cores[core];
        let client = ClientId(rng.u64(..2));
        if rng.bool() {
            hub.close_client(client);
        } else {
            // The maximum may have been reached.
            let _ = hub.subscribe(client, wanted, history);
        }
        self.pass_asks(core);
    }

    /// Lets the woken watchers read, as waiting commands do.
    fn run_waiters(&mut self, core: usize) {
        let Core { hub, history, waiters, .. } = &mut self.cores[core];
        let ready: Vec<u64> = waiters.iter().filter(|(_, waiter)| waiter.reads).map(|(id, _)| *id).collect();
        for id in ready {
            let waiter = waiters.get_mut(&id).expect("it is there");
            if let Some(passed) = hub.passed(WatcherId(id)) {
                assert_eq!(passed.start, waiter.cursor);
                waiter.cursor = passed.end;
            }
            let found = first(history, waiter.start, waiter.cursor, &waiter.interest.filter);
            let until = Position(history.frontier().0.saturating_sub(self.lag)).max(waiter.cursor);
            match read_until(history, waiter.cursor, until, &waiter.interest.filter) {
                Read::Nothing(next) => {
                    assert_eq!(found, None, "passed over, between {} and {next}", waiter.start);
                    self.counts.in_vain += 1;
                    (waiter.cursor, waiter.reads) = (next, false);
                    waiter.interest = hub.watch(WatcherId(id), waiter.interest.clone(), next);
                    continue;
                }
                Read::Gap => self.counts.gaps += 1,
                Read::Event(_) => {
                    assert_eq!(found, None, "passed over, from {}", waiter.start);
                    self.counts.answered += 1;
                }
            }
            waiters.remove(&id);
            hub.unwatch(WatcherId(id));
        }
        self.pass_asks(core);
    }

    /// Runs all parts until nothing is under way.
    fn settle(&mut self) {
        self.lag = 0;
        for _ in 0..10_000 {
            let mut again = false;
            for core in 0..self.cores.len() {
                again |= self.cores[core].shard.commit();
                self.run_waiters(core);
                self.fan_out(core, false);
                for other in 0..self.cores.len() {
                    while self.deliver(other, core) {
                        again = true;
                    }
                }
                again |= self.turn(core, true, 3);
                again |= self.cores[core].waiters.values().any(|waiter| waiter.reads);
                again |= self.cores[core].fanout.has_unsent();
            }
            if !again && self.lanes.iter().flatten().all(VecDeque::is_empty) {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    /// Checks that no watcher waits although there is an event for it.
    fn check(&mut self) {
        for Core { history, waiters, hub, .. } in &mut self.cores {
            for (id, waiter) in waiters {
                let passed = hub.passed(WatcherId(*id)).expect("it waits");
                assert!(passed.end >= history.frontier(), "{passed:?}");
                match read(history, waiter.start, &waiter.interest.filter) {
                    Read::Event(position) => panic!("{position} was missed from {} on", waiter.start),
                    // Events that are gone were examined before.
                    Read::Nothing(_) | Read::Gap => {}
                }
            }
        }
    }
}

enum Read {
    Event(Position),
    Gap,
    Nothing(Position),
}

fn read(history: &mut History, cursor: Position, filter: &Filter) -> Read {
    read_until(history, cursor, history.frontier(), filter)
}

fn read_until(history: &mut History, cursor: Position, until: Position, filter: &Filter) -> Read {
    let (source, records) = (&Source::All, usize::MAX);
    let mut found = None;
    let scan = Scan { cursor, until: Some(until), count: 1, bytes: 1, records, source, filter };
    let page = history.scan(&scan, |_, _, record| {
        found = Some(record.position());
        1
    });
    match found {
        Some(position) => Read::Event(position),
        None if page.gap.is_some() => Read::Gap,
        None => Read::Nothing(page.next),
    }
}

/// The first available event between two positions that a filter wants.
fn first(history: &mut History, from: Position, to: Position, filter: &Filter) -> Option<Position> {
    match read(history, from.max(history.first_available()), filter) {
        Read::Event(position) if position < to => Some(position),
        _ => None,
    }
}

#[test]
fn every_watcher_is_woken_in_any_order_of_steps() {
    let (first, cases) = (number("KEYTIDE_SEED", 1), number("KEYTIDE_CASES", 2_000));
    let mut all = Counts::default();
    for seed in first..first + cases {
        let _seed = Seed(seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        let shards = [1, 2, 3, 8][rng.usize(..4)];
        let ring_bytes = if rng.bool() { 4096 } else { 65_536 };
        let mut world = World::new(shards, ring_bytes, rng.usize(1..6));
        for _ in 0..rng.usize(20..600) {
            world.step(&mut rng);
        }
        world.settle();
        world.check();
        let Counts { answered, gaps, in_vain, lost, demoted } = world.counts;
        all.answered += answered;
        all.gaps += gaps;
        all.in_vain += in_vain;
        all.lost += lost;
        all.demoted += demoted;
    }
    println!("{all:?}");
    if cases >= 1_000 {
        let Counts { answered, gaps, in_vain, lost, demoted } = all;
        assert!([answered, gaps, in_vain, lost, demoted].iter().all(|count| *count > 0), "{all:?}");
    }
}

#[test]
fn no_watcher_is_woken_for_events_of_others() {
    for shards in [1, 2, 3, 8] {
        let mut world = World::new(shards, 65_536, 100);
        let prefix = Pattern::prefixes([&b"nobody"[..]]).expect("it is one");
        let nobody = Filter::new(Target::Stream, prefix, false);
        let nobody = Arc::new(Interest { source: Source::All, filter: nobody });
        for core in 0..world.cores.len() {
            (0..10).for_each(|_| world.wait_for(core, nobody.clone()));
        }
        world.settle();
        let looks = world.counts.in_vain;
        for round in 0..500 {
            world.write(KEYS[round % 6]);
            world.settle();
        }
        assert_eq!(world.counts.in_vain, looks, "{shards}");
        assert!(world.cores.iter().all(|core| !core.hub.waits_for_publication()));
        world.write("nobody");
        world.settle();
        assert_eq!((world.counts.answered, world.counts.in_vain), (10 * u64::from(shards), looks));
        // The shards have no live interest any more.
        world.settle();
        assert!(world.cores.iter().all(|core| core.fanout.is_idle() && core.hub.is_idle()));
    }
}
