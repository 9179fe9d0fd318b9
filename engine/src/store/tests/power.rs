//! A power loss or a kill at any moment of a run: acknowledged writes survive, the state is one that existed, and the shard
//! continues from it.

use super::{RING_BYTES, Scratch, eventually, found, found_with, identity, options, start_with, written_lines};
use crate::history::ShardHistory;
use crate::log::keeper::KeeperRequest;
use crate::log::recording::{Fault, RecordingStorage, RunEnd};
use crate::log::segment::{index_path, segment_path};
use crate::log::storage::Storage;
use crate::log::{Fsync, LogError};
use crate::position::RingOffset;
use crate::sequencer::Sequencer;
use crate::shard::Shard;
use crate::shard::random::{Commands, settled};
use std::sync::Arc;

/// A state of the shard.
struct State {
    /// The end of its history.
    end: RingOffset,
    lines: Vec<String>,
    /// How many operations on files there were when it was acknowledged; none where it was committed with what came
    /// after it.
    acknowledged_at: Option<usize>,
}

/// The shard of a directory whose files are recorded.
fn start(
    storage: &Arc<RecordingStorage>,
    scratch: &Scratch,
    fsync: Fsync,
) -> (Box<Shard>, ShardHistory, Arc<Sequencer>) {
    let storage: Arc<dyn Storage> = storage.clone();
    start_with(found_with(&scratch.0, &*storage).unwrap(), &storage, options(fsync))
}

/// Waits until the next segment is there, where a turn would not find room without it.
pub(super) fn wait_for_room(shard: &mut Shard) {
    eventually("the next segment", || match shard.check_log() {
        Ok(()) => true,
        Err(LogError::Late { .. }) => false,
        Err(error) => panic!("{error}"),
    });
}

/// Runs commands, some of them together in a turn, and notes every state. Where they record much, they are few.
fn run(storage: &Arc<RecordingStorage>, scratch: &Scratch, fsync: Fsync, seed: u64, large: usize) -> Vec<State> {
    let (mut shard, _, _) = start(storage, scratch, fsync);
    let mut commands = Commands::new(seed, 12);
    commands.large = large;
    let state = |shard: &mut Shard| {
        let end = shard.history_end();
        State { end, lines: written_lines(settled(shard)), acknowledged_at: None }
    };
    let mut states = vec![state(&mut shard)];
    for _ in 0..if large > 0 { 60 } else { 400 } {
        wait_for_room(&mut shard);
        shard.begin_command();
        commands.run(&mut shard);
        let is_turns_end = commands.rng.bool();
        if is_turns_end {
            shard.commit();
        }
        states.push(state(&mut shard));
        if is_turns_end {
            states.last_mut().unwrap().acknowledged_at = Some(storage.operations());
        }
    }
    shard.commit();
    states
}

/// Ends a run at many moments and checks what a start finds.
fn cut(fsync: Fsync, cuts: u64, end: impl Fn(u64) -> RunEnd, keeps_acknowledged: bool, large: usize) {
    let mut rng = fastrand::Rng::with_seed(fsync as u64);
    for run_number in 0..4 {
        let scratch = Scratch::new(&format!("log-cut-{fsync:?}-{run_number}-{keeps_acknowledged}-{large}"));
        let storage = Arc::new(RecordingStorage::new(&scratch.0).unwrap());
        let states = run(&storage, &scratch, fsync, run_number, large);
        for seed in 0..cuts / 4 {
            let at = rng.usize(..=storage.operations());
            let into = Scratch::new(&format!("log-cut-after-{fsync:?}-{keeps_acknowledged}-{large}"));
            storage.rebuild(at, end(seed), &into.0).unwrap();
            let restored = found(&into.0).unwrap_or_else(|error| panic!("run {run_number}, operation {at}: {error}"));
            let log_end = restored.end();
            let acknowledged = states.iter().rev().find(|state| state.acknowledged_at.is_some_and(|then| then <= at));
            if keeps_acknowledged && let Some(state) = acknowledged {
                assert!(log_end >= state.end, "run {run_number}, operation {at}: {log_end} of {}", state.end);
            }
            // A command that recorded nothing leaves the end where it was: the last one counts.
            let is_it = |state: &&State| state.end == log_end;
            let state = states.iter().rev().find(is_it).unwrap_or_else(|| panic!("no command ended at {log_end}"));
            let recovered = written_lines(restored.shard());
            let known = states.iter().filter(is_it).any(|state| state.lines == recovered);
            assert!(known, "run {run_number}, operation {at}, seed {seed}: {recovered:#?} is not {:#?}", state.lines);
            // The log continues, and nothing that was cut off comes back.
            let (mut shard, _, _) = start_with(restored, &super::unsynced(), options(fsync));
            shard.begin_command();
            shard.set(b"after", b"the end").unwrap();
            shard.commit();
            let lines = written_lines(&shard);
            drop(shard);
            assert_eq!(written_lines(found(&into.0).unwrap().shard()), lines, "run {run_number}, operation {at}");
        }
    }
}

#[test]
fn with_always_a_power_loss_at_any_moment_takes_nothing_that_was_acknowledged() {
    cut(Fsync::Always, 200, |seed| RunEnd::PowerLoss { seed }, true, 0);
}

#[test]
fn with_os_a_power_loss_leaves_a_state_that_was() {
    cut(Fsync::Os, 100, |seed| RunEnd::PowerLoss { seed }, false, 0);
}

