//! What the shard itself costs: commands in process, committed every 16 as pipelining makes them. Over 100,000 keys
//! with the ring and without, and over 1,000,000, which are in no cache. Beside the server's figures it tells the
//! engine's share.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use keytide_bench::{Order, VALUE, key, shard_of, shard_of_strings};
use keytide_engine::keyspace::entry::End;
use keytide_engine::limits::RING_BYTES_DEFAULT;
use std::hint::black_box;
use std::iter::once;
use std::time::{Duration, Instant};

/// The server's: values are made and freed in what is measured.
#[global_allocator]
static ALLOCATOR: keytide_net::allocator::Allocator = keytide_net::allocator::Allocator;

const KEYS: usize = 100_000;
const COLD_KEYS: usize = 1_000_000;

/// Commands per turn.
const TURN: usize = 16;

fn strings(group: &mut BenchmarkGroup<'_, WallTime>, keys: &[String], ring_bytes: u64) {
    let mut order = Order::new(keys);
    let mut strings = shard_of_strings(keys, &VALUE, ring_bytes);
    group.bench_function("set", |bencher| {
        bencher.iter(|| {
            for _ in 0..TURN {
                strings.set(order.next_key(), black_box(&VALUE)).expect("a short value");
            }
            strings.commit()
        })
    });
    group.bench_function("get", |bencher| {
        bencher.iter(|| {
            for _ in 0..TURN {
                black_box(strings.get(order.next_key()).expect("a string"));
            }
            strings.commit()
        })
    });
    drop(strings);
    let mut integers = shard_of_strings(keys, b"1000000", ring_bytes);
    group.bench_function("incr", |bencher| {
        bencher.iter(|| {
            for _ in 0..TURN {
                black_box(integers.increment(order.next_key(), 1).expect("an integer"));
            }
            integers.commit()
        })
    });
}

fn collections(group: &mut BenchmarkGroup<'_, WallTime>, keys: &[String], ring_bytes: u64) {
    const FIELDS: [&[u8]; 4] = [b"name", b"mail", b"city", b"plan"];
    let mut order = Order::new(keys);
    let mut hashes = shard_of(keys, ring_bytes, |shard, key| {
        shard.set_fields(key, FIELDS.iter().map(|field| (*field, &VALUE[..]))).expect("short values");
    });
    group.bench_function("hset", |bencher| {
        bencher.iter(|| {
            for number in 0..TURN {
                let pair = (FIELDS[number % FIELDS.len()], &black_box(&VALUE)[..]);
                hashes.set_fields(order.next_key(), once(pair)).expect("a hash");
            }
            hashes.commit()
        })
    });
    drop(hashes);
    let mut lists = shard_of(keys, ring_bytes, |shard, key| {
        shard.push(key, End::Tail, [&VALUE[..]; 4].into_iter()).expect("short values");
    });
    // What was pushed is taken off again outside the measured time, or the lists would grow without end.
    group.bench_function("lpush", |bencher| {
        bencher.iter_custom(|turns| {
            let mut elapsed = Duration::ZERO;
            for _ in 0..turns {
                let pushed: [&[u8]; TURN] = std::array::from_fn(|_| order.next_key());
                let start = Instant::now();
                for key in pushed {
                    lists.push(key, End::Head, once(&black_box(&VALUE)[..])).expect("a list");
                }
                lists.commit();
                elapsed += start.elapsed();
                for key in pushed {
                    lists.pop(key, End::Tail).expect("a list");
                }
                lists.commit();
            }
            elapsed
        })
    });
}

fn execute(criterion: &mut Criterion) {
    let keys: Vec<String> = (0..COLD_KEYS).map(key).collect();
    for (name, ring_bytes) in [("ring", RING_BYTES_DEFAULT), ("no ring", 0)] {
        let mut group = criterion.benchmark_group(format!("execute/{name}"));
        group.throughput(Throughput::Elements(TURN as u64));
        strings(&mut group, &keys[..KEYS], ring_bytes);
        collections(&mut group, &keys[..KEYS], ring_bytes);
        group.finish();
    }
    let mut group = criterion.benchmark_group("execute/ring, 1,000,000 keys");
    group.throughput(Throughput::Elements(TURN as u64));
    strings(&mut group, &keys, RING_BYTES_DEFAULT);
    group.finish();
}

criterion_group!(benches, execute);
criterion_main!(benches);
