//! DUMP and RESTORE: values that redis-server takes and gives, in every form that it has.

mod common;

use common::beside::{Raw, words};
use common::redis::Redis;
use common::{Client, Server, Value};

fn line(client: &mut Client, text: &str) -> Value {
    client.call(&words(text))
}

/// Commands that make a value at the key `v` of each form that redis-server 7.0 has, with its bounds.
fn values() -> Vec<Vec<String>> {
    let one = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let many = |head: &str, each: &dyn Fn(usize) -> String, count: usize| {
        let words: Vec<String> = (0..count).map(each).collect();
        format!("{head} {}", words.join(" "))
    };
    let long = "abcdefgh".repeat(40);
    vec![
        one(&["set v text"]),
        one(&["set v _"]),
        one(&["set v 7"]),
        one(&["set v -300"]),
        one(&["set v 2000000000"]),
        one(&["set v 9223372036854775807"]),
        vec![format!("set v {long}")],
        vec![format!("set v {}", "x".repeat(70_000))],
        one(&["rpush v a b 1 -1 300 -40000 9000000 3000000000 _ -9223372036854775808"]),
        vec![format!("rpush v {long} {} a", "y".repeat(20_000))],
        vec![many("rpush v", &|n| format!("element:{n}"), 3_000)],
        one(&["hset v f 1 g two h _"]),
        vec![format!("hset v f {long}")],
        vec![many("hset v", &|n| format!("field:{n} {n}"), 700)],
        one(&["sadd v 1 2 3 -4"]),
        one(&["sadd v 100000 1 -100000"]),
        one(&["sadd v 10000000000 1"]),
        one(&["sadd v a b c"]),
        vec![many("sadd v", &|n| format!("member:{n}"), 700)],
        one(&["zadd v 1 a 2.5 b -inf c inf d 1e300 e"]),
        vec![format!("zadd v 1 {long}")],
        vec![many("zadd v", &|n| format!("{} member:{n}", n as f64 / 8.0), 700)],
        one(&["pfadd v a b c"]),
        one(&["setbit v 1000 1"]),
        one(&["geoadd v 13.361389 38.115556 Palermo"]),
    ]
}

/// All of the value at a key.
fn content(client: &mut Client, key: &str) -> Value {
    let read = match line(client, &format!("type {key}")).text().as_str() {
        "string" => "get KEY",
        "list" => "lrange KEY 0 -1",
        "hash" => "hgetall KEY",
        "set" => "sort KEY alpha",
        _ => "zrange KEY 0 -1 withscores",
    };
    let value = line(client, &read.replace("KEY", key));
    if read.starts_with("hgetall") {
        let mut pairs: Vec<Value> = value.values().chunks(2).map(|pair| Value::Array(pair.to_vec())).collect();
        pairs.sort_by_key(|pair| pair.values()[0].text());
        return Value::Array(pairs);
    }
    value
}

fn bytes(value: Value) -> Vec<u8> {
    match value {
        Value::Bulk(bytes) => bytes,
        other => panic!("no payload: {other:?}"),
    }
}

fn restore(client: &mut Client, key: &str, payload: &[u8]) -> Value {
    client.call(&[b"restore", key.as_bytes(), b"0", payload, b"replace"])
}

#[test]
fn values_are_exchanged_with_redis_in_both_directions() {
    let (redis, server) = (Redis::start(&[]), Server::start(&["--shards", "3", "--ring-bytes", "4m"]));
    let (mut theirs, mut ours) = (redis.client(), server.client());
    for bounds in ["512", "0"] {
        for name in ["hash-max-listpack-entries", "zset-max-listpack-entries", "set-max-intset-entries"] {
            line(&mut theirs, &format!("config set {name} {bounds}"));
        }
        line(&mut theirs, &format!("config set list-max-listpack-size {}", if bounds == "0" { -1 } else { 4 }));
        for commands in values() {
            for client in [&mut theirs, &mut ours] {
                line(client, "del v");
                commands.iter().for_each(|command| _ = line(client, command));
            }
            let name = &commands[0][..commands[0].len().min(60)];
            let expected = content(&mut theirs, "v");
            let payload = bytes(line(&mut theirs, "dump v"));
            assert_eq!(restore(&mut ours, "from", &payload), Value::Simple("OK".into()), "{name}");
            assert!(content(&mut ours, "from") == expected, "{name} from Redis");
            let payload = bytes(line(&mut ours, "dump v"));
            assert_eq!(restore(&mut theirs, "from", &payload), Value::Simple("OK".into()), "{name}");
            assert!(content(&mut theirs, "from") == expected, "{name} to Redis");
        }
    }
    let checked = line(&mut ours, "memory check");
    assert!(!matches!(checked, Value::Error(_)), "{checked:?}");
}

