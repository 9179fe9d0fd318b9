//! Damage behind a kill: everything that was written is there, whether it was synced or not.

use super::tests::*;
use super::*;
use crate::log::scan::SegmentFile;
use crate::log::segment::{HEADER_BYTES, index_path, segment_path};
use crate::log::streams::streams_path;
use crate::log::synced;
use crate::position::RingOffset;
use crate::store::recovery::{RecoveryOptions, Visibility, recover_log};
use crate::store::tests::{Scratch, identity, unsynced};
use std::fs;
use std::io;
use std::path::Path;

/// A directory with four segments, and the position behind its last record, as a process leaves it that was killed before
/// anything was synced. With `last` one more record is there, of so many bytes.
fn killed(name: &str, with_snapshot: bool, last: usize) -> (Scratch, Position) {
    let scratch = Scratch::new(name);
    let mut store = open(&scratch.0).expect("a new directory");
    let directory = shard(&scratch.0);
    write(&mut store, 0..SNAPSHOT_KEYS);
    if with_snapshot {
        take_snapshot(&mut store, &directory);
    }
    write(&mut store, SNAPSHOT_KEYS..KEYS);
    let next = store.sequencer.next();
    if last > 0 {
        let shard = &mut store.shards[0].0;
        shard.set(b"last", &vec![b'l'; last]).expect("it fits");
        assert!(shard.commit());
    }
    drop(store);
    // A store that is dropped syncs what it has.
    let mark = synced::read(&directory).expect("it can be read").expect("it is there");
    synced::write(&*unsynced(), &directory, synced::Mark { synced: RingOffset(0), ..mark }).expect("it can be written");
    for number in 1..=4 {
        let segment = segment_path(&directory, number);
        for made in [index_path(&segment), streams_path(&segment)] {
            let _ = fs::remove_file(made);
        }
    }
    (scratch, next)
}

/// A reader at the end and one from the start get a gap for what is missing, and no position is reused.
fn goes_on(name: &str, path: &Path, next: Position, is_told: bool) {
    let mut store = open(path).unwrap_or_else(|error| panic!("{name}: {error}"));
    let after = store.sequencer.next();
    assert!(after >= next, "{name}: a position may come twice");
    write(&mut store, KEYS..KEYS + 1);
    for from in [Position(next.0 - KEYS), Position(next.0 - 1)] {
        let (positions, gaps) = read_from(&store, from);
        let is_there = |position: u64| positions.contains(&Position(position));
        let is_covered = |position: u64| is_there(position) || gaps.iter().any(|last| last.0 >= position);
        assert!(is_there(after.0), "{name}");
        assert!((from.0..next.0).all(is_covered), "{name}: from {from}, {gaps:?}");
        assert_eq!(!gaps.is_empty(), is_told, "{name}: from {from}");
    }
    close(store);
}

#[test]
fn a_killed_server_has_lost_nothing_so_what_is_missing_before_anything_else_is_damage() {
    // What is made from sealed segments is not there yet.
    let cases = CASES.iter().filter(|case| case.is_damage || case.name == BEHIND);
    for (number, case) in cases.enumerate() {
        let Case { name, with_snapshot, damage, .. } = case;
        let (scratch, next) = killed(&format!("check-killed-{number}"), *with_snapshot, 0);
        damage(&shard(&scratch.0));
        let report = look(&scratch.0, false).expect("it can be checked");
        let copied = Scratch::new(&format!("check-killed-{number}-copy"));
        copy(&scratch.0, &copied.0);
        match open(&copied.0) {
            Ok(store) => {
                assert_eq!(store.shards[0].0.key_count() as u64, KEYS, "{name}: a start takes it as it is");
                drop(store);
                goes_on(name, &copied.0, next, *name == BEHIND);
            }
            Err(error) => assert!(!report.is_sound(), "{name}: {error}, and {:#?}", problems(&report)),
        }
        if report.is_sound() {
            continue;
        }
        match look(&scratch.0, true) {
            Ok(_) => goes_on(name, &scratch.0, next, true),
            Err(error) => assert!(error.to_string().contains("put the directory back from a copy"), "{name}: {error}"),
        }
    }
}

