//! What a turn costs the engine: its end alone with nothing to publish, and with 1 and 16 SETs before it. The
//! difference of the last two, by 15, is a SET; the rest of the second is what the turn's end costs.

use criterion::{Criterion, criterion_group, criterion_main};
use keytide_bench::{VALUE, key, shard_of_strings};
use keytide_engine::limits::RING_BYTES_DEFAULT;
use std::hint::black_box;

#[global_allocator]
static ALLOCATOR: keytide_net::allocator::Allocator = keytide_net::allocator::Allocator;

/// Few enough that they stay in the cache: what is measured is the turn.
const KEYS: usize = 256;

fn turn(criterion: &mut Criterion) {
    let keys: Vec<String> = (0..KEYS).map(key).collect();
    let mut group = criterion.benchmark_group("turn");
    for (name, ring_bytes) in [("ring", RING_BYTES_DEFAULT), ("no ring", 0)] {
        let mut shard = shard_of_strings(&keys, &VALUE, ring_bytes);
        let mut keys = keys.iter().cycle();
        for sets in [0, 1, 16] {
            group.bench_function(format!("{name}, {sets} SETs"), |bencher| {
                bencher.iter(|| {
                    for key in keys.by_ref().take(sets) {
                        shard.set(key.as_bytes(), black_box(&VALUE)).expect("a short value");
                    }
                    shard.commit()
                })
            });
        }
    }
    group.finish();
}

criterion_group!(benches, turn);
criterion_main!(benches);
