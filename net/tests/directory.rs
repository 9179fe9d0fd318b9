//! The directory of a server over processes: locked, damaged and repaired, copied and put back.
#![cfg(not(loom))]

mod common;

use common::local::copy;
use common::{Client, Server, Value, run, scratch};
use std::path::{Path, PathBuf};
use std::process::Output;

const SMALL: [&str; 6] = ["--shards", "2", "--ring-bytes", "1m", "--segment-bytes", "1m"];

fn flags(dir: &Path) -> Vec<&str> {
    [&SMALL[..], &["--dir", dir.to_str().expect("a plain path")]].concat()
}

fn start(dir: &Path) -> Server {
    Server::start(&flags(dir))
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn check(dir: &Path, repair: bool) -> (Option<i32>, String) {
    let dir = dir.to_str().expect("a plain path");
    let output = if repair { run(&["check", "--repair", dir]) } else { run(&["check", dir]) };
    (output.status.code(), told(&output))
}

/// What a start says that fails.
fn refusal(dir: &Path) -> String {
    let output = run(&[&flags(dir)[..], &["--port", "0"]].concat());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    told(&output)
}

fn fill(client: &mut Client, keys: std::ops::Range<u32>) {
    for first in keys.clone().step_by(100) {
        let batch = first..(first + 100).min(keys.end);
        batch.clone().for_each(|n| client.send(&["set".to_owned(), format!("key:{n}"), format!("{n:0500}")]));
        batch.for_each(|_| assert_eq!(client.read().text(), "OK"));
    }
}

/// A field of a reply of names and values in turn.
fn field(reply: &Value, name: &str) -> Value {
    reply.values().chunks(2).find(|pair| pair[0].text() == name).expect("it is told")[1].clone()
}

fn info(client: &mut Client, name: &str) -> Value {
    field(&client.call(&["cdc.info"]), name)
}

/// The end of a server in order.
fn stop(server: Server) {
    server.signal(libc::SIGTERM);
    assert_eq!(server.wait().code(), Some(0));
}

/// Reads from a cursor to the end; answers the positions and whether a gap was told.
fn read_from(client: &mut Client, mut cursor: u64) -> (Vec<u64>, bool) {
    let (mut positions, mut has_gap) = (Vec::new(), false);
    loop {
        let page = client.call(&["cdc.read", &cursor.to_string(), "count", "1000"]);
        has_gap |= field(&page, "gap") != Value::Integer(0);
        let events = field(&page, "events");
        positions.extend(events.values().iter().map(|event| event.values()[0].integer()));
        let next = field(&page, "next_seq").integer();
        if events.values().is_empty() && next <= cursor {
            return (positions, has_gap);
        }
        cursor = next;
    }
}

#[test]
fn a_second_server_and_a_check_leave_a_directory_in_use_alone() {
    let scratch = scratch("directory-lock");
    let server = start(&scratch);
    let text = refusal(&scratch);
    let owner = format!("another keytide (process {}) uses this directory", server.pid());
    assert!(text.contains(&owner), "{text}");
    for repair in [false, true] {
        let (status, text) = check(&scratch, repair);
        assert!(status == Some(2) && text.contains(&owner), "{status:?} {text}");
    }
    let mut client = server.client();
    fill(&mut client, 0..100);
    assert_eq!(client.call(&["dbsize"]), Value::Integer(100));
    stop(server);
    std::fs::remove_dir_all(scratch).expect("nobody uses it any more");
}

#[test]
fn damage_of_what_was_on_the_disk_stops_a_start_and_a_repair_lets_it_go_on_with_a_gap() {
    let scratch = scratch("directory-damage");
    let server = start(&scratch);
    fill(&mut server.client(), 0..10_000);
    let first = info(&mut server.client(), "first_seq").integer();
    let head = info(&mut server.client(), "head_seq").integer();
    stop(server);
    let (status, text) = check(&scratch, false);
    assert!(status == Some(0) && text.contains("sound: 10000 records"), "{status:?} {text}");
    let segment = scratch.join("generation-0001/shard-0001/00000002.segment");
    let mut bytes = std::fs::read(&segment).expect("some 2.8 MB of each shard are more than two segments");
    bytes[300_000] ^= 8;
    std::fs::write(&segment, bytes).expect("it is ours");
    let text = refusal(&scratch);
    assert!(text.contains(segment.to_str().expect("a plain path")) && text.contains("offset"), "{text}");
    assert!(text.contains(&format!("keytide check {}", scratch.display())), "{text}");
    let (status, text) = check(&scratch, false);
    assert!(status == Some(1) && text.contains("damage: ") && text.contains("00000002.segment"), "{status:?} {text}");
    let (status, text) = check(&scratch, true);
    assert!(status == Some(0) && text.contains("may be lost") && text.contains(".damaged"), "{status:?} {text}");
    let server = start(&scratch);
    let mut client = server.client();
    assert!(info(&mut client, "frontier_seq").integer() > head, "no position comes twice");
    fill(&mut client, 0..1);
    // One that had read everything, and one that had read nothing.
    let (positions, has_gap) = read_from(&mut client, first);
    assert!(has_gap && positions.len() > 5_000 && positions.len() < 10_001, "{}", positions.len());
    assert!(positions.is_sorted());
    let (positions, _) = read_from(&mut client, head + 1);
    assert!(positions.len() == 1 && positions[0] > head, "{positions:?}");
    stop(server);
    assert_eq!(check(&scratch, false).0, Some(0));
    std::fs::remove_dir_all(scratch).expect("nobody uses it any more");
}

#[test]
fn a_copy_of_a_stopped_server_or_of_one_that_writes_is_a_backup_with_a_history_of_its_own() {
    let scratch = scratch("directory-copy");
    let (original, stopped, live) = (scratch.join("original"), scratch.join("stopped"), scratch.join("live"));
    let server = start(&original);
    fill(&mut server.client(), 0..3_000);
    stop(server);
    copy(&original, &stopped);
    let server = start(&original);
    let history = info(&mut server.client(), "history").text();
    let address = server.address;
    let written = std::sync::atomic::AtomicU32::new(3_000);
    let stop_writing = common::Stop::default();
    std::thread::scope(|scope| {
        let at_end = stop_writing.at_end();
        scope.spawn(|| {
            let mut client = Client::connect(address);
            while !stop_writing.is_asked() {
                // Relaxed: it only counts, one thread.
                let from = written.load(std::sync::atomic::Ordering::Relaxed);
                fill(&mut client, from..from + 100);
                written.store(from + 100, std::sync::atomic::Ordering::Relaxed);
            }
        });
        common::eventually("something is written", || written.load(std::sync::atomic::Ordering::Relaxed) > 6_000);
        copy_live(&original, &live);
        common::eventually("more is written", || written.load(std::sync::atomic::Ordering::Relaxed) > 12_000);
        drop(at_end);
    });
    let head = info(&mut server.client(), "head_seq").integer();
    for (dir, keys) in [(&stopped, 3_000), (&live, 6_000)] {
        let (status, text) = check(dir, false);
        assert_eq!(status, Some(0), "{}: {text}", dir.display());
        let restored = Server::start(&[&flags(dir)[..], &["--restored"]].concat());
        let mut client = restored.client();
        assert_ne!(info(&mut client, "history").text(), history);
        assert!(info(&mut client, "frontier_seq").integer() > head, "positions go on beyond the original's");
        // What was acknowledged before the copy began.
        for n in (0..keys).step_by(7) {
            assert_eq!(client.call(&["get".to_owned(), format!("key:{n}")]).text(), format!("{n:0500}"));
        }
        fill(&mut client, 0..1);
        // A cursor of the original's later life finds none of the copy's events in the place of its own.
        let page = client.call(&["cdc.read", &head.to_string(), "count", "10"]);
        assert_ne!(field(&page, "gap"), Value::Integer(0), "{page:?}");
        assert!(field(&page, "events").values().iter().all(|event| event.values()[0].integer() > head));
        stop(restored);
        assert_eq!(check(dir, false).0, Some(0));
    }
    stop(server);
    std::fs::remove_dir_all(scratch).expect("nobody uses it any more");
}

/// Copies file by file in the order of the names, while the original is written to. What a server removes or renames
/// meanwhile is not there; and marks are left out, for they may be newer than what was copied of the logs.
fn copy_live(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a place for the test's files");
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(from).expect("a directory").map(|entry| entry.expect("its entry").path()).collect();
    entries.sort();
    for path in entries {
        let target = to.join(path.file_name().expect("an entry has a name"));
        if path.file_name().is_some_and(|name| name == "synced") {
            continue;
        }
        if path.is_dir() {
            copy_live(&path, &target);
        } else {
            match std::fs::copy(&path, &target) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                copied => drop(copied.expect("a file that can be copied")),
            }
        }
    }
}
