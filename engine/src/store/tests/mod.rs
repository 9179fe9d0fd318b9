//! A shard with a log in a directory: written, ended in every way, and brought back.

use crate::filter::Filter;
use crate::history::{History, Request, Scan, ShardHistory};
use crate::interest::Source;
use crate::keyspace::entry::End;
use crate::log::segment::{HEADER_BYTES, segment_path};
use crate::log::storage::{self, Storage};
use crate::log::synced;
use crate::log::{Fsync, LogFailure, LogIdentity, LogOptions};
use crate::position::{Position, RingOffset, ShardId};
use crate::sequencer::Sequencer;
use crate::shard::random::{Commands, settled, written};
use crate::shard::{LentShard, Shard};
use crate::shards::Shards;
use crate::store::recovery::{RecoveryOptions, Trust};
use crate::store::restore::{RestoreError, RestoredShard, restore};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use unsynced::Unsynced;

mod damage;
mod large;
mod loss;
mod power;
mod reshard;
mod revision;
mod snapshot;
mod unsynced;

pub(super) const RING_BYTES: u64 = 64 << 10;

/// A directory that is removed when the test ends.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    pub(super) fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("keytide-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Waits until something is so, for a minute.
pub(super) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{what} never came");
}

pub(super) fn identity(directory: &Path) -> LogIdentity {
    LogIdentity { directory: directory.to_owned(), generation: 1, shard: ShardId(0), shards: 1 }
}

pub(super) fn options(fsync: Fsync) -> LogOptions {
    LogOptions { fsync, segment_bytes: 64 << 10, turn_bytes: RING_BYTES / 2, retain_bytes: u64::MAX, retain_ms: None }
}

pub(super) fn found(directory: &Path) -> Result<RestoredShard, RestoreError> {
    found_with(directory, &Unsynced)
}

pub(super) fn found_with(directory: &Path, storage: &dyn Storage) -> Result<RestoredShard, RestoreError> {
    restore(identity(directory), storage, trusting(Trust::Synced), usize::MAX, |_| {})
}

/// A start that trusts so much.
pub(super) fn trusting(trust: Trust) -> RecoveryOptions<'static> {
    RecoveryOptions { trust, note_cut: &|_| Ok(()) }
}

pub(super) fn unsynced() -> Arc<dyn Storage> {
    Arc::new(Unsynced)
}

pub(super) fn start(restored: RestoredShard, fsync: Fsync) -> (Box<Shard>, ShardHistory, Arc<Sequencer>) {
    start_with(restored, &unsynced(), options(fsync))
}

pub(super) fn start_with(
    restored: RestoredShard,
    storage: &Arc<dyn Storage>,
    options: LogOptions,
) -> (Box<Shard>, ShardHistory, Arc<Sequencer>) {
    let sequencer = Arc::new(Sequencer::resumed(Position(1), &[], restored.last().next(), 1));
    let (LentShard(shard), history) =
        restored.start(storage, options, (&sequencer, &LogFailure::default()), RING_BYTES).unwrap();
    (shard, history, sequencer)
}

/// Every position and key that the history holds, from a position on.
pub(super) fn events(history: &ShardHistory, sequencer: &Arc<Sequencer>, from: u64) -> Vec<(u64, Vec<u8>)> {
    let mut reader = History::new(sequencer.clone(), std::slice::from_ref(history));
    let (mut events, mut cursor) = (Vec::new(), Position(from));
    loop {
        let request = Request { cursor, count: 1000, bytes: u64::MAX, filter: &Filter::default() };
        let page = reader
            .read(&request, |_, record| {
                events.push((record.position().0, record.key().to_vec()));
                1
            })
            .unwrap();
        assert_eq!(page.gap, None);
        cursor = page.next;
        if page.at_end {
            return events;
        }
    }
}

