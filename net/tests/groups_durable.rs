//! Consumer groups that outlive their server, as clients see it.
#![cfg(not(loom))]

mod common;

use common::local::{Local, copy};
use common::{Client, Server, Value, scratch};
use keytide_engine::log::Fsync;

/// What clients can ask of two groups, without how long ago anything was.
fn told(client: &mut Client) -> Vec<Value> {
    let mut told = Vec::new();
    for group in ["g", "h"] {
        for command in [&["cdc.pending"][..], &["cdc.group", "parked"]] {
            let words: Vec<&str> = command.iter().copied().chain(["k*", group]).collect();
            let rows = client.call(&words);
            told.extend(rows.values().iter().map(|row| Value::Array(row.values()[..3].to_vec())));
        }
        let info = client.call(&["cdc.group", "info", "k*", group]);
        let without = ["head_seq", "consumers", "retention_warning"];
        for pair in info.values().chunks(2).filter(|pair| !without.contains(&pair[0].text().as_str())) {
            told.extend_from_slice(pair);
        }
    }
    told
}

#[test]
fn what_clients_were_told_of_groups_is_so_after_the_server_was_killed() {
    for (number, fsync) in [Fsync::Os, Fsync::EverySecond, Fsync::Always].into_iter().enumerate() {
        let scratch = scratch(&format!("groups-durable-{number}"));
        let (dir, left) = (scratch.join("dir"), scratch.join("left"));
        let server = Local::start(&dir, 2, fsync, 1_000);
        let mut client = server.client();
        client.call(&["cdc.group", "create", "k*", "g", "0", "idle", "0", "maxdeliver", "3"]);
        client.call(&["cdc.group", "create", "k*", "h", "$"]);
        for key in 0..20 {
            client.call(&["set", &format!("k{key}"), "v"]);
        }
        assert_eq!(client.call(&["cdc.group", "read", "k*", "h", "worker", "9"]).values().len(), 9);
        assert_eq!(client.call(&["cdc.group", "read", "k*", "g", "one", "5"]).values().len(), 5);
        assert_eq!(client.call(&["cdc.group", "read", "k*", "g", "two", "3"]).values().len(), 3);
        assert_eq!(client.call(&["cdc.ack", "k*", "g", "1001"]), Value::Integer(1));
        assert_eq!(client.call(&["cdc.nack", "k*", "g", "park", "1002"]), Value::Integer(1));
        assert_eq!(client.call(&["cdc.nack", "k*", "h", "retry", "1000", "1001"]), Value::Integer(2));
        let before = told(&mut client);
        copy(&dir, &left);
        // Killed: another server, with fewer cores, finds what is left.
        let again = Local::start(&left, 1, fsync, 2_000);
        let mut other = again.client();
        assert_eq!(told(&mut other), before);
        assert_eq!(other.call(&["cdc.group", "list"]).values().len(), 2);
        // The events themselves are not there any more in this test: each is told as lost, none is forgotten.
        let rows = other.call(&["cdc.group", "read", "k*", "g", "one", "9"]);
        let gaps: Vec<(u64, Value)> =
            rows.values().iter().map(|row| (row.values()[0].integer(), row.values()[3].clone())).collect();
        assert_eq!(gaps[0], (1_004, Value::Integer(3)));
        other.call(&["set", "k", "v"]);
        let rows = other.call(&["cdc.group", "read", "k*", "g", "one", "9"]);
        assert_eq!(rows.values().last().map(|row| row.values()[0].integer()), Some(2_000));
        assert_eq!(other.call(&["cdc.group", "destroy", "k*", "h"]), Value::Integer(1));
        drop(again);
        // Stopped in order, and more cores.
        let third = Local::start(&left, 2, fsync, 3_000);
        assert_eq!(third.client().call(&["cdc.group", "list"]).values().len(), 1);
        let pending = third.client().call(&["cdc.pending", "k*", "g"]);
        assert_eq!(pending.values().len(), 1);
        drop((server, third));
        std::fs::remove_dir_all(scratch).expect("nobody uses it any more");
    }
}

#[test]
fn a_group_that_is_about_to_lose_events_says_so_until_it_has_caught_up() {
    let server = Server::small();
    let mut client = server.client();
    client.call(&["cdc.group", "create", "*", "g", "0"]);
    let mut told = || {
        let info = client.call(&["cdc.group", "info", "*", "g"]);
        let warning = info.values().chunks(2).find(|pair| pair[0].text() == "retention_warning").map(|pair| &pair[1]);
        let list = client.call(&["cdc.group", "list"]);
        assert_eq!(warning, list.values()[0].values().get(5));
        warning.expect("it is told").integer()
    };
    assert_eq!(told(), 0);
    let mut writer = server.client();
    let value = "x".repeat(10_000);
    (0..200).for_each(|_| drop(writer.call(&["set", "k", &value])));
    assert_eq!(told(), 1);
    writer.call(&["cdc.group", "setid", "*", "g", "$"]);
    assert_eq!(told(), 0);
}

/// A disk that cannot be read is no reason to forget an event that lies on it.
#[test]
fn a_pending_entry_that_cannot_be_read_stays_pending_until_it_can() {
    let dir = scratch("groups-unreadable");
    let server = Server::start(&["--shards", "1", "--ring-bytes", "64k", "--dir", dir.to_str().expect("UTF-8")]);
    let mut client = server.client();
    client.call(&["cdc.group", "create", "k", "g", "0", "idle", "1"]);
    client.call(&["set", "k", "findme-findme"]);
    let read = ["cdc.group", "read", "k", "g", "one", "1"];
    assert_eq!(client.call(&read).values().len(), 1);
    // Out of memory, and so read from its segment from now on.
    let value = "x".repeat(1_000);
    (0..200).for_each(|_| drop(client.call(&["set", "other", &value])));
    let files = std::fs::read_dir(dir.join("generation-0001/shard-0000")).expect("the shard's log");
    let found = files.filter_map(|file| {
        let path = file.expect("its entry").path();
        let bytes = std::fs::read(&path).expect("a file of the log");
        let at = bytes.windows(13).position(|part| part == b"findme-findme")?;
        Some((path, at as u64))
    });
    let (path, at) = found.min().expect("the event is in a segment");
    let put = |text: &[u8]| {
        let file = std::fs::File::options().write(true).open(&path).expect("the first segment");
        std::os::unix::fs::FileExt::write_all_at(&file, text, at).expect("it can be written");
    };
    let pending = |client: &mut Client| client.call(&["cdc.pending", "k", "g"]).values().len();
    put(b"FINDME");
    std::thread::sleep(std::time::Duration::from_millis(5));
    assert!(client.call(&read).values().is_empty());
    assert_eq!(pending(&mut client), 1);
    put(b"findme");
    std::thread::sleep(std::time::Duration::from_millis(5));
    assert_eq!(client.call(&read).values()[0].values()[3].text(), "findme-findme");
    drop(server);
    std::fs::remove_dir_all(dir).expect("nobody uses it any more");
}
