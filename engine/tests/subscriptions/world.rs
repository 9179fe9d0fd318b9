//! Shards, cores, lanes and clients of a small server, moved one step at a time.

use crate::clients::Clients;
use crate::model::{Event, SOURCES, Seen, Sent, Subscribed, Wanted};
use keytide_engine::event::CustomType;
use keytide_engine::fanout::{Ask, Fanned, Fanout};
use keytide_engine::history::History;
use keytide_engine::limits::SubscriptionLimits;
use keytide_engine::position::{Position, Revision, RingOffset, ShardId};
use keytide_engine::ring;
use keytide_engine::sequencer::Sequencer;
use keytide_engine::shard::{Expected, Shard};
use keytide_engine::shards::Shards;
use keytide_engine::slot::shard_of;
use keytide_engine::subscription::{ClientId, Hub, OnGap, OnSlow, Start, Subscribe};
use keytide_engine::turn::ClientEvent;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

const KEYS: [&str; 8] = ["user:1", "user:2", "user:13", "order-3", "order-4", "$sys", "plain", "er:x"];

/// A message from one core to another.
enum Message {
    Ask(Ask),
    Fanned(Box<Fanned>),
}

struct Core {
    shard: Shard,
    fanout: Fanout,
    hub: Hub,
    history: History,
    clients: Clients,
    /// The list of all events has this shard's events before here.
    listed: RingOffset,
}

pub struct World {
    sequencer: Arc<Sequencer>,
    cores: Vec<Core>,
    /// From core to core.
    lanes: HashMap<(usize, usize), VecDeque<Message>>,
    lane_max: usize,
    limits: SubscriptionLimits,
    events: Vec<Event>,
    subscribed: Vec<Subscribed>,
    resumed: u64,
    /// The positions that a power loss takes, and those before it that no reader has seen.
    lost: Option<Range<u64>>,
    unseen: Range<u64>,
}

/// The first position.
const FIRST: u64 = 5000;

/// A step takes fewer positions than this.
const STEP_POSITIONS: u64 = 200;

impl World {
    /// A world with this number of shards, or a drawn one.
    pub fn new(rng: &mut fastrand::Rng, shards: Option<u16>) -> World {
        let drawn = [1, 2, 3, 3, 8][rng.usize(..5)];
        let count = shards.unwrap_or(drawn);
        let ring_bytes = if rng.bool() { 4096 } else { 65_536 };
        let (queue_events, flush_members) = (rng.usize(1..12), rng.usize(1..8));
        let limits = SubscriptionLimits { per_client: 8, queue_events, queue_bytes: 900, flush_members };
        let lost_from = FIRST + STEP_POSITIONS + rng.u64(..80);
        let lost = rng.bool().then_some(lost_from..lost_from + 20);
        let ranges: Vec<_> = lost.iter().map(|lost| Position(lost.start)..Position(lost.end)).collect();
        let sequencer = Arc::new(Sequencer::resumed(Position(FIRST), &ranges, Position(FIRST), count as usize));
        let ring = |_| ring::create(ring_bytes).expect("there is memory for a small ring");
        let (writers, rings): (Vec<_>, Vec<_>) = (0..count).map(ring).unzip();
        let core = |(id, writer)| Core {
            shard: Shard::new(ShardId(id as u16), sequencer.clone(), Some(writer), 100),
            fanout: Fanout::new(ShardId(id as u16), count),
            hub: Hub::new(&rings, limits),
            history: History::new(sequencer.clone(), &rings),
            clients: Clients::default(),
            listed: RingOffset(0),
        };
        let cores = writers.into_iter().enumerate().map(core).collect();
        let lane_max = rng.usize(1..6);
        World {
            sequencer,
            cores,
            lanes: HashMap::new(),
            lane_max,
            limits,
            events: Vec::new(),
            subscribed: Vec::new(),
            resumed: 0,
            lost,
            unseen: 0..0,
        }
    }

    /// Runs one random step.
    pub fn step(&mut self, rng: &mut fastrand::Rng) {
        let core = rng.usize(..self.cores.len());
        let near = self.sequencer.next().0 + STEP_POSITIONS;
        if let Some(lost) = self.lost.clone().filter(|lost| self.unseen.is_empty() && near > lost.start) {
            self.lose_power(lost);
        }
        match rng.u8(..32) {
            0..8 => self.write(rng),
            8..12 => self.commit(core),
            12..16 => self.fan_out(core),
            16..20 => _ = self.deliver(rng.usize(..self.cores.len()), core),
            20..25 => _ = self.turn(core, rng.u8(..4) > 0, rng.usize(1..4)),
            25..27 => self.subscribe(rng, core),
            27 => self.change_client(rng),
            28 => self.change_room(rng, core),
            29 if rng.u8(..8) == 0 => self.flush(),
            30 if rng.u8(..4) == 0 => (0..rng.usize(10..120)).for_each(|n| {
                self.write(rng);
                if n % 8 == 0 {
                    (0..self.cores.len()).for_each(|core| self.commit(core));
                }
            }),
            _ => self.resume(rng),
        }
    }

