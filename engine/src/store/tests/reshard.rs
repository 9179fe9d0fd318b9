//! A directory whose number of shards changes from run to run: keys, and all of the history, against a list of it.

use super::{RING_BYTES, Scratch, options, unsynced};
use crate::filter::Filter;
use crate::group::{Group, GroupOptions, Row as GroupRow, Start};
use crate::history::{Gap, History, Scan};
use crate::interest::Source;
use crate::log::Fsync;
use crate::log::storage::{LogFile, Prepare, Storage};
use crate::position::{Position, RingOffset, ShardId};
use crate::shard::LentShard;
use crate::shard::random::{Commands, Row, settled, written};
use crate::shards::Shards;
use crate::slot::shard_of;
use crate::store::directory::DirectoryOptions;
use crate::store::{Store, StoreOptions};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An event as a reader sees it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    pub(super) position: u64,
    pub(super) key: Vec<u8>,
    event: Vec<u8>,
    pub(super) revision: u64,
    data: Vec<u8>,
}

impl Event {
    fn is_flush(&self) -> bool {
        self.key.is_empty()
    }
}

pub(super) fn store_options(path: &Path, shards: u16) -> StoreOptions {
    let (storage, boot_id) = (unsynced(), "a boot".to_owned());
    let directory = DirectoryOptions { storage, boot_id, ..DirectoryOptions::default() };
    let log = options(Fsync::Os);
    StoreOptions { path: path.to_owned(), directory, shards, log, ring_bytes: RING_BYTES, absent_streams: usize::MAX }
}