/// Every position that one stream has, flushes among them, read as a stream.
fn stream_events(history: &ShardHistory, sequencer: &Arc<Sequencer>, stream: &[u8]) -> Vec<u64> {
    let mut reader = History::new(sequencer.clone(), std::slice::from_ref(history));
    let (mut events, mut cursor) = (Vec::new(), Position(0));
    let source = Source::Stream(stream.into());
    loop {
        let filter = &Filter::default();
        let scan = Scan { cursor, until: None, count: 7, bytes: u64::MAX, records: 1000, source: &source, filter };
        let page = reader.scan(&scan, |_, _, record| {
            events.push(record.position().0);
            1
        });
        cursor = page.next;
        if page.at_end {
            return events;
        }
    }
}

#[test]
fn a_stream_is_read_completely_although_most_of_the_segments_is_skipped() {
    let scratch = Scratch::new("log-streams");
    let options = LogOptions { segment_bytes: 1 << 20, ..options(Fsync::Os) };
    let (mut shard, history, sequencer) = start_with(found(&scratch.0).unwrap(), &unsynced(), options);
    let mut rng = fastrand::Rng::with_seed(3);
    for n in 0..40_000 {
        shard.check_log().unwrap();
        shard.begin_command();
        match n {
            9_000 | 9_001 => Shards::One(&mut shard).flush(),
            _ if n % 5_000 == 77 => shard.set(b"rare", b"").unwrap(),
            _ => shard.set(format!("key:{}", rng.u32(..500)).as_bytes(), &[7; 50][..rng.usize(..50)]).unwrap(),
        }
        if rng.u8(..4) == 0 {
            shard.commit();
        }
    }
    shard.commit();
    drop(shard);
    // All segments but the last are sealed now, and their streams noted.
    let noted = std::fs::read_dir(&scratch.0).unwrap();
    let noted = noted.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "streams"));
    assert!(noted.count() >= 3);
    let all = events(&history, &sequencer, 0);
    for stream in [&b"rare"[..], b"key:1", b"key:499", b"nowhere"] {
        let expected: Vec<u64> =
            all.iter().filter(|(_, key)| key == stream || key.is_empty()).map(|(position, _)| *position).collect();
        assert_eq!(stream_events(&history, &sequencer, stream), expected);
    }
}

#[test]
fn what_was_written_is_there_again_and_goes_on_over_many_starts_and_segments() {
    for (round, fsync) in [Fsync::Os, Fsync::EverySecond, Fsync::Always].into_iter().enumerate() {
        let scratch = Scratch::new(&format!("log-starts-{round}"));
        let mut commands = Commands::new(round as u64, 12);
        let (mut before, mut all) = (None, Vec::new());
        for _ in 0..6 {
            let restored = found(&scratch.0).unwrap();
            assert_eq!(restored.cut(), Default::default());
            let (mut shard, history, sequencer) = start(restored, fsync);
            if let Some(before) = before {
                assert_eq!(written(&shard), before);
            }
            assert_eq!(events(&history, &sequencer, 0), all);
            for _ in 0..300 {
                shard.begin_command();
                commands.run(&mut shard);
                if commands.rng.u8(..5) == 0 {
                    shard.check_log().unwrap();
                    shard.commit();
                }
            }
            shard.check_log().unwrap();
            shard.commit();
            all = events(&history, &sequencer, 0);
            let middle = all[all.len() / 2].0;
            let half: Vec<_> = all.iter().filter(|event| event.0 >= middle).cloned().collect();
            assert_eq!(events(&history, &sequencer, middle), half);
            before = Some(written(settled(&mut shard)));
        }
        let segments = std::fs::read_dir(&scratch.0).unwrap().count();
        assert!(segments > 4, "{segments} files: more than one segment");
    }
}

/// A shard of one segment, as its directory and as what was in it after each record.
fn small_log(name: &str) -> (Scratch, Vec<(RingOffset, Vec<String>)>) {
    let scratch = Scratch::new(name);
    let (mut shard, _, _) = start(found(&scratch.0).unwrap(), Fsync::Os);
    let mut states = vec![(RingOffset(0), written_lines(&shard))];
    for n in 0..12u8 {
        shard.begin_command();
        match n % 4 {
            0 => shard.set(&[b'k', n], &[n; 20]).unwrap(),
            1 => drop(shard.push(b"list", End::Tail, [&b"one"[..], b"two"].into_iter()).unwrap()),
            2 => drop(shard.set_fields(b"hash", [(&b"f"[..], &[n][..])].into_iter()).unwrap()),
            _ => drop(shard.delete(&[b'k', n - 3])),
        }
        shard.commit();
        states.push((shard.published().unwrap().tail, written_lines(&shard)));
    }
    drop(shard);
    // As if the process had been killed.
    std::fs::remove_file(scratch.0.join("synced")).unwrap();
    (scratch, states)
}

