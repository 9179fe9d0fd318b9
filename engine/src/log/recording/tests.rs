//! What a power loss leaves.

use super::*;
use crate::log::storage::tests::Scratch;

const PAGE: u64 = PAGE_BYTES as u64;

fn rebuilt(recording: &RecordingStorage, operations: usize, end: RunEnd, name: &str) -> Option<Vec<u8>> {
    let into = Scratch::new();
    recording.rebuild(operations, end, &into.0).expect("rebuilt");
    fs::read(into.path(name)).ok()
}

fn worlds<T: Ord>(look: impl Fn(u64) -> T) -> std::collections::BTreeSet<T> {
    (0..100).map(look).collect()
}

#[test]
fn what_was_synced_is_there_and_of_the_rest_any_pages() {
    let scratch = Scratch::new();
    let recording = RecordingStorage::new(&scratch.0).expect("an empty directory");
    let file = recording.create(&scratch.path("f"), 4 * PAGE, Prepare::Zero).expect("created");
    file.write_at(&[&[1; PAGE_BYTES]], 0).expect("written");
    file.sync().expect("synced");
    file.write_at(&[&[2; PAGE_BYTES], &[2; PAGE_BYTES]], PAGE).expect("written");
    let end = recording.operations();
    let found = worlds(|seed| {
        let bytes = rebuilt(&recording, end, RunEnd::PowerLoss { seed }, "f").expect("the file was created");
        assert_eq!(bytes.len() as u64, 4 * PAGE);
        assert!(bytes[..PAGE_BYTES].iter().all(|byte| *byte == 1), "synced");
        assert!(bytes[3 * PAGE_BYTES..].iter().all(|byte| *byte == 0), "never written");
        (bytes[PAGE_BYTES], bytes[2 * PAGE_BYTES])
    });
    assert!(found.is_superset(&[(0, 0), (0, 2), (2, 0), (2, 2)].into()), "{found:?}");
    let killed = rebuilt(&recording, end, RunEnd::Kill { seed: 1 }, "f").expect("created");
    assert_eq!(killed, fs::read(scratch.path("f")).expect("read"), "a kill loses nothing that was written");
}

#[test]
fn a_page_is_as_it_was_at_one_moment_unless_it_is_torn() {
    let scratch = Scratch::new();
    let recording = RecordingStorage::new(&scratch.0).expect("an empty directory");
    let file = recording.create(&scratch.path("f"), PAGE, Prepare::Zero).expect("created");
    for (byte, at) in [(1, 0), (2, 8), (3, 1024)] {
        file.write_at(&[&[byte; 8]], at).expect("written");
    }
    let found = worlds(|seed| {
        let end = RunEnd::PowerLoss { seed };
        let bytes = rebuilt(&recording, usize::MAX, end, "f").expect("created");
        (bytes[0], bytes[8], bytes[1024])
    });
    for whole in [(0, 0, 0), (1, 0, 0), (1, 2, 0), (1, 2, 3)] {
        assert!(found.contains(&whole), "{whole:?} in {found:?}");
    }
    assert!(found.iter().all(|(first, second, _)| first >= &(second / 2)), "a sector is never torn: {found:?}");
    assert!(found.iter().any(|(first, _, third)| (*first, *third) == (0, 3)), "a page may be: {found:?}");
}

#[test]
fn a_sync_covers_what_was_written_before_it_began() {
    let scratch = Scratch::new();
    let recording = RecordingStorage::new(&scratch.0).expect("an empty directory");
    let file = recording.create(&scratch.path("f"), PAGE, Prepare::Allocate).expect("created");
    file.write_at(&[b"x"], 0).expect("written");
    let before = recording.operations();
    file.sync().expect("synced");
    let after = recording.operations();
    let looks = |operations| {
        worlds(|seed| rebuilt(&recording, operations, RunEnd::PowerLoss { seed }, "f").expect("created")[0])
    };
    assert_eq!(looks(before), [0, b'x'].into());
    assert_eq!(looks(after), [b'x'].into());
    recording.set_fault(Fault::Sync);
    file.write_at(&[b"y"], 0).expect("written");
    assert!(file.sync().is_err());
    assert_eq!(looks(usize::MAX), [b'x', b'y'].into());
}

