//! Snapshots that are taken while the shard runs commands, and damaged snapshots.

use super::*;
use crate::keyspace::entry::End;
use crate::keyspace::{Kind, Value};
use crate::limits::RING_BYTES_MIN;
use crate::ring::Record;
use crate::shard::random::{Commands, Row, Written, settled, shard_with_ring, shard_without_ring, written};
use crate::shard::{ExpireCondition, Shard, SnapshotProgress, SnapshotRunning, StoredEntry};
use crate::shards::Shards;
use crate::slot::shard_of;
use std::collections::BTreeMap;
use std::io::Cursor;

/// A shard with its log: all its records, although the ring keeps only the latest.
struct Logged {
    shard: Shard,
    log: Vec<(RingOffset, Vec<u8>)>,
    end: RingOffset,
}

impl Logged {
    fn new(ring_bytes: u64, absent_max: usize) -> Logged {
        Logged { shard: shard_with_ring(ring_bytes, absent_max), log: Vec::new(), end: RingOffset(0) }
    }

    fn run(&mut self, commands: &mut Commands, count: usize) {
        for _ in 0..count {
            commands.run(&mut self.shard);
            self.commit();
        }
    }

    fn commit(&mut self) {
        self.shard.commit();
        for record in self.shard.published_from(self.end).expect("it records") {
            assert_eq!(record.offset(), self.end, "nothing is overwritten within a command");
            self.log.push((record.offset(), record.bytes().to_vec()));
            self.end = record.end();
        }
    }

    /// A snapshot without commands between its slices.
    fn snapshot(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.shard.begin_snapshot(1, &mut out).unwrap();
        settled(&mut self.shard);
        while self.shard.snapshot_slice(&mut out, 1_000) == SnapshotProgress::More {}
        self.shard.finish_snapshot(&mut out).unwrap();
        out
    }

    fn replay(&self, shard: &mut Shard, from: RingOffset) {
        for (offset, bytes) in self.log.iter().filter(|row| row.0 >= from) {
            let record = Record::parse(bytes, *offset).expect("a record");
            shard.replay(&record).unwrap_or_else(|error| panic!("{error}"));
        }
    }
}

fn loaded(snapshot: &[u8], absent_max: usize) -> (Shard, SnapshotInfo) {
    let mut shard = shard_without_ring(absent_max);
    let info = load_from(Cursor::new(snapshot), &mut shard).unwrap();
    assert_eq!(inspect_from(Cursor::new(snapshot), true).unwrap(), info);
    (shard, info)
}

/// The keys that exist. Whether such a key is still queued as absent does not matter.
fn present(written: &Written) -> BTreeMap<Vec<u8>, Row> {
    let rows = written.rows.iter().filter(|(_, row)| row.value.is_some());
    rows.map(|(key, row)| (key.clone(), Row { queued: false, ..row.clone() })).collect()
}

fn absent(written: &Written) -> BTreeMap<Vec<u8>, Row> {
    let rows = written.rows.iter().filter(|(_, row)| row.value.is_none());
    rows.map(|(key, row)| (key.clone(), row.clone())).collect()
}

/// Takes a snapshot while the shard runs commands. Returns the shard restored from snapshot and log, and the shard itself.
fn taken_while_running(seed: u64, ring_bytes: u64, absent_max: usize, keys: usize) -> (Written, Written) {
    let mut live = Logged::new(ring_bytes, absent_max);
    let mut commands = Commands::new(seed, keys);
    let before = commands.rng.usize(..200);
    live.run(&mut commands, before);
    let mut out = Vec::new();
    live.shard.begin_snapshot(1, &mut out).unwrap();
    let start = live.end;
    // One command at least now and then: a flush is drained by commands.
    let between = commands.rng.usize(2..30);
    loop {
        let count = commands.rng.usize(..between);
        live.run(&mut commands, count);
        if live.shard.snapshot_slice(&mut out, commands.rng.usize(..200)) == SnapshotProgress::Done {
            break;
        }
    }
    live.run(&mut commands, between);
    let info = live.shard.finish_snapshot(&mut out).unwrap();
    assert_eq!((info.start, info.end), (start, live.end));
    live.run(&mut commands, 50);
    let (mut shard, info) = loaded(&out, absent_max);
    assert_eq!((info.shard, info.shards, info.start), (ShardId(0), 1, start));
    live.replay(&mut shard, info.start);
    (written(&shard), written(settled(&mut live.shard)))
}