    fn write(&mut self, rng: &mut fastrand::Rng) {
        let key = KEYS[rng.usize(..KEYS.len())].as_bytes();
        let owner = shard_of(key, self.cores.len() as u16);
        let shard = &mut self.cores[owner.0 as usize].shard;
        shard.make_room();
        match rng.u8(..10) {
            0 => _ = shard.delete(key),
            // The position is handed out at once and published with the turn: the frontier waits for it.
            1..4 => {
                let event = ClientEvent {
                    event_type: CustomType::new(b"Paid").expect("no built-in name"),
                    data: b"1",
                    meta: None,
                    id: None,
                    json: false,
                };
                shard.append_event(key, event, Expected::Any).expect("a small event");
            }
            _ => shard.set(key, b"value").expect("a small value"),
        }
    }

    fn commit(&mut self, core: usize) {
        self.cores[core].shard.commit();
        self.list(core);
    }

    /// Adds what a shard has published to the list of all events.
    fn list(&mut self, core: usize) {
        let Core { shard, listed, .. } = &mut self.cores[core];
        let published = shard.published().expect("it records");
        assert!(published.head <= *listed, "the list is kept up to date");
        let records = shard.published_from(*listed).expect("it records");
        *listed = published.tail;
        let new: Vec<Event> = records.map(|record| Event::new(&record, ShardId(core as u16))).collect();
        for event in new {
            // A flush is recorded by every shard.
            if !event.is_flush() || self.events.iter().all(|one| one.position != event.position) {
                self.events.push(event);
            }
        }
    }

    fn flush(&mut self) {
        (0..self.cores.len()).for_each(|core| self.commit(core));
        let cores = std::mem::take(&mut self.cores);
        let (mut shards, rest): (Vec<Box<Shard>>, Vec<_>) = cores
            .into_iter()
            .map(|core| (Box::new(core.shard), (core.fanout, core.hub, core.history, core.clients, core.listed)))
            .unzip();
        let total = shards.len() as u16;
        Shards::Several { shards: &mut shards, total }.flush();
        self.cores = shards
            .into_iter()
            .zip(rest)
            .map(|(shard, (fanout, hub, history, clients, listed))| Core {
                shard: *shard,
                fanout,
                hub,
                history,
                clients,
                listed,
            })
            .collect();
        (0..self.cores.len()).for_each(|core| self.list(core));
    }

    /// A power loss: messages under way and all clients are gone, and positions continue behind the lost ones.
    fn lose_power(&mut self, lost: Range<u64>) {
        (0..self.cores.len()).for_each(|core| self.commit(core));
        self.collect();
        self.lanes.clear();
        let count = self.cores.len() as u16;
        for core in &mut self.cores {
            let rings: Vec<_> = core.history.shards().iter().map(|shard| shard.ring().clone()).collect();
            core.hub = Hub::new(&rings, self.limits);
            core.fanout = Fanout::new(core.shard.id(), count);
            core.clients = Clients::default();
        }
        for (place, one) in self.subscribed.iter_mut().enumerate() {
            one.is_over = true;
            one.client += 1_000_000 * (1 + place as u64);
        }
        let next = self.sequencer.next().0;
        self.sequencer.reserve(ShardId(0), lost.end - next);
        self.sequencer.clear(ShardId(0));
        self.unseen = next..lost.end;
    }

    fn fan_out(&mut self, core: usize) {
        let World { cores, lanes, lane_max, .. } = self;
        let is_full = |to: ShardId| lanes.get(&(core, to.0 as usize)).is_some_and(|lane| lane.len() >= *lane_max);
        let Core { fanout, shard, .. } = &mut cores[core];
        // As in a server, where a fan-out follows the commit of the same turn, if there is one.
        let batches = fanout.turn(shard, is_full);
        for (to, batch) in batches {
            self.send(core, to.0 as usize, Message::Fanned(batch));
        }
    }

    fn send(&mut self, from: usize, to: usize, message: Message) {
        self.lanes.entry((from, to)).or_default().push_back(message);
    }

