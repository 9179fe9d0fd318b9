//! Eviction: the limit holds with each policy, what goes is what the policy says, and nothing else changes.

use super::random::{shard_with_ring, shard_without_ring};
use super::*;
use crate::eviction::{Policy, Pool};
use std::collections::HashMap;

const LIMIT: u64 = 1 << 20;

fn limited(mut shard: Shard, policy: &str, limit: u64) -> Shard {
    let pool = Arc::new(Pool::new(1));
    pool.set_limit(limit);
    pool.set_policy(Policy::from_name(policy.as_bytes()).expect("it is a policy"));
    shard.set_pool(pool);
    shard
}

/// What a core does before a command that may use more memory. Returns whether it may run.
fn prepare(shard: &mut Shard) -> bool {
    shard.make_room();
    !shard.is_over(0) || shard.make_memory(0) == Memory::Enough
}

/// The policies that evict.
fn evicting() -> impl Iterator<Item = &'static str> {
    Policy::NAMED.iter().map(|(name, _)| *name).filter(|name| *name != "noeviction")
}

#[test]
fn the_memory_stays_within_the_limit_with_each_policy() {
    for policy in evicting() {
        let mut shard = limited(shard_with_ring(1 << 20, 1_000), policy, LIMIT);
        let mut rng = fastrand::Rng::with_seed(1);
        for n in 0..60_000u32 {
            let key = format!("key:{n}");
            assert!(prepare(&mut shard), "{policy}");
            assert!(shard.footprint().used_bytes() <= LIMIT, "{policy}");
            let ttl = if n % 50 == 0 { Ttl::Clear } else { Ttl::At(1_000_000 + rng.u64(..1_000_000)) };
            let options = SetOptions { ttl, ..SetOptions::default() };
            shard.set_with(key.as_bytes(), &vec![b'x'; rng.usize(..300)], options).expect("it is a string");
            if n % 64 == 0 {
                shard.commit();
                shard.evict_some();
            }
        }
        assert_eq!(shard.key_count() as u64 + shard.evicted(), 60_000, "{policy}");
        assert!(shard.evicted() > 50_000, "{policy}");
        assert_eq!(*shard.footprint(), shard.walked_footprint(), "{policy}");
        if policy.starts_with("volatile") {
            let kept = (0..60_000).step_by(50).filter(|n| shard.has_value(format!("key:{n}").as_bytes())).count();
            assert_eq!(kept, 1_200, "{policy}: those without a TTL stay");
        }
        assert!(shard.eviction_bytes() <= 8 * 60_000, "{policy}: {}", shard.eviction_bytes());
    }
}

#[test]
fn keys_that_expire_go_however_few_they_are() {
    for policy in evicting().filter(|policy| policy.starts_with("volatile")) {
        for (plain, expiring) in [(3_000, 1), (3_000, 100), (20_000, 10), (200, 5_000)] {
            let mut shard = limited(shard_without_ring(100), policy, 1 << 30);
            let put = |shard: &mut Shard, name: &str, n: u32, ttl| {
                let options = SetOptions { ttl, ..SetOptions::default() };
                let is_room = prepare(shard);
                shard.set_with(format!("{name}:{n}").as_bytes(), &[b'x'; 50], options).expect("there is no ring");
                is_room
            };
            (0..plain).for_each(|n| assert!(put(&mut shard, "plain", n, Ttl::Clear)));
            (0..expiring).for_each(|n| assert!(put(&mut shard, "first", n, Ttl::At(1 << 40))));
            let limit = shard.footprint().used_bytes();
            shard.pool().expect("it has one").set_limit(limit);
            shard.evict_some();
            let mut most = 0;
            for n in 0..500 {
                assert!(put(&mut shard, "more", n, Ttl::At(1 << 40)), "{policy}, {plain} plain, {expiring}: {n}");
                shard.evict_some();
                most = most.max(shard.footprint().used_bytes());
            }
            // A search of so many keys may go on in the next turns.
            assert!(most < limit + limit / 50, "{policy}, {plain} plain, {expiring}: {most} of {limit}");
            assert!(shard.evicted() >= 450, "{policy}, {plain} plain, {expiring}: {}", shard.evicted());
            assert!((0..plain).all(|n| shard.has_value(format!("plain:{n}").as_bytes())), "{policy}");
        }
    }
}

#[test]
fn where_no_key_may_go_commands_are_refused_and_everything_stays() {
    for policy in ["noeviction", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl", "volatile-s3fifo"] {
        let mut shard = limited(shard_without_ring(100), policy, LIMIT);
        let mut written = 0;
        while prepare(&mut shard) {
            shard.set(format!("key:{written}").as_bytes(), &[b'x'; 100]).expect("there is no ring");
            written += 1;
        }
        let used = shard.footprint().used_bytes();
        assert!(used > LIMIT && used < LIMIT + 200, "{policy}: {used}: one value beyond the limit");
        assert_eq!((shard.key_count(), shard.evicted()), (written, 0), "{policy}");
        // Memory that is given up is there for others.
        assert!(shard.delete(b"key:0") && shard.delete(b"key:1") && prepare(&mut shard), "{policy}");
    }
}

