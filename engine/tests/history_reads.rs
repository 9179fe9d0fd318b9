//! What a read of all rings promises: strictly ascending positions, the same events however they are cut into pages,
//! a flush once, and every gap told.
#![cfg(not(loom))]

use keytide_engine::event::CustomType;
use keytide_engine::filter::{Filter, Pattern, Target};
use keytide_engine::history::{Gap, History, Page, ReadError, Request};
use keytide_engine::position::{Position, ShardId};
use keytide_engine::ring;
use keytide_engine::sequencer::Sequencer;
use keytide_engine::shard::{Expected, Shard};
use keytide_engine::shards::Shards;
use keytide_engine::turn::ClientEvent;
use std::ops::Range;
use std::sync::Arc;

const FIRST: u64 = 100;

struct World {
    sequencer: Arc<Sequencer>,
    #[expect(clippy::vec_box, reason = "`Shards` takes them as the cores hold them")]
    shards: Vec<Box<Shard>>,
    history: History,
}

impl World {
    fn new(count: u16, ring_bytes: u64) -> World {
        World::after_loss(count, ring_bytes, &[])
    }

    /// A history of which a power loss has taken these positions.
    fn after_loss(count: u16, ring_bytes: u64, lost: &[Range<u64>]) -> World {
        let lost: Vec<_> = lost.iter().map(|lost| Position(lost.start)..Position(lost.end)).collect();
        let sequencer = Arc::new(Sequencer::resumed(Position(FIRST), &lost, Position(FIRST), count as usize));
        let ring = |_| ring::create(ring_bytes).expect("there is memory for a small ring");
        let (writers, rings): (Vec<_>, Vec<_>) = (0..count).map(ring).unzip();
        let shard = |(id, writer)| Box::new(Shard::new(ShardId(id as u16), sequencer.clone(), Some(writer), 100));
        let shards = writers.into_iter().enumerate().map(shard).collect();
        World { history: History::new(sequencer.clone(), &rings), sequencer, shards }
    }

    /// One random turn.
    fn change(&mut self, rng: &mut fastrand::Rng) {
        let total = self.shards.len();
        match rng.u8(..10) {
            0 => Shards::Several { shards: &mut self.shards, total: total as u16 }.flush(),
            // Two shards' blocks that interleave, the positions of one given early.
            1 => {
                let event = ClientEvent {
                    event_type: CustomType::new(b"T").expect("no built-in name"),
                    data: b"d",
                    meta: None,
                    id: None,
                    json: false,
                };
                for _ in 0..rng.usize(1..4) {
                    let shard = &mut self.shards[rng.usize(..total)];
                    shard.append_event(b"s", event, Expected::Any).expect("a small event");
                    shard.set(b"k", b"v").expect("a small value");
                }
                for shard in &mut self.shards {
                    shard.commit();
                }
            }
            _ => {
                let shard = &mut self.shards[rng.usize(..total)];
                (0..rng.usize(1..5)).for_each(|n| shard.set(&[b'a' + n as u8], b"v").expect("a small value"));
                shard.commit();
            }
        }
    }

    fn read(&mut self, cursor: u64, count: usize, filter: &Filter) -> Result<(Page, Vec<u64>), ReadError> {
        let request = Request { cursor: Position(cursor), count, bytes: u64::MAX, filter };
        let mut positions = Vec::new();
        let page = self.history.read(&request, |_, record| {
            positions.push(record.position().0);
            0
        })?;
        Ok((page, positions))
    }

    /// Everything from a cursor on, in pages of `count`.
    fn read_on(&mut self, cursor: u64, count: usize, filter: &Filter) -> Vec<u64> {
        let (mut cursor, mut all) = (cursor, Vec::new());
        loop {
            let (page, positions) = self.read(cursor, count, filter).expect("a cursor that the history gave");
            assert!(page.gap.is_none() && positions.iter().all(|position| (cursor..page.next.0).contains(position)));
            all.extend(positions);
            cursor = page.next.0;
            if page.at_end {
                return all;
            }
        }
    }
}

