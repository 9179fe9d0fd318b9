//! The sequencer's promise, in every order of memory accesses that loom can tell apart: what lies below a frontier is
//! published. Run by `scripts/loom`.
#![cfg(loom)]

use keytide_engine::position::{Position, RingOffset, ShardId};
use keytide_engine::ring::words::Words;
use keytide_engine::sequencer::Sequencer;
use loom::sync::Arc;
use loom::thread;

/// A shard's ring of positions, one word each.
struct Shard {
    words: Words,
}

impl Shard {
    fn new() -> Shard {
        Shard { words: Words::new(8 * 8).unwrap() }
    }

    /// Takes a block, writes its positions, publishes them; `before` are there already. Leaves the mark as it is.
    fn turn(&self, sequencer: &Sequencer, shard: ShardId, before: u64, count: u64) {
        let first = sequencer.reserve(shard, count);
        let positions: Vec<u64> = (first.0..first.0 + count).collect();
        self.words.store(RingOffset(before * 8), &positions);
        self.words.publish(RingOffset((before + count) * 8));
    }

    fn published(&self) -> Vec<u64> {
        let mut bytes = vec![0; self.words.tail().0 as usize];
        self.words.copy(RingOffset(0), &mut bytes).unwrap();
        bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect()
    }
}

/// Everything from the first position up to the frontier is in one of the shards.
fn check(sequencer: &Sequencer, shards: &[Shard]) {
    let frontier = sequencer.frontier();
    let published: Vec<u64> = shards.iter().flat_map(Shard::published).collect();
    for position in sequencer.first().0..frontier.0 {
        assert!(published.contains(&position), "{position} is below the frontier {frontier} and in no ring");
    }
}

#[test]
fn all_below_the_frontier_is_published_with_two_shards() {
    loom::model(|| {
        let sequencer = Arc::new(Sequencer::new(Position(1), 2));
        let shards = Arc::new([Shard::new(), Shard::new()]);
        let writers: Vec<_> = [0u16, 1]
            .map(|number| {
                let (sequencer, shards) = (sequencer.clone(), shards.clone());
                thread::spawn(move || {
                    shards[number as usize].turn(&sequencer, ShardId(number), 0, 1);
                    sequencer.clear(ShardId(number));
                })
            })
            .into();
        check(&sequencer, &*shards);
        check(&sequencer, &*shards);
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        assert_eq!(sequencer.frontier(), Position(3));
        check(&sequencer, &*shards);
    });
}

#[test]
fn all_below_the_frontier_is_published_when_a_shard_goes_on_to_its_next_turn() {
    loom::model(|| {
        let sequencer = Arc::new(Sequencer::new(Position(1), 1));
        let shards = Arc::new([Shard::new()]);
        let writer = {
            let (sequencer, shards) = (sequencer.clone(), shards.clone());
            thread::spawn(move || {
                for turn in 0..3 {
                    shards[0].turn(&sequencer, ShardId(0), turn, 1);
                    sequencer.clear(ShardId(0));
                }
            })
        };
        check(&sequencer, &*shards);
        check(&sequencer, &*shards);
        writer.join().unwrap();
    });
}

#[test]
fn all_below_the_frontier_is_published_when_turns_overlap() {
    loom::model(|| {
        let sequencer = Arc::new(Sequencer::new(Position(1), 1));
        let shards = Arc::new([Shard::new()]);
        let writer = {
            let (sequencer, shards) = (sequencer.clone(), shards.clone());
            thread::spawn(move || {
                let shard = ShardId(0);
                let first = sequencer.reserve(shard, 1);
                let second = sequencer.reserve(shard, 1);
                shards[0].words.store(RingOffset(0), &[first.0]);
                shards[0].words.publish(RingOffset(8));
                sequencer.advance(shard, second);
                shards[0].words.store(RingOffset(8), &[second.0]);
                shards[0].words.publish(RingOffset(16));
                sequencer.clear(shard);
            })
        };
        check(&sequencer, &*shards);
        check(&sequencer, &*shards);
        writer.join().unwrap();
        assert_eq!(sequencer.frontier(), Position(3));
    });
}
