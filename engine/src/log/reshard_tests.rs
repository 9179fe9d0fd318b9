//! A directory whose number of shards changes from run to run: keys, and all of the history, against a list of it.

use super::directory::DirectoryOptions;
use super::segment::HEADER_BYTES;
use super::store::{self, LimitKeeper, Store, StoreError, StoreOptions};
use super::tests::{RING_BYTES, Scratch, options, unsynced};
use super::*;
use crate::clock;
use crate::filter::Filter;
use crate::group::{Group, GroupOptions, Row as GroupRow};
use crate::history::{Gap, History, Scan};
use crate::position::{Position, ShardId};
use crate::shard::random::{Commands, Row, written};
use crate::shard::{LentShard, Shard};
use crate::shards::Shards;
use crate::slot::shard_of;
use crate::subscription::Source;
use std::collections::BTreeMap;
use std::path::Path;

/// An event, as everything that reads it sees it.
#[derive(Clone, Debug, PartialEq)]
struct Event {
    position: u64,
    key: Vec<u8>,
    event: Vec<u8>,
    revision: u64,
    data: Vec<u8>,
}

fn store_options(path: &Path, shards: u16) -> StoreOptions {
    StoreOptions {
        path: path.to_owned(),
        directory: DirectoryOptions { storage: unsynced(), boot_id: "a boot".to_owned(), ..DirectoryOptions::default() },
        shards,
        log: options(Fsync::Os),
        ring_bytes: RING_BYTES,
        absent_streams: usize::MAX,
    }
}

fn open(path: &Path, shards: u16) -> Store {
    store::open(&store_options(path, shards), &|_, _| {}).unwrap_or_else(|error| panic!("{error}"))
}

fn history(store: &Store) -> History {
    History::new(store.sequencer.clone(), &store.histories).with_older(&store.older)
}

/// Everything from a position on, and the gaps that were told.
fn events(store: &Store, from: u64, source: &Source, count: usize) -> (Vec<Event>, Vec<Gap>) {
    events_of(&mut history(store), store.shards.len() as u16, from, source, count)
}

fn events_of(history: &mut History, total: u16, from: u64, source: &Source, count: usize) -> (Vec<Event>, Vec<Gap>) {
    let (mut events, mut gaps, mut cursor) = (Vec::new(), Vec::new(), Position(from));
    let filter = Filter::default();
    loop {
        let scan = Scan { cursor, until: None, count, bytes: u64::MAX, records: usize::MAX, source, filter: &filter };
        let page = history.scan(&scan, |_, shard, record| {
            if !record.key().is_empty() {
                assert_eq!(shard, shard_of(record.key(), total), "the shard that it would be on now");
            }
            events.push(Event {
                position: record.position().0,
                key: record.key().to_vec(),
                event: record.type_name().to_vec(),
                revision: record.revision().0,
                data: record.bytes()[48..].to_vec(),
            });
            1
        });
        assert!(!page.is_damaged, "{:?}", history.damage());
        assert!(page.next > cursor || page.at_end);
        gaps.extend(page.gap);
        cursor = page.next;
        if page.at_end {
            return (events, gaps);
        }
    }
}

/// The keys that exist, without what is another generation's.
fn keys(store: &Store) -> BTreeMap<Vec<u8>, Row> {
    let mut keys = BTreeMap::new();
    for (number, LentShard(shard)) in store.shards.iter().enumerate() {
        for (key, row) in written(shard).rows {
            assert_eq!(shard_of(&key, store.shards.len() as u16).0 as usize, number);
            if row.value.is_some() {
                keys.insert(key, Row { last: crate::position::RingOffset::NONE, queued: false, ..row });
            }
        }
    }
    keys
}

/// Commands on random shards, each with its own keys, and now and then a flush of all.
fn run(store: &mut Store, commands: &mut Commands, count: usize) {
    for _ in 0..count {
        let at = commands.rng.usize(..store.shards.len());
        let total = store.shards.len() as u16;
        let shard = &mut store.shards[at].0;
        shard.check_log().unwrap();
        shard.begin_command();
        commands.run_on(shard, total);
        if commands.rng.u8(..4) == 0 {
            shard.commit();
        }
        if commands.rng.u16(..400) == 0 {
            flush(store);
        }
    }
    store.shards.iter_mut().for_each(|shard| drop(shard.0.commit()));
}

fn flush(store: &mut Store) {
    let mut shards: Vec<&mut Shard> = store.shards.iter_mut().map(|shard| &mut *shard.0).collect();
    shards.iter_mut().for_each(|shard| drop(shard.commit()));
    Shards::Many(&mut shards).flush();
}

fn first_of(store: &Store) -> u64 {
    store.sequencer.first().0
}
