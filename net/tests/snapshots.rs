//! Snapshots taken while the server runs, over the real binary: what a start finds after a kill, how much it replays,
//! what is kept, and what clients are told.
#![cfg(not(loom))]

mod common;

use common::{Client, PATIENCE, Server, Value, scratch};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A directory of a test's own, removed at its end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        Dir(scratch(&format!("snapshots-{name}")))
    }

    fn start(&self, flags: &[&str]) -> Server {
        let path = self.0.join("dir");
        let own = ["--dir", path.to_str().expect("a plain path"), "--segment-bytes", "1m"];
        Server::start(&[&own, flags].concat())
    }

    fn shard(&self, shard: u16) -> PathBuf {
        self.0.join(format!("dir/generation-0001/shard-{shard:04}"))
    }

    /// The snapshots of a shard, oldest first.
    fn snapshots(&self, shard: u16) -> Vec<PathBuf> {
        files(&self.shard(shard), ".snapshot")
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // A test that fails has said so.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn files(directory: &Path, end: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("the server has made it");
    let paths = entries.map(|entry| entry.expect("its entry").path());
    let mut found: Vec<PathBuf> = paths.filter(|path| path.to_str().is_some_and(|path| path.ends_with(end))).collect();
    found.sort();
    found
}

const SMALL: &[&str] = &["--shards", "1", "--ring-bytes", "1m"];

/// A row of INFO.
fn info(client: &mut Client, name: &str) -> String {
    let text = client.call(&["info", "persistence"]).text();
    let row = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    row.unwrap_or_else(|| panic!("{name} is not in {text}")).to_owned()
}

fn figure(client: &mut Client, name: &str) -> u64 {
    info(client, name).parse().expect("a number")
}

/// Asks until the answer is yes.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Every key with its value and its end.
fn contents(client: &mut Client) -> BTreeMap<Vec<u8>, (Value, Value)> {
    let keys = client.call(&["keys", "*"]);
    let mut found = BTreeMap::new();
    for key in keys.values() {
        let Value::Bulk(key) = key else { panic!("a key is a string: {key:?}") };
        let kind = client.call(&[b"type", key.as_slice()]).text();
        let words: Vec<&[u8]> = match kind.as_str() {
            "string" => vec![b"get", key],
            "hash" => vec![b"hgetall", key],
            "list" => vec![b"lrange", key, b"0", b"-1"],
            "set" => vec![b"smembers", key],
            other => panic!("{other}"),
        };
        let mut value = client.call(&words);
        if let Value::Array(parts) = &mut value
            && kind != "list"
        {
            // In no order; of a hash the pairs stay together.
            let step = if kind == "hash" { 2 } else { 1 };
            let mut rows: Vec<Vec<Value>> = parts.chunks(step).map(<[Value]>::to_vec).collect();
            rows.sort_by_key(|row| format!("{row:?}"));
            *parts = rows.concat();
        }
        let end = client.call(&[b"pexpiretime", key.as_slice()]);
        found.insert(key.clone(), (value, end));
    }
    found
}

/// Changes keys of all types, and their ends, until it is told to stop; answers how many commands it has sent.
fn churn(mut client: Client, writer: u64, stop: &AtomicBool) -> u64 {
    let mut round = 0;
    // Relaxed: it only says that it is over.
    while !stop.load(Ordering::Relaxed) {
        let n = (round * 7 + writer * 13) % 300;
        let (text, far) = (format!("value-{writer}-{round}"), (4_000_000_000_000 + round).to_string());
        let (string, hash, list, set) = (format!("s{n}"), format!("h{n}"), format!("l{n}"), format!("u{n}"));
        let (other, field) = (format!("s{}", n / 2), format!("f{}", round % 20));
        let commands: [&[&str]; 14] = [
            &["set", &string, &text, "pxat", &far],
            &["hset", &hash, &field, &text, "same", "x"],
            &["rpush", &list, &text, "a", "b"],
            &["sadd", &set, &field, &text],
            &["lpop", &list, "2"],
            &["srem", &set, &field],
            &["pexpireat", &hash, &far],
            &["append", &other, "+"],
            &["hdel", &hash, "same"],
            &["persist", &string],
            &["ltrim", &list, "-8", "-1"],
            &["del", &other],
            &["rename", &string, &other],
            &["incrby", "counter", "3"],
        ];
        for words in commands {
            client.send(words);
        }
        for words in commands {
            let reply = client.read();
            assert!(!matches!(&reply, Value::Error(text) if !text.contains("no such key")), "{words:?}: {reply:?}");
        }
        round += 1;
    }
    round * 14
}

