//! The limit of memory: what is refused, what goes, and what clients are told.

mod common;

use common::{Client, Server, Value, eventually};
use std::io::Write;

fn call(client: &mut Client, line: &str) -> Value {
    client.call(&line.split(' ').collect::<Vec<_>>())
}

/// The number of a field of INFO.
fn field(client: &mut Client, name: &str) -> u64 {
    let text = client.call(&["info", "everything"]).text();
    let start = format!("{name}:");
    let value = text.lines().find_map(|line| line.strip_prefix(&start)).map(str::to_owned);
    value.unwrap_or_else(|| panic!("there is {name}")).parse().expect("it is a number")
}

fn check(client: &mut Client) {
    let found: Vec<String> = call(client, "memory check").values().iter().map(Value::text).collect();
    assert!(found.iter().all(|line| line.contains("right")), "{found:?}");
}

fn start(shards: usize, limit: &str, policy: &str) -> Server {
    let shards = shards.to_string();
    let flags = ["--shards", &shards, "--ring-bytes", "4m", "--maxmemory", limit, "--maxmemory-policy", policy];
    Server::start(&flags)
}

/// Sends many commands and reads their replies; returns how many were errors.
fn pipeline(client: &mut Client, lines: impl Iterator<Item = String>) -> usize {
    let lines: Vec<String> = lines.collect();
    let mut errors = 0;
    for part in lines.chunks(200) {
        part.iter().for_each(|line| client.send(&line.split(' ').collect::<Vec<_>>()));
        errors += part.iter().filter(|_| matches!(client.read(), Value::Error(_))).count();
    }
    errors
}

const OOM: &str = "OOM command not allowed when used memory > 'maxmemory'.";

const POLICIES: [&str; 9] = [
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "allkeys-s3fifo",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
    "volatile-s3fifo",
];

#[test]
fn with_each_policy_writes_go_on_and_the_memory_stays_within_the_limit() {
    for (n, policy) in POLICIES.into_iter().enumerate() {
        let server = start([1, 2, 3, 8][n % 4], "2mb", policy);
        let mut client = server.client();
        let set = |n: usize| format!("set key:{n} {} ex {}", "x".repeat(100 + n % 50), 1_000 + n % 500);
        assert_eq!(pipeline(&mut client, (0..30_000).map(set)), 0, "{policy}");
        eventually("every key is there or was evicted", || {
            field(&mut client, "evicted_keys") + call(&mut client, "dbsize").integer() == 30_000
        });
        let used = field(&mut client, "used_memory");
        // What clients take comes and goes; shards claim some more than they use.
        assert!((1_400_000..=(2 << 20) + (64 << 10)).contains(&used), "{policy}: {used}");
        check(&mut client);
    }
}

#[test]
fn without_a_key_that_may_go_writes_are_refused_in_redis_words_and_all_else_goes_on() {
    for (shards, policy) in [(1, "noeviction"), (3, "noeviction"), (2, "volatile-lru"), (8, "volatile-s3fifo")] {
        let server = start(shards, "1mb", policy);
        let mut client = server.client();
        let refused = pipeline(&mut client, (0..20_000).map(|n| format!("set key:{n} {}", "x".repeat(100))));
        assert!(refused > 10_000, "{policy}: {refused}");
        let bytes = field(&mut client, "keys_bytes");
        assert!((900_000..(1 << 20) + 1_000 * shards as u64).contains(&bytes), "{policy}: {bytes}");
        assert_eq!(field(&mut client, "evicted_keys"), 0);
        // Every shard is full.
        for n in 0..50 {
            assert_eq!(call(&mut client, &format!("set other:{n} {}", "x".repeat(100))).text_or_error(), OOM);
            assert_eq!(call(&mut client, &format!("lpush list:{n} x")).text_or_error(), OOM);
        }
        assert_eq!(call(&mut client, "mset a 1 b 2 c 3").error(), OOM);
        assert_eq!(call(&mut client, "get key:0").text().len(), 100);
        if policy == "noeviction" {
            assert_eq!(call(&mut client, "expire key:0 1000").integer(), 1);
        }
        // A transaction that was begun before is discarded.
        if shards == 1 {
            assert_eq!(call(&mut client, "multi").text(), "OK");
            assert_eq!(call(&mut client, "get key:0").error(), OOM);
            assert_eq!(
                call(&mut client, "exec").error(),
                "EXECABORT Transaction discarded because of previous errors."
            );
        }
        let refused = client.call(&["eval", "return redis.call('set', KEYS[1], 'x')", "1", "key:1"]);
        assert!(refused.error().starts_with(OOM), "{refused:?}");
        let read = client.call(&["eval", "return redis.call('get', KEYS[1])", "1", "key:0"]);
        assert_eq!(read.text().len(), 100);
        let flags = "#!lua flags=allow-oom\nreturn redis.call('set', KEYS[1], 'x')";
        assert_eq!(client.call(&["eval", flags, "1", "key:1"]).text(), "OK");
        let flags = "#!lua\nreturn 1";
        // Where a shard is full: what clients take comes and goes, and a little more fits now and then.
        while !matches!(call(&mut client, "append key:1 0123456789012345678901234567890123456789"), Value::Error(_)) {}
        assert!(
            client.call(&["eval", flags, "1", "key:1"]).text_or_error().starts_with("OOM allow-oom flag is not set")
        );
        pipeline(&mut client, (0..4_000).map(|n| format!("del key:{n}")));
        assert_eq!(call(&mut client, "set again x").text(), "OK");
        check(&mut client);
    }
}