#[test]
fn a_snapshot_and_the_log_from_its_start_restore_the_shard() {
    for seed in 0..400 {
        let (shard, live) = taken_while_running(seed, 64 << 20, usize::MAX, 12);
        assert_eq!(present(&shard), present(&live), "seed {seed}");
        assert_eq!(absent(&shard), absent(&live), "seed {seed}");
        let counts = |of: &Written| (of.key_count, of.volatile_count, of.next_expiry_ms, of.db_stream);
        assert_eq!(counts(&shard), counts(&live), "seed {seed}");
        for row in absent(&shard).keys() {
            assert!(shard.absent.iter().any(|(key, _)| key.as_ref() == Some(row)), "seed {seed}: in the queue");
        }
    }
}

#[test]
fn they_restore_the_shard_though_counters_are_forgotten_meanwhile() {
    for seed in 0..600 {
        let (ring_bytes, absent_max) = match seed % 3 {
            // The ring wraps many times; or the bound of absent entries is always reached; or both.
            0 => (RING_BYTES_MIN, usize::MAX),
            1 => (64 << 20, 3),
            _ => (RING_BYTES_MIN, 3),
        };
        let (shard, live) = taken_while_running(seed, ring_bytes, absent_max, 60);
        assert_eq!(present(&shard), present(&live), "seed {seed}");
        let counts = |of: &Written| (of.key_count, of.volatile_count, of.next_expiry_ms, of.db_stream);
        assert_eq!(counts(&shard), counts(&live), "seed {seed}");
        assert!(shard.absent.len() <= absent_max, "seed {seed}");
        if absent_max == usize::MAX {
            let kept = absent(&shard);
            assert!(absent(&live).iter().all(|(key, row)| kept.get(key) == Some(row)), "seed {seed}");
        }
    }
}

#[test]
fn a_replay_knows_the_entries_that_a_flush_forgot_meanwhile() {
    let mut live = Logged::new(RING_BYTES_MIN, 10);
    live.shard.set_fields(b"hash", [(&b"old"[..], &b""[..])].into_iter()).unwrap();
    live.commit();
    let mut out = Vec::new();
    live.shard.begin_snapshot(1, &mut out).unwrap();
    let start = live.end;
    live.shard.set_fields(b"hash", [(&b"new"[..], &b""[..])].into_iter()).unwrap();
    live.shard.delete_fields(b"hash", [&b"old"[..]].into_iter()).unwrap();
    for _ in 0..100 {
        live.shard.set(b"other", &[0; 1_000]).unwrap();
        live.commit();
    }
    Shards::One(&mut live.shard).flush();
    live.commit();
    assert!(live.shard.stream_revision(b"hash").is_none(), "its last record has left the ring");
    settled(&mut live.shard);
    while live.shard.snapshot_slice(&mut out, 1_000) == SnapshotProgress::More {}
    live.shard.finish_snapshot(&mut out).unwrap();
    let (mut shard, _) = loaded(&out, 10);
    live.replay(&mut shard, start);
    assert_eq!(shard.key_count(), 0);
}

#[test]
fn of_two_stored_entries_of_a_key_the_later_one_is_kept() {
    let stored = |last, value: &[u8]| StoredEntry {
        key: b"k",
        value: (!value.is_empty()).then(|| Value::Str(value.to_vec())),
        expire_at_ms: last * u64::from(!value.is_empty()),
        next_revision: last,
        last: RingOffset(last),
    };
    let (early, late, gone) = (stored(8, b"early"), stored(64, b"late"), stored(32, b""));
    for order in [[&early, &gone, &late], [&late, &gone, &early], [&gone, &late, &early], [&late, &early, &gone]] {
        let mut shard = shard_without_ring(10);
        order.into_iter().for_each(|entry| shard.restore(entry.clone()));
        shard.end_restore(0, RingOffset::NONE);
        assert_eq!(shard.get(b"k"), Ok(Some(&b"late"[..])));
        assert_eq!((shard.next_revision(b"k"), shard.key_count()), (64, 1));
        assert_eq!(written(&shard).next_expiry_ms, Some(64));
        assert_eq!(shard.volatile_count(), 1);
    }
}

