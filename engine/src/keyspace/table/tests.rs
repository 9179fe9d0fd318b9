//! A table beside a plain map, through random changes, with its own rules checked.

use super::word::TAG_BITS;
use super::*;
use crate::keyspace::Block;
use crate::position::RingOffset;
use std::collections::{BTreeMap, HashMap, HashSet};

type Blocks = Table<Block>;

fn key(n: usize) -> Vec<u8> {
    format!("key:{n}").into_bytes()
}

fn put(table: &mut Blocks, name: &[u8], revision: u64) {
    let hash = table.hash(name);
    table.find_or_insert(hash, name, || Block::absent(name)).lend().set_head(revision, RingOffset::NONE);
}

fn get(table: &Blocks, name: &[u8]) -> Option<u64> {
    table.find(table.hash(name), name).map(|entry| entry.next_revision())
}

fn remove(table: &mut Blocks, name: &[u8]) -> bool {
    let hash = table.hash(name);
    table.remove_by_hash(hash, |entry| entry.key() == name).is_some()
}

fn filled(count: usize) -> Blocks {
    let mut table = Blocks::new();
    (0..count).for_each(|n| put(&mut table, &key(n), n as u64));
    table
}

/// What must hold of any table.
fn check(table: &Blocks) {
    let mut names = 0;
    for (number, segment) in table.segments().enumerate() {
        let number = number as u32;
        if table.unused.contains(&number) {
            assert_eq!(segment.names(), 0);
            continue;
        }
        assert_eq!(segment.words().count(), segment.names());
        assert!(segment.names() <= names_max(segment.line_count()) && segment.line_count() >= 1);
        assert!(segment.line_count() <= LINES_MAX || segment.depth() == DEPTH_MAX || segment.names() > 400);
        names += segment.names();
        for home in 0..segment.line_count() {
            for spot in segment.spots_of(home) {
                let entry = segment.word(spot).get();
                let hash = table.hash(entry.key());
                assert_eq!(table.directory.get(hash), number);
                assert_eq!(segment.word(spot).tag(), segment.tag(hash));
                assert!(segment.tag(hash) >> TAG_BITS == 0 && segment.home(segment.tag(hash)) == home);
                assert_eq!(segment.home_of_hash(hash), home);
                if let Some(at_ms) = entry.expire_at_ms() {
                    assert!(segment.due <= at_ms, "the table knows of every TTL");
                }
            }
        }
        // Each word is found from its home.
        let reached = (0..segment.line_count()).map(|home| segment.spots_of(home).count()).sum::<usize>();
        assert_eq!(reached, segment.names());
        assert_eq!(segment.due, segment.earliest());
        assert_eq!(table.due.contains(&(segment.due, number)), segment.due != NEVER);
    }
    assert_eq!((table.len(), table.iter().count()), (names, names));
    assert!(table.due.len() <= table.segments().count());
}

#[test]
fn a_table_has_what_a_map_has() {
    for seed in 0..if cfg!(miri) { 1 } else { 30 } {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut table, mut model) = (Blocks::new(), HashMap::new());
        let keys = [40, 400, 4_000, 40_000][if cfg!(miri) { 0 } else { rng.usize(..4) }];
        // It grows, stays and shrinks, several times.
        for phase in 0..if cfg!(miri) { 3 } else { 8 } {
            let removals = [10, 50, 95][phase % 3];
            for step in 0..keys * 2 {
                let name = key(rng.usize(..keys));
                match rng.u8(..100) {
                    n if n < removals => assert_eq!(remove(&mut table, &name), model.remove(&name).is_some()),
                    98 => assert_eq!(get(&table, &name), model.get(&name).copied()),
                    99 => {
                        // A block that moves takes its word along.
                        let length = rng.usize(..600);
                        let hash = table.hash(&name);
                        if let Some(word) = table.find_mut(hash, &name) {
                            drop(word.lend().set_string(&vec![1; length]));
                        }
                    }
                    _ => {
                        put(&mut table, &name, step as u64);
                        model.insert(name, step as u64);
                    }
                }
            }
            check(&table);
            for n in 0..keys {
                assert_eq!(get(&table, &key(n)), model.get(&key(n)).copied());
            }
            let rows: HashMap<Vec<u8>, u64> =
                table.iter().map(|entry| (entry.key().to_vec(), entry.next_revision())).collect();
            assert_eq!(rows, model);
        }
        let hash = table.hash(b"key:1");
        table.retain(|at, word| at == hash || word.get().next_revision() % 3 == 0);
        model.retain(|name, revision| name == b"key:1" || *revision % 3 == 0);
        check(&table);
        assert_eq!(table.len(), model.len());
        assert!(model.iter().all(|(name, revision)| get(&table, name) == Some(*revision)));
    }
}