    fn deliver(&mut self, from: usize, to: usize) -> bool {
        let Some(message) = self.lanes.get_mut(&(from, to)).and_then(VecDeque::pop_front) else { return false };
        let Core { fanout, hub, clients, .. } = &mut self.cores[to];
        match message {
            Message::Ask(ask) => fanout.ask(ShardId(from as u16), ask),
            Message::Fanned(batch) => hub.receive(ShardId(from as u16), batch, clients),
        }
        true
    }

    fn turn(&mut self, core: usize, delivers_live: bool, mut slices: usize) -> bool {
        let Core { hub, history, clients, .. } = &mut self.cores[core];
        let again = hub.turn(history, clients, delivers_live, |_| {
            let may = slices > 0;
            slices = slices.saturating_sub(1);
            may
        });
        self.pass_asks(core) || again
    }

    fn pass_asks(&mut self, core: usize) -> bool {
        let asks = self.cores[core].hub.take_asks();
        let any = !asks.is_empty();
        asks.into_iter().for_each(|(shard, ask)| self.send(core, shard.0 as usize, Message::Ask(ask)));
        any
    }

    fn subscribe(&mut self, rng: &mut fastrand::Rng, core: usize) {
        // The same for all clients, so that some share deliveries.
        if rng.u8(..6) == 0 {
            let filter = Wanted::ALL[rng.usize(..2)];
            let seed = rng.u64(..);
            for client in 0..3 {
                let mut rng = fastrand::Rng::with_seed(seed);
                self.subscribe_to(&mut rng, (core, client), "$all", filter, Start::End);
            }
            return;
        }
        let source = SOURCES[rng.usize(..SOURCES.len())];
        if source == "$shard-1" && self.cores.len() == 1 {
            return;
        }
        let is_stream = !source.starts_with('$');
        let next = self.sequencer.next().0;
        let start = match rng.u8(..8) {
            0..2 => Start::Start,
            2..4 => Start::End,
            4 => Start::Position(Position(rng.u64(FIRST - 10..next + 4))),
            5 if is_stream => Start::Revision(Revision(rng.u64(..12))),
            _ => Start::Position(Position(rng.u64(next.saturating_sub(30)..next))),
        };
        let filter = Wanted::ALL[rng.usize(..Wanted::ALL.len())];
        let client = rng.u64(..3);
        self.subscribe_to(rng, (core, client), source, filter, start);
    }

    fn subscribe_to(
        &mut self,
        rng: &mut fastrand::Rng,
        (core, client): (usize, u64),
        source: &'static str,
        filter: Wanted,
        start: Start,
    ) {
        let wanted = Subscribe {
            interest: Subscribed::interest(source, filter),
            start,
            checkpoint_events: rng.bool().then(|| rng.u64(1..9)),
            resolve_links: rng.bool(),
            window: (rng.u8(..4) == 0).then(|| rng.u64(1..6)),
            on_slow: if rng.u8(..4) == 0 { OnSlow::Drop } else { OnSlow::Fallback },
            on_gap: if rng.bool() { OnGap::Skip } else { OnGap::Drop },
        };
        let Core { hub, history, .. } = &mut self.cores[core];
        let (frontier, next) = (history.frontier().0, self.sequencer.next().0);
        if let Ok(id) = hub.subscribe(ClientId(client), wanted.clone(), history) {
            let credits = &mut self.cores[core].clients.credits;
            credits.remove(&(ClientId(client), id));
            if let Some(window) = wanted.window {
                credits.insert((ClientId(client), id), window);
            }
            let sent = Vec::new();
            self.subscribed.push(Subscribed {
                core,
                client,
                id,
                source,
                filter,
                wanted,
                frontier,
                next,
                is_over: false,
                sent,
            });
        }
        self.pass_asks(core);
    }

    /// Resumes a subscription from its last checkpoint, or behind the gap at which it was dropped.
    fn resume(&mut self, rng: &mut fastrand::Rng) {
        let Some(index) = (!self.subscribed.is_empty()).then(|| rng.usize(..self.subscribed.len())) else { return };
        self.collect();
        let one = &self.subscribed[index];
        let (core, source, filter) = (one.core, one.source, one.filter);
        if let Some(position) = one.resumes_at() {
            let client = rng.u64(..3);
            self.subscribe_to(rng, (core, client), source, filter, Start::Position(Position(position)));
            self.resumed += 1;
        }
    }

