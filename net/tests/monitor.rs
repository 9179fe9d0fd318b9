//! MONITOR: its lines are those of redis-server, over all cores, and no password is among them.

mod common;

use common::redis::Redis;
use common::{Client, Server, Value, eventually};

const SHARDS: [&str; 4] = ["1", "2", "3", "8"];

fn line(client: &mut Client, text: &str) -> Value {
    client.call(&text.split(' ').collect::<Vec<_>>())
}

/// A client that monitors.
fn monitor(mut client: Client) -> Client {
    assert_eq!(line(&mut client, "monitor").text(), "OK");
    client
}

/// A line without time and port.
fn without_time(line: &str) -> String {
    let (time, rest) = line.split_once(' ').expect("a line has words");
    let (seconds, micros) = time.split_once('.').expect("a fraction");
    assert!(seconds.parse::<u64>().is_ok_and(|seconds| seconds > 1_700_000_000) && micros.len() == 6, "{line}");
    let (from, command) = rest.split_once("] ").expect("a client");
    let from = from.rsplit_once(':').map_or(from, |(address, _)| address);
    format!("{from}] {command}")
}

/// The lines up to the one with this argument.
fn until(client: &mut Client, end: &str) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let text = without_time(&client.read().text());
        if text.contains(end) {
            return lines;
        }
        lines.push(text);
    }
}

#[test]
fn each_command_is_shown_as_in_redis() {
    let redis = Redis::start(&[]);
    for shards in SHARDS {
        let server = Server::start(&["--shards", shards, "--ring-bytes", "1m"]);
        let (mut own, mut other) = (monitor(server.client()), monitor(redis.client()));
        let (mut sender, mut wanted) = (server.client(), redis.client());
        for client in [&mut sender, &mut wanted] {
            for text in [
                "set k v",
                "get k",
                "GET k",
                "mset a 1 b 2 c 3",
                "mget a b c d",
                "rename a b",
                "nosuch",
                "get",
                "auth x secret",
                "hello 2 auth x secret setname me",
                "acl whoami",
                "acl setuser anna >secret",
                "config get maxmemory",
                "multi",
                "set a 1",
                "get b",
                "select 2",
                "get b",
                "EXEC",
                "exec",
                "multi",
                "get",
                "exec",
                "dbsize",
                "set inner 1",
                "mget inner x y",
                "select 0",
                "flushall",
                "ping",
                "subscribe c",
                "unsubscribe c",
                "client setname you",
                "slowlog len",
                "publish c hello",
            ] {
                line(client, text);
            }
            client.call(&[&b"set"[..], b"\"q\"\\ \n\r\t\x07\x08\x00\xff\x7f", b"~ "]);
            client.call(&[
                "eval",
                "redis.call('set',KEYS[1],'1') return redis.call('mget',KEYS[1],KEYS[2])",
                "2",
                "s1",
                "s2",
            ]);
            client.call(&["eval", "return redis.call('ping')", "0"]);
            line(client, "echo end-of-test");
        }
        let (found, expected) = (until(&mut own, "end-of-test"), until(&mut other, "end-of-test"));
        assert!(!found.iter().any(|line| line.contains("secret")), "{found:?}");
        assert_eq!(found, expected, "on {shards} shards");
    }
}

#[test]
fn every_core_is_told_of_and_reset_ends_it() {
    for shards in SHARDS {
        let server = Server::start(&["--shards", shards, "--ring-bytes", "1m"]);
        let mut watcher = monitor(server.client());
        let mut senders: Vec<Client> = (0..16).map(|_| server.client()).collect();
        for (number, sender) in senders.iter_mut().enumerate() {
            for count in 0..3 {
                line(sender, &format!("set k{number} {count}"));
            }
        }
        let mut seen: Vec<String> = (0..48).map(|_| without_time(&watcher.read().text())).collect();
        // Each client's in order.
        for number in 0..16 {
            let own: Vec<&String> = seen.iter().filter(|line| line.contains(&format!("\"k{number}\""))).collect();
            let wanted: Vec<String> =
                (0..3).map(|count| format!("[0 127.0.0.1] \"set\" \"k{number}\" \"{count}\"")).collect();
            assert!(own.iter().zip(&wanted).all(|(own, wanted)| *own == wanted) && own.len() == 3, "{own:?}");
        }
        seen.clear();
        assert_eq!(line(&mut watcher, "get k1").error(), "ERR Replica can't interact with the keyspace");
        let flags = |client: &mut Client| line(client, "client list").text().contains(" flags=O ");
        assert!(flags(&mut senders[0]));
        assert_eq!(line(&mut watcher, "reset").text(), "RESET");
        line(&mut senders[1], "set k 1");
        assert_eq!(line(&mut watcher, "ping").text(), "PONG");
        eventually("it is no monitor", || !flags(&mut senders[0]));
    }
}

#[test]
fn it_is_not_for_transactions_scripts_and_everybody() {
    let (redis, server) = (Redis::start(&[]), Server::start(&["--ring-bytes", "1m"]));
    let (mut own, mut other) = (server.client(), redis.client());
    for text in [
        "multi",
        "monitor",
        "exec",
        "monitor x",
        "acl setuser anna on nopass ~* +@all -@admin",
        "auth anna x",
        "monitor",
    ] {
        assert_eq!(line(&mut own, text), line(&mut other, text), "{text}");
    }
    let refused = server.client().call(&["eval", "return redis.call('monitor')", "0"]);
    assert!(refused.error().starts_with("ERR This Redis command is not allowed from script"));
}

#[test]
fn a_monitor_that_reads_nothing_is_closed() {
    let server = Server::start(&["--ring-bytes", "1m", "--pubsub-output-bytes", "256k"]);
    let mut slow = monitor(server.client());
    let mut sender = server.client();
    let value = "x".repeat(32 << 10);
    eventually("it is closed", || {
        (0..64).for_each(|_| drop(sender.call(&["set", "k", &value])));
        !line(&mut sender, "client list").text().contains(" flags=O ")
    });
    assert!(slow.is_closed());
}
