//! After a run that ended with the system, readers get a gap up to the limit, unless nothing published can be lost.

use super::Scratch;
use super::reshard::{all_events, events, open_with, run, store_options};
use crate::history::Gap;
use crate::interest::Source;
use crate::log::Fsync;
use crate::log::recording::{Fault, RecordingStorage, RunEnd};
use crate::position::Position;
use crate::shard::random::Commands;
use crate::store::directory::{LIMIT_STEP, PreviousShutdown};
use crate::store::{Store, StoreOptions};
use std::path::Path;
use std::sync::Arc;

fn options(path: &Path, fsync: Fsync, boot: &str) -> StoreOptions {
    let mut options = store_options(path, 2);
    options.log.fsync = fsync;
    options.directory.boot_id = boot.to_owned();
    options
}

/// What a reader gets behind the event at `last`: the gap, if any, and the first position.
fn read_behind(store: &mut Store, last: Position) -> (Option<Gap>, Position) {
    let first = store.sequencer.next();
    run(store, &mut Commands::new(7, 20), 20);
    let (found, gaps) = events(store, last.next().0, &Source::All, 100);
    assert_eq!(found[0].position, first.0);
    assert!(gaps.len() <= 1, "{gaps:?}");
    (gaps.first().copied(), first)
}

#[test]
fn readers_get_no_gap_where_everything_published_was_on_the_disk() {
    for (fsync, is_clean, is_restored, is_told) in [
        (Fsync::Always, false, false, false),
        (Fsync::Always, true, false, false),
        (Fsync::Os, true, false, false),
        (Fsync::Os, false, false, true),
        (Fsync::EverySecond, false, false, true),
        // How far the original of a copy has continued is unknown.
        (Fsync::Always, false, true, true),
    ] {
        let what = format!("{fsync:?}, clean {is_clean}, restored {is_restored}");
        let scratch = Scratch::new("loss-known");
        let mut store = open_with(&options(&scratch.0, fsync, "a boot"));
        run(&mut store, &mut Commands::new(1, 20), 200);
        let (all, next) = (all_events(&store), store.sequencer.next());
        if is_clean {
            store.shards.clear();
            store.directory.close_clean(next).unwrap();
        }
        drop(store);
        let mut again = options(&scratch.0, fsync, "another boot");
        again.directory.restored = is_restored;
        let mut store = open_with(&again);
        assert_eq!(events(&store, 0, &Source::All, 100).0, all, "{what}");
        let (gap, first) = read_behind(&mut store, Position(next.0 - 1));
        assert_eq!(gap.is_some(), is_told, "{what}");
        if is_told {
            assert_eq!(gap, Some(Gap { last: Position(first.0 - 1), lost: None }), "{what}");
            assert!(first.0 > next.0 + LIMIT_STEP / 2, "{what}");
        } else {
            assert_eq!(first, next, "{what}");
        }
    }
}

#[test]
fn how_the_last_run_synced_is_what_counts() {
    let scratch = Scratch::new("loss-last-run");
    for (run_number, (fsync, start)) in [
        (Fsync::Always, PreviousShutdown::None),
        (Fsync::Os, PreviousShutdown::SyncedPowerLoss),
        (Fsync::Always, PreviousShutdown::PowerLoss),
        (Fsync::Always, PreviousShutdown::SyncedPowerLoss),
    ]
    .into_iter()
    .enumerate()
    {
        let mut store = open_with(&options(&scratch.0, fsync, &format!("boot {run_number}")));
        assert_eq!(store.found.previous_shutdown, start, "run {run_number}");
        run(&mut store, &mut Commands::new(run_number as u64, 20), 50);
    }
    // A log that has failed: readers may have passed events that are not in it.
    let store = open_with(&options(&scratch.0, Fsync::Always, "boot 4"));
    assert_eq!(store.found.previous_shutdown, PreviousShutdown::SyncedPowerLoss);
    store.directory.note_failure().unwrap();
    drop(store);
    assert_eq!(
        open_with(&options(&scratch.0, Fsync::Always, "boot 5")).found.previous_shutdown,
        PreviousShutdown::PowerLoss
    );
}

