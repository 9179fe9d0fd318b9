//! Revisions of streams while the number of shards changes: they continue as long as the key exists or any of its events is
//! retained, whichever generation has recorded the events.

use super::Scratch;
use super::reshard::{Event, all_events, flush, open, open_with, run, store_options};
use crate::shard::random::Commands;
use crate::slot::shard_of;
use crate::store::Store;
use std::collections::BTreeMap;

/// The number of events of each stream, whose revisions have to be dense from 0.
fn dense(all: &[Event], when: &str) -> BTreeMap<Vec<u8>, u64> {
    let mut next: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for event in all {
        let next = next.entry(event.key.clone()).or_default();
        let key = String::from_utf8_lossy(&event.key);
        assert_eq!(event.revision, *next, "{key} at {}, {when}", event.position);
        *next += 1;
    }
    next
}

fn set(store: &mut Store, key: &str) {
    let total = store.shards.len() as u16;
    let shard = &mut store.shards[shard_of(key.as_bytes(), total).0 as usize].0;
    shard.begin_command();
    shard.set(key.as_bytes(), b"value").unwrap();
    shard.commit();
}

fn delete(store: &mut Store, key: &str) {
    let total = store.shards.len() as u16;
    let shard = &mut store.shards[shard_of(key.as_bytes(), total).0 as usize].0;
    shard.begin_command();
    assert!(shard.delete(key.as_bytes()));
    shard.commit();
}

fn next_revision(store: &Store, key: &str) -> u64 {
    let shard = shard_of(key.as_bytes(), store.shards.len() as u16);
    store.shards[shard.0 as usize].0.next_revision(key.as_bytes())
}

#[test]
fn revisions_go_on_over_other_numbers_of_shards_flushes_deletes_and_starts() {
    for (round, numbers) in [[1, 2, 2, 1, 1], [2, 8, 8, 3, 3], [3, 1, 2, 8, 2]].into_iter().enumerate() {
        let scratch = Scratch::new(&format!("revisions-{round}"));
        let mut commands = Commands::new(round as u64, 60);
        for (generation, shards) in numbers.into_iter().enumerate() {
            let mut store = open(&scratch.0, shards);
            let when = format!("with {shards} shards in round {round}.{generation}");
            dense(&all_events(&store), &when);
            for key in ["set", "deleted"] {
                set(&mut store, key);
            }
            delete(&mut store, "deleted");
            // Streams of earlier runs and of this one, with and without an event since.
            if (round + generation) % 2 == 1 {
                flush(&mut store);
                let streams = dense(&all_events(&store), &when);
                for (key, next) in streams.iter().filter(|(key, _)| !key.is_empty()) {
                    let key = std::str::from_utf8(key).unwrap();
                    assert_eq!(next_revision(&store, key), *next, "{key} {when}");
                }
                // A start that finds the flush in the log.
                drop(store);
                store = open(&scratch.0, shards);
                for key in ["set", "deleted"] {
                    assert_eq!(next_revision(&store, key), streams[key.as_bytes()], "{key} after a start {when}");
                }
            }
            run(&mut store, &mut commands, 300);
            dense(&all_events(&store), &when);
        }
    }
}

#[test]
fn an_absent_stream_of_before_goes_on_after_a_flush_with_and_without_a_start() {
    for starts in [false, true] {
        let scratch = Scratch::new(&format!("revisions-absent-{starts}"));
        let mut store = open(&scratch.0, 1);
        set(&mut store, "absent");
        delete(&mut store, "absent");
        set(&mut store, "there");
        drop(store);
        let mut store = open(&scratch.0, 2);
        flush(&mut store);
        if starts {
            drop(store);
            store = open(&scratch.0, 2);
        }
        for key in ["absent", "there"] {
            set(&mut store, key);
        }
        let streams = dense(&all_events(&store), "after the flush");
        assert_eq!((streams[&b"absent"[..]], streams[&b"there"[..]]), (3, 2));
    }
}

#[test]
fn of_too_many_absent_streams_the_oldest_are_forgotten_when_the_number_of_shards_changes() {
    let scratch = Scratch::new("revisions-bound");
    let mut store = open(&scratch.0, 3);
    let mut go = |prefix: &str| {
        for n in 0..20 {
            set(&mut store, &format!("{prefix}:{n}"));
            delete(&mut store, &format!("{prefix}:{n}"));
        }
        (0..300).for_each(|n| set(&mut store, &format!("key:{n}")));
    };
    for prefix in ["old", "middle", "new"] {
        go(prefix);
    }
    drop(store);
    let mut options = store_options(&scratch.0, 1);
    options.absent_streams = 25;
    let mut store = open_with(&options);
    let known = |store: &Store, prefix: &str| -> usize {
        (0..20).filter(|n| next_revision(store, &format!("{prefix}:{n}")) == 2).count()
    };
    assert_eq!(["old", "middle", "new"].map(|prefix| known(&store, prefix)), [0, 5, 20]);
    // What is deleted now is newer than all of those.
    for n in 0..25 {
        delete(&mut store, &format!("key:{n}"));
    }
    assert_eq!(["old", "middle", "new"].map(|prefix| known(&store, prefix)), [0, 0, 0]);
    assert!((0..25).all(|n| next_revision(&store, &format!("key:{n}")) > 0));
}