#[test]
fn a_transaction_that_was_queued_before_memory_was_full_is_discarded() {
    let server = start(1, "1mb", "noeviction");
    let (mut client, mut other) = (server.client(), server.client());
    call(&mut client, "multi");
    assert_eq!(call(&mut client, "set a 1").text(), "QUEUED");
    assert!(pipeline(&mut other, (0..20_000).map(|n| format!("set key:{n} {}", "x".repeat(100)))) > 0);
    let text = format!("EXECABORT Transaction discarded because of: {OOM}");
    assert_eq!(call(&mut client, "exec").error(), text);
    assert_eq!(call(&mut client, "get a"), Value::Nil);
}

#[test]
fn the_limit_and_the_policy_change_while_the_server_runs() {
    for shards in [1, 2, 8] {
        let server = start(shards, "0", "noeviction");
        let mut client = server.client();
        assert_eq!(pipeline(&mut client, (0..30_000).map(|n| format!("set key:{n} {}", "x".repeat(100)))), 0);
        for (line, error) in [
            ("config set maxmemory x", "argument must be a memory value"),
            ("config set maxmemory -1", "argument must be a memory value"),
            ("config set maxmemory-policy x", "argument(s) must be one of the following: noeviction, allkeys-lru"),
        ] {
            let refused = call(&mut client, line);
            assert!(refused.error().contains(error), "{refused:?}");
        }
        assert_eq!(call(&mut client, "config set maxmemory 2mb maxmemory-policy allkeys-lfu").text(), "OK");
        assert_eq!(call(&mut client, "config get maxmemory").values()[1].text(), (2 << 20).to_string());
        assert_eq!(call(&mut client, "config get maxmemory-policy").values()[1].text(), "allkeys-lfu");
        // Though nobody writes.
        eventually("the memory is within the limit", || field(&mut client, "keys_bytes") <= 2 << 20);
        assert!(field(&mut client, "keys_bytes") > 1 << 20);
        check(&mut client);
        assert_eq!(call(&mut client, "config set maxmemory 0").text(), "OK");
        let evicted = field(&mut client, "evicted_keys");
        assert_eq!(pipeline(&mut client, (0..30_000).map(|n| format!("set key:{n} {}", "x".repeat(100)))), 0);
        assert_eq!((call(&mut client, "dbsize").integer(), field(&mut client, "evicted_keys")), (30_000, evicted));
    }
}

#[test]
fn an_eviction_is_an_event_of_the_keys_stream() {
    let server = start(1, "1mb", "allkeys-random");
    let mut client = server.client();
    pipeline(&mut client, (0..12_000).map(|n| format!("set key:{n} {}", "x".repeat(100))));
    let gone = (0..12_000).find(|n| call(&mut client, &format!("exists key:{n}")).integer() == 0).expect("some went");
    // The ring has the whole test: one event for each key that went, and none for another.
    let mut keys = Vec::new();
    let mut cursor = "0".to_owned();
    loop {
        let read = call(&mut client, &format!("cdc.read {cursor} count 100 on type prefix 1 Evict"));
        let all = read.values();
        let of = |name: &str| all[1 + all.iter().position(|value| *value == Value::Bulk(name.into())).unwrap()].clone();
        let events = of("events").values().to_vec();
        keys.extend(events.iter().map(|row| row.values()[1].text()));
        cursor = of("next_seq").integer().to_string();
        if events.is_empty() {
            break;
        }
    }
    // What is read is output, which takes memory too: some more go meanwhile.
    let evicted = field(&mut client, "evicted_keys");
    assert!((evicted - 200..=evicted).contains(&(keys.len() as u64)), "{} {evicted}", keys.len());
    assert!(keys.contains(&format!("key:{gone}")));
    let events = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), events, "no key goes twice");
}

