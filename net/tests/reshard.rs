//! A directory whose server comes back with another number of shards, as clients see it.
#![cfg(not(loom))]

mod common;

use common::{Client, Server, Value, eventually, scratch};
use std::collections::BTreeMap;

fn start(dir: &str, shards: &str) -> Server {
    Server::start(&["--dir", dir, "--shards", shards, "--ring-bytes", "1m", "--segment-bytes", "1m"])
}

/// Ends it in order, as SIGTERM does, or kills it.
fn end(server: Server, in_order: bool) {
    if in_order {
        server.signal(libc::SIGTERM);
        assert!(server.wait().success());
    }
}

fn field<'v>(map: &'v Value, name: &str) -> &'v Value {
    let pair = map.values().chunks(2).find(|pair| pair[0].text() == name);
    &pair.unwrap_or_else(|| panic!("no {name} in {map:?}"))[1]
}

/// All events from a position on, without how long ago they were. Nothing of them may be lost.
fn events(client: &mut Client, from: u64, more: &[&str]) -> Vec<Vec<Value>> {
    let (mut events, mut cursor) = (Vec::new(), from);
    loop {
        let words = ["cdc.read", &cursor.to_string(), "count", "97"];
        let page = client.call(&[&words[..], more].concat());
        assert_eq!(field(&page, "gap"), &Value::Integer(0), "from {cursor}");
        let rows = field(&page, "events").values();
        events.extend(rows.iter().map(|row| row.values().to_vec()));
        cursor = field(&page, "next_seq").integer();
        if rows.is_empty() {
            return events;
        }
    }
}

/// Every key with its value or its fields, and its TTL.
fn keys(client: &mut Client) -> BTreeMap<String, (Value, bool)> {
    let names = client.call(&["keys", "*"]);
    let mut keys = BTreeMap::new();
    for name in names.values() {
        let name = name.text();
        let value = match client.call(&["type", &name]).text().as_str() {
            "string" => client.call(&["get", &name]),
            "hash" => client.call(&["hgetall", &name]),
            "list" => client.call(&["lrange", &name, "0", "-1"]),
            other => panic!("{name} is a {other}"),
        };
        let has_ttl = client.call(&["pttl", &name]) != Value::Integer(-1);
        keys.insert(name, (value, has_ttl));
    }
    keys
}

fn write(client: &mut Client, run: usize) {
    let value = "v".repeat(300);
    for n in 0..1500 {
        let key = format!("user:{}", n % 173);
        match n % 5 {
            0 => client.send(&["set", &format!("{key}:{run}"), &format!("{value}{n}")]),
            1 => client.send(&["hset", &format!("hash:{key}"), "field", &n.to_string(), &run.to_string(), &value]),
            2 => client.send(&["rpush", &format!("list:{run}:{}", n % 7), &n.to_string()]),
            3 => client.send(&["set", &key, &value, "ex", "100000"]),
            _ => client.send(&["del", &key]),
        }
    }
    (0..1500).for_each(|_| assert!(!matches!(client.read(), Value::Error(_))));
}

#[test]
fn all_keys_and_all_events_are_there_whatever_the_number_of_shards_was() {
    let dir = scratch("reshard");
    let path = dir.to_str().expect("a plain path");
    let mut server = start(path, "2");
    let mut client = server.client();
    write(&mut client, 0);
    client.call(&["flushall"]);
    write(&mut client, 1);
    client.call(&["cdc.group", "create", "user:*", "g", "0", "idle", "1"]);
    let pending = client.call(&["cdc.group", "read", "user:*", "g", "worker", "10"]);
    assert_eq!(pending.values().len(), 10);
    let history = field(&client.call(&["cdc.info"]), "history").text();
    let (mut all, mut expected) = (events(&mut client, 0, &[]), keys(&mut client));
    assert!(all.len() > 3000 && expected.len() > 100);
    let starts = [("1", true), ("1", false), ("2", false), ("8", true), ("3", false), ("8", false), ("1", true)];
    for (run, (shards, in_order)) in starts.into_iter().enumerate() {
        end(server, in_order);
        server = start(path, shards);
        client = server.client();
        assert_eq!(server.shards.to_string(), shards);
        assert_eq!(keys(&mut client), expected);
        assert_eq!(events(&mut client, 0, &[]), all);
        let middle = all[all.len() / 2][0].integer();
        let rest = events(&mut client, middle, &[]);
        assert_eq!(rest[..], all[all.len() / 2..]);
        let of_user = events(&mut client, middle, &["match", "user:*"]);
        assert!(of_user.len() > 100 && of_user.len() < rest.len());
        assert_eq!(field(&client.call(&["cdc.info"]), "history").text(), history, "it is the same history");
        // What was pending is given again.
        let mut again = Vec::new();
        eventually("what is pending is due", || {
            let read = client.call(&["cdc.group", "read", "user:*", "g", "worker", "10"]);
            again = read.values().iter().map(|row| row.values()[0].clone()).collect();
            again.len() == 10
        });
        let first: Vec<_> = pending.values().iter().map(|row| row.values()[0].clone()).collect();
        assert_eq!(again, first);
        write(&mut client, 2 + run);
        (all, expected) = (events(&mut client, 0, &[]), keys(&mut client));
        let positions: Vec<u64> = all.iter().map(|row| row[0].integer()).collect();
        assert!(positions.is_sorted_by(|a, b| a < b));
    }
    drop(server);
    std::fs::remove_dir_all(dir).expect("nobody uses it any more");
}

#[test]
fn revisions_go_on_after_another_number_of_shards_and_a_flush() {
    for (round, (numbers, flush)) in
        [(["1", "2", "2"], "flushall"), (["2", "8", "3"], "flushall"), (["2", "8", "3"], "flushdb")]
            .into_iter()
            .enumerate()
    {
        let dir = scratch(&format!("reshard-revisions-{round}"));
        let path = dir.to_str().expect("a plain path");
        for (run, shards) in numbers.into_iter().enumerate() {
            let server = start(path, shards);
            let mut client = server.client();
            if run > 0 {
                client.call(&[flush]);
            }
            for n in 0..40 {
                client.call(&["set", &format!("there:{n}"), "x"]);
                client.call(&["set", &format!("absent:{n}"), "x"]);
                client.call(&["del", &format!("absent:{n}")]);
            }
            let mut next: BTreeMap<String, u64> = BTreeMap::new();
            for row in events(&mut client, 0, &[]) {
                let next = next.entry(row[1].text()).or_default();
                assert_eq!(row[5].integer(), *next, "{row:?} with {shards} shards after {flush}");
                *next += 1;
            }
            assert_eq!((next["there:7"], next["absent:7"]), (1 + run as u64, 2 * (1 + run as u64)));
            let refused = client.call(&["cdc.append", "there:7", "T", "x", "expect", "none"]);
            assert!(refused.error().starts_with("WRONGREVISION"), "{refused:?}");
            end(server, run == 0);
        }
        std::fs::remove_dir_all(dir).expect("nobody uses it any more");
    }
}