#[test]
fn what_happens_to_names_has_happened_when_it_returns_and_perhaps_before() {
    let scratch = Scratch::new();
    let recording = RecordingStorage::new(&scratch.0).expect("an empty directory");
    recording.create_directory(&scratch.path("d")).expect("made");
    recording.replace(&scratch.path("d/f"), b"old").expect("written");
    recording.replace(&scratch.path("d/f"), b"new").expect("written");
    recording.rename(&scratch.path("d/f"), &scratch.path("d/g")).expect("renamed");
    recording.remove(&scratch.path("d/g")).expect("removed");
    let looks = |operations| {
        worlds(|seed| {
            let look = |name| rebuilt(&recording, operations, RunEnd::PowerLoss { seed }, name);
            (look("d/f"), look("d/g"))
        })
    };
    let (old, new) = (|| Some(b"old".to_vec()), || Some(b"new".to_vec()));
    assert_eq!(looks(1), [(None, None), (old(), None)].into());
    assert_eq!(looks(2), [(old(), None), (new(), None)].into());
    assert_eq!(looks(3), [(new(), None), (None, new())].into());
    assert_eq!(looks(4), [(None, new()), (None, None)].into());
    assert_eq!(looks(5), [(None, None)].into());
}

#[test]
fn a_killed_process_leaves_a_first_part_of_the_write_under_way() {
    let scratch = Scratch::new();
    let recording = RecordingStorage::new(&scratch.0).expect("an empty directory");
    let file = recording.create(&scratch.path("f"), 8, Prepare::Zero).expect("created");
    let before = recording.operations();
    file.write_at(&[b"abcd"], 0).expect("written");
    let found = worlds(|seed| rebuilt(&recording, before, RunEnd::Kill { seed }, "f").expect("created")[..4].to_vec());
    let parts = ["\0\0\0\0", "a\0\0\0", "ab\0\0", "abc\0", "abcd"];
    assert_eq!(found, parts.map(|part| part.as_bytes().to_vec()).into());
}

#[test]
fn what_was_there_before_is_durable_and_written_to_as_usual() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("d")).expect("made");
    fs::write(scratch.path("d/f"), b"before").expect("written");
    let recording = RecordingStorage::new(&scratch.0).expect("read");
    let before = recording.operations();
    recording.open(&scratch.path("d/f")).expect("opened").write_at(&[b"B"], 0).expect("written");
    let loss = RunEnd::PowerLoss { seed: 7 };
    assert!(rebuilt(&recording, before, loss, "d/f").is_some_and(|found| found.ends_with(b"efore")));
    assert_eq!(fs::read(scratch.path("d/f")).expect("read"), b"Before");
}

#[test]
fn faults_are_reported_and_have_their_documented_effect() {
    let scratch = Scratch::new();
    let recording = RecordingStorage::new(&scratch.0).expect("an empty directory");
    let file = recording.create(&scratch.path("f"), 8, Prepare::Zero).expect("created");
    recording.set_fault(Fault::Full);
    let refused = recording.create(&scratch.path("g"), 8, Prepare::Zero).err().map(|error| error.kind());
    assert_eq!(refused, Some(io::ErrorKind::StorageFull));
    assert!(recording.replace(&scratch.path("g"), b"").is_err());
    file.write_at(&[b"ab"], 0).expect("its space is there");
    recording.set_fault(Fault::Write);
    assert!(file.write_at(&[b"cd"], 2).is_err());
    recording.set_fault(Fault::None);
    assert_eq!(fs::read(scratch.path("f")).expect("read"), b"abc\0\0\0\0\0");
}