#[test]
fn values_of_any_size_and_type_go() {
    for (shards, policy) in [(1, "allkeys-lru"), (2, "allkeys-s3fifo"), (3, "allkeys-lfu"), (8, "allkeys-random")] {
        let server = start(shards, "4mb", policy);
        let mut client = server.client();
        // A hash of many fields, a value that is larger than all others, and one that is larger than the limit.
        for from in (0..40_000).step_by(1_000) {
            let words: Vec<String> = (from..from + 1_000).flat_map(|n| [format!("f{n}"), "v".to_owned()]).collect();
            let words: Vec<&str> = ["hset", "hash"].into_iter().chain(words.iter().map(String::as_str)).collect();
            assert!(client.call(&words).integer() > 0);
        }
        assert_eq!(client.call(&["set", "large", &"x".repeat(1 << 20)]).text(), "OK");
        assert_eq!(
            pipeline(&mut client, (0..50_000).map(|n| format!("rpush list:{} {}", n % 25_000, "x".repeat(80)))),
            0
        );
        if policy != "allkeys-lfu" && policy != "allkeys-random" {
            // What was used often stays with the one, and chance may spare it with the other.
            assert_eq!(call(&mut client, "exists hash large").integer(), 0, "{policy}");
        }
        assert!(field(&mut client, "used_memory") < 5 << 20);
        check(&mut client);
        call(&mut client, "flushall");
        assert_eq!(pipeline(&mut client, (0..1_000).map(|n| format!("sadd set:{n} 1 2 3 a b c"))), 0);
        assert_eq!(call(&mut client, "dbsize").integer(), 1_000);
        check(&mut client);
    }
}

#[test]
fn while_clients_take_too_much_together_the_largest_is_closed_unless_it_is_kept() {
    for (shards, is_kept) in [(1, false), (1, true), (3, false), (3, true)] {
        let server =
            Server::start(&["--shards", &shards.to_string(), "--maxmemory-clients", "8mb", "--ring-bytes", "64m"]);
        let (mut operator, mut large, mut small) = (server.client(), server.client(), server.client());
        assert_eq!(operator.call(&["client", "no-evict", "on"]), Value::Simple("OK".into()));
        if is_kept {
            assert_eq!(large.call(&["client", "no-evict", "on"]), Value::Simple("OK".into()));
        }
        // Values that never end.
        for (client, mib) in [(&mut large, 5), (&mut small, 2)] {
            client.send_raw(format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", 12 << 20).as_bytes());
            client.send_raw(&vec![b'x'; mib << 20]);
        }
        eventually("all of it has come", || field(&mut operator, "mem_clients_normal") >= 7 << 20);
        assert_eq!(field(&mut operator, "evicted_clients"), 0);
        // It may be closed before all of it is sent.
        let _ = small.stream().write_all(&vec![b'x'; 2 << 20]);
        eventually("a client is closed", || field(&mut operator, "evicted_clients") == 1);
        assert!(if is_kept { small.is_closed() } else { large.is_closed() }, "{shards} {is_kept}");
        eventually("its memory is free", || field(&mut operator, "mem_clients_normal") < 7 << 20);
        assert_eq!(field(&mut operator, "evicted_clients"), 1, "the other one stays");
        assert_eq!(call(&mut operator, "config set maxmemory-clients 5%"), Value::Simple("OK".into()));
        let shown =
            call(&mut operator, "config get maxmemory-clients").values().iter().map(Value::text).collect::<Vec<_>>();
        assert_eq!(shown, ["maxmemory-clients", "5%"]);
        let refused = call(&mut operator, "config set maxmemory-clients 101%");
        assert!(matches!(&refused, Value::Error(text) if text.contains("argument must be a memory or percent value")));
    }
}
