//! A server whose disk is full: a small file system of its own, where the test may mount one.
#![cfg(not(loom))]

mod common;

use common::{Client, Server, Value, eventually, scratch};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system in memory; it is gone when this is dropped.
struct Mount(PathBuf);

impl Mount {
    /// None where the system does not let us.
    fn new(path: PathBuf, bytes: &str) -> Option<Mount> {
        let size = format!("size={bytes}");
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "keytide-test"]).arg(&path).output();
        output.is_ok_and(|output| output.status.success()).then_some(Mount(path))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Also when the test has failed; the server is gone by then, or the mount goes when it is.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn start(dir: &Path) -> Server {
    let dir = dir.to_str().expect("a plain path");
    Server::start(&["--shards", "1", "--ring-bytes", "1m", "--segment-bytes", "1m", "--dir", dir])
}

fn set(client: &mut Client, n: u32) -> Value {
    client.call(&["set".to_owned(), format!("key:{n}"), format!("{n:01000}")])
}

/// What a reader is given from the beginning on: how many events.
fn events(client: &mut Client) -> usize {
    let (mut cursor, mut count) = ("0".to_owned(), 0);
    loop {
        let page = client.call(&["cdc.read", &cursor, "count", "1000"]);
        let fields = page.values().chunks(2);
        let field = |name: &str| fields.clone().find(|pair| pair[0].text() == name).expect("it is told")[1].clone();
        count += field("events").values().len();
        let next = field("next_seq").integer().to_string();
        if field("events").values().is_empty() && next == cursor {
            return count;
        }
        cursor = next;
    }
}

#[test]
fn on_a_full_disk_writes_are_refused_reading_goes_on_and_so_do_writes_when_there_is_space() {
    let Some(mount) = Mount::new(scratch("disk-full"), "24m") else {
        println!("skipped: no file system can be mounted here; run it as root");
        return;
    };
    let filler = mount.0.join("filler");
    let file = File::create(&filler).expect("there is space");
    std::io::Write::write_all(&mut &file, &vec![1; 14 << 20]).expect("there is space");
    drop(file);
    let dir = mount.0.join("data");
    let mut server = start(&dir);
    let mut client = server.client();
    assert_eq!(client.call(&["cdc.group", "create", "*", "g", "0"]).text(), "OK");
    let mut written = 0;
    let refusal = loop {
        match set(&mut client, written) {
            Value::Error(text) => break text,
            _ => written += 1,
        }
        assert!(written < 30_000, "the disk is full");
    };
    assert!(refusal.starts_with("ERR disk full"), "{refusal}");
    println!("{written} keys, then {refusal}");
    for _ in 0..2 {
        // Nothing was changed by what is refused.
        for words in [&["set", "key:1", "other"][..], &["del", "key:1"], &["incr", "n"], &["mset", "x", "1", "y", "2"]]
        {
            assert!(client.call(words).error().starts_with("ERR disk full"), "{words:?}");
        }
        assert_eq!(client.call(&["get", "key:1"]).text(), format!("{:01000}", 1));
        assert_eq!(client.call(&["exists", "n", "x", "y"]), Value::Integer(0));
        assert_eq!(client.call(&["dbsize"]).integer(), u64::from(written));
        assert_eq!(events(&mut client), written as usize);
        // Groups and subscriptions go on.
        let rows = client.call(&["cdc.group", "read", "*", "g", "one", "10"]);
        let position = rows.values()[0].values()[0].integer().to_string();
        assert_eq!(client.call(&["cdc.ack", "*", "g", &position]), Value::Integer(1));
        // Killed while it is full, it starts again, and nothing is lost.
        drop(server);
        server = start(&dir);
        client = server.client();
        assert_eq!(client.call(&["dbsize"]).integer(), u64::from(written));
        // What is left of the last segment takes a few more.
        while let Value::Simple(_) = set(&mut client, written) {
            written += 1;
        }
    }
    std::fs::remove_file(&filler).expect("it is there");
    eventually("there is space again", || matches!(set(&mut client, written), Value::Simple(_)));
    written += 1;
    for _ in 0..2_000 {
        assert_eq!(set(&mut client, written).text(), "OK");
        written += 1;
    }
    assert_eq!(events(&mut client), written as usize);
    drop(server);
    let server = start(&dir);
    assert_eq!(server.client().call(&["dbsize"]).integer(), u64::from(written));
}