#[test]
fn nothing_is_added_while_the_keys_take_more_than_a_limit_that_was_lowered_under_them() {
    for policy in ["noeviction", "volatile-lru"] {
        let mut shard = limited(shard_with_ring(1 << 20, 1_000), policy, LIMIT);
        for n in 0..1_000 {
            assert!(prepare(&mut shard), "{policy}");
            shard.set(format!("key:{n}").as_bytes(), &[b'x'; 500]).expect("it is a string");
        }
        shard.commit();
        shard.pool().expect("it was given one").set_limit(LIMIT / 4);
        shard.evict_some();
        assert!(!prepare(&mut shard), "{policy}: not even one");
        for n in 0..480 {
            assert!(!prepare(&mut shard), "{policy}");
            shard.delete(format!("key:{n}").as_bytes());
            shard.commit();
            shard.evict_some();
        }
        for n in 480..700 {
            shard.delete(format!("key:{n}").as_bytes());
        }
        shard.commit();
        shard.evict_some();
        assert!(prepare(&mut shard), "{policy}: there is room again");
    }
}

#[test]
fn a_limit_that_is_lowered_is_reached_in_slices_and_one_that_is_lifted_is_none() {
    for policy in evicting() {
        let mut shard = limited(shard_with_ring(1 << 20, 1_000), policy, 4 * LIMIT);
        for n in 0..20_000u64 {
            let ttl = Ttl::At(2_000 + n);
            let options = SetOptions { ttl, ..SetOptions::default() };
            shard.set_with(format!("key:{n}").as_bytes(), &[b'x'; 100], options).expect("it is a string");
            shard.make_room();
        }
        shard.pool().expect("it has one").set_limit(LIMIT / 2);
        let mut slices = 0;
        while shard.evict_some() || shard.footprint().used_bytes() > LIMIT / 2 {
            shard.commit();
            slices += 1;
            assert!(slices < 1_000, "{policy}");
        }
        assert!(slices > 10, "{policy}: {slices}");
        assert!(shard.footprint().used_bytes() > LIMIT / 4, "{policy}");
        shard.pool().expect("it has one").set_limit(0);
        shard.evict_some();
        let evicted = shard.evicted();
        for n in 0..20_000 {
            assert!(prepare(&mut shard));
            shard.set(format!("key:{n}").as_bytes(), &[b'x'; 100]).expect("it is a string");
        }
        assert_eq!((shard.key_count(), shard.evicted()), (20_000, evicted), "{policy}");
    }
}

#[test]
fn nothing_is_evicted_while_there_is_room() {
    for policy in evicting() {
        let mut shard = limited(shard_with_ring(1 << 20, 1_000), policy, 8 * LIMIT);
        for n in 0..1_000 {
            assert!(prepare(&mut shard));
            let field = format!("field:{n}");
            shard.set_field_if_absent(b"hash", field.as_bytes(), &[b'x'; 2_000]).expect("it is a hash");
            shard.set(format!("key:{n}").as_bytes(), &[b'x'; 2_000]).expect("it is a string");
            // The turn ends with each command, and what it has added is not claimed yet.
            shard.commit();
            shard.evict_some();
        }
        assert_eq!((shard.key_count(), shard.evicted()), (1_001, 0), "{policy}");
    }
}

#[test]
fn with_volatile_ttl_the_key_that_expires_first_goes_first() {
    let mut shard = limited(shard_without_ring(100), "volatile-ttl", 100 << 10);
    let mut order: Vec<u64> = (0..500).collect();
    fastrand::Rng::with_seed(2).shuffle(&mut order);
    for n in order {
        let options = SetOptions { ttl: Ttl::At(10_000 + n * 10), ..SetOptions::default() };
        shard.set_with(format!("key:{n}").as_bytes(), &[b'x'; 100], options).expect("it is a string");
    }
    shard.pool().expect("it has one").set_limit(40 << 10);
    while shard.evict_some() {
        shard.commit();
    }
    assert!(shard.footprint().used_bytes() <= 40 << 10);
    let left = shard.key_count() as u64;
    assert!((100..400).contains(&left), "{left}");
    assert!((500 - left..500).all(|n| shard.has_value(format!("key:{n}").as_bytes())), "the last to expire are left");
}

