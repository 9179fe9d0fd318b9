//! Mapped files that are cut while they are read, and those beside them that are not.

use super::*;
use crate::log::storage::tests::Scratch;
use std::fs::{self, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

const PAGE: usize = 4096;

/// A file without zeros, whose bytes depend on their place.
fn contents(pages: usize) -> Vec<u8> {
    (0..pages * PAGE).map(|at| (at % 251 + 1) as u8).collect()
}

fn file(scratch: &Scratch, name: &str, pages: usize) -> (std::path::PathBuf, Vec<u8>) {
    let (path, contents) = (scratch.path(name), contents(pages));
    fs::write(&path, &contents).expect("written");
    (path, contents)
}

fn cut(path: &Path, length: u64) {
    OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(length)).expect("cut");
}

fn copied(file: &MappedFile, at: usize, bytes: usize) -> Result<Vec<u8>, MapError> {
    let mut out = vec![0; bytes];
    file.copy(at as u64, &mut out).map(|()| out)
}

#[test]
fn any_bytes_of_the_file_are_copied() {
    let scratch = Scratch::new();
    let (path, contents) = file(&scratch, "f", 3);
    let file = MappedFile::open(&path).expect("opened");
    assert!(file.is_mapped());
    for at in [0, 1, 7, 8, PAGE - 3, 2 * PAGE] {
        for bytes in [0, 1, 7, 8, 9, 64, PAGE] {
            assert_eq!(copied(&file, at, bytes).expect("within the file"), contents[at..at + bytes]);
        }
    }
    file.advise_will_need(5, u64::MAX);
    file.advise_will_need(u64::MAX, 1);
    let beyond = copied(&file, 3 * PAGE, 1).unwrap_err();
    assert_eq!(beyond.to_string(), "bytes 12288 to 12289 are beyond the file's 12288");
    let mut out = [0; 2];
    assert!(matches!(file.copy(u64::MAX, &mut out), Err(MapError::Beyond { .. })));
}

#[test]
fn what_is_written_later_is_seen() {
    let scratch = Scratch::new();
    let (path, _) = file(&scratch, "f", 1);
    let file = MappedFile::open(&path).expect("opened");
    let writer = OpenOptions::new().write(true).open(&path).expect("opened");
    writer.write_all_at(b"new", 100).expect("written");
    assert_eq!(copied(&file, 100, 3).expect("within the file"), b"new");
}

#[test]
fn a_file_that_is_cut_is_an_error_and_others_are_unharmed() {
    let scratch = Scratch::new();
    let (path, whole) = file(&scratch, "cut", 8);
    let (other_path, other_contents) = file(&scratch, "other", 8);
    let (file, other) = (MappedFile::open(&path).expect("opened"), MappedFile::open(&other_path).expect("opened"));
    let twice = MappedFile::open(&path).expect("opened");
    cut(&path, 2 * PAGE as u64);
    let error = copied(&file, PAGE, 4 * PAGE).unwrap_err();
    assert_eq!(error.to_string(), "the file has been cut: it ends before byte 20480, and had 32768");
    assert!(!file.is_mapped());
    // What is left of it can still be read.
    assert_eq!(copied(&file, 0, 2 * PAGE).expect("not cut"), whole[..2 * PAGE]);
    assert!(matches!(copied(&file, 7 * PAGE, 1), Err(MapError::Cut { .. })));
    file.advise_will_need(0, 4 * PAGE as u64);
    assert!(other.is_mapped() && twice.is_mapped());
    assert_eq!(copied(&other, 0, 8 * PAGE).expect("another file"), other_contents);
    assert_eq!(copied(&twice, 0, 2 * PAGE).expect("not cut"), whole[..2 * PAGE]);
    drop(file);
    let again = MappedFile::open(&other_path).expect("opened");
    assert!(again.is_mapped(), "the slot in the table is free again");
}

#[test]
fn many_threads_that_read_a_file_while_it_is_cut_see_its_bytes_or_an_error() {
    let scratch = Scratch::new();
    for round in 0..50 {
        let (path, contents) = file(&scratch, &format!("f{round}"), 16);
        let file = MappedFile::open(&path).expect("opened");
        std::thread::scope(|scope| {
            for reader in 0..3 {
                let (file, contents) = (&file, &contents);
                scope.spawn(move || {
                    for page in 0..16 {
                        let at = (page + 5 * reader) % 16 * PAGE;
                        if let Ok(found) = copied(file, at, PAGE) {
                            assert!(found == contents[at..at + PAGE], "bytes that the file never had");
                        }
                    }
                });
            }
            scope.spawn(|| cut(&path, 0));
        });
        assert!(copied(&file, 0, 8).is_err());
    }
}

