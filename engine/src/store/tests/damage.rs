//! What a start makes of logs that lack something, and what it leaves to the runs after it.

use super::{Scratch, found, found_with, identity, options, start_with, trusting, unsynced, written_lines};
use crate::history::History;
use crate::log::Fsync;
use crate::log::recording::{RecordingStorage, RunEnd};
use crate::log::scan::{ScanError, SegmentFile};
use crate::log::segment::{HEADER_BYTES, SegmentHeader, index_path, segment_path};
use crate::log::storage::{Prepare, RealStorage, Storage};
use crate::log::streams::streams_path;
use crate::log::synced::{self, Mark};
use crate::position::{Position, RingOffset, ShardId};
use crate::shard::Shard;
use crate::store::recovery::{RecoveryError, Trust, recover_log};
use crate::store::restore::RestoreError;
use std::path::Path;
use std::sync::Arc;

/// Sets these keys to one value, as a transaction does.
fn transaction(shard: &mut Shard, number: u32) {
    shard.begin_command();
    shard.check_log().unwrap();
    for key in [b"a", b"b", b"c"] {
        shard.make_room();
        shard.set(key, &[number.to_le_bytes(); 250].concat()).unwrap();
    }
}

/// A log of so many transactions, each a turn of its own, as a process leaves it that was killed.
fn log_of(scratch: &Scratch, transactions: u32) {
    let (mut shard, _, _) = start_with(found(&scratch.0).unwrap(), &unsynced(), options(Fsync::Os));
    for number in 0..transactions {
        transaction(&mut shard, number);
        shard.commit();
    }
    drop(shard);
    std::fs::remove_file(scratch.0.join("synced")).unwrap();
}

fn mark(scratch: &Scratch, offset: u64) {
    synced::write(&RealStorage, &scratch.0, Mark { synced: RingOffset(offset), segments: None }).unwrap();
}

/// Whether each record of a segment says that more of its command follows.
fn chains(path: &Path) -> Vec<bool> {
    let file = SegmentFile::open(path).unwrap();
    let mut chains = Vec::new();
    file.scan::<ScanError>((file.header.base, file.header.after), None, |record| {
        chains.push(record.has_more());
        Ok(())
    })
    .unwrap();
    chains
}

#[test]
fn a_transaction_stays_together_wherever_in_a_segment_it_comes() {
    let scratch = Scratch::new("log-chains");
    log_of(&scratch, 200);
    let all: Vec<bool> = (1..)
        .map_while(|n| {
            let path = segment_path(&scratch.0, n);
            SegmentFile::open(&path).is_ok().then(|| chains(&path))
        })
        .flatten()
        .collect();
    assert_eq!(all.len(), 600);
    for (number, chain) in all.chunks(3).enumerate() {
        assert_eq!(chain, [true, true, false], "transaction {number}");
    }
}

#[test]
fn of_a_command_that_goes_on_in_a_segment_of_which_only_the_header_was_written_nothing_is_left() {
    for is_indexed in [true, false] {
        let scratch = Scratch::new(&format!("log-header-only-{is_indexed}"));
        log_of(&scratch, 30);
        let (first, second) = (segment_path(&scratch.0, 1), segment_path(&scratch.0, 2));
        assert_eq!(chains(&first).last(), Some(&true), "the transaction continues in the second segment");
        let mut bytes = std::fs::read(&second).unwrap();
        bytes[HEADER_BYTES as usize..].fill(0);
        std::fs::write(&second, &bytes).unwrap();
        if !is_indexed {
            std::fs::remove_file(index_path(&first)).unwrap();
        }
        let restored = found(&scratch.0).unwrap();
        let mut shard = start_with(restored, &unsynced(), options(Fsync::Os)).0;
        let values: Vec<_> = [b"a", b"b", b"c"].iter().map(|key| format!("{:?}", shard.value(*key))).collect();
        assert!(values[0] == values[1] && values[1] == values[2], "indexed {is_indexed}: a part of a transaction");
        transaction(&mut shard, 1_000);
        shard.commit();
        let lines = written_lines(&shard);
        drop(shard);
        assert_eq!(written_lines(found(&scratch.0).unwrap().shard()), lines);
    }
}

#[test]
fn a_segment_that_lacks_its_header_is_damage_where_it_was_synced_and_kept_aside_where_not() {
    let scratch = Scratch::new("log-no-header");
    log_of(&scratch, 30);
    let second = segment_path(&scratch.0, 2);
    let base = SegmentFile::open(&second).unwrap().header.base.0;
    let mut bytes = std::fs::read(&second).unwrap();
    bytes[..HEADER_BYTES as usize].fill(0);
    std::fs::write(&second, &bytes).unwrap();
    mark(&scratch, base + 8);
    assert!(found(&scratch.0).is_err(), "it was on the disk");
    assert_eq!(std::fs::read(&second).unwrap(), bytes, "nothing is changed");
    mark(&scratch, base);
    found(&scratch.0).unwrap();
    assert_eq!(std::fs::read(second.with_extension("segment.damaged")).unwrap(), bytes);
}