/// Commands that make streams at the key `v` in several states. Times are given, so that they are the same wherever it is.
fn streams() -> Vec<Vec<String>> {
    let add = |n: usize| {
        let fields = match n % 7 {
            0 => format!("other {n} more _"),
            _ => format!("field {n} second value:{n}"),
        };
        format!("xadd v {}-{} {fields}", 1_000 + n / 3, n % 3)
    };
    let many: Vec<String> = (0..350).map(add).collect();
    let with = |before: &[String], more: &[&str]| {
        before.iter().cloned().chain(more.iter().map(|line| (*line).to_owned())).collect::<Vec<_>>()
    };
    let long = format!("xadd v 5-5 {} {}", "name".repeat(30), "text".repeat(3_000));
    vec![
        with(&many[..1], &[]),
        with(&many, &[]),
        with(&[], &["xgroup create v empty 0 mkstream"]),
        with(&many[..3], &["xdel v 1000-1", "xadd v 18446744073709551615-18446744073709551615 f v"]),
        with(&many, &["xtrim v maxlen 33", "xdel v 1110-0 1112-0"]),
        with(&many[..9], &["xtrim v maxlen 0", "xsetid v 2000-5 entriesadded 70 maxdeletedid 1500-0"]),
        with(&[long], &["xadd v 6-1 a -1 b 127 c 128 d -4097 e 9223372036854775807 f -9223372036854775808 g 007"]),
        with(
            &many,
            &[
                "xgroup create v one 0",
                "xgroup create v two $",
                "xgroup create v three 1050-0 entriesread 20",
                "xgroup create v _ 9999-0",
                "xreadgroup group one anna count 90 streams v >",
                "xreadgroup group one bert count 20 streams v >",
                "xreadgroup group three anna noack count 3 streams v >",
                "xreadgroup group one carl count 7 streams v >",
                "xgroup createconsumer v two idle",
                "xack v one 1001-0 1002-1 1031-0",
                "xclaim v one dora 0 1003-0 1003-1 time 1700000000000 retrycount 70000",
                "xdel v 1003-0 1004-0",
                "xgroup delconsumer v one carl",
            ],
        ),
    ]
}

/// What can be asked about the stream at a key.
fn stream_content(client: &mut Client, key: &str) -> Vec<Value> {
    let mut full = line(client, &format!("xinfo stream {key} full count 0"));
    if let Value::Array(values) = &mut full {
        // How entries are distributed over nodes is the server's matter.
        values.drain(2..6);
    }
    let mut content = vec![full, line(client, &format!("xrange {key} - +")), line(client, &format!("xlen {key}"))];
    for group in ["one", "two", "three", "_", "empty"] {
        content.push(line(client, &format!("xpending {key} {group}")));
    }
    content
}

#[test]
fn streams_are_exchanged_with_redis_in_both_directions() {
    let (redis, server) = (Redis::start(&[]), Server::start(&["--shards", "3", "--ring-bytes", "4m"]));
    let (mut theirs, mut ours) = (redis.client(), server.client());
    for is_checked in ["no", "yes"] {
        // The most that redis-server checks of a payload.
        line(&mut theirs, &format!("config set sanitize-dump-payload {is_checked}"));
        for commands in streams() {
            let name = commands.last().expect("there are some");
            for (from, to) in [(0, 1), (1, 0)] {
                let clients = [&mut theirs, &mut ours];
                for command in ["del v"].into_iter().chain(commands.iter().map(String::as_str)) {
                    let reply = line(clients[from], command);
                    assert!(!matches!(reply, Value::Error(_)), "{command}: {reply:?}");
                }
                let expected = stream_content(clients[from], "v");
                // There and back.
                for (source, target) in [(from, to), (to, from)] {
                    let payload = bytes(line(clients[source], "dump v"));
                    assert_eq!(restore(clients[target], "v", &payload), Value::Simple("OK".into()), "{name}");
                    assert_eq!(stream_content(clients[target], "v"), expected, "{name} from {source} to {target}");
                }
            }
        }
    }
    let checked = line(&mut ours, "memory check");
    assert!(!matches!(checked, Value::Error(_)), "{checked:?}");
}

