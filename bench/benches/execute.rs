//! What the shard itself costs: SET, GET and INCR in process over 100,000 keys, committed every 16 commands as
//! pipelining makes them, with the ring and without. Beside the server's figures it tells the engine's share.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use keytide_bench::{VALUE, key};
use keytide_engine::limits::{ABSENT_STREAMS_DEFAULT, RING_BYTES_DEFAULT};
use keytide_engine::position::{Position, ShardId};
use keytide_engine::ring;
use keytide_engine::sequencer::Sequencer;
use keytide_engine::shard::Shard;
use std::hint::black_box;
use std::sync::Arc;

const KEYS: usize = 100_000;

/// Commands per turn.
const TURN: usize = 16;

/// A shard that holds all `keys`.
fn shard(keys: &[String], value: &[u8], ring_bytes: u64) -> Shard {
    let sequencer = Arc::new(Sequencer::new(Position(1), 1));
    // Readers are not needed for what is measured here.
    let writer = (ring_bytes > 0).then(|| ring::create(ring_bytes).expect("memory for a bench").0);
    let mut shard = Shard::new(ShardId(0), sequencer, writer, ABSENT_STREAMS_DEFAULT);
    shard.set_now_ms(1_790_000_000_000);
    for key in keys {
        shard.set(key.as_bytes(), value).expect("a short value");
        shard.commit();
    }
    shard
}

/// Keys in an order that is neither that of their making nor short enough to stay in the cache.
struct Order<'a> {
    keys: &'a [String],
    at: usize,
}

impl<'a> Order<'a> {
    fn next(&mut self) -> &'a [u8] {
        // Odd and no multiple of 5: it visits all 100,000 keys before the first comes again.
        self.at = (self.at + 61_803) % KEYS;
        self.keys[self.at].as_bytes()
    }
}

fn execute(criterion: &mut Criterion) {
    let keys: Vec<String> = (0..KEYS).map(key).collect();
    for (name, ring_bytes) in [("ring", RING_BYTES_DEFAULT), ("no ring", 0)] {
        let mut group = criterion.benchmark_group(format!("execute/{name}"));
        group.throughput(Throughput::Elements(TURN as u64));
        let mut order = Order { keys: &keys, at: 0 };
        let mut strings = shard(&keys, &VALUE, ring_bytes);
        group.bench_function("set", |bencher| {
            bencher.iter(|| {
                for _ in 0..TURN {
                    strings.set(order.next(), black_box(&VALUE)).expect("a short value");
                }
                strings.commit()
            })
        });
        group.bench_function("get", |bencher| {
            bencher.iter(|| {
                for _ in 0..TURN {
                    black_box(strings.get(order.next()).expect("a string"));
                }
                strings.commit()
            })
        });
        let mut integers = shard(&keys, b"1000000", ring_bytes);
        group.bench_function("incr", |bencher| {
            bencher.iter(|| {
                for _ in 0..TURN {
                    black_box(integers.increment(order.next(), 1).expect("an integer"));
                }
                integers.commit()
            })
        });
        group.finish();
    }
}

criterion_group!(benches, execute);
criterion_main!(benches);
