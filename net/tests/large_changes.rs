//! Commands that record more than a turn that commits early, over sockets: they work as on Redis up to what one command
//! may record, readers and subscribers get them whole, and a restart has them.

mod common;

use common::subscriber::{Subscriber, Told};
use common::{Client, Server, Value, scratch};
use keytide_engine::slot::shard_of;
use std::path::Path;

/// A turn commits early at 256 KiB, and one command may record 768 KiB.
const RING: &str = "1m";

fn start(shards: u16, dir: Option<&Path>) -> Server {
    let shards = shards.to_string();
    let mut flags = vec!["--shards", &shards, "--ring-bytes", RING];
    if let Some(dir) = dir {
        flags.extend(["--dir", dir.to_str().expect("a plain path")]);
    }
    Server::start(&flags)
}

/// The fields of a hash of 2,000 and their values, some 340 KB in one record.
fn pairs() -> Vec<(String, String)> {
    (0..2_000).map(|n| (format!("field:{n}"), format!("{n:0150}"))).collect()
}

/// Builds such a hash aside, in small commands.
fn build(client: &mut Client, key: &str) {
    for some in pairs().chunks(100) {
        let words = some.iter().flat_map(|(field, value)| [field.clone(), value.clone()]);
        let words: Vec<String> = ["hset".to_owned(), key.to_owned()].into_iter().chain(words).collect();
        assert_eq!(client.call(&words), Value::Integer(100));
    }
}

fn check(client: &mut Client, key: &str) {
    let all = client.call(&["hgetall", key]);
    let expected = pairs().into_iter().flat_map(|(field, value)| [field, value]);
    assert!(all.values().iter().map(Value::text).eq(expected), "{key} is what was built");
}

/// Some keys that begin with `name`, so many of each shard.
fn keys(name: &str, shards: u16, each: usize) -> Vec<String> {
    let of = |shard| {
        let names = (0..).map(|n| format!("{name}:{n}"));
        names.filter(move |key| shard_of(key.as_bytes(), shards).0 == shard).take(each)
    };
    (0..shards).flat_map(of).collect()
}

/// What `CDC.READ` has of a key from a position on: each event's type and the parts of its value.
fn events(client: &mut Client, from: u64, key: &str) -> Vec<(String, Vec<Value>)> {
    let (mut cursor, mut rows) = (from, Vec::new());
    loop {
        let page = client.call(&["cdc.read", &cursor.to_string(), "match", key]);
        let page = page.values();
        assert_eq!(page[3], Value::Integer(0), "no gap");
        rows.extend(page[9].values().iter().map(|row| {
            let row = row.values();
            let parts = match &row[3] {
                Value::Array(parts) => parts.clone(),
                other => vec![other.clone()],
            };
            (row[2].text(), parts)
        }));
        let next = page[1].integer();
        if next == cursor {
            return rows;
        }
        cursor = next;
    }
}

/// The position that the next event gets.
fn next_position(client: &mut Client) -> u64 {
    client.call(&["cdc.read", "$"]).values()[1].integer()
}

#[test]
fn a_large_hash_that_was_built_aside_is_renamed_between_any_shards() {
    for shards in [1, 2, 3, 8] {
        let dir = scratch(&format!("large-rename-{shards}"));
        let mut server = start(shards, Some(&dir));
        let mut client = server.client();
        // Within a shard, and from each of the first two to the other.
        let (aside, live) = (keys("aside", shards, 1), keys("live", shards, 1));
        let moves = [(0, 0), (0, aside.len().min(2) - 1), (aside.len().min(2) - 1, 0)];
        for (from, to) in moves {
            let (from, to) = (&aside[from], &live[to]);
            build(&mut client, from);
            let before = next_position(&mut client);
            assert_eq!(client.call(&["rename", from, to]).text(), "OK");
            check(&mut client, to);
            assert_eq!(client.call(&["exists", from]), Value::Integer(0));
            let told = events(&mut client, before, to);
            let value = pairs().into_iter().flat_map(|(field, value)| [field, value]);
            let parts = [from.clone(), "hash".to_owned()].into_iter().chain(value);
            assert!(told.len() == 1 && told[0].0 == "RENAME", "one event");
            assert!(told[0].1.iter().map(Value::text).eq(parts), "which has the whole value");
        }
        // As a process that is killed leaves it.
        server.signal(9);
        server.wait();
        server = start(shards, Some(&dir));
        client = server.client();
        moves.iter().for_each(|(_, to)| check(&mut client, &live[*to]));
        drop(server);
        std::fs::remove_dir_all(&dir).expect("it was made");
    }
}

