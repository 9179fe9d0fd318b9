//! Cases that the model's random worlds hardly ever reach, each constructed by hand.

use keytide_engine::account::Account;
use keytide_engine::fanout::{Ask, Fanned, Fanout, Notice};
use keytide_engine::filter::{Filter, Pattern, Target};
use keytide_engine::history::History;
use keytide_engine::interest::{Interest, Source};
use keytide_engine::limits::{CLOSED_PER_TURN, SubscriptionLimits};
use keytide_engine::matcher::BuilderThread;
use keytide_engine::position::{Position, Revision, ShardId};
use keytide_engine::ring;
use keytide_engine::sequencer::Sequencer;
use keytide_engine::shard::Shard;
use keytide_engine::shards::Shards;
use keytide_engine::subscription::{ClientId, Hub, OnGap, Outlet, Push, Start, Subscribe};
use std::sync::Arc;

/// One client, which may have no room, and its messages.
#[derive(Default)]
struct Client {
    is_full: bool,
    sent: Vec<String>,
}

impl Outlet for Client {
    fn has_room(&mut self, _: ClientId) -> bool {
        !self.is_full
    }

    fn push(&mut self, _: ClientId, id: u64, push: Push<'_>) {
        self.sent.push(match push {
            Push::Event(record, _) => format!("{id}: {}", record.position()),
            Push::Gap(from, to) => format!("{id}: gap {from} {to}"),
            Push::CaughtUp(_) => format!("{id}: caught up"),
            Push::FellBehind(_) => format!("{id}: fell behind"),
            Push::Checkpoint(_) => format!("{id}: checkpoint"),
            Push::Dropped(reason, _) => format!("{id}: {reason:?}"),
        });
    }

    fn begin_shared(&mut self, _: &[ClientId], _: u64) {}

    fn push_shared(&mut self, push: Push<'_>) {
        self.push(ClientId(1), 1, push);
    }

    fn end_shared(&mut self) {}
}

/// A few shards, and the subscriptions of one core.
struct Small {
    sequencer: Arc<Sequencer>,
    shards: Vec<(Shard, Fanout)>,
    hub: Hub,
    history: History,
    client: Client,
}

impl Small {
    fn new(count: u16) -> Small {
        Small::starting_at(Position(1000), count)
    }

    fn starting_at(first: Position, count: u16) -> Small {
        let sequencer = Arc::new(Sequencer::new(first, count as usize));
        let (writers, rings): (Vec<_>, Vec<_>) = (0..count).map(|_| ring::create(4096).expect("memory")).unzip();
        let limits = SubscriptionLimits { per_client: 8, queue_events: 4, queue_bytes: 4096, flush_members: 1 };
        let shard = |(id, writer)| {
            let id = ShardId(id as u16);
            (Shard::new(id, sequencer.clone(), Some(writer), 100), Fanout::new(id, 1))
        };
        Small {
            shards: writers.into_iter().enumerate().map(shard).collect(),
            hub: Hub::new(&rings, limits),
            history: History::new(sequencer.clone(), &rings),
            client: Client::default(),
            sequencer,
        }
    }

    fn subscribe(&mut self, name: &str, start: Start) {
        self.subscribe_to(Interest { source: Source::of(name.as_bytes()), filter: Default::default() }, start, None);
    }

    fn subscribe_to(&mut self, interest: Interest, start: Start, checkpoint_events: Option<u64>) {
        self.subscribe_as(ClientId(1), interest, start, checkpoint_events);
    }

    fn subscribe_as(&mut self, client: ClientId, interest: Interest, start: Start, checkpoint_events: Option<u64>) {
        let wanted = Subscribe { start, checkpoint_events, on_gap: OnGap::Skip, ..Subscribe::to(interest) };
        self.hub.subscribe(client, wanted, &self.history).expect("one of a few");
    }

    /// Passes the hub's requests to the shards and their batches to the hub, and runs a turn of the hub.
    fn turn(&mut self) -> bool {
        self.fan_out();
        self.hub.turn(&mut self.history, &mut self.client, true, |_| true)
    }

    fn fan_out(&mut self) {
        for (shard, ask) in self.hub.take_asks() {
            self.shards[shard.0 as usize].1.ask(ShardId(0), ask);
        }
        for (shard, fanout) in &mut self.shards {
            for (_, batch) in fanout.turn(shard, |_| false) {
                self.hub.receive(shard.id(), batch, &mut self.client);
            }
        }
    }

