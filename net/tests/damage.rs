//! Damage behind a kill, over processes: what the system has is never cut off as a torn end, however it was synced.
#![cfg(not(loom))]

mod common;

use common::{Client, Server, Value, run, scratch};
use std::path::{Path, PathBuf};

fn flags<'d>(dir: &'d Path, fsync: &'d str) -> Vec<&'d str> {
    let dir = dir.to_str().expect("a plain path");
    vec!["--shards", "1", "--ring-bytes", "1m", "--segment-bytes", "1m", "--fsync", fsync, "--dir", dir]
}

fn set(client: &mut Client, keys: std::ops::Range<u32>) {
    for n in keys {
        assert_eq!(client.call(&["set".to_owned(), format!("key:{n}"), format!("{n:050}")]).text(), "OK");
    }
}

fn field(reply: &Value, name: &str) -> Value {
    reply.values().chunks(2).find(|pair| pair[0].text() == name).expect("it is told")[1].clone()
}

/// A directory of a server that was killed, and the position of its last event.
fn killed(name: &str, fsync: &str) -> (PathBuf, u64) {
    let dir = scratch(name);
    let server = Server::start(&flags(&dir, fsync));
    let mut client = server.client();
    set(&mut client, 0..300);
    let head = field(&client.call(&["cdc.info"]), "head_seq").integer();
    server.signal(libc::SIGKILL);
    server.wait();
    (dir, head)
}

fn check(dir: &Path, repair: bool) -> (Option<i32>, String) {
    let dir = dir.to_str().expect("a plain path");
    let output = if repair { run(&["check", "--repair", dir]) } else { run(&["check", dir]) };
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), told)
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).expect("it is there");
    change(&mut bytes);
    std::fs::write(path, bytes).expect("it is ours");
}

/// Refused by a start, found by a check, and after a repair no position comes twice and the gap is told.
fn refused_and_repaired(dir: &Path, fsync: &str, said: &str, head: u64) {
    let (status, told) = check(dir, false);
    assert!(status == Some(1) && told.contains("damage: ") && told.contains(said), "{status:?} {told}");
    let output = run(&[&flags(dir, fsync)[..], &["--port", "0"]].concat());
    let refusal = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && refusal.contains(said), "{refusal}");
    assert!(refusal.contains(&format!("keytide check --repair {}", dir.display())), "{refusal}");
    let (status, told) = check(dir, true);
    assert!(status == Some(0) && told.contains("repaired: "), "{status:?} {told}");
    let server = Server::start(&flags(dir, fsync));
    let mut client = server.client();
    set(&mut client, 1_000..1_001);
    let page = client.call(&["cdc.read", &(head - 1).to_string(), "count", "10"]);
    assert_ne!(field(&page, "gap"), Value::Integer(0), "{page:?}");
    let positions: Vec<u64> = field(&page, "events").values().iter().map(|event| event.values()[0].integer()).collect();
    assert!(positions.len() == 1 && positions[0] > head, "{positions:?}, and the last was {head}");
    drop(server);
    std::fs::remove_dir_all(dir).expect("nobody uses it any more");
}

#[test]
fn a_byte_in_the_middle_of_what_a_killed_server_wrote_is_damage_with_any_fsync() {
    for fsync in ["os", "everysec", "always"] {
        let (dir, head) = killed(&format!("damage-middle-{fsync}"), fsync);
        let segment = dir.join("generation-0001/shard-0000/00000001.segment");
        change(&segment, |bytes| {
            let used = bytes.iter().rposition(|byte| *byte != 0).expect("it has records");
            bytes[used / 2] ^= 1;
        });
        refused_and_repaired(&dir, fsync, "00000001.segment", head);
    }
}

#[test]
fn a_segment_that_is_empty_or_missing_is_damage_with_any_fsync() {
    for (number, fsync) in ["os", "everysec", "always"].into_iter().enumerate() {
        let (dir, head) = killed(&format!("damage-empty-{fsync}"), fsync);
        let segment = dir.join("generation-0001/shard-0000/00000001.segment");
        match number {
            0 => std::fs::remove_file(&segment).expect("it is there"),
            _ => change(&segment, Vec::clear),
        }
        refused_and_repaired(&dir, fsync, "00000001.segment", head);
    }
}

#[test]
fn a_damaged_meta_toml_is_refused_and_put_back() {
    let (dir, _) = killed("damage-meta", "os");
    let meta = dir.join("meta.toml");
    let text = std::fs::read(&meta).expect("it is there");
    let history = text.windows(7).position(|word| word == b"history").expect("it is told");
    change(&meta, |bytes| bytes[history + 15] ^= 1);
    let (status, told) = check(&dir, false);
    assert!(status == Some(1) && told.contains("checksum"), "{status:?} {told}");
    let output = run(&[&flags(&dir, "os")[..], &["--port", "0"]].concat());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let (status, told) = check(&dir, true);
    assert!(status == Some(0) && told.contains("is restored from"), "{status:?} {told}");
    assert_eq!(std::fs::read(&meta).expect("it is there"), text);
    let server = Server::start(&flags(&dir, "os"));
    assert_eq!(server.client().call(&["dbsize"]), Value::Integer(300));
    drop(server);
    std::fs::remove_dir_all(dir).expect("nobody uses it any more");
}