#[test]
fn a_segment_grows_by_few_lines_and_is_full_when_it_does() {
    let table = filled(if cfg!(miri) { 500 } else { 100_000 });
    check(&table);
    let words = table.segments().map(|segment| segment.line_count() * line::WORDS).sum::<usize>();
    let filled = table.len() as f64 / words as f64;
    assert!(filled > 0.72, "{filled}");
    let steps: HashSet<usize> = table.segments().map(Segment::line_count).collect();
    assert!(steps.iter().all(|&lines| lines <= LINES_MAX), "{steps:?}");
}

#[test]
fn a_table_that_has_shrunk_has_few_segments_and_one_that_is_empty_has_one() {
    let count = if cfg!(miri) { 600 } else { 60_000 };
    let mut table = filled(count);
    let before = table.segments.iter().flatten().count() - table.unused.len();
    (0..count).filter(|n| n % 10 != 0).for_each(|n| assert!(remove(&mut table, &key(n))));
    check(&table);
    let after = table.segments.iter().flatten().count() - table.unused.len();
    assert!(after * 4 < before + 4, "{before} segments, then {after}");
    let lines = table.segments().map(Segment::line_count).sum::<usize>() - table.unused.len();
    assert!(table.len() * 3 > lines * line::WORDS, "{} names in {lines} lines", table.len());
    (0..count).step_by(10).for_each(|n| assert!(remove(&mut table, &key(n))));
    check(&table);
    assert_eq!(table.segments.iter().flatten().count() - table.unused.len(), 1);
    (0..count).for_each(|n| put(&mut table, &key(n), 7));
    check(&table);
}

#[test]
fn what_expires_is_visited_and_nothing_else() {
    for seed in 0..if cfg!(miri) { 1 } else { 20 } {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut table = Blocks::new();
        let mut model: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        let keys = if cfg!(miri) { 60 } else { 3_000 };
        let mut now_ms = 1_790_000_000_000;
        for _ in 0..keys * 10 {
            let name = key(rng.usize(..keys));
            let hash = table.hash(&name);
            match rng.u8(..10) {
                0..6 => {
                    let at_ms = now_ms + rng.u64(1..5_000);
                    table.find_or_insert(hash, &name, || Block::absent(&name)).lend().set_expiry(at_ms);
                    table.note_expiry(hash, at_ms);
                    model.insert(name, at_ms);
                }
                6 => {
                    table.find_or_insert(hash, &name, || Block::absent(&name)).lend().set_expiry(0);
                    model.remove(&name);
                }
                7 => {
                    remove(&mut table, &name);
                    model.remove(&name);
                }
                _ => {
                    now_ms += rng.u64(..20);
                    let mut left = rng.usize(..40);
                    let mut gone = Vec::new();
                    let more = table.expire(now_ms, |hash, word| {
                        if left == 0 {
                            return false;
                        }
                        left -= 1;
                        let name = word.get().key().to_vec();
                        gone.push((hash, name));
                        word.lend().set_expiry(0);
                        true
                    });
                    for (hash, name) in gone {
                        assert_eq!(hash, table.hash(&name));
                        assert!(model.remove(&name).is_some_and(|at_ms| at_ms <= now_ms));
                    }
                    assert!(more || model.values().all(|&at_ms| at_ms > now_ms));
                    assert!(more || table.next_expiry_ms().is_none_or(|at_ms| at_ms > now_ms));
                }
            }
        }
        check(&table);
        let next = model.values().min();
        assert!(next.is_none_or(|at_ms| table.next_expiry_ms().is_some_and(|known| known <= *at_ms)));
    }
}

