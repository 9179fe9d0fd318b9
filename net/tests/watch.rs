//! WATCH: EXEC runs nothing where a watched key has changed, whoever has changed it, on whichever core.

mod common;

use common::redis::Redis;
use common::{Client, Server, Value, numbers_of_shards};

/// Sends a command of words without spaces.
fn line(client: &mut Client, text: &str) -> Value {
    client.call(&text.split(' ').collect::<Vec<_>>())
}

fn servers() -> impl Iterator<Item = Server> {
    let flags = [&["--ring-bytes", "1m"][..], &["--ring-bytes", "0"]];
    numbers_of_shards()
        .into_iter()
        .flat_map(move |shards| flags.map(|flags| Server::start(&[&["--shards", &shards], flags].concat())).into_iter())
}

/// Commands on `k`, which is what the first ones make it, and on `l`, which is there too where that is said. Whether a
/// transaction that watches `k` runs after the last one is what redis-server says.
const CHANGES: &[(&[&str], &str)] = &[
    (&["set k a"], "set k a"),
    (&["set k a"], "set k b nx"),
    (&["set k a"], "set k b xx get"),
    (&[], "set k a"),
    (&[], "setnx k a"),
    (&["set k a"], "setnx k a"),
    (&[], "get k"),
    (&["set k a"], "get k"),
    (&["set k a"], "getset k a"),
    (&["set k a"], "getdel k"),
    (&["set k a"], "getex k"),
    (&["set k a"], "getex k ex 100"),
    (&["set k a"], "getex k persist"),
    (&["set k a ex 100"], "getex k persist"),
    (&["set k a"], "append k b"),
    (&["set k a"], "setrange k 0 b"),
    (&["set k 1"], "incr k"),
    (&["set k 1"], "incrby k 0"),
    (&["set k a"], "incr k"),
    (&["set k 1"], "incrbyfloat k 1.5"),
    (&["set l a"], "mset l b k a"),
    (&["set l a"], "msetnx l b k a"),
    (&["set k a"], "del k"),
    (&[], "del k"),
    (&["set k a"], "unlink l k"),
    (&["set k a"], "expire k 100"),
    (&["set k a"], "expire k 0"),
    (&["set k a"], "expire k 100 xx"),
    (&["set k a"], "persist k"),
    (&["set k a ex 100"], "persist k"),
    (&["set k a"], "touch k"),
    (&["set k a"], "rename k l"),
    (&["set l a"], "rename l k"),
    (&["set l a", "set k a"], "renamenx l k"),
    (&["set k a"], "rename k k"),
    (&["set k a"], "flushall"),
    (&[], "flushall"),
    (&["set k a"], "flushdb"),
    (&[], "rpush k a"),
    (&["rpush k a"], "rpush k b"),
    (&["rpush k a"], "lpop k"),
    (&["rpush k a"], "lpop l"),
    (&["rpush k a"], "lset k 0 a"),
    (&["rpush k a"], "lrem k 0 b"),
    (&["rpush k a"], "lrem k 0 a"),
    (&["rpush k a"], "linsert k before a b"),
    (&["rpush k a"], "linsert k before z b"),
    (&["rpush k a b"], "ltrim k 0 0"),
    (&["rpush k a b"], "lmove k l left right"),
    (&["rpush l a b"], "lmove l k left right"),
    (&["rpush l a b"], "blmove l k left right 0"),
    (&["rpush k a b"], "lmove k k left right"),
    (&["rpush k a b"], "lmpop 2 l k left"),
    (&["rpush k a b"], "lrange k 0 -1"),
    (&[], "hset k f v"),
    (&["hset k f v"], "hset k f v"),
    (&["hset k f v"], "hsetnx k f v"),
    (&["hset k f v"], "hdel k g"),
    (&["hset k f v"], "hdel k f"),
    (&["hset k f 1"], "hincrby k f 0"),
    (&["hset k f v"], "hget k f"),
    (&["sadd k a"], "sadd k a"),
    (&["sadd k a"], "sadd k b"),
    (&["sadd k a"], "srem k b"),
    (&["sadd k a"], "srem k a"),
    (&["sadd k a"], "spop k"),
    (&["sadd k a"], "smove k l a"),
    (&["sadd k a"], "smove k l b"),
    (&["sadd l a"], "smove l k a"),
    (&["zadd k 1 a"], "zadd k 1 a"),
    (&["zadd k 1 a"], "zadd k 2 a"),
    (&["zadd k 1 a"], "zadd k xx 2 b"),
    (&["zadd k 1 a"], "zincrby k 0 a"),
    (&["zadd k 1 a"], "zrem k b"),
    (&["zadd k 1 a"], "zpopmin k"),
    (&["zadd k 1 a"], "zremrangebyrank k 0 -1"),
    (&["zadd k 1 a"], "zremrangebyscore k 5 6"),
    (&["zadd l 1 a"], "zunionstore k 1 l"),
    (&["zadd l 1 a"], "zrangestore k l 0 -1"),
    (&["zadd l 1 a"], "zrangestore k l 5 6"),
    (&["set k a"], "eval return(redis.call('set',KEYS[1],'b')) 1 k"),
    (&["set k a"], "eval return(redis.call('get',KEYS[1])) 1 k"),
    (&["set k a"], "lpush k a"),
];