#[test]
fn pages_of_any_size_from_any_cursor_lose_nothing_and_repeat_nothing() {
    for seed in 0..30 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut world = World::new(3, 1 << 16);
        (0..40).for_each(|_| world.change(&mut rng));
        let head = world.history.head().0;
        let everything = Filter::default();
        // Dense: a flush that three shards have recorded is one event.
        assert_eq!(world.read_on(0, usize::MAX, &everything), (FIRST..=head).collect::<Vec<_>>(), "seed {seed}");
        let of_one = Filter::new(Target::Stream, Pattern::keys(b"shard:1:*").expect("a pattern"), false);
        let wanted = world.read_on(0, usize::MAX, &of_one);
        assert!(wanted.is_sorted_by(|a, b| a < b), "seed {seed}");
        for count in 1..4 {
            assert_eq!(world.read_on(0, count, &of_one), wanted, "seed {seed}");
            let cursor = rng.u64(FIRST..=head + 1);
            assert_eq!(world.read_on(cursor, count, &everything), (cursor..=head).collect::<Vec<_>>(), "seed {seed}");
        }
    }
}

#[test]
fn a_cursor_beyond_the_frontier_waits_there_and_one_beyond_the_head_is_refused() {
    let mut world = World::new(2, 1 << 16);
    let filter = Filter::default();
    world.shards[0].set(b"a", b"").unwrap();
    world.shards[0].commit();
    // Handed out, not published.
    let reserved = world.sequencer.reserve(ShardId(1), 2);
    let next = reserved.0 + 2;
    let (page, positions) = world.read(next, 10, &filter).unwrap();
    assert_eq!((page.next.0, page.at_end, positions), (next, true, vec![]));
    let (page, positions) = world.read(0, 10, &filter).unwrap();
    assert_eq!((page.next, page.at_end, positions), (reserved, true, vec![FIRST]));
    let refused = world.read(next + 1, 10, &filter).unwrap_err();
    assert_eq!(refused.to_string(), format!("cursor {} is beyond the head {}", next + 1, next - 1));
}

#[test]
fn what_is_lost_is_told_once_with_its_number_or_none_for_an_earlier_run() {
    let mut world = World::new(2, 1 << 12);
    let filter = Filter::default();
    for n in 0..200 {
        world.shards[n % 2].set(b"k", &[b'v'; 40]).unwrap();
        world.shards[n % 2].commit();
    }
    let first = world.history.first_available().0;
    assert!(first > FIRST);
    for (cursor, lost) in [(0, Some(first - FIRST)), (FIRST, Some(first - FIRST)), (first - 1, Some(1)), (7, None)] {
        let (page, positions) = world.read(cursor, 5, &filter).unwrap();
        assert_eq!(page.gap, Some(Gap { last: Position(first - 1), lost }), "cursor {cursor}");
        assert_eq!((page.first.0, positions), (first, (first..first + 5).collect()), "cursor {cursor}");
    }
    let (page, positions) = world.read(first, 5, &filter).unwrap();
    assert_eq!((page.gap, positions.len()), (None, 5));
}

#[test]
fn what_a_power_loss_has_taken_is_told_with_what_comes_behind_it() {
    // All there was at first, and then two positions behind the third event.
    let lost = [FIRST..FIRST + 50, FIRST + 53..FIRST + 55];
    let filter = Filter::default();
    for count in 1..3 {
        let mut world = World::after_loss(count, 1 << 16, &lost);
        let skip = |world: &World, positions: u64| {
            world.sequencer.reserve(ShardId(0), positions);
            world.sequencer.clear(ShardId(0));
        };
        let write = |world: &mut World| {
            (0..3).for_each(|_| world.shards[0].set(b"k", b"v").unwrap());
            world.shards[0].commit();
        };
        skip(&world, 50);
        write(&mut world);
        skip(&world, 2);
        write(&mut world);
        let gap = |last: u64| Some(Gap { last: Position(last), lost: None });
        // Whoever takes one page only, as CDCPOLL does, gets ahead from anywhere.
        for (cursor, told, first) in [
            (0, gap(FIRST + 49), FIRST + 50),
            (FIRST + 7, gap(FIRST + 49), FIRST + 50),
            (FIRST + 50, None, FIRST + 50),
            (FIRST + 53, gap(FIRST + 54), FIRST + 55),
            (FIRST + 54, gap(FIRST + 54), FIRST + 55),
            (FIRST + 55, None, FIRST + 55),
        ] {
            let (page, positions) = world.read(cursor, 100, &filter).unwrap();
            assert_eq!((page.gap, positions), (told, vec![first, first + 1, first + 2]), "cursor {cursor}");
        }
    }
}