#[test]
fn in_a_transaction_too_and_on_another_shard() {
    for shards in [1, 2, 3] {
        let server = start(shards, None);
        let mut client = server.client();
        for live in keys("live", shards, 1) {
            build(&mut client, "aside");
            for words in [&["multi"][..], &["set", "before", "1"], &["rename", "aside", &live], &["set", "after", "1"]]
            {
                client.call(words);
            }
            let done = client.call(&["exec"]);
            assert_eq!(done.values().iter().map(Value::text).collect::<Vec<_>>(), ["OK"; 3]);
            check(&mut client, &live);
            assert_eq!(client.call(&["exists", "aside", "before", "after"]), Value::Integer(2));
        }
    }
}

#[test]
fn large_strings_are_set_up_to_what_one_command_may_record_and_then_refused_whole() {
    for shards in [1, 2, 3] {
        let server = start(shards, None);
        let mut client = server.client();
        let large = "x".repeat(700_000);
        assert_eq!(client.call(&["set", "k", &large]).text(), "OK");
        assert_eq!(client.call(&["append", "k", "y"]), Value::Integer(700_001));
        assert_eq!(client.call(&["set", "k", &"x".repeat(800_000)]).error(), too_large(800_184));
        assert_eq!(client.call(&["strlen", "k"]), Value::Integer(700_001));
        // Each shard takes as much.
        let keys = keys("m", shards, 2);
        let value = "v".repeat(340_000);
        let mset = |value: &str| -> Vec<String> {
            let words = keys.iter().flat_map(|key| [key.clone(), value.to_owned()]);
            ["mset".to_owned()].into_iter().chain(words).collect()
        };
        assert_eq!(client.call(&mset(&value)).text(), "OK");
        assert!(client.call(&mset(&"w".repeat(400_000))).error().starts_with("ERR change of 800"));
        for key in &keys {
            assert!(client.call(&["get", key]).text() == value, "{key} stays as it was");
        }
    }
}

/// The error of a SET of a key of one byte whose records would take so many bytes.
fn too_large(bytes: u64) -> String {
    format!("ERR change of {bytes} bytes exceeds the 786432 bytes that one command may record; raise --ring-bytes")
}

#[test]
fn subscribers_get_a_large_event_whole_whether_they_are_live_or_catch_up() {
    for shards in [1, 2] {
        let server = start(shards, None);
        let mut client = server.client();
        let mut live = Subscriber::connect(&server, 3);
        live.subscribe("$all FROM END PREFIX 1 live");
        live.until_caught_up();
        build(&mut client, "aside");
        assert_eq!(client.call(&["rename", "aside", "live"]).text(), "OK");
        assert_eq!(client.call(&["set", "live:end", ""]).text(), "OK");
        let mut late = Subscriber::connect(&server, 3);
        late.subscribe("$all PREFIX 1 live");
        for subscriber in [&mut live, &mut late] {
            let told = subscriber.until(|told| told.event().is_some_and(|event| event.stream == "live:end"));
            let kinds: Vec<&str> = common::subscriber::events(&told).iter().map(|event| event.kind.as_str()).collect();
            assert_eq!(kinds, ["Rename", "Set"], "with {shards} shards");
            assert!(!told.iter().any(|told| matches!(told, Told::Gap(..) | Told::Dropped(..))));
        }
    }
}
