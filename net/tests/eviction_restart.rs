//! The limit of memory and the log: what was evicted stays so, and a start with a lower limit, or with other shards, meets it.

mod common;

use common::{Client, Server, Value, eventually, scratch};

fn call(client: &mut Client, line: &str) -> Value {
    client.call(&line.split(' ').collect::<Vec<_>>())
}

fn field(client: &mut Client, name: &str) -> u64 {
    let text = client.call(&["info", "everything"]).text();
    let start = format!("{name}:");
    let value = text.lines().find_map(|line| line.strip_prefix(&start)).map(str::to_owned);
    value.unwrap_or_else(|| panic!("there is {name}")).parse().expect("it is a number")
}

fn fill(client: &mut Client, from: usize, count: usize) {
    for part in (from..from + count).collect::<Vec<_>>().chunks(100) {
        part.iter().for_each(|n| client.send(&["set", &format!("key:{n}"), &"x".repeat(100)]));
        part.iter().for_each(|_| assert_eq!(client.read().text_or_error(), "OK"));
    }
}

/// The keys that there are.
fn keys(client: &mut Client) -> Vec<String> {
    let mut keys: Vec<String> = call(client, "keys *").values().iter().map(Value::text).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn a_start_finds_what_was_not_evicted_and_meets_its_own_limit() {
    for policy in ["allkeys-s3fifo", "allkeys-lru"] {
        let dir = scratch(&format!("eviction-{policy}"));
        let start = |shards: &str, limit: &str| {
            let dir = dir.to_str().expect("a plain path");
            Server::start(&[
                "--dir",
                dir,
                "--shards",
                shards,
                "--ring-bytes",
                "1m",
                "--maxmemory",
                limit,
                "--maxmemory-policy",
                policy,
            ])
        };
        let server = start("2", "1mb");
        let mut client = server.client();
        fill(&mut client, 0, 20_000);
        eventually("nothing more is evicted", || field(&mut client, "keys_bytes") <= 1 << 20);
        // What is read takes memory too.
        call(&mut client, "config set maxmemory 0");
        let before = keys(&mut client);
        assert!(before.len() < 10_000, "{}", before.len());
        drop((client, server));
        let server = start("2", "2mb");
        let mut client = server.client();
        assert!(keys(&mut client) == before);
        fill(&mut client, 20_000, 1_000);
        drop((client, server));
        let server = start("3", "500kb");
        let mut client = server.client();
        eventually("the lower limit is met", || field(&mut client, "keys_bytes") <= 500 << 10);
        let left = keys(&mut client);
        assert!(left.len() > 2_000 && left.len() < before.len(), "{}", left.len());
        let found: Vec<String> = call(&mut client, "memory check").values().iter().map(Value::text).collect();
        assert!(found.len() == 3 && found.iter().all(|line| line.contains("right")), "{found:?}");
        drop((client, server));
        std::fs::remove_dir_all(&dir).expect("it was made");
    }
}