#[test]
fn a_server_killed_after_snapshots_under_load_has_every_key_again() {
    let dir = Dir::new("load");
    let flags = ["--ring-bytes", "1m", "--retain-bytes", "1g"];
    let mut before = BTreeMap::new();
    for round in 0..3 {
        let server = dir.start(&flags);
        let mut client = server.client();
        assert_eq!(contents(&mut client), before, "round {round}");
        if round > 0 {
            let all = figure(&mut client, "log_written_offset");
            let replayed = figure(&mut client, "log_replayed_records");
            // The least that a record takes is more than this.
            assert!(replayed > 0 && replayed < all / 48 / 2, "{replayed} of {all} bytes");
        }
        if round == 1 {
            assert_eq!(client.call(&["flushall"]).text(), "OK");
        }
        let untouched = format!("untouched-{round}");
        assert_eq!(client.call(&["set", &untouched, "v"]).text(), "OK");
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (stop, server) = (&stop, &server);
            for writer in 0..2 {
                scope.spawn(move || churn(server.client(), writer, stop));
            }
            let written = figure(&mut client, "log_written_offset");
            for save in 1..=3 {
                // Far more than is written between a snapshot and the end.
                wait_until("each shard has written much", || {
                    let part = u64::from(server.shards) * (128 << 10);
                    figure(&mut client, "log_written_offset") - written >= save * part
                });
                wait_until("a save can begin", || match client.call(&["bgsave"]) {
                    Value::Simple(text) => text == "Background saving started",
                    other => {
                        assert_eq!(other.error(), "ERR Background save already in progress");
                        false
                    }
                });
                wait_until("every shard has a snapshot", || {
                    figure(&mut client, "rdb_saves") >= u64::from(server.shards) * save
                });
            }
            // Relaxed: as above.
            stop.store(true, Ordering::Relaxed);
        });
        assert_eq!(info(&mut client, "rdb_last_bgsave_status"), "ok");
        before = contents(&mut client);
        assert!(before.len() > 100 && before.contains_key(untouched.as_bytes()), "{}", before.len());
        for shard in 0..server.shards {
            assert!((1..=2).contains(&dir.snapshots(shard).len()), "{:?}", dir.snapshots(shard));
        }
        // Dropped, and so killed.
    }
}

#[test]
fn a_start_replays_only_what_came_after_the_newest_snapshot() {
    let dir = Dir::new("replay");
    let server = dir.start(SMALL);
    let mut client = server.client();
    (0..500).for_each(|n| drop(client.call(&["set", &format!("k{n}"), "v"])));
    assert_eq!(client.call(&["save"]).text(), "OK");
    (0..10).for_each(|n| drop(client.call(&["set", &format!("k{n}"), "w"])));
    let before = contents(&mut client);
    drop(server);
    let server = dir.start(SMALL);
    let mut client = server.client();
    assert_eq!(figure(&mut client, "log_replayed_records"), 10);
    assert_eq!(contents(&mut client), before);
    client.send(&["shutdown", "save"]);
    assert!(client.try_read().is_err());
    assert_eq!(server.wait().code(), Some(0));
    let server = dir.start(SMALL);
    let mut client = server.client();
    assert_eq!(figure(&mut client, "log_replayed_records"), 0);
    assert_eq!(contents(&mut client), before);
}

#[test]
fn lastsave_moves_and_only_so_many_snapshots_are_kept() {
    let dir = Dir::new("count");
    let server = dir.start(&[SMALL, &["--snapshots", "3"]].concat());
    let mut client = server.client();
    let first = client.call(&["lastsave"]).integer();
    let mut saves = 0;
    wait_until("LASTSAVE moves", || {
        client.call(&["incr", "k"]);
        assert_eq!(client.call(&["save"]).text(), "OK");
        saves += 1;
        client.call(&["lastsave"]).integer() > first && saves >= 5
    });
    assert_eq!(client.call(&["lastsave"]).integer(), figure(&mut client, "rdb_last_save_time"));
    assert_eq!((figure(&mut client, "rdb_saves"), dir.snapshots(0).len()), (saves, 3));
    assert_eq!(figure(&mut client, "rdb_changes_since_last_save"), 0);
}

#[test]
fn a_shard_takes_a_snapshot_by_itself_when_its_log_has_grown() {
    let dir = Dir::new("grown");
    let flags = [SMALL, &["--snapshot-bytes", "256k"]].concat();
    let server = dir.start(&flags);
    let mut client = server.client();
    let value = "x".repeat(1_000);
    (0..200).for_each(|n| drop(client.call(&["set", &format!("k{n}"), &value])));
    assert_eq!(figure(&mut client, "rdb_saves"), 0);
    drop(server);
    // What was logged before the start counts.
    let server = dir.start(&flags);
    let mut client = server.client();
    (0..100).for_each(|n| drop(client.call(&["set", &format!("k{n}"), &value])));
    wait_until("a snapshot is taken", || figure(&mut client, "rdb_saves") == 1);
    drop(server);
    let server = dir.start(&flags);
    let mut client = server.client();
    // From the newest on, that is: so far there is no reason for another.
    (0..100).for_each(|n| drop(client.call(&["set", &format!("k{n}"), &value])));
    assert!(figure(&mut client, "rdb_saves") == 0 && figure(&mut client, "rdb_bgsave_in_progress") == 0);
    assert_eq!(dir.snapshots(0).len(), 1);
}

