//! Every kind of damage: found and named, refused by a start where it has to be, repaired, and the rest is usable.

use super::*;
use crate::clock;
use crate::filter::Filter;
use crate::history::{History, Request};
use crate::log::segment::{index_path, segment_path};
use crate::log::streams::streams_path;
use crate::log::{Fsync, LogOptions};
use crate::position::RingOffset;
use crate::shard::SnapshotProgress;
use crate::snapshot::{SnapshotFile, snapshot_path};
use crate::store::directory::{DirectoryError, DirectoryOptions};
use crate::store::tests::{RING_BYTES, Scratch, options, unsynced};
use crate::store::{Store, StoreError, StoreOptions};
use std::fs;
use std::path::{Path, PathBuf};

/// How many keys the log has, each with one record of some 1,000 bytes.
pub(super) const KEYS: u64 = 230;

/// With how many of them a snapshot is taken.
pub(super) const SNAPSHOT_KEYS: u64 = 180;

pub(super) fn directory_options() -> DirectoryOptions {
    DirectoryOptions { boot_id: "this one".to_owned(), storage: unsynced(), ..DirectoryOptions::default() }
}

pub(super) fn open(path: &Path) -> Result<Store, StoreError> {
    let options = StoreOptions {
        path: path.to_owned(),
        directory: directory_options(),
        shards: 1,
        log: LogOptions { turn_bytes: RING_BYTES / 2, ..options(Fsync::Os) },
        ring_bytes: RING_BYTES,
        absent_streams: 1_000,
    };
    crate::store::open(&options, &|_, _| {})
}

pub(super) fn write(store: &mut Store, keys: std::ops::Range<u64>) {
    let shard = &mut store.shards[0].0;
    shard.set_now_ms(clock::unix_millis());
    for n in keys {
        shard.check_log().expect("there is space");
        shard.begin_command();
        shard.set(format!("key:{n}").as_bytes(), &[b'v'; 1000]).expect("it fits");
        assert!(shard.commit());
    }
}

/// Ends a run in order; returns the next position.
pub(super) fn close(mut store: Store) -> Position {
    store.shards.clear();
    let next = store.sequencer.next();
    store.directory.close_clean(next).expect("it can be written");
    next
}

pub(super) fn take_snapshot(store: &mut Store, directory: &Path) {
    let shard = &mut store.shards[0].0;
    let mut file = SnapshotFile::create(&snapshot_path(directory, shard.history_end())).expect("a file");
    let mut rows = Vec::new();
    shard.begin_snapshot(1, &mut rows).expect("none is running");
    while shard.snapshot_slice(&mut rows, 1 << 20) != SnapshotProgress::Done {}
    shard.finish_snapshot(&mut rows).expect("it is running");
    file.write(&rows).expect("there is space");
    file.finish().expect("there is space");
}

/// A directory with four segments, and the position behind its last record.
pub(super) fn filled(name: &str, with_snapshot: bool) -> (Scratch, Position) {
    let scratch = Scratch::new(name);
    let mut store = open(&scratch.0).expect("a new directory");
    write(&mut store, 0..SNAPSHOT_KEYS);
    if with_snapshot {
        take_snapshot(&mut store, &shard(&scratch.0));
    }
    write(&mut store, SNAPSHOT_KEYS..KEYS);
    let next = close(store);
    assert!(segment_path(&shard(&scratch.0), 4).exists());
    (scratch, next)
}

pub(super) fn shard(path: &Path) -> PathBuf {
    path.join("generation-0001/shard-0000")
}

pub(super) fn look(path: &Path, repair: bool) -> Result<CheckReport, CheckError> {
    check(&Directory::open_existing(path, repair, directory_options())?, repair, |_| {})
}

pub(super) fn problems(report: &CheckReport) -> Vec<String> {
    report.shards.iter().flat_map(|shard| &shard.problems).map(Problem::to_string).collect()
}

pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a place for the test's files");
    for entry in fs::read_dir(from).expect("a directory") {
        let path = entry.expect("its entry").path();
        let target = to.join(path.file_name().expect("it has a name"));
        match path.is_dir() {
            true => copy(&path, &target),
            false => assert!(fs::copy(&path, &target).is_ok()),
        }
    }
}

pub(super) fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("it is there");
    change(&mut bytes);
    fs::write(path, bytes).expect("it is ours");
}

pub(super) fn flip(path: &Path, byte: usize) {
    change(path, |bytes| bytes[byte] ^= 1);
}

fn cut(path: &Path, length: u64) {
    let file = fs::OpenOptions::new().write(true).open(path).expect("it is there");
    file.set_len(length).expect("it is ours");
}

/// What each record takes: header, a key of five to seven bytes, and 1,000 bytes.
const RECORD: usize = 1056;

