//! The guarantee of a subscription, tested in many small worlds: every subscriber gets exactly the events that it wants
//! after its start, in order, each once, or a gap. Shards, cores, lanes and clients move one step at a time in an order that
//! a seed draws; the rings are so small that they overflow.
//!
//! `KEYTIDE_CASES` is the number of worlds, `KEYTIDE_SEED` the first seed, `KEYTIDE_SHARDS` the number of shards of each
//! world (otherwise the seed draws it). A failure prints its seed.
#![cfg(not(loom))]

mod clients;
mod edges;
mod model;
mod waiters;
mod world;

use world::World;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Prints the seed of a failure.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with KEYTIDE_SEED={} KEYTIDE_CASES=1", self.0);
        }
    }
}

#[test]
fn every_subscriber_gets_its_events_once_and_in_order_or_a_gap() {
    let (first, cases) = (number("KEYTIDE_SEED", 1), number("KEYTIDE_CASES", 3_000));
    let shards = std::env::var("KEYTIDE_SHARDS").ok().and_then(|text| text.parse::<u16>().ok());
    println!("KEYTIDE_SEED={first} KEYTIDE_CASES={cases}, shards: {shards:?}");
    let mut seen = model::Seen::default();
    for seed in first..first + cases {
        let _seed = Seed(seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut world = World::new(&mut rng, shards);
        for _ in 0..rng.usize(20..400) {
            world.step(&mut rng);
        }
        world.settle();
        world.check(&mut seen);
    }
    println!("{seen:?}");
    if cases >= 1_000 {
        seen.assert_all_happened();
    }
}
