//! Directories that are new, in use, damaged, left in each of the ways a run ends.

use super::*;
use crate::log::recording::{Fault, RecordingStorage, RunEnd};
use crate::log::storage::tests::Scratch;

/// Some day in 2026.
const NOW: u64 = 1_790_000_000_000_000;

const JUMP: Position = Position((NOW - 1_735_689_600_000_000) * 16);

fn options(boot: &str) -> DirectoryOptions {
    DirectoryOptions { boot_id: boot.to_owned(), ..DirectoryOptions::default() }
}

fn open(scratch: &Scratch, boot: &str) -> Directory {
    Directory::open(&scratch.path("data"), 2, options(boot)).expect("nothing stands against it")
}

fn refusal(path: &Path) -> String {
    match Directory::open(path, 2, options("a")) {
        Ok(_) => panic!("opened"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_new_directory_begins_where_a_run_in_memory_would() {
    let scratch = Scratch::new();
    let directory = open(&scratch, "a");
    assert_eq!(directory.previous_shutdown(), PreviousShutdown::None);
    assert_eq!(directory.begin_run(Position(1), NOW).expect("written"), JUMP);
    let one = Generation { number: 1, shards: 2, first: JUMP, end: None };
    assert_eq!(directory.generations(), [one]);
    let id = directory.history_id();
    assert!(id.len() == 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let shard = directory.shard_directory(1, ShardId(12));
    assert_eq!(shard, scratch.path("data/generation-0001/shard-0012"));
    directory.create_shard_directories(1, 2).expect("made");
    assert!(directory.shard_directory(1, ShardId(1)).is_dir());
}

#[test]
fn a_directory_that_never_ran_is_still_new() {
    let scratch = Scratch::new();
    let id = open(&scratch, "a").history_id();
    let again = open(&scratch, "b");
    assert_eq!((again.previous_shutdown(), again.history_id()), (PreviousShutdown::None, id));
}

#[test]
fn two_servers_never_use_one_directory() {
    let scratch = Scratch::new();
    let first = open(&scratch, "a");
    let path = scratch.path("data");
    let text = format!(
        "{}: another keytide (process {}) uses this directory: stop it, or give another one",
        path.display(),
        std::process::id()
    );
    assert_eq!(refusal(&path), text);
    drop(first);
    open(&scratch, "a");
}

#[test]
fn a_run_that_is_killed_before_its_first_record_leaves_its_beginning() {
    let scratch = Scratch::new();
    assert_eq!(open(&scratch, "a").begin_run(Position(1), NOW).expect("written"), JUMP);
    // Nothing was recorded, so recovery finds no last position.
    assert_eq!(open(&scratch, "a").begin_run(Position(1), NOW * 2).expect("written"), JUMP);
    let next = Position(JUMP.0 + 10);
    let after_loss = open(&scratch, "b").begin_run(next, NOW * 2).expect("written");
    assert!(after_loss > next);
    assert_eq!(open(&scratch, "b").begin_run(next, NOW * 2).expect("written"), after_loss, "not in what is lost");
}

#[test]
fn after_an_orderly_end_positions_go_on_where_they_were() {
    let scratch = Scratch::new();
    let directory = open(&scratch, "a");
    let first = directory.begin_run(Position(1), NOW).expect("written");
    let next = Position(first.0 + 1000);
    directory.close_clean(next).expect("written");
    let id = directory.history_id();
    drop(directory);
    // Whether the system was started anew is all one.
    let directory = open(&scratch, "b");
    assert_eq!((directory.previous_shutdown(), directory.history_id()), (PreviousShutdown::Clean, id));
    assert_eq!(directory.begin_run(next, NOW * 2).expect("written"), next);
    drop(directory);
    assert_eq!(open(&scratch, "b").previous_shutdown(), PreviousShutdown::Killed, "that run did not end in order");
}

#[test]
fn after_a_kill_positions_go_on_behind_the_last_record() {
    let scratch = Scratch::new();
    let first = open(&scratch, "a").begin_run(Position(1), NOW).expect("written");
    let directory = open(&scratch, "a");
    assert_eq!(directory.previous_shutdown(), PreviousShutdown::Killed);
    let next = Position(first.0 + 77);
    assert_eq!(directory.begin_run(next, NOW + 1).expect("written"), next);
}

#[test]
fn after_a_log_has_failed_positions_jump_though_the_system_goes_on() {
    let scratch = Scratch::new();
    let directory = open(&scratch, "a");
    let first = directory.begin_run(Position(1), NOW).expect("written");
    let limit = directory.limit();
    directory.note_failure().expect("written");
    drop(directory);
    let directory = open(&scratch, "a");
    assert_eq!(directory.previous_shutdown(), PreviousShutdown::PowerLoss);
    // Readers may have passed positions whose records could not be written.
    let next = Position(first.0 + 77);
    assert_eq!(directory.begin_run(next, NOW + 1).expect("written"), limit);
    assert_eq!(directory.lost(), [Lost { from: next, to: limit }]);
}

#[test]
fn after_a_power_loss_positions_jump_to_the_limit() {
    let scratch = Scratch::new();
    let directory = open(&scratch, "a");
    let first = directory.begin_run(Position(1), NOW).expect("written");
    let limit = directory.limit();
    assert_eq!(limit, Position(first.0 + LIMIT_STEP));
    drop(directory);
    let directory = open(&scratch, "b");
    assert_eq!(directory.previous_shutdown(), PreviousShutdown::PowerLoss);
    // One shard has lost everything behind the third position, another has the fifth.
    let (lost_from, next) = (Position(first.0 + 3), Position(first.0 + 5));
    assert_eq!(directory.begin_run_after_loss(next, lost_from, NOW).expect("written"), limit);
    drop(directory);
    // Killed at once: the loss is known all the same.
    let directory = open(&scratch, "b");
    assert_eq!(directory.previous_shutdown(), PreviousShutdown::Killed);
    let lost = Lost { from: lost_from, to: limit };
    assert_eq!(directory.lost(), [lost]);
    directory.record_lost(&[next..limit, next..next]).expect("said again");
    assert_eq!(directory.lost(), [lost]);
    directory.forget_lost_before(Position(limit.0 - 1)).expect("nothing to forget");
    assert_eq!(directory.lost().len(), 1);
    directory.forget_lost_before(limit).expect("written");
    directory.record_lost(&[limit..limit]).expect("nothing to note");
    drop(directory);
    assert_eq!(open(&scratch, "b").lost(), []);
}

#[test]
fn a_system_that_does_not_name_its_boot_is_taken_for_another() {
    let scratch = Scratch::new();
    open(&scratch, "").begin_run(Position(1), NOW).expect("written");
    assert_eq!(open(&scratch, "").previous_shutdown(), PreviousShutdown::PowerLoss);
}

#[test]
fn the_limit_is_raised_before_it_is_reached() {
    let scratch = Scratch::new();
    let directory = open(&scratch, "a");
    let first = directory.begin_run(Position(1), NOW).expect("written");
    assert_eq!(directory.limit_wanted(first), None);
    assert_eq!(directory.limit_wanted(Position(first.0 + LIMIT_AHEAD)), None);
    let close = Position(first.0 + LIMIT_AHEAD + 1);
    let wanted = directory.limit_wanted(close).expect("half of it is gone");
    directory.raise_limit(wanted).expect("written");
    directory.raise_limit(first).expect("it stays");
    assert_eq!((directory.limit(), directory.limit_wanted(close)), (wanted, None));
    drop(directory);
    assert_eq!(open(&scratch, "b").begin_run(close, NOW).expect("written"), wanted);
}

#[test]
fn a_copy_gets_a_history_of_its_own_and_positions_beyond_the_originals() {
    let scratch = Scratch::new();
    let directory = open(&scratch, "a");
    directory.begin_run(Position(1), NOW).expect("written");
    let (id, limit) = (directory.history_id(), directory.limit());
    drop(directory);
    let restored = || DirectoryOptions { restored: true, ..options("a") };
    let copy = Directory::open(&scratch.path("data"), 2, restored()).expect("opened");
    assert_eq!(copy.previous_shutdown(), PreviousShutdown::PowerLoss, "a copy of files in use");
    assert_ne!(copy.history_id(), id);
    let new_id = copy.history_id();
    let later = NOW + 3_600_000_000;
    let jump = Position(JUMP.0 + (later - NOW) * 16);
    assert_eq!(copy.begin_run(Position(7), later).expect("written"), jump);
    drop(copy);
    assert_eq!(open(&scratch, "a").history_id(), new_id);
    let copy = Directory::open(&scratch.path("data"), 2, restored()).expect("opened");
    let limit_now = copy.limit();
    assert!(limit_now > limit);
    assert_eq!(copy.begin_run(Position(7), 0).expect("written"), limit_now, "a clock that went back");
}

#[test]
fn another_number_of_shards_is_another_generation() {
    let scratch = Scratch::new();
    let directory = open(&scratch, "a");
    let first = directory.begin_run(Position(1), NOW).expect("written");
    directory.create_shard_directories(1, 2).expect("made");
    assert_eq!(directory.prepare_generation(3).expect("made"), 2);
    fs::write(directory.shard_directory(2, ShardId(2)).join("left"), "by an attempt").expect("written");
    drop(directory);
    let directory = open(&scratch, "a");
    assert_eq!(directory.current_generation().number, 1, "prepared only");
    directory.prepare_generation(4).expect("made");
    assert!(!directory.shard_directory(2, ShardId(2)).join("left").exists());
    let switch = Position(first.0 + 100);
    directory.add_generation(4, switch).expect("written");
    drop(directory);
    let directory = open(&scratch, "a");
    let one = Generation { number: 1, shards: 2, first, end: Some(switch) };
    let two = Generation { number: 2, shards: 4, first: switch, end: None };
    assert_eq!(directory.generations(), [one, two.clone()]);
    directory.remove_generation(1).expect("removed");
    directory.remove_generation(2).expect("the current one stays");
    assert!(!directory.generation_directory(1).exists() && directory.generation_directory(2).exists());
    assert_eq!(directory.generations(), [two]);
}

#[test]
fn every_error_about_a_directory_has_its_path() {
    let scratch = Scratch::new();
    let path = scratch.path("data");
    let meta = path.join("meta.toml");
    drop(open(&scratch, "a"));
    let text = fs::read_to_string(&meta).expect("written");
    let told = |text: &[u8]| {
        fs::write(&meta, text).expect("written");
        let told = refusal(&path);
        assert!(told.starts_with(&format!("{}: ", meta.display())), "{told}");
        told
    };
    let damaged = told(text.replace("clean = true", "clean = yes ").as_bytes());
    let remedy = format!(
        "its checksum does not fit: it is damaged, or was edited; run `keytide check --repair {}`",
        path.display()
    );
    assert!(damaged.ends_with(&remedy), "{damaged}");
    // Of the first format, which has no checksum.
    let text: String =
        text.lines().filter(|line| !line.starts_with("checksum")).map(|line| format!("{line}\n")).collect();
    let text = text.replace("format = 2", "format = 1");
    let newer = told(text.replace("format = 1", "format = 3").as_bytes());
    assert!(
        newer.ends_with("it has format 3, and this keytide knows formats up to 2: start the keytide that wrote it")
    );
    assert!(told(text.replace("history", "histories").as_bytes()).contains("histories"));
    assert!(told(text.split("limit").next().unwrap_or("").as_bytes()).contains("limit"));
    assert!(told(b"\xff\xfe").contains("no text"));
    fs::remove_file(&meta).expect("removed");
    fs::create_dir(path.join("generation-0001")).expect("made");
    assert_eq!(
        refusal(&path),
        format!(
            "{} is missing, but generation-0001 is there: run `keytide check --repair {}`, put it back from a backup, or \
             give an empty directory",
            meta.display(),
            path.display()
        )
    );
    fs::write(scratch.path("file"), b"").expect("written");
    assert!(refusal(&scratch.path("file")).contains("cannot create the directory"));
}

#[test]
fn a_change_that_cannot_be_written_is_none() {
    let scratch = Scratch::new();
    let recording = RecordingStorage::new(&scratch.0).expect("an empty directory");
    let options = DirectoryOptions { storage: Arc::new(recording.clone()), ..options("a") };
    let directory = Directory::open(&scratch.path("data"), 2, options).expect("opened");
    directory.begin_run(Position(1), NOW).expect("written");
    let limit = directory.limit();
    recording.set_fault(Fault::Full);
    assert!(directory.raise_limit(limit.next()).is_err());
    assert_eq!(directory.limit(), limit);
}

#[test]
fn at_any_power_loss_the_limit_is_beyond_what_was_handed_out() {
    let scratch = Scratch::new();
    let recording = RecordingStorage::new(&scratch.0).expect("an empty directory");
    let recorded = DirectoryOptions { storage: Arc::new(recording.clone()), ..options("a") };
    let directory = Directory::open(&scratch.path("data"), 2, recorded).expect("opened");
    // After so many operations this position was not yet handed out, but all before it.
    let mut handed_out = vec![(0, Position(0))];
    let mut next = directory.begin_run(Position(1), NOW).expect("written");
    for _ in 0..5 {
        next.0 += LIMIT_AHEAD - 1;
        if let Some(wanted) = directory.limit_wanted(next) {
            directory.raise_limit(wanted).expect("written");
        }
        handed_out.push((recording.operations(), next));
    }
    directory.close_clean(next).expect("written");
    for operations in 0..=recording.operations() {
        for seed in 0..4 {
            let after = Scratch::new();
            recording.rebuild(operations, RunEnd::PowerLoss { seed }, &after.0).expect("rebuilt");
            let found = Directory::open(&after.path("data"), 2, options("b")).expect("whole at any moment");
            let first = found.begin_run(Position(1), NOW - 1_000_000_000).expect("written");
            let seen = handed_out.iter().filter(|(at, _)| *at <= operations).map(|(_, next)| *next).max();
            assert!(Some(first) >= seen, "{operations} {seed}: {first} after {seen:?}");
        }
    }
}