pub(super) fn open_with(options: &StoreOptions) -> Store {
    crate::store::open(options, &|_, _| {}).unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn open(path: &Path, shards: u16) -> Store {
    open_with(&store_options(path, shards))
}

pub(super) fn history(store: &Store) -> History {
    History::new(store.sequencer.clone(), &store.histories).with_older(&store.older)
}

/// All events of a source from a position on, read `count` at a time, and the gaps.
pub(super) fn events(store: &Store, from: u64, source: &Source, count: usize) -> (Vec<Event>, Vec<Gap>) {
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

pub(super) fn all_events(store: &Store) -> Vec<Event> {
    let (events, gaps) = events(store, 0, &Source::All, 100);
    assert_eq!(gaps, []);
    events
}

/// The keys that exist and those of which the revision is known, without where their records lie.
fn keys(store: &Store) -> BTreeMap<Vec<u8>, Row> {
    let mut keys = BTreeMap::new();
    for (number, LentShard(shard)) in store.shards.iter().enumerate() {
        for (key, row) in written(shard).rows {
            assert_eq!(shard_of(&key, store.shards.len() as u16).0 as usize, number);
            if row.value.is_some() || row.revision.is_some() {
                keys.insert(key, Row { last: RingOffset::NONE, queued: false, ..row });
            }
        }
    }
    keys
}

/// Commands on random shards, and now and then a flush of all of them.
pub(super) fn run(store: &mut Store, commands: &mut Commands, count: usize) {
    let total = store.shards.len() as u16;
    for _ in 0..count {
        let at = commands.rng.u16(..total);
        let shard = &mut store.shards[at as usize].0;
        shard.check_log().unwrap();
        shard.begin_command();
        commands.only = Some((ShardId(at), total));
        commands.run(shard);
        if commands.rng.u8(..4) == 0 {
            shard.commit();
        }
        if commands.rng.u16(..500) == 0 {
            flush(store);
        }
    }
    store.shards.iter_mut().for_each(|shard| {
        settled(&mut shard.0);
        shard.0.commit();
    });
}

pub(super) fn flush(store: &mut Store) {
    let mut shards: Vec<_> = store.shards.drain(..).map(|shard| shard.0).collect();
    let total = shards.len() as u16;
    Shards::Several { shards: &mut shards, total }.flush();
    store.shards.extend(shards.into_iter().map(LentShard));
}

/// Checks the history, read in many ways, and the keys.
fn check(store: &Store, all: &[Event], expected_keys: &BTreeMap<Vec<u8>, Row>, rng: &mut fastrand::Rng) {
    let total = store.shards.len() as u16;
    assert_eq!(&keys(store), expected_keys);
    assert_eq!(all_events(store), all);
    let mut reader = history(store);
    let of = |from: u64, is_in: &dyn Fn(&Event) -> bool| -> Vec<Event> {
        all.iter().filter(|event| event.position >= from && (event.is_flush() || is_in(event))).cloned().collect()
    };
    for _ in 0..12 {
        let from = all[rng.usize(..all.len())].position + rng.u64(..2);
        let count = [1, 7, 1000][rng.usize(..3)];
        let mut found = |source: &Source| {
            let (events, gaps) = events_of(&mut reader, total, from, source, count);
            assert_eq!(gaps, []);
            events
        };
        assert_eq!(found(&Source::All), of(from, &|_| true), "from {from}");
        let key = all[rng.usize(..all.len())].key.clone();
        assert_eq!(found(&Source::Stream(key[..].into())), of(from, &|event| event.key == key), "from {from}");
        let shard = ShardId(rng.u16(..total));
        let is_on = |event: &Event| shard_of(&event.key, total) == shard;
        assert_eq!(found(&Source::Shard(shard)), of(from, &is_on), "from {from}, {shard}");
        let sets = Source::Type(b"Set"[..].into());
        assert_eq!(found(&sets), of(from, &|event| event.event == b"Set"), "from {from}");
    }
    assert_eq!(reader.first_available(), store.sequencer.first());
}

#[test]
fn whatever_the_number_of_shards_was_all_keys_and_all_of_the_history_are_there() {
    for seed in 0..3 {
        let scratch = Scratch::new(&format!("reshard-{seed}"));
        let mut commands = Commands::new(seed, 40);
        let mut store = open(&scratch.0, 2);
        run(&mut store, &mut commands, 1500);
        let (mut all, mut expected) = (all_events(&store), keys(&store));
        assert!(all.iter().any(|event| event.is_flush()));
        for shards in [3, 1, 1, 4, 2] {
            let flushes = store.shards[0].0.turn().db_stream().0;
            let next = store.sequencer.next();
            if commands.rng.bool() {
                store.shards.clear();
                store.directory.close_clean(next).unwrap();
            }
            let before = store.shards.len();
            drop(store);
            store = open(&scratch.0, shards);
            assert!(before == 0 || before == shards as usize || store.found.resharded_from == Some(before as u16));
            assert_eq!(store.sequencer.next(), next, "positions go on");
            check(&store, &all, &expected, &mut commands.rng);
            assert!(store.shards.iter().all(|shard| shard.0.turn().db_stream().0 == flushes));
            run(&mut store, &mut commands, 1500);
            (all, expected) = (all_events(&store), keys(&store));
            check(&store, &all, &expected, &mut commands.rng);
        }
        assert_eq!(store.older.len(), 4);
        assert!(
            store
                .older
                .iter()
                .flat_map(|older| &older.shards)
                .any(|shard| shard.segments().unwrap().list().1.len() > 1)
        );
    }
}

#[test]
fn a_pending_entry_from_before_is_delivered_again() {
    let scratch = Scratch::new("reshard-group");
    let mut store = open(&scratch.0, 2);
    let mut commands = Commands::new(9, 40);
    run(&mut store, &mut commands, 400);
    let mut reader = history(&store);
    let options = GroupOptions { idle_ms: 10, ..GroupOptions::default() };
    let mut group = Group::new(b"*", Start::At(Position(0)), options, &reader).unwrap();
    let read = |group: &mut Group, reader: &mut History, now_ms| {
        let mut seen = Vec::new();
        group
            .read(b"worker", 20, u64::MAX, now_ms, reader, |row| {
                match row {
                    GroupRow::Event(record) => seen.push((record.position().0, record.key().to_vec())),
                    GroupRow::Gap { last, .. } => panic!("nothing is lost, and not up to {last}"),
                }
                1
            })
            .unwrap();
        seen
    };
    let first = read(&mut group, &mut reader, 0);
    assert_eq!(first.len(), 20);
    for (round, shards) in [(1, 3), (2, 1), (3, 2)] {
        drop((reader, store));
        store = open(&scratch.0, shards);
        run(&mut store, &mut commands, 100);
        reader = history(&store);
        assert_eq!(read(&mut group, &mut reader, 100 * round), first, "{shards} shards");
    }
    // What is delivered for the first time after the change is delivered again, too.
    let second = read(&mut group, &mut reader, 301);
    assert!(second.len() == 20 && second[0].0 > first[19].0);
    group.ack(first.iter().map(|event| Position(event.0)));
    assert_eq!(read(&mut group, &mut reader, 400), second);
    // Up to the events of now.
    group.ack(second.iter().map(|event| Position(event.0)));
    loop {
        let read = read(&mut group, &mut reader, 500);
        group.ack(read.iter().map(|event| Position(event.0)));
        // The one that meets the end is not full, one that passes from one number of shards to another is.
        if read.len() < 20 {
            break;
        }
    }
    assert_eq!(group.info().cursor, reader.frontier());
    store.shards[0].0.set(b"now", b"").unwrap();
    store.shards[0].0.commit();
    let now = read(&mut group, &mut reader, 600);
    assert_eq!((now.len(), read(&mut group, &mut reader, 700)), (1, now));
}

#[test]
fn a_flush_that_only_some_shards_have_recorded_is_recorded_by_all_before_they_are_taken_apart() {
    let scratch = Scratch::new("reshard-flush");
    let mut store = open(&scratch.0, 2);
    let mut commands = Commands::new(1, 40);
    run(&mut store, &mut commands, 300);
    store.shards[0].0.set(b"{other}", b"").unwrap();
    store.shards[0].0.commit();
    let position = store.sequencer.reserve(ShardId(0), 1);
    store.shards[0].0.flush(position);
    drop(store);
    let store = open(&scratch.0, 3);
    assert_eq!(store.shards.iter().map(|shard| shard.0.key_count()).sum::<usize>(), 0);
    let all = all_events(&store);
    assert_eq!(all.iter().filter(|event| event.position == position.0).count(), 1);
    assert_eq!(store.sequencer.next(), position.next());
    for key in all.iter().map(|event| &event.key).filter(|key| !key.is_empty()) {
        let (stream, _) = events(&store, 0, &Source::Stream(key[..].into()), 100);
        assert!(stream.last().is_some_and(|event| event.position == position.0));
    }
}

#[test]
fn a_gap_of_a_power_loss_is_reported_after_a_reshard_too() {
    let scratch = Scratch::new("reshard-lost");
    let mut store = open(&scratch.0, 2);
    let mut commands = Commands::new(2, 40);
    run(&mut store, &mut commands, 300);
    let (before, last) = (all_events(&store), store.sequencer.next());
    drop(store);
    let mut options = store_options(&scratch.0, 3);
    options.directory.boot_id = "another boot".to_owned();
    let mut store = open_with(&options);
    let next = store.sequencer.next();
    assert!(next > last);
    run(&mut store, &mut commands, 300);
    for from in [0, before[0].position, before[before.len() / 2].position] {
        let (all, gaps) = events(&store, from, &Source::All, 50);
        let known: Vec<_> = before.iter().filter(|event| event.position >= from).cloned().collect();
        assert_eq!(all[..known.len()], known);
        assert_eq!(all[known.len()].position, next.0);
        assert_eq!(gaps, [Gap { last: Position(next.0 - 1), lost: None }]);
    }
}

#[test]
fn retention_takes_older_generations_the_oldest_first_and_tells() {
    let scratch = Scratch::new("reshard-retention");
    let mut commands = Commands::new(3, 40);
    let mut all = Vec::new();
    for shards in [2, 3, 1] {
        let mut store = open(&scratch.0, shards);
        run(&mut store, &mut commands, 2500);
        all = all_events(&store);
    }
    let first = all[0].position;
    let bytes_of = |store: &Store| -> u64 {
        let shards = store.older.iter().flat_map(|older| &older.shards).chain(&store.histories);
        shards.flat_map(|shard| shard.segments().unwrap().list().1.to_vec()).map(|segment| segment.file_bytes).sum()
    };
    let generations = |store: &Store| store.directory.generations().len();
    let mut store = open(&scratch.0, 2);
    let mut reader = history(&store);
    assert_eq!(events_of(&mut reader, 2, 0, &Source::All, 10).0, all);
    let everything = bytes_of(&store);
    let mut limit = everything;
    let (mut known, mut seen) = (first, 0);
    drop(store);
    loop {
        let mut options = store_options(&scratch.0, 2);
        options.log.retain_bytes = limit / 2;
        store = open_with(&options);
        assert!(bytes_of(&store) <= limit.max(128 << 10), "{} of {limit}", bytes_of(&store));
        let mut reader = history(&store);
        let available = reader.first_available();
        assert!(available.0 >= known);
        let (found, gaps) = events_of(&mut reader, 2, known, &Source::All, 10);
        let left: Vec<_> = all.iter().filter(|event| event.position >= available.0).cloned().collect();
        assert_eq!(found, left, "without holes from the first that is available");
        assert_eq!(gaps.first().map(|gap| gap.last.next()), (available.0 > known).then_some(available));
        assert_eq!(events_of(&mut reader, 2, 0, &Source::All, 10).0, left);
        for older in 1..store.directory.current_generation().number {
            let is_listed = store.directory.generations().iter().any(|generation| generation.number == older);
            assert_eq!(store.directory.generation_directory(older).exists(), is_listed);
        }
        known = available.0;
        seen += usize::from(!left.is_empty());
        if generations(&store) == 1 {
            break;
        }
        limit = limit.saturating_sub(64 << 10);
        drop(store);
    }
    assert!(seen > 3 && known > all.last().unwrap().position);
    assert_eq!(keys(&store).is_empty(), keys(&open(&scratch.0.join("new"), 2)).is_empty() && all.is_empty());
}

#[test]
fn events_that_retention_drops_under_a_reader_are_reported_as_lost() {
    let scratch = Scratch::new("reshard-taken");
    let mut store = open(&scratch.0, 3);
    run(&mut store, &mut Commands::new(4, 40), 3000);
    let all = all_events(&store);
    drop(store);
    let mut options = store_options(&scratch.0, 2);
    options.log.retain_ms = Some(u64::MAX);
    let mut store = open_with(&options);
    let mut reader = history(&store);
    let filter = Filter::default();
    let scan = |reader: &mut History, cursor| {
        let scan = Scan {
            cursor,
            until: None,
            count: 100,
            bytes: u64::MAX,
            records: usize::MAX,
            source: &Source::All,
            filter: &filter,
        };
        let mut seen = Vec::new();
        let page = reader.scan(&scan, |_, _, record| {
            seen.push(record.position().0);
            1
        });
        (page, seen)
    };
    let (page, seen) = scan(&mut reader, Position(0));
    assert_eq!((seen.len(), page.gap), (100, None));
    // Everything is too old from now on: its time is Unix time 1,000 ms and a little more.
    store.retirement.set_retain_ms(Some(1));
    store.retirement.run();
    assert_eq!(store.directory.generations().len(), 1);
    let last = Position(store.sequencer.next().0 - 1);
    let (gap, seen) = scan(&mut reader, page.next);
    assert_eq!(seen, [0; 0]);
    assert_eq!(gap.gap.map(|gap| gap.last), Some(last), "after {} of {}", page.next, all.last().unwrap().position);
    assert!(gap.at_end && reader.first_available() == last.next());
    store.shards[0].0.set(b"after", b"").unwrap();
    store.shards[0].0.commit();
    assert_eq!(scan(&mut reader, gap.next).1, [last.0 + 1]);
}

/// Files that can be changed so many times, and then never again.
struct Stops {
    storage: Arc<dyn Storage>,
    left: AtomicUsize,
}

impl Stops {
    fn check(&self) -> io::Result<()> {
        // Relaxed: a number by itself.
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map(drop).map_err(|_| io::Error::other("interrupted"))
    }
}

impl Storage for Stops {
    fn create(&self, path: &Path, bytes: u64, prepare: Prepare) -> io::Result<Box<dyn LogFile>> {
        self.check()?;
        self.storage.create(path, bytes, prepare)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        self.check()?;
        self.storage.open(path)
    }

    fn replace(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        self.check()?;
        self.storage.replace(path, contents)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check()?;
        self.storage.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.check()?;
        self.storage.remove(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.check()?;
        self.storage.create_directory(path)
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn a_change_that_was_interrupted_at_any_moment_loses_nothing() {
    let (scratch, again) = (Scratch::new("reshard-stop"), Scratch::new("reshard-stopped"));
    let mut commands = Commands::new(5, 40);
    let mut store = open(&scratch.0, 2);
    run(&mut store, &mut commands, 1000);
    let (all, expected) = (all_events(&store), keys(&store));
    drop(store);
    let mut interrupted = [0, 0];
    for moment in 0.. {
        let path = again.0.join(moment.to_string());
        copy(&scratch.0, &path);
        let mut options = store_options(&path, 3);
        options.directory.storage = Arc::new(Stops { storage: unsynced(), left: AtomicUsize::new(moment) });
        if crate::store::open(&options, &|_, _| {}).is_ok() {
            break;
        }
        let meta = std::fs::read_to_string(path.join("meta.toml")).unwrap();
        interrupted[usize::from(meta.contains("number = 2"))] += 1;
        let store = open(&path, [2, 3, 1][moment % 3]);
        check(&store, &all, &expected, &mut commands.rng);
        drop(store);
        std::fs::remove_dir_all(&path).unwrap();
    }
    assert!(interrupted[0] > 10 && interrupted[1] > 3, "before and after the change: {interrupted:?}");
}