    fn flush(&mut self) {
        let (shards, fanouts): (Vec<_>, Vec<_>) = std::mem::take(&mut self.shards).into_iter().unzip();
        let mut shards: Vec<Box<Shard>> = shards.into_iter().map(Box::new).collect();
        let total = shards.len() as u16;
        Shards::Several { shards: &mut shards, total }.flush();
        self.shards = shards.into_iter().map(|shard| *shard).zip(fanouts).collect();
    }

    fn set(&mut self, shard: usize, key: &str) {
        self.shards[shard].0.make_room();
        self.shards[shard].0.set(key.as_bytes(), b"value").expect("a small value");
        self.shards[shard].0.commit();
    }

    fn settle(&mut self) {
        (0..8).for_each(|_| _ = self.turn());
        assert!(!self.turn());
    }
}

#[test]
fn events_that_the_frontier_passes_during_a_turn_are_sent_without_another_batch() {
    let mut small = Small::new(2);
    small.subscribe("$shard-0", Start::End);
    small.settle();
    assert_eq!(small.hub.counts().live, 1);
    // Another core, where no interest of this one is live, has taken a position before.
    small.sequencer.reserve(ShardId(1), 1);
    small.set(0, "key");
    small.client.sent.clear();
    small.subscribe("$all", Start::Start);
    small.fan_out();
    let sequencer = small.sequencer.clone();
    let again = small.hub.turn(&mut small.history, &mut small.client, true, |_| {
        sequencer.clear(ShardId(1));
        true
    });
    assert!(!small.client.sent.contains(&"1: 1001".into()), "it was not below the frontier");
    assert!(again, "nothing but another turn tells it");
}

#[test]
fn a_hub_without_subscriptions_waits_for_nothing() {
    let mut small = Small::new(1);
    small.subscribe("$all", Start::End);
    small.settle();
    let notices = vec![Notice::Demoted { number: 0 }];
    let (next, scanned) = (small.sequencer.next(), small.history.shards()[0].ring().tail());
    let batch = Fanned { notices, next, scanned, ..Fanned::default() };
    small.hub.receive(ShardId(0), Box::new(batch), &mut small.client);
    small.hub.turn(&mut small.history, &mut small.client, true, |_| true);
    assert!(small.hub.waits_for_publication(), "it reads the history for good");
    small.hub.close_client(ClientId(1));
    assert!(!small.hub.waits_for_publication());
}

#[test]
fn after_a_start_behind_a_revision_a_gap_begins_behind_the_last_sent_event() {
    let mut small = Small::new(1);
    small.set(0, "key");
    small.subscribe("key", Start::Revision(Revision(0)));
    small.settle();
    assert_eq!(small.hub.counts().live, 1);
    // Enough events at once for a shared delivery.
    (0..9).for_each(|_| small.set(0, "key"));
    small.settle();
    assert_eq!(small.client.sent.last(), Some(&"1: 1009".into()));
    small.client.is_full = true;
    for _ in 0..100 {
        small.set(0, "key");
        small.turn();
    }
    small.client.is_full = false;
    small.hub.note_room(ClientId(1));
    small.settle();
    let gap = small.client.sent.iter().find(|sent| sent.contains("gap")).expect("its ring is small");
    assert!(gap.starts_with("1: gap 1010 "), "{gap}");
}

#[test]
fn a_demoted_subscription_reads_on_after_a_turn_without_live_delivery() {
    let mut small = Small::new(1);
    small.subscribe("$all", Start::End);
    small.settle();
    let notices = vec![Notice::Demoted { number: 0 }];
    let (next, scanned) = (small.sequencer.next(), small.history.shards()[0].ring().tail());
    let batch = Fanned { notices, next, scanned, ..Fanned::default() };
    small.hub.receive(ShardId(0), Box::new(batch), &mut small.client);
    small.settle();
    small.set(0, "key");
    assert!(small.hub.turn(&mut small.history, &mut small.client, false, |_| true));
    small.settle();
    assert_eq!(small.client.sent.last(), Some(&"1: 1000".into()));
}

