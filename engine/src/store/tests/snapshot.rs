//! A log with snapshots beside it: which of them a start takes, and what retention leaves for them.

use super::{Scratch, found, options, start_with, unsynced, written_lines};
use crate::log::keeper::KeeperRequest;
use crate::log::segment::{HEADER_BYTES, segment_path};
use crate::log::{Fsync, LogOptions};
use crate::position::RingOffset;
use crate::shard::{Shard, SnapshotProgress};
use crate::snapshot::{SnapshotFile, keep_newest, remove_unfinished, snapshot_files, snapshot_path};
use std::fs;
use std::path::Path;
use std::sync::mpsc::channel;

fn set(shard: &mut Shard, key: &str, value: &[u8]) {
    shard.check_log().unwrap();
    shard.begin_command();
    shard.set(key.as_bytes(), value).unwrap();
    shard.commit();
}

/// Takes a snapshot, with a change between two slices; answers from where on the log is needed.
fn snapshot(shard: &mut Shard, directory: &Path) -> RingOffset {
    let mut bytes = Vec::new();
    shard.begin_snapshot(1, &mut bytes).unwrap();
    shard.snapshot_slice(&mut bytes, 1);
    set(shard, "meanwhile", b"x");
    while shard.snapshot_slice(&mut bytes, 1_000) == SnapshotProgress::More {}
    let info = shard.finish_snapshot(&mut bytes).unwrap();
    let mut file = SnapshotFile::create(&snapshot_path(directory, info.start)).unwrap();
    file.write(&bytes).unwrap();
    file.finish().unwrap();
    info.start
}

#[test]
fn a_snapshot_that_the_log_does_not_reach_is_not_taken_later_either() {
    let scratch = Scratch::new("log-unreached");
    let (mut shard, ..) = start_with(found(&scratch.0).unwrap(), &unsynced(), options(Fsync::Os));
    (0..20).for_each(|n| set(&mut shard, &format!("k{n}"), b"old"));
    let before = written_lines(&shard);
    let start = snapshot(&mut shard, &scratch.0);
    drop(shard);
    // As if the power had been lost, and with it what was logged since.
    fs::remove_file(scratch.0.join("synced")).unwrap();
    let mut bytes = fs::read(segment_path(&scratch.0, 1)).unwrap();
    bytes[(HEADER_BYTES + start.0) as usize..].fill(0);
    fs::write(segment_path(&scratch.0, 1), bytes).unwrap();
    let restored = found(&scratch.0).unwrap();
    assert_eq!((written_lines(restored.shard()), restored.replayed), (before, 20));
    assert_eq!(snapshot_files(&scratch.0).unwrap(), []);
    assert!(scratch.0.join(format!("{:020}.snapshot.damaged", start.0)).exists());
    // The log continues beyond its former end.
    let (mut shard, ..) = start_with(restored, &unsynced(), options(Fsync::Os));
    (0..5).for_each(|n| set(&mut shard, &format!("k{n}"), b"new"));
    let after = written_lines(&shard);
    drop(shard);
    let restored = found(&scratch.0).unwrap();
    assert_eq!((written_lines(restored.shard()), restored.replayed), (after, 25));
}

#[test]
fn retention_leaves_what_the_oldest_snapshot_that_is_kept_needs() {
    let scratch = Scratch::new("log-floor");
    let options = LogOptions { retain_bytes: 0, ..options(Fsync::Os) };
    let (mut shard, history, _) = start_with(found(&scratch.0).unwrap(), &unsynced(), options);
    let fill = |shard: &mut Shard| (0..300).for_each(|n| set(shard, &format!("k{}", n % 7), &[7; 1_000]));
    let mut starts = Vec::new();
    for _ in 0..3 {
        fill(&mut shard);
        starts.push(snapshot(&mut shard, &scratch.0));
    }
    fill(&mut shard);
    let before = written_lines(&shard);
    assert_eq!(history.head(), RingOffset(0), "the floor was not raised");
    drop((shard, history));
    // The oldest is removed, as the server does after the third.
    assert_eq!(keep_newest(&scratch.0, 2).unwrap(), Some(starts[1]));
    assert_eq!(snapshot_files(&scratch.0).unwrap().len(), 2);
    fs::write(scratch.0.join("00000000000000000007.snapshot.new"), "left").unwrap();
    let (shard, history, _) = start_with(found(&scratch.0).unwrap(), &unsynced(), options);
    assert!(!scratch.0.join("00000000000000000007.snapshot.new").exists());
    retain(&shard);
    assert!(history.head() > RingOffset(0) && history.head() <= starts[1], "{}", history.head());
    drop((shard, history));
    // The newest is damaged: the older one is whole, and so is the log from its start on.
    let newest = snapshot_path(&scratch.0, starts[2]);
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&newest, bytes).unwrap();
    let restored = found(&scratch.0).unwrap();
    assert_eq!(written_lines(restored.shard()), before);
    assert!(!newest.exists() && restored.replayed >= 600);
}

/// Lets the keeper apply retention, and waits until it has.
fn retain(shard: &Shard) {
    let keeper = shard.turn().log().unwrap().keeper();
    keeper.ask(KeeperRequest::Retain);
    let (done, is_done) = channel();
    keeper.ask(KeeperRequest::Sync(done));
    is_done.recv().unwrap().unwrap();
}

#[test]
fn only_what_has_the_name_of_an_unfinished_snapshot_is_removed() {
    let scratch = Scratch::new("log-unfinished");
    for name in ["1.snapshot.new", "1.snapshot", "1.segment.new", "new"] {
        fs::write(scratch.0.join(name), "x").unwrap();
    }
    remove_unfinished(&scratch.0).unwrap();
    let mut left: Vec<_> = fs::read_dir(&scratch.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["1.segment.new", "1.snapshot", "new"]);
}