/// The replies to a transaction that watches `k`, with a command between.
fn attempt(owner: &mut Client, other: &mut Client, (before, change): (&[&str], &str)) -> (Value, Value) {
    line(owner, "flushall");
    before.iter().for_each(|command| _ = line(owner, command));
    assert_eq!(line(owner, "watch k").text(), "OK");
    let reply = line(other, change);
    line(owner, "multi");
    line(owner, "set l z");
    (reply, line(owner, "exec"))
}

#[test]
fn a_transaction_runs_where_it_runs_in_redis() {
    let redis = Redis::start(&[]);
    for server in servers() {
        let (mut owner, mut other) = (server.client(), server.client());
        let (mut redis_owner, mut redis_other) = (redis.client(), redis.client());
        for &change in CHANGES {
            let own = attempt(&mut owner, &mut other, change);
            let wanted = attempt(&mut redis_owner, &mut redis_other, change);
            assert_eq!(own, wanted, "{change:?}, {} shards", server.shards);
            // Another connection or the same one.
            let own = attempt_alone(&mut owner, change);
            let wanted = attempt_alone(&mut redis_owner, change);
            assert_eq!(own, wanted, "{change:?}, {} shards", server.shards);
        }
    }
}

fn attempt_alone(client: &mut Client, (before, change): (&[&str], &str)) -> Value {
    line(client, "flushall");
    before.iter().for_each(|command| _ = line(client, command));
    line(client, "watch none k l k");
    line(client, "unwatch");
    line(client, "watch k");
    line(client, change);
    line(client, "multi");
    line(client, "exec")
}

#[test]
fn each_way_out_ends_the_watch() {
    let redis = Redis::start(&[]);
    let talks: &[&[&str]] = &[
        &["watch", "watch k", "multi", "watch k", "set l 1", "exec"],
        &["watch k", "set k 1", "unwatch", "multi", "exec"],
        &["watch k", "set k 1", "multi", "discard", "multi", "exec"],
        &["watch k", "set k 1", "multi", "exec", "multi", "exec"],
        &["watch k", "set k 1", "multi", "unwatch", "exec", "multi", "exec"],
        &["watch k", "set k 1", "reset", "multi", "exec"],
        &["watch k", "set k 1", "multi", "nosuch", "exec", "multi", "exec"],
        &["watch k", "set k 1", "multi", "exec x", "multi", "exec"],
        &["hello 3", "watch k", "set k 1", "multi", "exec"],
        &["watch k", "get k", "multi", "incr k", "get k", "exec"],
        &["eval return(redis.call('watch','k')) 0", "eval return(redis.call('unwatch')) 0", "unwatch x", "discard"],
        &["watch a b c d e f g", "set e 1", "multi", "exec"],
        &["watch a b c d e f g", "set h 1", "multi", "set a 1", "set b 1", "mget a b h", "exec"],
    ];
    for server in servers() {
        for talk in talks {
            let mut clients = [server.client(), redis.client()];
            let [own, wanted] = clients.each_mut().map(|client| {
                line(client, "flushall");
                talk.iter().map(|command| line(client, command)).collect::<Vec<_>>()
            });
            if talk.contains(&"hello 3") {
                assert_eq!(own[1..], wanted[1..], "{talk:?}");
            } else {
                assert_eq!(own, wanted, "{talk:?}");
            }
        }
    }
}