#[test]
fn a_scan_visits_every_entry_that_stays_while_the_table_grows_and_shrinks() {
    let count = if cfg!(miri) { 200 } else { 5_000 };
    for shrinks in [false, true] {
        let mut table = filled(count);
        if shrinks {
            (0..20 * count).for_each(|n| put(&mut table, format!("new:{n}").as_bytes(), 0));
        }
        let mut seen = HashSet::new();
        let (mut from, mut changed) = (Some(0), 0);
        while let Some(cursor) = from {
            let mut left = 10;
            from = table.scan(cursor, |entry| {
                seen.insert(entry.key().to_vec());
                left -= 1;
                left > 0
            });
            for _ in 0..20 {
                let name = format!("new:{changed}");
                if shrinks {
                    remove(&mut table, name.as_bytes());
                } else {
                    put(&mut table, name.as_bytes(), 0);
                }
                changed += 1;
            }
        }
        assert!(changed > count);
        assert!((0..count).all(|n| seen.contains(&key(n))));
        check(&table);
    }
}

#[test]
fn a_scan_without_changes_sees_each_entry_once() {
    let count = if cfg!(miri) { 100 } else { 3_000 };
    let table = filled(count);
    let (mut seen, mut from, mut steps) = (Vec::new(), Some(0), 0);
    while let Some(cursor) = from {
        let until = seen.len() + 7;
        from = table.scan(cursor, |entry| {
            seen.push(entry.key().to_vec());
            seen.len() < until
        });
        steps += 1;
    }
    assert_eq!(seen.len(), count);
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), count);
    assert!(steps >= count / 7);
    let ranks: Vec<u64> = seen.iter().map(|name| Blocks::order(table.hash(name))).collect();
    assert!(ranks.is_sorted());
}

#[test]
fn names_that_share_their_first_hash_bits_end_no_split() {
    // A segment beyond its greatest depth goes on in more lines.
    let mut segment: Segment<Block> = Segment::new(DEPTH_MAX, 0);
    for n in 0..2_000u64 {
        if segment.is_full() {
            segment.grow();
        }
        let hash = 7 << 44 | n << 20;
        let mut block = Block::absent(&key(n as usize));
        block.set_head(n, RingOffset::NONE);
        segment.insert(segment.tag(hash), block);
    }
    assert!(segment.line_count() > LINES_MAX);
    for n in 0..2_000u64 {
        assert!(segment.position(7 << 44 | n << 20, |entry| entry.next_revision() == n).is_some(), "{n}");
    }
}

#[test]
fn some_entry_is_found_by_any_random_number() {
    let table = filled(3_000);
    let mut rng = fastrand::Rng::with_seed(5);
    let mut seen = HashSet::new();
    for _ in 0..300 {
        let (random, mut step) = (rng.u64(..), 0);
        while let Some(entries) = table.segment_from(random, step) {
            let names: Vec<Vec<u8>> = entries.map(|entry| entry.key().to_vec()).collect();
            seen.extend(names.first().cloned());
            step += 1;
            if !names.is_empty() {
                break;
            }
        }
    }
    assert!(seen.len() > 3, "{}", seen.len());
    assert!(table.segment_from(0, u64::MAX).is_none() && table.segment_from(0, 1 << table.deepest).is_none());
}