/// What kind of damage, what is said of it, whether a start refuses, and which keys are there after a repair.
pub(super) struct Case {
    pub name: &'static str,
    pub with_snapshot: bool,
    pub damage: fn(&Path),
    pub said: &'static str,
    pub is_damage: bool,
    pub refused: Option<&'static str>,
    pub keys: std::ops::RangeInclusive<u64>,
}

/// In the middle of the value of the record in the middle of a segment.
pub(super) const MIDDLE: usize = 4096 + 30_500;

/// A case that is no damage.
pub(super) const BEHIND: &str = "something behind the last record";

pub(super) const CASES: &[Case] = &[
    Case {
        name: "a byte of a sealed segment",
        with_snapshot: false,
        damage: |shard| flip(&segment_path(shard, 2), MIDDLE),
        said: "checksum does not fit",
        is_damage: true,
        refused: Some("a damaged record"),
        keys: 60..=110,
    },
    Case {
        name: "the same, below a snapshot",
        with_snapshot: true,
        damage: |shard| flip(&segment_path(shard, 2), MIDDLE),
        said: "checksum does not fit",
        is_damage: true,
        refused: None,
        keys: KEYS..=KEYS,
    },
    Case {
        name: "a byte of the last segment",
        with_snapshot: false,
        damage: |shard| flip(&segment_path(shard, 4), MIDDLE),
        said: "00000004.segment, offset",
        is_damage: true,
        refused: Some("a damaged record"),
        keys: 181..=KEYS - 1,
    },
    Case {
        name: "a byte of the last segment, which a snapshot reaches into",
        with_snapshot: true,
        damage: |shard| flip(&segment_path(shard, 4), MIDDLE),
        said: "00000004.segment, offset",
        is_damage: true,
        refused: Some("a damaged record"),
        keys: 181..=KEYS - 1,
    },
    Case {
        name: "one copy of a header",
        with_snapshot: false,
        damage: |shard| flip(&segment_path(shard, 2), 10),
        said: "the other copy of it is used",
        is_damage: true,
        refused: None,
        keys: KEYS..=KEYS,
    },
    Case {
        name: "both copies of a header",
        with_snapshot: false,
        damage: |shard| {
            flip(&segment_path(shard, 3), 20);
            flip(&segment_path(shard, 3), 2048 + 20);
        },
        said: "none of its records can be read",
        is_damage: true,
        refused: Some("the header is damaged"),
        keys: 100..=130,
    },
    Case {
        name: "the header of the last segment, zeros",
        with_snapshot: false,
        damage: |shard| change(&segment_path(shard, 4), |bytes| bytes[..4096].fill(0)),
        said: "its header is gone",
        is_damage: true,
        refused: Some("its header is gone"),
        keys: 150..=200,
    },
    Case {
        name: "a segment that is missing",
        with_snapshot: false,
        damage: |shard| fs::remove_file(segment_path(shard, 2)).expect("it is there"),
        said: "the records in between are missing",
        is_damage: true,
        refused: Some("the segment is missing"),
        keys: 50..=70,
    },
    Case {
        name: "a segment in another's place",
        with_snapshot: false,
        damage: |shard| {
            fs::copy(segment_path(shard, 3), segment_path(shard, 2)).expect("it is there");
        },
        said: "it belongs elsewhere",
        is_damage: true,
        refused: Some("the segment belongs to another log"),
        keys: 50..=70,
    },
    Case {
        name: "a file that was cut",
        with_snapshot: false,
        damage: |shard| cut(&segment_path(shard, 4), MIDDLE as u64),
        said: "offset",
        is_damage: true,
        refused: Some("bytes, cut"),
        keys: 181..=KEYS - 1,
    },
    Case {
        name: "the first file, empty",
        with_snapshot: false,
        damage: |shard| cut(&segment_path(shard, 1), 0),
        said: "the file was cut",
        is_damage: true,
        refused: Some("the file was cut"),
        keys: 0..=0,
    },
    Case {
        name: "the first file, empty, below a snapshot",
        with_snapshot: true,
        damage: |shard| cut(&segment_path(shard, 1), 0),
        said: "the file was cut",
        is_damage: true,
        refused: Some("the file was cut"),
        keys: KEYS..=KEYS,
    },
    Case {
        name: "a file of the middle, shorter by a page of which nothing is used",
        with_snapshot: false,
        damage: |shard| cut(&segment_path(shard, 2), 65_536 - 8),
        said: "bytes, cut",
        is_damage: true,
        refused: Some("bytes, cut"),
        keys: KEYS..=KEYS,
    },
    Case {
        name: "a hole of zeros",
        with_snapshot: false,
        damage: |shard| change(&segment_path(shard, 4), |bytes| bytes[MIDDLE..MIDDLE + 4096].fill(0)),
        said: "00000004.segment, offset",
        is_damage: true,
        refused: Some("a damaged record"),
        keys: 181..=KEYS - 1,
    },
    Case {
        name: "a valid record at another offset",
        with_snapshot: false,
        damage: |shard| {
            change(&segment_path(shard, 4), |bytes| bytes.copy_within(4096..4096 + RECORD, 4096 + 3 * RECORD))
        },
        said: "checksum does not fit",
        is_damage: true,
        refused: Some("a damaged record"),
        keys: 150..=190,
    },
    Case {
        name: "a record removed, with the following ones moved up",
        with_snapshot: false,
        damage: |shard| {
            change(&segment_path(shard, 4), |bytes| {
                bytes.copy_within(4096 + 4 * RECORD..4096 + 5 * RECORD, 4096 + 3 * RECORD)
            });
        },
        said: "checksum does not fit",
        is_damage: true,
        refused: Some("a damaged record"),
        keys: 150..=190,
    },
    Case {
        name: "the mark",
        with_snapshot: false,
        damage: |shard| flip(&shard.join("synced"), 10),
        said: "no server starts with it",
        is_damage: true,
        refused: Some("damaged; run `keytide check "),
        keys: KEYS..=KEYS,
    },
    Case {
        name: "a snapshot",
        with_snapshot: true,
        damage: |shard| {
            let (_, path) = snapshot_files_of(shard).remove(0);
            flip(&path, 30_000);
        },
        said: "a start uses an older one",
        is_damage: true,
        refused: None,
        keys: KEYS..=KEYS,
    },
    Case {
        name: "everything before the last segment, and no snapshot",
        with_snapshot: false,
        damage: |shard| (1..4).for_each(|number| fs::remove_file(segment_path(shard, number)).expect("it is there")),
        said: "has lost its beginning",
        is_damage: true,
        refused: Some("the segment is missing"),
        keys: 0..=0,
    },
    Case {
        name: "an index",
        with_snapshot: false,
        damage: |shard| flip(&index_path(&segment_path(shard, 2)), 60),
        said: "it is rebuilt",
        is_damage: false,
        refused: None,
        keys: KEYS..=KEYS,
    },
    Case {
        name: "the streams of a segment",
        with_snapshot: false,
        damage: |shard| flip(&streams_path(&segment_path(shard, 2)), 60),
        said: "it is not used, or rebuilt",
        is_damage: false,
        refused: None,
        keys: KEYS..=KEYS,
    },
    Case {
        name: BEHIND,
        with_snapshot: false,
        damage: |shard| flip(&segment_path(shard, 4), 65_000),
        said: "cannot be used",
        is_damage: false,
        refused: None,
        keys: KEYS..=KEYS,
    },
];

