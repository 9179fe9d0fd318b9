//! SLOWLOG: its replies are those of redis-server, over all cores, and it shows no password.

mod common;

use common::redis::Redis;
use common::{Client, Server, Value};

const SHARDS: [&str; 4] = ["1", "2", "3", "8"];

/// Every command is slow.
const ALL: &[&str] = &["--slowlog-log-slower-than", "0"];

fn line(client: &mut Client, text: &str) -> Value {
    client.call(&text.split(' ').collect::<Vec<_>>())
}

/// Logs in anew, in the second version of the protocol.
fn clear(client: &mut Client) {
    line(client, "hello 2");
    assert_eq!(line(client, "slowlog reset").text(), "OK");
}

/// The logged commands, the oldest first: arguments, and the client's name.
fn logged(client: &mut Client) -> Vec<(Vec<String>, String)> {
    let entries = line(client, "slowlog get -1");
    let mut last = u64::MAX;
    let mut rows = Vec::new();
    for entry in entries.values() {
        let [id, at, took, args, address, name] = entry.values() else { panic!("not an entry: {entry:?}") };
        assert!(id.integer() < last && at.integer() > 1_700_000_000 && took.integer() < 60_000_000);
        assert!(address.text().starts_with("127.0.0.1:"), "{entry:?}");
        last = id.integer();
        rows.push((args.values().iter().map(Value::text).collect(), name.text()));
    }
    rows.reverse();
    rows
}

#[test]
fn what_is_slow_is_logged_as_in_redis() {
    let redis = Redis::start(ALL);
    for shards in SHARDS {
        let server = Server::start(&[&["--shards", shards, "--ring-bytes", "1m"], ALL].concat());
        let (mut own, mut other) = (server.client(), redis.client());
        let long = format!("set a {}", "x".repeat(200));
        let many = format!("mget{{t}} {}", "{t} ".repeat(40)).replacen("mget{t}", "mget", 1);
        let commands = [
            "set k v",
            "get k",
            "client setname me",
            "mset a 1 b 2 c 3",
            "mget a b c d e f",
            "del a b c",
            &long,
            many.trim_end(),
            "rename k l",
            "multi",
            "set a 1",
            "get b",
            "exec",
            "dbsize",
            "select 1",
            "set inner 1",
            "get inner",
            "rename inner other",
            "select 0",
            "flushall",
            "ping",
            "get",
            "nosuch",
            "acl setuser anna on >secret ~* +@all",
            "acl setuser anna ~*",
            "auth anna wrong",
            "hello 2 auth anna wrong setname you",
            "config set requirepass secret maxclients 1000",
            "auth secret",
            "config set requirepass x",
            "hello 2 auth default x setname you",
            "config set requirepass :",
            "config set masterauth secret",
            "subscribe c",
            "unsubscribe c",
        ];
        for client in [&mut own, &mut other] {
            clear(client);
            for command in commands {
                line(client, command);
            }
        }
        let (found, wanted) = (logged(&mut own), logged(&mut other));
        let is_secret = |(args, _): &(Vec<String>, String)| args.iter().any(|arg| arg.contains("secret"));
        assert!(!found.iter().any(is_secret), "{found:?}");
        assert_eq!(found, wanted, "on {shards} shards");
        line(&mut other, "config set requirepass :");
        line(&mut other, "auth :");
        let off: &[&str] = &["config", "set", "requirepass", ""];
        assert_eq!(other.call(off).text(), "OK");
    }
}

#[test]
fn its_words_are_those_of_redis() {
    let (redis, server) = (Redis::start(ALL), Server::start(&[&["--ring-bytes", "1m"], ALL].concat()));
    let (mut own, mut other) = (server.client(), redis.client());
    for text in [
        "slowlog",
        "slowlog reset",
        "slowlog len",
        "slowlog get -2",
        "slowlog get x",
        "slowlog get 1 2",
        "slowlog len x",
        "slowlog nosuch",
        "slowlog get 0",
        "config get slowlog-log-slower-than",
        "config get slowlog-max-len",
        "config set slowlog-log-slower-than x",
        "config set slowlog-log-slower-than -2",
        "config set slowlog-max-len -1",
        "config set slowlog-max-len 2",
        "slowlog len",
        "config set slowlog-log-slower-than -1",
        "slowlog reset",
        "slowlog len",
    ] {
        assert_eq!(line(&mut own, text), line(&mut other, text), "{text}");
    }
}

#[test]
fn by_default_only_what_takes_long_is_logged() {
    for shards in ["1", "2"] {
        let server = Server::start(&["--shards", shards, "--ring-bytes", "1m"]);
        let mut client = server.client();
        assert_eq!(line(&mut client, "config get slowlog-log-slower-than").values()[1].text(), "10000");
        line(&mut client, "set a 1");
        let wait = "local sum = 0; for at = 1, 30000000 do sum = sum + at end; return redis.call('get', KEYS[1])";
        client.call(&["eval", wait, "1", "a"]);
        let rows = logged(&mut client);
        assert_eq!(rows.last().map(|(args, _)| args.len()), Some(4), "{rows:?}");
        assert!(!rows.iter().any(|(args, _)| args[0] == "set"), "{rows:?}");
    }
}