/// Makes a segment one of format 1: its header does not tell how long it is, its checksums do not tell a record's place.
fn as_of_the_first_format(path: &Path) {
    let mut header = SegmentFile::open(path).expect("a segment").header;
    (header.version, header.file_bytes) = (1, 0);
    change(path, |bytes| {
        let (page, mut rest) = bytes.split_at_mut(HEADER_BYTES as usize);
        page.copy_from_slice(&header.encode());
        while let Some(length) = rest.first_chunk::<4>().map(|length| u32::from_le_bytes(*length)).filter(|n| *n > 0) {
            let (record, behind) = rest.split_at_mut(length as usize);
            let sum = crc32c::crc32c_append(length, &record[8..]);
            record[4..8].copy_from_slice(&sum.to_le_bytes());
            rest = behind;
        }
    });
}

#[test]
fn a_log_of_the_first_format_is_read_as_it_is_and_goes_on_in_a_segment_of_this_one() {
    for is_killed in [false, true] {
        let name = format!("check-first-format-{is_killed}");
        let (scratch, next) = if is_killed { killed(&name, false, 0) } else { filled(&name, false) };
        let directory = shard(&scratch.0);
        (1..=4).for_each(|number| as_of_the_first_format(&segment_path(&directory, number)));
        let mark = synced::read(&directory).expect("it can be read").expect("it is there");
        synced::write(&*unsynced(), &directory, synced::Mark { segments: None, ..mark }).expect("it can be written");
        let report = look(&scratch.0, false).expect("it can be checked");
        assert!(report.is_sound(), "{:?}", problems(&report));
        goes_on(&name, &scratch.0, next, false);
        let versions =
            [4, 5].map(|n| SegmentFile::open(&segment_path(&directory, n)).expect("a segment").header.version);
        assert_eq!(versions, [1, 2]);
        assert!(look(&scratch.0, false).expect("it can be checked").is_sound());
        flip(&segment_path(&directory, 4), MIDDLE);
        assert!(!look(&scratch.0, false).expect("it can be checked").is_sound());
    }
}

#[test]
fn positions_cut_off_after_a_kill_are_not_reused_and_reported_unless_the_write_was_unfinished() {
    // A byte of the last record, and one more record of which the system took a first part only.
    for (name, is_told, last, keys) in [("damaged", true, 0, KEYS - 1), ("unfinished", false, 6_000, KEYS)] {
        let (scratch, next) = killed(&format!("check-last-{name}"), false, last);
        let segment = segment_path(&shard(&scratch.0), if last > 0 { 5 } else { 4 });
        change(&segment, |bytes| {
            let used = bytes.iter().rposition(|byte| *byte != 0).expect("it has records") + 1;
            match is_told {
                true => bytes[used - 100] ^= 1,
                false => bytes[(used - 100) / 4096 * 4096..].fill(0),
            }
        });
        let report = look(&scratch.0, false).expect("it can be checked");
        let told = problems(&report);
        assert!(report.is_sound() && told[0].contains("positions that were never published"), "{told:?}");
        // A start that is interrupted between the cut and the begin of the run does not change that.
        let directory = Directory::open(&scratch.0, 1, directory_options()).expect("it is sound");
        let identity = identity(&shard(&scratch.0));
        let note_cut = |visibility| directory.note_cut(visibility).map_err(io::Error::other);
        let opening = RecoveryOptions { trust: directory.trust(), note_cut: &note_cut };
        let cut = recover_log(&identity, &**directory.storage(), opening).expect("a torn end").cut;
        assert_eq!(cut.visibility, if is_told { Visibility::Possible } else { Visibility::Unlikely });
        drop(directory);
        let store = open(&scratch.0).expect("what was torn is cut off");
        assert_eq!(store.shards[0].0.key_count() as u64, keys, "{name}");
        drop(store);
        goes_on(name, &scratch.0, next, is_told);
    }
}

/// Of a file that was cut so few bytes may be left behind its last whole record that they are not even a length.
#[test]
fn what_is_less_than_a_record_is_damage_too() {
    let (scratch, _) = killed("check-few-bytes", false, 0);
    let segment = segment_path(&shard(&scratch.0), 2);
    for left in [1, 7, 8, 47] {
        change(&segment, |bytes| bytes.truncate(HEADER_BYTES as usize + 10 * 1056 + left));
        let report = look(&scratch.0, false).expect("it can be checked");
        let told = problems(&report);
        assert!(!report.is_sound() && told[0].contains(&format!("{left} bytes are left")), "{told:?}");
        change(&segment, |bytes| bytes.resize(1 << 20, 1));
    }
}