#[test]
fn options_and_errors_are_those_of_redis() {
    let (redis, server) = (Redis::start(&[]), Server::start(&["--shards", "3", "--ring-bytes", "4m"]));
    let payload: String = {
        let mut client = redis.client();
        line(&mut client, "set v text");
        bytes(line(&mut client, "dump v")).iter().map(|byte| format!("\\x{byte:02x}")).collect()
    };
    let damaged = payload.replacen("\\x74", "\\x75", 1);
    let (theirs, ours) = (redis.client(), server.client());
    let (mut theirs, mut ours) = (Raw::of(&theirs), Raw::of(&ours));
    for text in [
        "restore k 0 PAYLOAD",
        "get k",
        "restore k 0 PAYLOAD",
        "restore k x DAMAGED",
        "restore k 0 PAYLOAD replace",
        "restore k 100000 PAYLOAD REPLACE",
        "ttl k",
        "restore k 0 PAYLOAD replace",
        "ttl k",
        "restore k 9999999999999 PAYLOAD replace absttl",
        "pexpiretime k",
        "restore k 1000 PAYLOAD replace absttl",
        "exists k",
        "restore k 1000 PAYLOAD absttl",
        "exists k",
        "restore k -1 PAYLOAD",
        "restore k x PAYLOAD",
        "restore k 0 DAMAGED",
        "restore k 0 short",
        "restore k 0 _",
        "restore k 0 PAYLOAD foo",
        "restore k 0 PAYLOAD idletime",
        "restore k 0 PAYLOAD idletime x",
        "restore k 0 PAYLOAD idletime -1",
        "restore k 0 PAYLOAD freq 256",
        "restore k 0 PAYLOAD freq -1",
        "restore k 0 PAYLOAD idletime 5 freq 5",
        "restore k 0 PAYLOAD freq 5 idletime 5",
        "restore k 0 PAYLOAD freq 5 replace",
        "restore k 0 PAYLOAD idletime 5 replace",
        "get k",
        "dump none",
        "dump",
        "restore k 0",
    ] {
        let sent = words(&text.replace("PAYLOAD", &payload).replace("DAMAGED", &damaged));
        let (expected, found) = (theirs.call(&sent), ours.call(&sent));
        assert!(expected == found, "{text}\n  {}\n  {}", expected.escape_ascii(), found.escape_ascii());
    }
}

#[test]
fn hostile_payloads_are_refused_and_cost_little() {
    let (redis, server) = (Redis::start(&[]), Server::small());
    let mut theirs = redis.client();
    let mut ours = server.client();
    let mut rng = fastrand::Rng::with_seed(7);
    let mut refused = 0;
    // The version and the sum are right: redis-server has a command that does without, this one does not.
    line(&mut theirs, "debug set-skip-checksum-validation 1");
    let all = values().into_iter().chain(streams());
    for commands in all.filter(|commands| commands[0].len() < 2_000) {
        line(&mut theirs, "del v");
        commands.iter().for_each(|command| _ = line(&mut theirs, command));
        let payload = bytes(line(&mut theirs, "dump v"));
        for _ in 0..200 {
            let mut other = payload.clone();
            let at = rng.usize(..other.len() - 10);
            other[at] = rng.u8(..);
            reseal(&mut other);
            let reply = restore(&mut ours, "k", &other);
            match &reply {
                Value::Simple(_) => {}
                Value::Error(text) => {
                    assert_eq!(text, "ERR Bad data format");
                    refused += 1;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(refused > 500, "{refused}");
    // A string that is announced to be longer than memory.
    let mut bomb = b"\x00\xc3\x05\x80\x1f\xff\xff\xff\x00a\xe0\xff\x00\x0a\x00........".to_vec();
    reseal(&mut bomb);
    assert_eq!(restore(&mut ours, "k", &bomb).error(), "ERR Bad data format");
    assert_eq!(line(&mut ours, "ping").text(), "PONG");
}

/// Puts the right sum behind a payload.
fn reseal(payload: &mut [u8]) {
    let (covered, sum) = payload.split_at_mut(payload.len() - 8);
    let crc = covered.iter().fold(0u64, |sum, byte| {
        (0..8).fold(
            sum ^ u64::from(*byte),
            |sum, _| {
                if sum & 1 == 1 { sum >> 1 ^ 0x95ac_9329_ac4b_c9b5 } else { sum >> 1 }
            },
        )
    });
    sum.copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn a_restored_value_is_one_event_and_lasts() {
    let directory = common::scratch("dumps-last");
    let dir = directory.to_str().expect("a path of this test");
    let server = Server::start(&["--shards", "1", "--ring-bytes", "1m", "--dir", dir]);
    let mut client = server.client();
    line(&mut client, "rpush l a b");
    let payload = bytes(line(&mut client, "dump l"));
    client.call(&[b"restore", &b"k"[..], b"100000", &payload]);
    let rows = line(&mut client, "cdcpoll 0 100");
    let ops: Vec<String> = rows.values().iter().map(|row| row.values()[2].text()).collect();
    assert_eq!(ops, ["RPUSH", "RPUSH", "RESTORE", "TTLSET"]);
    let parts: Vec<String> = rows.values()[2].values()[3].values().iter().map(Value::text).collect();
    assert_eq!(parts, ["list", "a", "b"]);
    let all_of_it = streams().pop().expect("there are some");
    all_of_it.iter().for_each(|command| _ = line(&mut client, command));
    let payload = bytes(line(&mut client, "dump v"));
    restore(&mut client, "s", &payload);
    let expected = stream_content(&mut client, "s");
    assert_eq!(expected[..3], stream_content(&mut client, "v")[..3]);
    drop((client, server));
    let server = Server::start(&["--shards", "1", "--ring-bytes", "1m", "--dir", dir]);
    let mut client = server.client();
    assert_eq!(content(&mut client, "k"), content(&mut client, "l"));
    assert!(line(&mut client, "pttl k").integer() > 1_000);
    assert_eq!(stream_content(&mut client, "s"), expected);
}