#[test]
fn a_log_without_any_segment_is_empty_only_where_nothing_was_synced() {
    let scratch = Scratch::new("log-no-segments");
    log_of(&scratch, 10);
    for number in 1..=2 {
        std::fs::remove_file(segment_path(&scratch.0, number)).unwrap();
    }
    mark(&scratch, 1_000);
    let refused = found(&scratch.0).err().expect("there was something").to_string();
    assert!(refused.contains("no segment") && refused.contains("1000"), "{refused}");
    std::fs::remove_file(scratch.0.join("synced")).unwrap();
    assert_eq!(found(&scratch.0).unwrap().end(), RingOffset(0));
}

#[test]
fn an_empty_log_of_an_earlier_version_continues_at_the_same_place_at_every_start() {
    let scratch = Scratch::new("log-earlier-empty");
    let (base, after) = (RingOffset(0), Position(255));
    let shard = ShardId(0);
    let header = SegmentHeader { version: 1, generation: 1, shard, shards: 1, number: 3, base, after, file_bytes: 0 };
    std::fs::write(segment_path(&scratch.0, 3), [header.encode(), vec![0; 4096]].concat()).unwrap();
    for start in 1..=3 {
        let log = recover_log(&identity(&scratch.0), &RealStorage, trusting(Trust::Synced)).unwrap();
        assert_eq!((log.end.end, log.end.last), (base, after), "start {start}");
    }
    // What is recorded then goes into a segment of today's version behind it.
    let (mut shard, _, _) = start_with(found(&scratch.0).unwrap(), &unsynced(), options(Fsync::Os));
    transaction(&mut shard, 1);
    shard.commit();
    drop(shard);
    let log = recover_log(&identity(&scratch.0), &RealStorage, trusting(Trust::Written)).unwrap();
    assert!(log.end.end > base && log.end.last > after);
}

#[test]
fn what_a_killed_process_never_synced_is_synced_before_the_mark_passes_it() {
    let killed = Scratch::new("log-never-synced");
    log_of(&killed, 60);
    for seed in 0..40 {
        let scratch = Scratch::new("log-never-synced-copy");
        let storage = Arc::new(RecordingStorage::new(&scratch.0).unwrap());
        // All of it lies in the system's memory.
        for number in 1..=3 {
            let bytes = std::fs::read(segment_path(&killed.0, number)).unwrap();
            let path = segment_path(&scratch.0, number);
            let file = storage.create(&path, bytes.len() as u64, Prepare::Allocate).unwrap();
            file.write_at(&[&bytes], 0).unwrap();
        }
        let as_storage: Arc<dyn Storage> = storage.clone();
        let restored = found_with(&scratch.0, &*as_storage).unwrap();
        let (mut shard, _, _) = start_with(restored, &as_storage, options(Fsync::Always));
        transaction(&mut shard, 1_000);
        shard.commit();
        let (lines, acknowledged) = (written_lines(&shard), storage.operations());
        let into = Scratch::new("log-never-synced-after");
        storage.rebuild(acknowledged, RunEnd::PowerLoss { seed }, &into.0).unwrap();
        drop(shard);
        let after = found(&into.0).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(written_lines(after.shard()), lines, "seed {seed}");
    }
}

#[test]
fn a_place_in_a_segment_that_is_no_record_is_an_error() {
    let scratch = Scratch::new("log-no-record");
    log_of(&scratch, 30);
    let (_shard, history, sequencer) = start_with(found(&scratch.0).unwrap(), &unsynced(), options(Fsync::Os));
    let end = history.ring().tail().0;
    let mut reader = History::new(sequencer, &[history]);
    let mut records = 0;
    for offset in end - 1_500..end {
        let found = reader.record_at(ShardId(0), RingOffset(offset), |record| record.offset());
        records += u32::from(found.is_ok_and(|found| found.is_some()));
    }
    assert_eq!(records, 1, "the last one");
}

#[test]
fn a_scan_from_behind_the_end_of_a_file_that_was_cut_finds_nothing() {
    let scratch = Scratch::new("log-cut-below");
    log_of(&scratch, 30);
    let first = segment_path(&scratch.0, 1);
    let log = recover_log(&identity(&scratch.0), &RealStorage, trusting(Trust::Synced)).unwrap();
    std::fs::OpenOptions::new().write(true).open(&first).unwrap().set_len(8_192).unwrap();
    let file = SegmentFile::open(&first).unwrap();
    let until = Some(RingOffset(60_000));
    let extent = file.scan::<ScanError>((RingOffset(50_000), Position(0)), until, |_| Ok(())).unwrap();
    assert_eq!((extent.end, extent.records), (RingOffset(50_000), 0));
    drop(log);
    // A segment with an index is not scanned before it is replayed.
    assert!(index_path(&first).exists() && streams_path(&first).exists());
    let refused = found(&scratch.0).err().expect("damage");
    assert!(matches!(refused, RestoreError::Log(RecoveryError::Damaged { .. })), "{refused}");
}

#[test]
fn the_positions_after_one_are_exactly_those() {
    let scratch = Scratch::new("log-positions");
    log_of(&scratch, 60);
    let log = recover_log(&identity(&scratch.0), &RealStorage, trusting(Trust::Synced)).unwrap();
    for after in 0..=180 {
        let ranges = log.positions_after(Position(after)).unwrap();
        let expected = if after == 180 { vec![] } else { vec![Position(after + 1)..Position(181)] };
        assert_eq!(ranges, expected);
    }
}
