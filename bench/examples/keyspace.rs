//! Bytes of memory per key and time per operation of a shard alone, without its ring: for layouts of its keys.
//!
//! `cargo run --release -p keytide-bench --example keyspace -- 16|64|ttl|time KEYS`: memory with values of 16 bytes, of 64,
//! or of 64 with a TTL, or times. Memory is what the process has more of resident after the keys were set, divided by their
//! number; times are of the thread's CPU.

use keytide_bench::{NOW_MS, Order, empty_shard, key};
use keytide_engine::keyspace::ValueRef;
use keytide_engine::shard::{ExpireCondition, SetOptions, Shard, Ttl};
use std::hint::black_box;
use std::time::Instant;

/// The server's.
#[global_allocator]
static ALLOCATOR: keytide_net::allocator::Allocator = keytide_net::allocator::Allocator;

/// Commands per turn.
const TURN: usize = 16;

/// The rounds of which the fastest counts: other processes only make it slower.
const ROUNDS: usize = 15;

/// The thread's CPU time in nanoseconds.
fn cpu_ns() -> u64 {
    keytide_engine::clock::thread_cpu_ns()
}

fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = text.split(' ').nth(1).and_then(|field| field.parse::<u64>().ok()).expect("a number of pages");
    pages * 4096
}

/// The time of one call, in nanoseconds, in turns whose keys are prefetched.
fn time(keys: &[String], shard: &mut Shard, mut run: impl FnMut(&mut Shard, &[u8])) -> f64 {
    let mut order = Order::new(keys);
    let turns = (keys.len() / TURN).clamp(10_000, 100_000);
    let rounds = (0..ROUNDS).map(|_| {
        let start = cpu_ns();
        for _ in 0..turns {
            let turn: [&[u8]; TURN] = std::array::from_fn(|_| order.next_key());
            shard.prefetch(turn.into_iter());
            turn.into_iter().for_each(|key| run(shard, key));
            shard.commit();
        }
        (cpu_ns() - start) as f64 / (turns * TURN) as f64
    });
    rounds.fold(f64::MAX, f64::min)
}

/// A shard with these keys, the bytes that each takes, and the nanoseconds that setting it took.
fn filled(keys: &[String], value: &[u8], ttl: bool) -> (Shard, f64, f64) {
    let mut shard = empty_shard(0);
    let before = resident_bytes();
    let start = Instant::now();
    for (number, keys) in keys.chunks(TURN).enumerate() {
        for (place, key) in keys.iter().enumerate() {
            if ttl {
                let at_ms = NOW_MS + 3_600_000 + (number * TURN + place) as u64;
                let options = SetOptions { ttl: Ttl::At(at_ms), ..SetOptions::default() };
                shard.set_with(key.as_bytes(), value, options).expect("a short value");
            } else {
                shard.set(key.as_bytes(), value).expect("a short value");
            }
        }
        shard.commit();
    }
    let elapsed = start.elapsed().as_nanos() as f64 / keys.len() as f64;
    let bytes = (resident_bytes() - before) as f64 / keys.len() as f64;
    (shard, bytes, elapsed)
}

/// Prints what `keys` take with values of so many bytes.
fn memory(keys: &[String], bytes: usize, ttl: bool) {
    let (_shard, each, ns) = filled(keys, &vec![b'v'; bytes], ttl);
    println!(
        "{} keys, {bytes} B{}: {each:.1} bytes, {ns:.0} ns to set",
        keys.len(),
        if ttl { " with TTL" } else { "" }
    );
}

/// Prints the time of operations on `keys`.
fn times(keys: &[String]) {
    let missing: Vec<String> = (0..keys.len()).map(|n| format!("not:{n:09}")).collect();
    let (mut shard, _, _) = filled(keys, &[b'v'; 16], false);
    let get = time(keys, &mut shard, |shard, key| {
        black_box(matches!(shard.value(key), Some(ValueRef::Str(_))));
    });
    let miss = time(&missing, &mut shard, |shard, key| {
        black_box(shard.value(key).is_some());
    });
    let set = time(keys, &mut shard, |shard, key| shard.set(key, black_box(&[b'w'; 16])).expect("short"));
    let expire = time(keys, &mut shard, |shard, key| {
        black_box(shard.expire_at(key, NOW_MS as i64 + 90_000_000, ExpireCondition::default()).expect("short"));
    });
    println!("{} keys: GET {get:.1}, missing {miss:.1}, SET {set:.1}, EXPIRE {expire:.1} ns", keys.len());
}

fn main() {
    let mut args = std::env::args().skip(1);
    let case = args.next().expect("16, 64, ttl or time");
    let count = args.next().expect("a number of keys").parse().expect("a number of keys");
    let keys: Vec<String> = (0..count).map(key).collect();
    match case.as_str() {
        "16" => memory(&keys, 16, false),
        "64" => memory(&keys, 64, false),
        "ttl" => memory(&keys, 64, true),
        _ => times(&keys),
    }
}