#[test]
fn large_values_take_several_rows() {
    let mut live = Logged::new(64 << 20, 10);
    let large: Vec<u8> = (0..(2 << 20) + 77).map(|n| (n % 251) as u8).collect();
    live.shard.set(b"string", &large).unwrap();
    live.shard.expire_at(b"string", 9_000, ExpireCondition::default()).unwrap();
    let elements: Vec<&[u8]> = large.chunks(300_000).chain([&large[..]]).collect();
    live.shard.push(b"list", End::Tail, elements.iter().copied()).unwrap();
    live.commit();
    let many: Vec<Vec<u8>> = (0..60_000).map(|n| format!("member:{n:030}").into_bytes()).collect();
    live.shard.add_members(b"set", many.iter().map(|member| &member[..])).unwrap();
    live.commit();
    live.shard.set_fields(b"hash", many.iter().map(|member| (&member[..], &member[..9]))).unwrap();
    live.commit();
    let snapshot = live.snapshot();
    let (shard, info) = loaded(&snapshot, 10);
    assert!(info.rows > 10, "{}", info.rows);
    assert_eq!(written(&shard), written(settled(&mut live.shard)));
}

/// A snapshot with a row of each kind.
fn small() -> Logged {
    let mut live = Logged::new(RING_BYTES_MIN, 10);
    live.shard.set(b"string", b"value").unwrap();
    live.shard.set(b"empty", b"").unwrap();
    live.shard.expire_at(b"string", 9_000, ExpireCondition::default()).unwrap();
    live.shard.push(b"list", End::Tail, [&b"a"[..], b"b"].into_iter()).unwrap();
    live.shard.add_members(b"set", [&b"m"[..]].into_iter()).unwrap();
    live.shard.set_fields(b"hash", [(&b"field"[..], &b"1"[..])].into_iter()).unwrap();
    live.shard.set(b"gone", b"").unwrap();
    live.shard.delete(b"gone");
    live.commit();
    live
}

fn is_refused(bytes: &[u8]) -> bool {
    let mut handed_out = 0;
    let refused = [
        load_from(Cursor::new(bytes), &mut shard_without_ring(10)).is_err(),
        inspect_from(Cursor::new(bytes), true).is_err(),
        entries_from(Cursor::new(bytes), |_| handed_out += 1).is_err(),
    ];
    refused == [true; 3]
}

#[test]
fn a_snapshot_with_any_damage_is_refused() {
    let mut live = small();
    let whole = live.snapshot();
    assert_eq!(written(&loaded(&whole, 10).0), written(settled(&mut live.shard)));
    for at in 0..whole.len() {
        for flip in (0..8).map(|bit| 1 << bit).chain([0xff]) {
            let mut damaged = whole.clone();
            damaged[at] ^= flip;
            assert!(is_refused(&damaged), "byte {at} with {flip:#x}");
        }
        assert!(is_refused(&whole[..at]), "cut at byte {at}");
        assert!(is_refused(&whole[at + 1..]), "begun at byte {at}");
        let longer = [&whole[..at], &[0; 8], &whole[at..]].concat();
        assert!(is_refused(&longer), "eight zeros at byte {at}");
    }
    assert!(is_refused(&[&whole[..], &[0]].concat()));
}

#[test]
fn missing_and_misplaced_rows_are_detected() {
    let whole = small().snapshot();
    let (header, rest) = whole.split_at(format::HEADER_BYTES);
    let (mut rest, footer) = rest.split_at(rest.len() - format::FOOTER_BYTES);
    let mut rows = Vec::new();
    while let Some(record) = Record::parse(rest, RingOffset(0)) {
        rows.push(record.bytes());
        rest = &rest[record.bytes().len()..];
    }
    assert!(rows.len() == 6 && rest.is_empty());
    let file = |rows: &[&[u8]]| [header, &rows.concat(), footer].concat();
    assert_eq!(file(&rows), whole);
    for n in 0..rows.len() {
        let mut less = rows.clone();
        let row = less.remove(n);
        assert!(is_refused(&file(&less)));
        less.push(row);
        assert_eq!(is_refused(&file(&less)), n + 1 < rows.len());
        less.push(row);
        assert!(is_refused(&file(&less)));
    }
}

#[test]
fn there_is_one_snapshot_at_a_time_and_an_end_only_after_all_rows() {
    let mut live = small();
    let mut out = Vec::new();
    assert_eq!(
        (live.shard.snapshot_slice(&mut out, 9), live.shard.finish_snapshot(&mut out)),
        (SnapshotProgress::Done, None)
    );
    live.shard.begin_snapshot(1, &mut out).unwrap();
    assert_eq!(live.shard.begin_snapshot(1, &mut out), Err(SnapshotRunning));
    assert_eq!(live.shard.snapshot_slice(&mut out, 1), SnapshotProgress::More);
    assert!(live.shard.finish_snapshot(&mut out).is_none() && live.shard.is_taking_snapshot());
    live.shard.abort_snapshot();
    assert_eq!(written(&loaded(&live.snapshot(), 10).0), written(settled(&mut live.shard)));
    assert!(!live.shard.is_taking_snapshot());
}