/// Whether a reader from the start is told of a gap.
fn has_gap(client: &mut Client) -> bool {
    let reply = client.call(&["cdc.read", "START", "count", "1"]);
    let pair = reply.values().chunks(2).find(|pair| pair[0].text() == "gap").expect("it is told");
    pair[1] == Value::Integer(1)
}

#[test]
fn retention_takes_what_no_snapshot_needs_any_more_and_nothing_else() {
    let dir = Dir::new("retention");
    let flags = [SMALL, &["--retain-bytes", "1m", "--snapshots", "2"]].concat();
    let server = dir.start(&flags);
    let mut client = server.client();
    let value = "x".repeat(10_000);
    let fill = |client: &mut Client| (0..600).for_each(|n| drop(client.call(&["set", &format!("k{n}"), &value])));
    fill(&mut client);
    assert!(figure(&mut client, "log_segments") >= 6 && !has_gap(&mut client));
    assert_eq!(client.call(&["save"]).text(), "OK");
    wait_until("segments are removed", || figure(&mut client, "log_segments") <= 2);
    assert!(has_gap(&mut client));
    fill(&mut client);
    assert_eq!(client.call(&["save"]).text(), "OK");
    // The older of the two snapshots still needs what came after it.
    let segments = figure(&mut client, "log_segments");
    assert!(segments >= 6, "{segments}");
    let before = contents(&mut client);
    drop(server);
    let server = dir.start(&flags);
    let mut client = server.client();
    assert_eq!(figure(&mut client, "log_replayed_records"), 0);
    assert!(has_gap(&mut client) && contents(&mut client) == before);
    // After a start too.
    client.call(&["incr", "n"]);
    assert!(figure(&mut client, "log_segments") >= 6);
    drop(server);
    damage(dir.snapshots(0).last().expect("there are two"));
    let server = dir.start(&flags);
    let mut client = server.client();
    assert_eq!(figure(&mut client, "log_replayed_records"), 601);
    client.call(&["del", "n"]);
    assert_eq!(contents(&mut client), before);
    assert_eq!(files(&dir.shard(0), ".snapshot.damaged").len(), 1);
    assert_eq!(client.call(&["save"]).text(), "OK");
    assert_eq!(client.call(&["incr", "n"]), Value::Integer(1));
    assert_eq!(client.call(&["save"]).text(), "OK");
    wait_until("segments are removed", || figure(&mut client, "log_segments") <= 2);
}

/// Changes a byte in the middle of a file.
fn damage(path: &Path) {
    let mut bytes = std::fs::read(path).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    std::fs::write(path, bytes).expect("it can be written");
}

#[test]
fn a_snapshot_that_cannot_be_written_is_told_and_tried_again() {
    let dir = Dir::new("failure");
    let server = dir.start(SMALL);
    let mut client = server.client();
    client.call(&["set", "a", "1"]);
    let offset = figure(&mut client, "log_written_offset");
    // Where its file would be, there is a directory.
    let obstacle = dir.shard(0).join(format!("{offset:020}.snapshot.new"));
    std::fs::create_dir(&obstacle).expect("the directory is ours");
    let reply = client.call(&["save"]);
    assert!(reply.error().starts_with("ERR snapshot in ") && reply.error().contains("directory"), "{reply:?}");
    assert_eq!(info(&mut client, "rdb_last_bgsave_status"), "err");
    assert!(info(&mut client, "snapshot_failure").starts_with("snapshot in "));
    client.send(&["shutdown", "save"]);
    assert!(client.read().error().starts_with("ERR Errors trying to SHUTDOWN"));
    assert_eq!(info(&mut client, "aof_last_write_status"), "ok");
    std::fs::remove_dir(&obstacle).expect("the directory is ours");
    wait_until("it is tried again", || info(&mut client, "rdb_last_bgsave_status") == "ok");
    assert_eq!(dir.snapshots(0).len(), 1);
    assert!(figure(&mut client, "snapshots_failed_total") >= 2 && info(&mut client, "snapshot_failure").is_empty());
}

#[test]
fn what_an_unfinished_snapshot_has_left_is_removed_at_the_start() {
    let dir = Dir::new("unfinished");
    drop(dir.start(SMALL));
    let left = dir.shard(0).join("00000000000000000000.snapshot.new");
    std::fs::write(&left, "left").expect("the directory is ours");
    let server = dir.start(SMALL);
    assert!(!left.exists());
    assert_eq!(server.client().call(&["ping"]).text(), "PONG");
}

#[test]
fn without_a_directory_there_is_nothing_to_save_to() {
    let server = Server::small();
    let mut client = server.client();
    for words in [&["save"][..], &["bgsave"], &["bgsave", "schedule"], &["shutdown", "save"]] {
        assert!(client.call(words).error().contains("--dir"), "{words:?}");
    }
    assert_eq!(client.call(&["bgsave", "now"]).error(), "ERR syntax error");
    assert!(client.call(&["save", "now"]).error().starts_with("ERR wrong number of arguments"));
    assert!(client.call(&["lastsave"]).integer() > 0);
    assert_eq!(info(&mut client, "aof_enabled"), "0");
}