#[test]
fn beyond_the_table_files_are_read_without_a_mapping() {
    static NONE: [MappingSlot; 0] = [];
    let scratch = Scratch::new();
    let (path, contents) = file(&scratch, "f", 2);
    let file = MappedFile::new(File::open(&path).expect("opened"), &NONE).expect("opened");
    assert!(!file.is_mapped());
    assert_eq!(copied(&file, 3, PAGE).expect("within the file"), contents[3..3 + PAGE]);
    file.advise_will_need(0, 100);
    cut(&path, 0);
    assert!(matches!(copied(&file, 0, 1), Err(MapError::Cut { .. })));
    let empty = MappedFile::open(&path).expect("opened");
    assert!(empty.copy(0, &mut []).is_ok() && matches!(copied(&empty, 0, 1), Err(MapError::Beyond { .. })));
}

#[test]
fn a_slot_of_the_table_is_taken_once_and_free_again() {
    static TWO: [MappingSlot; 2] =
        [const { MappingSlot { range: AtomicU64::new(0), damaged: AtomicBool::new(false) } }; 2];
    let first = RegisteredSlot::new(PAGE as u64, 1, &TWO).expect("free");
    assert_eq!(first.0.range(), (PAGE as u64, 2 * PAGE as u64));
    let second = RegisteredSlot::new(16 * PAGE as u64, 2 * PAGE as u64 + 1, &TWO).expect("free");
    assert_eq!(second.0.range(), (16 * PAGE as u64, 19 * PAGE as u64));
    assert!(RegisteredSlot::new(PAGE as u64, 1, &TWO).is_none());
    // Relaxed: there is one thread.
    second.0.damaged.store(true, Ordering::Relaxed);
    drop(second);
    assert!(RegisteredSlot::new(1 << 48, 1, &TWO).is_none(), "an address that does not fit");
    let third = RegisteredSlot::new((1 << 47) - PAGE as u64, PAGE as u64, &TWO).expect("free again");
    assert!(!third.is_damaged() && third.0.range() == ((1 << 47) - PAGE as u64, 1 << 47));
}

/// The variables that say to the test below that it is the process that dies, how, and of which file.
const CHILD: [&str; 2] = ["KEYTIDE_TEST_BUS_ERROR", "KEYTIDE_TEST_BUS_FILE"];

#[test]
fn an_access_that_is_not_ours_ends_the_process_as_before() {
    if let [Ok(how), Ok(path)] = CHILD.map(std::env::var) {
        die(&how, Path::new(&path));
        return;
    }
    let scratch = Scratch::new();
    for how in ["fault", "sent"] {
        let (path, _) = file(&scratch, how, 2);
        let name = "log::map::tests::an_access_that_is_not_ours_ends_the_process_as_before";
        let mut child = Command::new(std::env::current_exe().expect("this test"));
        child.args(["--exact", name]).env(CHILD[0], how).env(CHILD[1], &path);
        let ended = child.output().expect("started");
        // Under AddressSanitizer the previous handler is its own: it reports the signal and ends the process.
        let is_told = String::from_utf8_lossy(&ended.stderr).contains("AddressSanitizer: BUS");
        let is_ended = ended.status.signal() == Some(libc::SIGBUS) || is_told && !ended.status.success();
        assert!(is_ended, "{how}: {ended:?}");
    }
}

fn die(how: &str, path: &Path) {
    let ours = MappedFile::open(path).expect("opened");
    if how == "fault" {
        let foreign = MmapOptions::new().map_raw_read_only(&File::open(path).expect("opened")).expect("mapped");
        cut(path, 0);
        assert!(copied(&ours, 0, 1).is_err(), "ours is survived");
        // SAFETY: it is mapped; the process ends here, which is what the test is about.
        unsafe { foreign.as_ptr().read_volatile() };
        return;
    }
    // The handler of the standard library takes itself away at the first, and the second ends the process.
    for _ in 0..2 {
        // SAFETY: raising a signal needs nothing.
        unsafe { libc::raise(libc::SIGBUS) };
    }
}