pub(super) fn written_lines(shard: &Shard) -> Vec<String> {
    format!("{:?}", written(shard)).lines().map(str::to_owned).collect()
}

/// The last of these states that a log which ends at `end` holds whole.
pub(super) fn state_at(states: &[(RingOffset, Vec<String>)], end: RingOffset) -> &Vec<String> {
    &states[states.partition_point(|(at, _)| *at <= end) - 1].1
}

#[test]
fn with_any_byte_of_a_log_changed_nothing_damaged_is_taken_and_nothing_before_it_is_lost() {
    let (scratch, states) = small_log("log-flipped");
    let path = segment_path(&scratch.0, 1);
    let whole = std::fs::read(&path).unwrap();
    let used = HEADER_BYTES as usize + states.last().unwrap().0.0 as usize;
    // Everything in use, and some of the zeros behind it.
    let header = (0..64).chain(2040..2120).chain([HEADER_BYTES as usize - 1]);
    for at in header.chain(HEADER_BYTES as usize..used + 64).chain([whole.len() - 1]) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        std::fs::write(&path, &damaged).unwrap();
        let restored = found(&scratch.0).unwrap_or_else(|error| panic!("byte {at}: {error}"));
        let end = RingOffset((at as u64).saturating_sub(HEADER_BYTES));
        // The header stands there twice.
        let expected = if at < HEADER_BYTES as usize { &states.last().unwrap().1 } else { state_at(&states, end) };
        assert_eq!(&written_lines(restored.shard()), expected, "byte {at}");
        assert!(at < HEADER_BYTES as usize || restored.cut().bytes > 0, "byte {at}: the cut is reported");
        // What was cut off stays cut off.
        if at >= HEADER_BYTES as usize {
            assert_eq!(found(&scratch.0).unwrap().cut(), Default::default(), "byte {at}");
        }
        // With the mark above it, it is no torn end.
        if (HEADER_BYTES as usize..used).contains(&at) {
            std::fs::write(&path, &damaged).unwrap();
            let mark = synced::Mark { synced: states.last().unwrap().0, segments: None };
            synced::write(&Unsynced, &scratch.0, mark).unwrap();
            let refused = found(&scratch.0).err().expect("damage of what was synced").to_string();
            assert!(refused.contains("keytide check") && refused.contains(".segment"), "byte {at}: {refused}");
            std::fs::remove_file(scratch.0.join("synced")).unwrap();
        }
        std::fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn of_a_log_that_ends_anywhere_what_is_left_is_a_state_that_was_and_a_file_that_was_cut_is_refused() {
    let (scratch, states) = small_log("log-cut");
    let path = segment_path(&scratch.0, 1);
    let whole = std::fs::read(&path).unwrap();
    let used = HEADER_BYTES as usize + states.last().unwrap().0.0 as usize;
    for length in (0..HEADER_BYTES as usize).step_by(128).chain(HEADER_BYTES as usize..=used + 8) {
        std::fs::write(&path, &whole[..length]).unwrap();
        let refused = found(&scratch.0).err().unwrap_or_else(|| panic!("cut to {length} bytes")).to_string();
        assert!(refused.contains("cut") && refused.contains("completely on the disk"), "{refused}");
        let mut torn = whole.clone();
        torn[length..].fill(0xa5);
        std::fs::write(&path, &torn).unwrap();
        let restored = found(&scratch.0).unwrap_or_else(|error| panic!("length {length}: {error}"));
        let end = RingOffset((length as u64).saturating_sub(HEADER_BYTES));
        let _ = std::fs::remove_file(path.with_extension("segment.damaged"));
        assert_eq!(&written_lines(restored.shard()), state_at(&states, end), "length {length}");
        std::fs::write(&path, &whole).unwrap();
    }
}