fn snapshot_files_of(shard: &Path) -> Vec<(RingOffset, PathBuf)> {
    crate::snapshot::snapshot_files(shard).expect("a directory")
}

/// The positions that can be read from `from` on, and those of gaps.
pub(super) fn read_from(store: &Store, from: Position) -> (Vec<Position>, Vec<Position>) {
    let mut reader = History::new(store.sequencer.clone(), &store.histories);
    let (mut positions, mut gaps, mut cursor) = (Vec::new(), Vec::new(), from);
    loop {
        let request = Request { cursor, count: 1000, bytes: u64::MAX, filter: &Filter::default() };
        let page = reader.read(&request, |_, record| {
            positions.push(record.position());
            1
        });
        let page = page.expect("nothing that is read is damaged");
        gaps.extend(page.gap.map(|gap| gap.last));
        cursor = page.next;
        if page.at_end {
            return (positions, gaps);
        }
    }
}

#[test]
fn what_is_sound_is_said_to_be_and_stays_as_it_is() {
    let (scratch, next) = filled("check-sound", true);
    for repair in [false, true] {
        let report = look(&scratch.0, repair).expect("it can be checked");
        assert_eq!(problems(&report), Vec::<String>::new());
        assert!(report.is_sound() && report.repaired.is_empty());
        let (records, bytes, positions) = report.totals();
        assert_eq!((records, positions.map(|(_, last)| last.next())), (KEYS, Some(next)));
        assert_eq!(bytes, report.shards[0].synced.0);
        assert_eq!((report.shards[0].segments, report.shards[0].snapshots), (4, 1));
    }
    let store = open(&scratch.0).expect("it is sound");
    assert_eq!((store.sequencer.next(), store.shards[0].0.key_count() as u64), (next, KEYS));
}