#[test]
fn only_an_empty_shard_is_filled_and_only_with_its_own_keys() {
    let mut live = small();
    let whole = live.snapshot();
    assert!(matches!(load_from(Cursor::new(&whole), &mut live.shard), Err(SnapshotError::NotEmpty)));
    let sequencer = std::sync::Arc::new(crate::sequencer::Sequencer::new(Position(1), 2));
    let mut other = Shard::new(ShardId(1), sequencer, None, 10);
    let refused = load_from(Cursor::new(&whole), &mut other).map_err(|error| error.to_string());
    assert_eq!(refused, Err("the snapshot is of shard 0, not 1".to_owned()));
}

/// Adds an entry to the one of three shards that it belongs to.
fn give(shards: &mut [Shard; 3], entry: StoredEntry<'_>) {
    let shard = &mut shards[shard_of(entry.key, 3).0 as usize];
    shard.restore(StoredEntry { last: RingOffset::NONE, ..entry });
}

/// Checks that three shards together have exactly the entries of one.
fn have_together(mut shards: [Shard; 3], one: &Written) {
    let mut together = BTreeMap::new();
    let mut volatile = 0;
    for (n, shard) in shards.iter_mut().enumerate() {
        shard.end_restore(0, RingOffset::NONE);
        let written = written(shard);
        assert!(written.rows.len() > 5 && written.rows.keys().all(|key| shard_of(key, 3).0 as usize == n));
        assert_eq!(written.key_count, present(&written).len());
        volatile += written.volatile_count;
        together.extend(present(&written));
        // Counters without a record of this shard are forgotten first.
        shard.commit();
        assert!(self::written(shard).absent.is_empty());
    }
    let moved = present(one).into_iter().map(|(key, row)| (key, Row { last: RingOffset::NONE, ..row })).collect();
    assert_eq!(together, moved);
    assert_eq!(volatile, one.volatile_count);
    assert!(together.values().any(|row| row.value.as_ref().is_some_and(|value| value.0 == Kind::List)));
}

#[test]
fn the_entries_of_one_shard_can_be_given_to_several() {
    let mut live = Logged::new(64 << 20, 100);
    let mut commands = Commands::new(5, 40);
    live.run(&mut commands, 400);
    let snapshot = live.snapshot();
    let three = || [shard_without_ring(100), shard_without_ring(100), shard_without_ring(100)];
    let mut shards = three();
    let info = entries_from(Cursor::new(&snapshot), |entry| give(&mut shards, entry)).unwrap();
    have_together(shards, &written(settled(&mut live.shard)));
    // The same with the log that follows, replayed in the old shard.
    live.run(&mut commands, 100);
    let (mut old, _) = loaded(&snapshot, 100);
    live.replay(&mut old, info.start);
    let mut shards = three();
    old.into_entries(|entry| give(&mut shards, entry));
    have_together(shards, &written(settled(&mut live.shard)));
}

#[test]
fn a_file_has_its_name_once_it_is_complete() {
    let directory = std::env::temp_dir().join(format!("keytide-snapshot-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("0.snapshot");
    let names = || std::fs::read_dir(&directory).unwrap().count();
    let whole = small().snapshot();
    let mut file = SnapshotFile::create(&path).unwrap();
    file.write(&whole[..100]).unwrap();
    assert!(!path.exists() && names() == 1);
    drop(file);
    assert_eq!(names(), 0);
    let mut file = SnapshotFile::create(&path).unwrap();
    whole.chunks(100).for_each(|chunk| file.write(chunk).unwrap());
    file.finish().unwrap();
    assert_eq!(names(), 1);
    let mut shard = shard_without_ring(10);
    let info = load(&path, &mut shard).unwrap();
    let mut count = 0;
    assert_eq!(inspect(&path, false).unwrap(), info);
    assert_eq!(entries(&path, |_| count += 1).unwrap(), info);
    assert_eq!((count, shard.key_count()), (6, 5));
    std::fs::remove_dir_all(&directory).unwrap();
}