#[test]
fn a_flush_and_a_change_of_policy_forget_what_was_known() {
    let mut shard = limited(shard_with_ring(1 << 20, 1_000), "allkeys-s3fifo", LIMIT);
    let mut rng = fastrand::Rng::with_seed(4);
    for round in 0..12 {
        for _ in 0..8_000 {
            assert!(prepare(&mut shard));
            let key = format!("key:{}", rng.u32(..20_000));
            match rng.u8(..10) {
                0 => _ = shard.delete(key.as_bytes()),
                1..4 => _ = shard.read(key.as_bytes()),
                _ => shard.set(key.as_bytes(), &vec![b'x'; rng.usize(..200)]).expect("it is a string"),
            }
        }
        shard.commit();
        match round % 4 {
            0 => crate::shards::Shards::One(&mut shard).flush(),
            1 => {
                let policy = Policy::NAMED[1 + round % 3].1;
                shard.pool().expect("it has one").set_policy(policy);
            }
            2 => shard.pool().expect("it has one").set_policy(Policy::from_name(b"allkeys-s3fifo").unwrap()),
            _ => {}
        }
        shard.evict_some();
        assert_eq!(*shard.footprint(), shard.walked_footprint());
    }
}

#[test]
fn keys_that_come_and_go_leave_nothing_in_the_order_of_probation() {
    let mut shard = limited(shard_without_ring(0), "allkeys-s3fifo", LIMIT);
    for n in 0..100_000 {
        assert!(prepare(&mut shard));
        shard.set(format!("key:{}", n % 7).as_bytes(), b"x").expect("it is a string");
        shard.delete(format!("key:{}", n % 7).as_bytes());
        if n % 100 == 0 {
            shard.commit();
            shard.evict_some();
        }
    }
    assert!(shard.eviction_bytes() < 64 << 10, "{}", shard.eviction_bytes());
}

/// Requests for keys whose popularity follows Zipf's law.
fn zipf(keys: usize, exponent: f64, count: usize, seed: u64) -> Vec<u32> {
    let weights = (1..=keys).scan(0.0, |sum, rank| {
        *sum += (rank as f64).powf(-exponent);
        Some(*sum)
    });
    let sums: Vec<f64> = weights.collect();
    let (mut rng, total) = (fastrand::Rng::with_seed(seed), sums[keys - 1]);
    let mut draw = || sums.partition_point(|sum| *sum < rng.f64() * total) as u32;
    (0..count).map(|_| draw()).collect()
}

/// The part of the requests that find their key; a key that is not found is set. The first fifth does not count.
fn hit_ratio(policy: &str, requests: &[u32], keys_kept: u64) -> f64 {
    let mut shard = limited(shard_without_ring(0), policy, keys_kept * 59);
    let (mut hits, warm) = (0, requests.len() / 5);
    for (n, key) in requests.iter().enumerate() {
        let key = format!("k:{key:08}");
        if shard.get(key.as_bytes()).expect("it is a string").is_some() {
            hits += usize::from(n >= warm);
        } else {
            assert!(prepare(&mut shard), "{policy}: request {n}");
            let options = SetOptions { ttl: Ttl::At(1 << 40), ..SetOptions::default() };
            shard.set_with(key.as_bytes(), b"0123456789", options).expect("it is a string");
        }
        if n % 50 == 0 {
            shard.commit();
            shard.evict_some();
        }
    }
    hits as f64 / (requests.len() - warm) as f64
}

/// The same of an exact LRU.
fn hit_ratio_of_lru(requests: &[u32], keys_kept: usize) -> f64 {
    let mut at: HashMap<u32, usize> = HashMap::new();
    let mut order = std::collections::BTreeMap::new();
    let (mut hits, warm) = (0, requests.len() / 5);
    for (n, key) in requests.iter().enumerate() {
        if let Some(before) = at.insert(*key, n) {
            hits += usize::from(n >= warm);
            order.remove(&before);
        } else if at.len() > keys_kept {
            let (_, oldest) = order.pop_first().expect("there are as many");
            at.remove(&oldest);
        }
        order.insert(n, *key);
    }
    hits as f64 / (requests.len() - warm) as f64
}

#[test]
fn each_policy_keeps_what_it_is_for() {
    const KEYS: usize = 50_000;
    for (part, gain) in [(0.01, 0.08), (0.1, 0.05)] {
        let kept = (KEYS as f64 * part) as u64;
        let requests = zipf(KEYS, 0.9, 500_000, 1);
        let lru = hit_ratio_of_lru(&requests, kept as usize);
        let of = |policy: &str| hit_ratio(policy, &requests, kept);
        let ratios: Vec<(&str, f64)> = evicting().map(|policy| (policy, of(policy))).collect();
        println!("{part}: exact LRU {lru:.4}, {ratios:.4?}");
        for (policy, ratio) in ratios {
            let least = match policy.split_once('-').map_or(policy, |(_, order)| order) {
                "lru" => lru - 0.005,
                "lfu" => lru + 0.01,
                "s3fifo" => lru + gain,
                // A random key goes, or, all expire together, any.
                _ => lru - 0.1,
            };
            assert!(ratio > least, "{policy} at {part}: {ratio:.4}, an exact LRU {lru:.4}");
        }
    }
}
