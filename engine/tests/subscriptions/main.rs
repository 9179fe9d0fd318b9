//! What a subscription promises, in many small worlds: every subscriber sees exactly the events that it wants after its
//! start, in order, each once, or is told what is lost. Shards, cores, lanes and clients are moved one step at a time
//! in an order that a seed draws; the rings are so small that they overflow.
//!
//! `KEYTIDE_CASES` says how many worlds, `KEYTIDE_SEED` which is the first, `KEYTIDE_SHARDS` how many shards each has
//! (otherwise the seed draws that too); a failure prints its seed.
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

/// Says which seed failed.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with KEYTIDE_SEED={} KEYTIDE_CASES=1", self.0);
        }
    }
}

#[test]
fn every_subscriber_sees_what_it_wants_in_order_and_once_or_is_told_of_the_gap() {
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