#[test]
fn what_an_earlier_run_has_not_synced_is_on_the_disk_before_it_is_shown_with_always() {
    for seed in 0..20 {
        let (scratch, after) = (Scratch::new("loss-unsynced"), Scratch::new("loss-unsynced-after"));
        let storage = Arc::new(RecordingStorage::new(&scratch.0).unwrap());
        let recorded = |fsync| {
            let mut options = options(&scratch.0.join("data"), fsync, "a boot");
            options.directory.storage = storage.clone();
            options
        };
        let mut store = open_with(&recorded(Fsync::Os));
        run(&mut store, &mut Commands::new(seed, 20), 100);
        let all = all_events(&store);
        drop(store);
        let store = open_with(&recorded(Fsync::Always));
        assert_eq!((store.found.previous_shutdown, all_events(&store)), (PreviousShutdown::Killed, all.clone()));
        storage.rebuild(storage.operations(), RunEnd::PowerLoss { seed }, &after.0).unwrap();
        drop(store);
        let found = open_with(&options(&after.0.join("data"), Fsync::Always, "another boot"));
        assert_eq!(found.found.previous_shutdown, PreviousShutdown::SyncedPowerLoss);
        assert_eq!(all_events(&found), all, "seed {seed}");
    }
}

#[test]
fn with_always_a_power_loss_at_any_moment_takes_nothing_seen_and_no_position_comes_twice() {
    let mut starts = [0, 0];
    for seed in 0..3 {
        let scratch = Scratch::new("loss-any-moment");
        let storage = Arc::new(RecordingStorage::new(&scratch.0).unwrap());
        let mut recorded = options(&scratch.0.join("data"), Fsync::Always, "a boot");
        recorded.directory.storage = storage.clone();
        let mut store = open_with(&recorded);
        let mut commands = Commands::new(seed, 20);
        // Everything below this position was published after this many operations on files.
        let mut shown = vec![(storage.operations(), store.sequencer.next())];
        for _ in 0..60 {
            run(&mut store, &mut commands, 3);
            shown.push((storage.operations(), store.sequencer.frontier()));
        }
        let all = all_events(&store);
        let begun = shown[0].0;
        drop(store);
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..30 {
            let at = rng.usize(begun..=storage.operations());
            let after = Scratch::new("loss-any-moment-after");
            storage.rebuild(at, RunEnd::PowerLoss { seed: rng.u64(..) }, &after.0).unwrap();
            let mut store = open_with(&options(&after.0.join("data"), Fsync::Always, "another boot"));
            let seen = shown.iter().rev().find(|(operations, _)| *operations <= at).map(|(_, seen)| *seen).unwrap();
            assert!(store.sequencer.next() >= seen);
            let found = events(&store, 0, &Source::All, 100).0;
            let wanted = all.iter().filter(|event| event.position < seen.0);
            assert!(wanted.eq(found.iter().filter(|event| event.position < seen.0)), "operation {at}");
            let is_synced = store.found.previous_shutdown == PreviousShutdown::SyncedPowerLoss;
            starts[usize::from(is_synced)] += 1;
            let (gap, _) = read_behind(&mut store, Position(found.last().map_or(seen.0 - 1, |last| last.position)));
            assert_eq!(gap.is_none(), is_synced, "operation {at}: {:?}", store.found);
        }
    }
    assert!(starts[1] > 10, "a torn end is rarer than a whole one: {starts:?}");
}

#[test]
fn with_always_a_sync_that_failed_is_a_loss_though_the_power_was_not_lost() {
    let scratch = Scratch::new("loss-failed");
    let storage = Arc::new(RecordingStorage::new(&scratch.0).unwrap());
    let mut recorded = options(&scratch.0.join("data"), Fsync::Always, "a boot");
    recorded.directory.storage = storage.clone();
    let mut store = open_with(&recorded);
    run(&mut store, &mut Commands::new(3, 20), 20);
    storage.set_fault(Fault::Sync);
    store.shards[0].0.set(b"unsynced", b"").unwrap();
    store.shards[0].0.commit();
    assert!(store.shards[0].0.turn().has_failed());
    storage.set_fault(Fault::None);
    store.directory.note_failure().unwrap();
    drop(store);
    assert_eq!(open_with(&recorded).found.previous_shutdown, PreviousShutdown::PowerLoss);
}