#[test]
fn with_os_a_killed_process_has_lost_nothing_that_was_acknowledged() {
    cut(Fsync::Os, 100, |seed| RunEnd::Kill { seed }, true, 0);
}

#[test]
fn a_large_change_survives_completely_or_not_at_all_however_the_run_ends() {
    cut(Fsync::Always, 40, |seed| RunEnd::PowerLoss { seed }, true, 50_000);
    cut(Fsync::Os, 40, |seed| RunEnd::PowerLoss { seed }, false, 50_000);
    cut(Fsync::Os, 40, |seed| RunEnd::Kill { seed }, true, 50_000);
}

#[test]
fn after_a_write_or_a_sync_that_failed_nothing_is_taken_and_what_was_acknowledged_before_is_there() {
    for (fault, fsync) in [(Fault::Write, Fsync::Os), (Fault::Write, Fsync::Always), (Fault::Sync, Fsync::Always)] {
        let scratch = Scratch::new("log-fault");
        let storage = Arc::new(RecordingStorage::new(&scratch.0).unwrap());
        let (mut shard, _, _) = start(&storage, &scratch, fsync);
        shard.set(b"before", b"1").unwrap();
        assert!(shard.commit());
        let lines = written_lines(&shard);
        let published = shard.published();
        storage.set_fault(fault);
        shard.set(b"lost", b"1").unwrap();
        assert!(!shard.commit(), "{fault:?}: nothing is published");
        assert!(shard.turn().has_failed() && shard.published() == published);
        storage.set_fault(Fault::None);
        let refused = shard.check_log().expect_err("nothing is tried again").to_string();
        assert!(refused.contains(".segment"), "{refused}");
        assert!(shard.turn().is_full(), "what ends by itself is not recorded either");
        assert!(!shard.commit());
        drop(shard);
        // Half a write is a torn end.
        if fault == Fault::Write {
            assert_eq!(written_lines(found(&scratch.0).unwrap().shard()), lines);
        }
    }
}

#[test]
fn a_failure_that_another_thread_meets_stops_writes_from_the_next_turn_on_and_seals_nothing() {
    let scratch = Scratch::new("log-fault-elsewhere");
    let storage = Arc::new(RecordingStorage::new(&scratch.0).unwrap());
    let (mut shard, _, _) = start(&storage, &scratch, Fsync::EverySecond);
    storage.set_fault(Fault::Sync);
    shard.set(b"unsynced", b"1").unwrap();
    assert!(shard.commit());
    let (done, synced) = std::sync::mpsc::channel();
    shard.turn().log().unwrap().keeper().ask(KeeperRequest::Sync(done));
    synced.recv().expect("an answer").expect_err("the sync fails");
    shard.set_now_ms(2_000);
    assert!(!shard.turn().has_log_room() && shard.turn().is_full());
    assert!(matches!(shard.check_log(), Err(LogError::Failed { .. })));
    // The turn in progress continues, and the next sync succeeds: nothing states that the segment is on the disk.
    storage.set_fault(Fault::None);
    for _ in 0..=options(Fsync::EverySecond).segment_bytes / 1000 {
        shard.set(b"key", &[1; 1000]).unwrap();
        shard.commit();
    }
    drop(shard);
    let first = segment_path(&scratch.0, 1);
    assert!(first.exists() && !index_path(&first).exists());
}

#[test]
fn on_a_full_disk_writes_are_refused_before_anything_changes_and_go_on_when_there_is_space() {
    let error = refused_and_taken_again("log-full", Fault::Full);
    assert!(matches!(error, LogError::Full { .. }) && error.to_string().starts_with("disk full"), "{error}");
}

#[test]
fn why_a_segment_cannot_be_created_is_reported() {
    let error = refused_and_taken_again("log-unmade", Fault::Create);
    assert!(error.to_string().contains("can be made in") && error.to_string().contains("open files"), "{error}");
}

/// Fills a log until the fault makes it refuse writes, removes the fault, and writes again. Returns the error.
fn refused_and_taken_again(name: &str, fault: Fault) -> LogError {
    let scratch = Scratch::new(name);
    let storage = Arc::new(RecordingStorage::new(&scratch.0).unwrap());
    let (mut shard, history, sequencer) = start(&storage, &scratch, Fsync::Os);
    shard.set(b"first", b"").unwrap();
    shard.commit();
    storage.set_fault(fault);
    let (mut now_ms, mut written) = (1_000, 1);
    let error = loop {
        shard.set_now_ms(now_ms);
        match shard.check_log() {
            Err(error) => break error,
            Ok(()) => shard.set(b"key", &[1; 1000]).unwrap(),
        }
        shard.commit();
        written += 1;
        assert!(written < 10 * options(Fsync::Os).segment_bytes / 1000, "the disk is full");
    };
    assert_eq!(super::events(&history, &sequencer, 0).len() as u64, written, "all of it can be read");
    storage.set_fault(Fault::None);
    assert!(shard.check_log().is_err(), "it is left alone for a while");
    // However the clock is put.
    now_ms = if fault == Fault::Full { now_ms + 10_000 } else { now_ms - 500 };
    shard.set_now_ms(now_ms);
    shard.check_log().expect("there is space again");
    for _ in 0..2 * RING_BYTES / 1000 {
        shard.check_log().unwrap();
        shard.set(b"key", &[2; 1000]).unwrap();
        shard.commit();
        written += 1;
    }
    assert_eq!(super::events(&history, &sequencer, 0).len() as u64, written);
    assert_eq!(shard.turn().log().unwrap().identity(), &identity(&scratch.0));
    error
}