#[test]
fn a_ttl_that_is_over_before_exec_is_a_change_and_one_before_watch_is_none() {
    for server in servers() {
        let mut client = server.client();
        line(&mut client, "set soon x px 1");
        line(&mut client, "set late x px 40");
        // The clock has to have passed the first, and nothing looks at the key then.
        while line(&mut client, "exists soon") == Value::Integer(1) {}
        line(&mut client, "watch soon");
        line(&mut client, "multi");
        assert_eq!(line(&mut client, "exec"), Value::Array(Vec::new()));
        line(&mut client, "set late x px 40");
        line(&mut client, "watch late");
        let mut other = server.client();
        while line(&mut other, "exists late") == Value::Integer(1) {}
        line(&mut client, "multi");
        assert_eq!(line(&mut client, "exec"), Value::Nil);
    }
}

#[test]
fn what_a_client_appends_to_a_key_is_a_change() {
    let server = Server::start(&["--ring-bytes", "1m"]);
    let mut client = server.client();
    for key in ["a", "b", "c"] {
        line(&mut client, &format!("watch {key}"));
        line(&mut client, &format!("cdc.append {key} Type data"));
        line(&mut client, "multi");
        assert_eq!(line(&mut client, "exec"), Value::Nil);
    }
}

#[test]
fn counters_of_many_clients_are_exact() {
    const CLIENTS: usize = 6;
    const STEPS: u64 = 60;
    for server in servers() {
        std::thread::scope(|scope| {
            for number in 0..CLIENTS {
                let mut client = server.client();
                scope.spawn(move || {
                    // Two counters, mostly of two shards: both or none are counted.
                    let keys = [format!("counter:{}", number % 3), format!("counter:{}", (number + 1) % 3)];
                    let mut done = 0;
                    while done < STEPS {
                        client.call(&["watch", &keys[0], &keys[1]]);
                        let values: Vec<u64> = keys
                            .iter()
                            .map(|key| match client.call(&["get", key]) {
                                Value::Nil => 0,
                                value => value.text().parse().expect("a number"),
                            })
                            .collect();
                        line(&mut client, "multi");
                        for (key, value) in keys.iter().zip(values) {
                            client.call(&["set", key, &(value + 1).to_string()]);
                        }
                        done += u64::from(line(&mut client, "exec") != Value::Nil);
                    }
                });
            }
        });
        let mut client = server.client();
        let sum: u64 =
            (0..3).map(|n| client.call(&["get", &format!("counter:{n}")]).text().parse::<u64>().unwrap()).sum();
        assert_eq!(sum, CLIENTS as u64 * STEPS * 2, "{} shards", server.shards);
    }
}

#[test]
fn watched_keys_are_bounded_and_their_memory_is_given_back() {
    let server = Server::start(&["--ring-bytes", "1m", "--transactions-bytes", "64k"]);
    let mut client = server.client();
    let used = |client: &mut Client| {
        let info = client.call(&["info", "clients"]).text() + &client.call(&["info", "everything"]).text();
        let row = info.lines().find_map(|line| line.strip_prefix("transactions_bytes:")).map(str::trim);
        row.and_then(|row| row.parse::<u64>().ok()).expect("a figure")
    };
    let long = "k".repeat(10_000);
    assert_eq!(client.call(&["watch", &long]).text(), "OK");
    assert_eq!(client.call(&["watch", &long]).text(), "OK", "it is watched already");
    let text = client.call(&["watch", "a", &format!("{long}2")]).error().to_owned();
    assert_eq!(text, "ERR this would exceed the limit transactions-bytes of 16384 bytes for one client");
    let line_of = line(&mut client, "client info").text();
    assert!(line_of.contains(" watch=1 "), "{line_of}");
    assert!(used(&mut client) >= 10_000);
    line(&mut client, "unwatch");
    assert_eq!(used(&mut client), 0);
    // Those of a connection that has gone are given back too.
    line(&mut client, "watch a");
    let mut other = server.client();
    assert!(used(&mut other) > 0);
    drop(client);
    common::eventually("the memory is given back", || used(&mut other) == 0);
}

#[test]
fn watch_needs_the_keys_and_a_denied_one_is_watched_by_nobody() {
    let server = Server::start(&["--ring-bytes", "1m"]);
    let mut admin = server.client();
    let rules = ["acl", "setuser", "u", "on", "nopass", "~own:*", "+@all"];
    assert_eq!(admin.call(&rules).text(), "OK");
    let mut client = server.client();
    assert_eq!(line(&mut client, "auth u x").text(), "OK");
    assert!(line(&mut client, "watch own:a other").error().starts_with("NOPERM"));
    assert_eq!(line(&mut client, "watch own:a").text(), "OK");
    line(&mut admin, "set other x");
    line(&mut client, "multi");
    assert_eq!(line(&mut client, "exec"), Value::Array(Vec::new()));
}