#[test]
fn subscriptions_that_start_together_get_no_gap_where_nothing_is_lost() {
    let mut small = Small::starting_at(Position(1 << 40), 1);
    small.set(0, "key");
    small.subscribe("key", Start::Start);
    small.subscribe("key", Start::Start);
    small.settle();
    let first = 1u64 << 40;
    for sent in [format!("1: {first}"), format!("2: {first}")] {
        assert!(small.client.sent.contains(&sent), "{:?}", small.client.sent);
    }
    assert!(small.client.sent.iter().all(|sent| !sent.contains("gap")), "{:?}", small.client.sent);
}

#[test]
fn a_name_that_would_hold_up_the_core_ends_the_subscription_whose_regex_it_is() {
    let mut small = Small::starting_at(Position(5000), 1);
    small.shards = Vec::new();
    let sequencer = Arc::new(Sequencer::new(Position(5000), 1));
    let (writer, ring) = ring::create(1 << 20).expect("memory");
    let limits = SubscriptionLimits::default();
    small.hub = Hub::new(std::slice::from_ref(&ring), limits);
    small.history = History::new(sequencer.clone(), &[ring]);
    small.shards.push((Shard::new(ShardId(0), sequencer, Some(writer), 100), Fanout::new(ShardId(0), 1)));
    small.set(0, "short");
    small.set(0, &"ab".repeat(50_000));
    let regex = Pattern::regex(b"a[ab]{400}c").expect("it is accepted");
    let interest = Interest { source: Source::All, filter: Filter::new(Target::Stream, regex, false) };
    for _ in 0..2 {
        small.subscribe_to(interest.clone(), Start::Start, None);
    }
    small.subscribe("$all", Start::Start);
    (0..5).for_each(|_| _ = small.turn());
    small.client.sent.retain(|sent| sent.contains("TooSlow") || sent.starts_with('3'));
    assert_eq!(small.client.sent, ["1: TooSlow", "2: TooSlow", "3: 5000", "3: 5001", "3: caught up"]);
}

#[test]
fn a_flush_behind_the_revision_of_the_start_is_sent() {
    let mut small = Small::new(1);
    small.set(0, "s");
    small.flush();
    small.subscribe("s", Start::Revision(Revision(0)));
    (0..5).for_each(|_| _ = small.turn());
    assert_eq!(small.client.sent, ["1: 1001", "1: caught up"]);
}

/// A search for the event of a revision passes the flush before it can know whether it lies behind that event.
#[test]
fn a_flush_behind_the_revision_of_the_start_is_sent_where_the_event_of_the_revision_is_gone() {
    for events in [1, 2] {
        let mut small = Small::new(1);
        (0..events).for_each(|_| small.set(0, "s"));
        (0..20).for_each(|_| small.set(0, "x"));
        small.flush();
        small.set(0, "s");
        let flush = 1020 + events;
        while small.history.first_available().0 < 1000 + events {
            small.set(0, "x");
        }
        let gone = small.history.first_available().0 - 1;
        assert!(gone < flush, "the flush is still there");
        small.subscribe("s", Start::Revision(Revision(0)));
        (0..5).for_each(|_| _ = small.turn());
        let mut expected = vec![format!("1: {flush}"), format!("1: {}", flush + 1), "1: caught up".into()];
        // Revision 1 is gone too.
        if events == 2 {
            expected.insert(0, format!("1: gap 1000 {gone}"));
        }
        assert_eq!(small.client.sent, expected);
    }
}

#[test]
fn a_checkpoint_without_room_is_sent_once_there_is_room() {
    let mut small = Small::new(1);
    let interest = Interest { source: Source::of(b"$et-Nothing"), filter: Default::default() };
    small.subscribe_to(interest, Start::End, Some(2));
    (0..3).for_each(|_| _ = small.turn());
    small.client.sent.clear();
    small.client.is_full = true;
    (0..5).for_each(|n| small.set(0, &format!("k{n}")));
    (0..3).for_each(|_| _ = small.turn());
    assert!(small.client.sent.is_empty());
    small.client.is_full = false;
    small.hub.note_room(ClientId(1));
    small.turn();
    assert_eq!(small.client.sent, ["1: checkpoint"]);
}