#[test]
fn every_kind_of_damage_is_found_named_and_repaired_and_no_position_comes_twice() {
    for (number, case) in CASES.iter().enumerate() {
        let Case { name, with_snapshot, damage, said, is_damage, refused, keys } = case;
        let (scratch, next) = filled(&format!("check-{number}"), *with_snapshot);
        let first = Position(next.0 - KEYS);
        let directory = shard(&scratch.0);
        damage(&directory);
        let report = look(&scratch.0, false).expect("it can be checked");
        let told = problems(&report);
        assert!(told.iter().any(|line| line.contains(said)), "{name}: {told:#?}");
        assert_eq!(report.is_sound(), !is_damage, "{name}: {told:#?}");
        assert_eq!(look(&scratch.0, false).expect("as before"), report, "{name}: nothing was changed");
        // On a copy: a start takes out of use what it can do without.
        let copied = Scratch::new(&format!("check-{number}-copy"));
        copy(&scratch.0, &copied.0);
        match (refused, open(&copied.0)) {
            (Some(why), Err(error)) => {
                let text = error.to_string();
                let remedy = format!("run `keytide check {}`", copied.0.display());
                assert!(text.contains(why) && text.contains(&remedy), "{name}: {text}");
                let after = look(&copied.0, false).expect("as before");
                assert_eq!(problems(&after).len(), told.len(), "{name}: a start has changed nothing");
            }
            (Some(_), Ok(_)) => panic!("{name}: it starts"),
            (None, Err(error)) => panic!("{name}: {error}"),
            (None, Ok(store)) => assert_eq!(store.shards[0].0.key_count() as u64, KEYS, "{name}"),
        }
        if !is_damage {
            continue;
        }
        let repaired = match look(&scratch.0, true) {
            Ok(repaired) => repaired,
            Err(error) => {
                assert_eq!(keys.clone(), 0..=0, "{name}: {error}");
                assert!(error.to_string().contains("put the directory back from a copy"), "{name}: {error}");
                continue;
            }
        };
        assert!(!repaired.repaired.is_empty(), "{name}");
        let again = look(&scratch.0, false).expect("as before");
        assert!(again.is_sound(), "{name}: {:#?} after {:#?}", problems(&again), repaired.repaired);
        let mut store = open(&scratch.0).unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = store.shards[0].0.key_count() as u64;
        assert!(keys.contains(&found), "{name}: {found} keys");
        assert!(store.sequencer.next() >= next, "{name}: a position may come twice");
        // A reader at the end and one from the start get a gap for what is missing.
        let after = store.sequencer.next();
        write(&mut store, KEYS..KEYS + 1);
        for from in [first, Position(next.0 - 1)] {
            let (positions, gaps) = read_from(&store, from);
            assert_eq!(positions.last(), Some(&after), "{name}");
            let is_covered =
                |position: u64| positions.contains(&Position(position)) || gaps.iter().any(|last| last.0 >= position);
            assert!((from.0..after.0).all(is_covered), "{name}: from {from}, {gaps:?}");
            assert!(found == KEYS || !gaps.is_empty(), "{name}: no gap is reported");
        }
        close(store);
        let left = look(&scratch.0, false).expect("as before");
        assert!(left.is_sound(), "{name}: {:#?}", problems(&left));
    }
}

#[test]
fn what_a_server_uses_or_is_not_ours_is_left_alone() {
    let (scratch, _) = filled("check-refused", false);
    let store = open(&scratch.0).expect("it is sound");
    for repair in [false, true] {
        let error = look(&scratch.0, repair).expect_err("it is in use").to_string();
        assert!(error.contains("another keytide (process "), "{error}");
    }
    close(store);
    let meta = scratch.0.join("meta.toml");
    let text = fs::read(&meta).expect("it is there");
    fs::write(&meta, "format = 1\nhistory = ").expect("it is ours");
    assert!(matches!(look(&scratch.0, true), Err(CheckError::Directory(DirectoryError::Meta { .. }))));
    fs::remove_file(&meta).expect("it is there");
    assert!(matches!(look(&scratch.0, true), Err(CheckError::Directory(DirectoryError::MetaMissing { .. }))));
    fs::write(&meta, text).expect("it is ours");
    fs::remove_file(scratch.0.join("lock")).expect("it is there");
    assert!(look(&scratch.0, false).expect("a copy without the lock").is_sound());
    assert!(!scratch.0.join("lock").exists(), "nothing is made");
    let empty = Scratch::new("check-empty");
    let error = look(&empty.0, false).expect_err("there is nothing").to_string();
    assert!(error.contains("no directory of keytide"), "{error}");
    assert_eq!(fs::read_dir(&empty.0).expect("it is there").count(), 0);
    assert!(look(&empty.0.join("absent"), false).is_err());
}
