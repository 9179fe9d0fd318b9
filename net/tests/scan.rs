//! SCAN and its kin over several shards: small keyspaces come in one call, what stays is seen, and no pattern and no COUNT
//! makes a call long.

mod common;

use common::{Client, Server, Value};
use std::collections::BTreeSet;

const SHARDS: [&str; 4] = ["1", "2", "3", "8"];

fn server(shards: &str) -> Server {
    Server::start(&["--shards", shards, "--ring-bytes", "4m"])
}

/// One call's cursor, and what it has found.
fn step(client: &mut Client, command: &[&str]) -> (String, Vec<String>) {
    match client.call(command) {
        Value::Array(fields) => {
            let [cursor, Value::Array(found)] = &fields[..] else { panic!("no scan's reply: {fields:?}") };
            (cursor.text(), found.iter().map(Value::text).collect())
        }
        other => panic!("{command:?}: {other:?}"),
    }
}

/// All that the calls of a whole scan find, and how many they are.
fn walk(client: &mut Client, before: &[&str], after: &[&str]) -> (Vec<String>, usize) {
    let (mut all, mut cursor, mut calls) = (Vec::new(), "0".to_owned(), 0);
    loop {
        let (next, found) = step(client, &[before, &[&cursor], after].concat());
        all.extend(found);
        (cursor, calls) = (next, calls + 1);
        if cursor == "0" {
            return (all, calls);
        }
    }
}

#[test]
fn a_small_keyspace_comes_in_one_call() {
    for shards in SHARDS {
        let server = server(shards);
        let mut client = server.client();
        let keys = ["a", "b", "c", "d", "e"];
        let sorted = |mut found: Vec<String>| {
            found.sort_unstable();
            found
        };
        assert_eq!(step(&mut client, &["scan", "0"]), ("0".to_owned(), vec![]), "{shards} shards");
        for key in keys {
            assert_eq!(client.call(&["set", key, "1"]).text(), "OK");
        }
        for options in [&["count", "1000"][..], &["count", "1000", "match", "*"], &[]] {
            let (cursor, found) = step(&mut client, &[&["scan", "0"], options].concat());
            assert_eq!((cursor.as_str(), sorted(found)), ("0", keys.map(str::to_owned).to_vec()), "{shards} shards");
        }
        let (cursor, found) = step(&mut client, &["scan", "0", "count", "1000", "match", "[b-d]", "type", "string"]);
        assert_eq!((cursor.as_str(), sorted(found)), ("0", vec!["b".into(), "c".into(), "d".into()]));
        assert_eq!(client.call(&["multi"]).text(), "OK");
        assert_eq!(client.call(&["scan", "0", "count", "1000"]).text(), "QUEUED");
        let Value::Array(replies) = client.call(&["exec"]) else { panic!("EXEC answers an array") };
        let [Value::Array(fields)] = &replies[..] else { panic!("of one reply") };
        let Value::Array(found) = &fields[1] else { panic!("with what was found") };
        assert_eq!((fields[0].text().as_str(), found.len()), ("0", 5), "{shards} shards");
        for wrong in [&["scan", "x"][..], &["scan", "0", "count", "0"], &["scan", "0", "nothing", "1"]] {
            assert!(client.call(wrong).error().starts_with("ERR "), "{wrong:?}");
        }
    }
}

#[test]
fn what_stays_is_seen_whatever_else_comes_and_goes() {
    for shards in SHARDS {
        let server = server(shards);
        let (mut client, mut other) = (server.client(), server.client());
        let stays: BTreeSet<String> = (0..500).map(|n| format!("stays:{n}")).collect();
        for key in &stays {
            assert_eq!(client.call(&["set", key, "1"]).text(), "OK");
        }
        for count in ["1", "7", "100", "2000"] {
            let (mut seen, mut cursor, mut calls) = (BTreeSet::new(), "0".to_owned(), 0);
            loop {
                let (next, found) = step(&mut client, &["scan", &cursor, "count", count]);
                seen.extend(found);
                (cursor, calls) = (next, calls + 1);
                for n in 0..3 {
                    other.call(&["set", &format!("new:{calls}:{n}"), "1"]);
                    other.call(&["del", &format!("new:{}:{n}", calls - calls % 3)]);
                }
                if cursor == "0" {
                    break;
                }
            }
            assert!(seen.is_superset(&stays), "{shards} shards, COUNT {count}");
        }
        let (found, calls) = walk(&mut client, &["scan"], &["count", "100", "match", "stays:*"]);
        assert_eq!((found.len(), BTreeSet::from_iter(found)), (500, stays), "{shards} shards");
        assert!(calls >= 5, "COUNT bounds a call: {calls}");
    }
}

#[test]
fn a_pattern_beyond_a_limit_is_refused_wherever_it_comes() {
    let server = server("2");
    let mut client = server.client();
    client.call(&["set", "key", "1"]);
    client.call(&["hset", "hash", "field", "1"]);
    client.call(&["sadd", "set", "member"]);
    let before = server.resident_bytes();
    let long = "[a]".repeat(1_000_000);
    let wide = format!("*{}*", "?".repeat(2_000));
    let large = "?*".repeat(30_000);
    for (pattern, text) in [
        (&long, "ERR pattern of 3000000 bytes exceeds the limit of 65536 bytes"),
        (&wide, "ERR pattern has 2000 elements between two '*', the limit with '?' or '[]' among them is 1024"),
        (&large, "ERR pattern takes more than the limit of 1048576 bytes when compiled"),
    ] {
        for command in [
            &["keys"][..],
            &["scan", "0", "match"],
            &["hscan", "hash", "0", "match"],
            &["sscan", "set", "0", "match"],
            &["config", "get"],
            &["command", "list", "filterby", "pattern"],
            &["cdc.read", "0", "match"],
            &["cdc.subscribe", "$all", "match"],
        ] {
            let words: Vec<&str> = command.iter().copied().chain([pattern.as_str()]).collect();
            assert_eq!(client.call(&words).error(), text, "{command:?}");
        }
        assert_eq!(client.call(&["cdc.group", "create", pattern, "g", "0"]).error(), text);
    }
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes for patterns that were refused");
    let most = "a".repeat(65_536);
    assert_eq!(client.call(&["keys", &most]), Value::Array(vec![]));
}

#[test]
fn a_call_ends_early_where_there_is_much_to_look_at() {
    let server = Server::start(&["--shards", "2", "--ring-bytes", "64m"]);
    let mut client = server.client();
    let name = |n: usize| format!("{}{n:04}", "a".repeat(8_000));
    for n in 0..400 {
        assert_eq!(client.call(&["set", &name(n), "1"]).text(), "OK");
        assert_eq!(client.call(&["hset", "hash", &n.to_string(), &"x".repeat(50_000)]), Value::Integer(1));
        assert_eq!(client.call(&["sadd", "set", &name(n)]), Value::Integer(1));
    }
    let everything = ["count", "1000000", "match", "*a*[0-9]?[0-9]*"];
    let (found, calls) = walk(&mut client, &["scan"], &everything);
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 400);
    assert!(calls > 2, "{calls}");
    let (found, calls) = walk(&mut client, &["sscan", "set"], &everything);
    assert_eq!((found.len(), found.iter().collect::<BTreeSet<_>>().len()), (400, 400));
    assert!(calls > 2, "{calls}");
    let (found, calls) = walk(&mut client, &["hscan", "hash"], &["count", "1000000"]);
    assert_eq!((found.len(), found.iter().step_by(2).collect::<BTreeSet<_>>().len()), (800, 400));
    assert!(calls > 2, "{calls}");
}