#[test]
fn subscriptions_that_end_at_once_are_removed_over_several_turns() {
    let account = Account::new("test-bytes", 1 << 20);
    let mut small = Small::new(1);
    small.hub = small.hub.with_account(account.clone());
    let interest = Interest { source: Source::All, filter: Default::default() };
    for client in 1..=100 {
        for _ in 0..8 {
            small.subscribe_as(ClientId(client), interest.clone(), Start::End, None);
        }
    }
    small.settle();
    assert_eq!(small.hub.counts().live, 800);
    (1..=100).for_each(|client| small.hub.close_client(ClientId(client)));
    let mut left = small.hub.counts().subscriptions;
    assert_eq!(left, 800 - CLOSED_PER_TURN as u64);
    small.client.sent.clear();
    small.set(0, "a");
    while left > 0 {
        let more = small.turn();
        let now = small.hub.counts().subscriptions;
        assert!(now < left && left - now <= CLOSED_PER_TURN as u64 && more == (now > 0), "{left}, {now}");
        left = now;
    }
    assert!(small.hub.is_idle() || !small.hub.take_asks().is_empty());
    assert_eq!(account.used(), 0);
}

#[test]
fn without_memory_for_the_queue_events_are_read_from_the_history() {
    let account = Account::new("test-bytes", 1 << 20);
    let mut small = Small::new(1);
    small.hub = small.hub.with_account(account.clone());
    small.subscribe("$all", Start::End);
    small.settle();
    small.client.is_full = true;
    let mut others = account.share();
    others.set(account.limit());
    small.set(0, "a");
    small.settle();
    assert_eq!(small.client.sent.last().map(String::as_str), Some("1: fell behind"));
    drop(others);
    small.client.is_full = false;
    small.client.sent.clear();
    small.hub.note_room(ClientId(1));
    small.settle();
    assert_eq!(small.client.sent, ["1: 1000", "1: caught up"]);
}

#[test]
fn a_flush_is_delivered_over_several_turns_once_to_each_and_before_later_events() {
    let mut small = Small::new(1);
    (0..3).for_each(|_| small.subscribe("$all", Start::End));
    small.settle();
    small.client.sent.clear();
    small.flush();
    small.set(0, "a");
    assert!(small.turn());
    assert_eq!(small.client.sent, ["1: 1000"], "one of three in a turn");
    // All fall behind; one of them has got the flush.
    let lost = Box::new(Fanned { has_lost: true, next: Position(1002), ..Fanned::default() });
    small.hub.receive(ShardId(0), lost, &mut small.client);
    // It is made while the flush is being delivered.
    small.subscribe("a", Start::Start);
    small.settle();
    let times = |event: &str| small.client.sent.iter().filter(|sent| sent.ends_with(event)).count();
    assert_eq!((times(": 1000"), times(": 1001")), (4, 4), "{:?}", small.client.sent);
}

/// An idle server must not keep the memory of regexes without subscriptions.
#[test]
fn interests_without_members_are_freed_without_further_writes() {
    let builder = BuilderThread::start().expect("a thread");
    let mut small = Small::new(1);
    let regex = Pattern::regex(b"^[a-z]+q[0-9]{20}$").expect("a regex");
    let interest = Interest { source: Source::All, filter: Filter::new(Target::Stream, regex, false) };
    small.subscribe_to(interest, Start::End, None);
    let asks = small.hub.take_asks();
    assert!(asks.is_empty());
    small.hub.turn(&mut small.history, &mut small.client, true, |_| true);
    let asks = small.hub.take_asks();
    let Ask::Add { interest, .. } = &asks[0].1 else { panic!("{asks:?}") };
    let wanted = Arc::downgrade(interest);
    asks.into_iter().for_each(|(_, ask)| small.shards[0].1.ask(ShardId(0), ask));
    small.settle();
    assert_eq!(small.hub.counts().live, 1);
    assert!(small.hub.memory_bytes() > 0 && small.shards[0].1.memory_bytes() == small.hub.memory_bytes());
    small.set(0, "abc");
    small.settle();
    small.hub.close_client(ClientId(1));
    small.settle();
    // The thread frees interests in the order in which they were removed.
    let (done, is_done) = std::sync::mpsc::channel();
    assert!(builder.run(move || _ = done.send(())) && is_done.recv().is_ok());
    assert!(wanted.upgrade().is_none(), "it is still there");
    assert_eq!((small.hub.memory_bytes(), small.shards[0].1.memory_bytes()), (0, 0));
}
