//! What keys take of the memory: MEMORY, and the section of INFO on it.

mod common;

use common::{Client, Server, Value};

fn call(client: &mut Client, line: &str) -> Value {
    client.call(&line.split(' ').collect::<Vec<_>>())
}

/// The number of a field of INFO's section on memory.
fn field(client: &mut Client, name: &str) -> i64 {
    let text = client.call(&["info", "memory"]).text();
    let start = format!("{name}:");
    let value = text.lines().find_map(|line| line.strip_prefix(&start)).map(str::to_owned);
    value.unwrap_or_else(|| panic!("there is {name}")).parse().expect("it is a number")
}

/// Whether a walk over everything finds what is counted, on every shard.
fn check(client: &mut Client, shards: usize) {
    let found: Vec<String> = call(client, "memory check").values().iter().map(Value::text).collect();
    assert_eq!(found.len(), shards);
    assert!(found.iter().all(|line| line.contains("right")), "{found:?}");
}

#[test]
fn what_is_counted_is_what_a_walk_finds_and_what_info_shows() {
    for shards in [1, 2, 3, 8] {
        let server = Server::start(&["--shards", &shards.to_string(), "--ring-bytes", "1m"]);
        let mut client = server.client();
        check(&mut client, shards);
        assert_eq!(field(&mut client, "keys_bytes"), 0);
        for n in 0..300 {
            call(&mut client, &format!("set string:{n} {}", "x".repeat(n * 7)));
            call(&mut client, &format!("hset hash:{} field:{n} {}", n % 4, "x".repeat(n)));
            call(&mut client, &format!("rpush list:{} {}", n % 3, "x".repeat(n)));
            call(&mut client, &format!("sadd set:{} {n} member:{n}", n % 4));
            call(&mut client, &format!("zadd sorted:{} {n} member:{n}", n % 2));
            call(&mut client, &format!("expire string:{n} 1000"));
        }
        check(&mut client, shards);
        let names = ["strings_bytes", "hashes_bytes", "lists_bytes", "sets_bytes", "sorted_sets_bytes", "table_bytes"];
        let by_kind = names.map(|name| field(&mut client, name));
        assert!(by_kind.iter().all(|bytes| *bytes > 1_000), "{by_kind:?}");
        assert_eq!(by_kind.iter().sum::<i64>(), field(&mut client, "keys_bytes"));
        let (used, dataset) = (field(&mut client, "used_memory"), field(&mut client, "used_memory_dataset"));
        assert!(used > 300 * 300 * 7 / 2 && used < 10 << 20, "{used}");
        assert_eq!(dataset, by_kind[..5].iter().sum::<i64>());
        for n in 0..300 {
            call(&mut client, &format!("del string:{n} hash:{n} list:{n} set:{n} sorted:{n}"));
        }
        check(&mut client, shards);
        assert_eq!(field(&mut client, "keys_bytes"), 0);
        assert!(field(&mut client, "absent_streams_bytes") > 300 * 32);
        call(&mut client, "flushall");
        check(&mut client, shards);
    }
}

#[test]
fn the_bytes_of_a_key_are_those_of_its_block_of_its_value_and_of_its_place() {
    let server = Server::start(&["--ring-bytes", "1m"]);
    let mut client = server.client();
    call(&mut client, "set 1234567890123 1234567890123456");
    assert_eq!(call(&mut client, "memory usage 1234567890123").integer(), 48 + 11);
    let long = "x".repeat(100_000);
    call(&mut client, &format!("set long {long}"));
    assert!((100_000..120_000).contains(&call(&mut client, "memory usage long samples 5").integer()));
    for n in 0..10_000 {
        call(&mut client, &format!("hset hash field:{n} value:{n}"));
    }
    assert!((400_000..1_000_000).contains(&call(&mut client, "memory usage hash").integer()));
    assert_eq!(call(&mut client, "memory usage nosuch"), Value::Nil);
    for (line, error) in [
        ("memory usage long samples", "ERR syntax error"),
        ("memory usage long other 5", "ERR syntax error"),
        ("memory usage long samples -1", "ERR syntax error"),
        ("memory usage long samples x", "ERR value is not an integer or out of range"),
    ] {
        assert_eq!(call(&mut client, line).error(), error, "{line}");
    }
}