    /// A client ends a subscription, goes away, or acknowledges events.
    fn change_client(&mut self, rng: &mut fastrand::Rng) {
        let Some(index) = (!self.subscribed.is_empty()).then(|| rng.usize(..self.subscribed.len())) else { return };
        self.collect();
        let one = &mut self.subscribed[index];
        let (core, client) = (one.core, ClientId(one.client));
        let Core { hub, clients, .. } = &mut self.cores[core];
        match rng.u8(..6) {
            0 => {
                let is_over = one.is_over || matches!(one.sent.last(), Some(Sent::Dropped(..)));
                assert_eq!(hub.unsubscribe(client, one.id, clients).is_err(), is_over);
                one.is_over = true;
            }
            1 => {
                self.collect();
                self.cores[core].hub.close_client(client);
                self.cores[core].clients.room.remove(&client);
                // The client's next subscriptions are numbered from 1 again: its old ones are over.
                self.subscribed.iter_mut().filter(|one| (one.core, ClientId(one.client)) == (core, client)).for_each(
                    |one| {
                        one.is_over = true;
                        one.client += 1000 * (1 + index as u64);
                    },
                );
            }
            _ => {
                let id = one.id;
                self.credit(core, client, id, rng.u64(1..20));
            }
        }
        self.collect();
        self.pass_asks(core);
    }

    /// A client acknowledges events of a subscription, if it has it.
    fn credit(&mut self, core: usize, client: ClientId, id: u64, count: u64) {
        let Core { hub, clients, .. } = &mut self.cores[core];
        if hub.credit(client, id, count).is_ok()
            && let Some(credit) = clients.credits.get_mut(&(client, id))
        {
            *credit += count;
        }
    }

    fn change_room(&mut self, rng: &mut fastrand::Rng, core: usize) {
        let Core { hub, clients, .. } = &mut self.cores[core];
        let client = ClientId(rng.u64(..3));
        match rng.u8(..3) {
            0 => _ = clients.room.insert(client, rng.u64(..10)),
            _ => _ = clients.room.remove(&client),
        }
        if clients.had_no_room.remove(&client) {
            hub.note_room(client);
        }
    }

    /// Moves the messages that clients got to their subscriptions.
    fn collect(&mut self) {
        for one in &mut self.subscribed {
            if let Some(sent) = self.cores[one.core].clients.sent.get_mut(&(ClientId(one.client), one.id)) {
                one.sent.append(sent);
            }
        }
    }

    /// Gives all clients room and credit, and runs all parts until nothing happens any more.
    pub fn settle(&mut self) {
        for core in 0..self.cores.len() {
            self.commit(core);
            let Core { hub, clients, .. } = &mut self.cores[core];
            clients.room.clear();
            std::mem::take(&mut clients.had_no_room).into_iter().for_each(|client| hub.note_room(client));
        }
        let mut idle = 0;
        for _ in 0..100_000 {
            let sent: u64 = self.cores.iter().map(|core| core.clients.pushes).sum();
            let mut work = false;
            for place in 0..self.subscribed.len() {
                let one = &self.subscribed[place];
                self.credit(one.core, ClientId(one.client), one.id, 1_000_000);
            }
            for core in 0..self.cores.len() {
                (0..self.cores.len()).for_each(|from| {
                    while self.deliver(from, core) {
                        work = true
                    }
                });
                self.fan_out(core);
                // Runs no turn without a request, which would hide a missing request.
                work |= self.turn(core, true, 1);
            }
            work |= self.cores.iter().map(|core| core.clients.pushes).sum::<u64>() > sent;
            idle = if work { 0 } else { idle + 1 };
            if idle > 2 {
                self.collect();
                return;
            }
        }
        panic!("the world does not come to rest");
    }

    pub fn check(&mut self, seen: &mut Seen) {
        self.events.sort_unstable_by_key(|event| event.position);
        let frontier = self.sequencer.frontier().0;
        assert_eq!(frontier, self.sequencer.next().0);
        let follows = |one: u64| if one + 1 == self.unseen.start { self.unseen.end } else { one + 1 };
        let is_dense = self.events.windows(2).all(|pair| pair[1].position == follows(pair[0].position));
        assert!(is_dense, "the list of all events is complete");
        for one in &self.subscribed {
            let source = &one.wanted.interest.source;
            let evicted = self.cores[one.core].history.first_available_in(source).0 - 1;
            one.check(&self.events, self.lost.as_ref(), frontier, evicted, seen);
        }
        (0..self.resumed).for_each(|_| seen.note_resumed());
        for core in &self.cores {
            seen.note_shared(core.clients.shared_pushes);
            let counts = core.hub.counts();
            // On a busy machine a regex may take so long that it is demoted.
            assert_eq!(
                counts.live + counts.demoted,
                counts.subscriptions,
                "a caught-up subscription is live or demoted"
            );
        }
    }
}
