//! HyperLogLogs beside redis-server: the same replies, and byte for byte the same values.

mod common;

use common::beside::{Raw, assert_same};
use common::redis::Redis;
use common::{Client, Server, Value};

fn line(client: &mut Client, text: &str) -> Value {
    client.call(&text.split(' ').collect::<Vec<_>>())
}

// redis-server keeps in the value what PFCOUNT of one key has counted: no GET follows one here.
const LINES: &[&str] = &[
    "pfadd h",
    "pfadd h",
    "get h",
    "pfadd h a b c d e f g",
    "pfadd h a b c",
    "get h",
    "pfadd h _ \\x00\\xff some-longer-element-of-more-than-eight-bytes",
    "get h",
    "pfadd {x}i 1 2 3 4",
    "pfadd {x}j 3 4 5 6 7",
    "pfcount {x}i {x}j",
    "pfcount {x}i h none",
    "pfcount none",
    "pfcount none other",
    "pfmerge {x}k {x}i {x}j h",
    "get {x}k",
    "pfmerge {x}k {x}i",
    "pfmerge fresh",
    "get fresh",
    "pfmerge fresh none",
    "pfmerge fresh h",
    "get fresh",
    "expire fresh 1000",
    "pfadd fresh more",
    "pfmerge fresh {x}j",
    "ttl fresh",
    "type h",
    "object encoding h",
    "strlen h",
    "rpush list a",
    "pfadd list a",
    "pfcount list",
    "pfcount h list",
    "pfmerge list h",
    "pfmerge h list",
    "set s nothing",
    "pfadd s a",
    "pfcount s",
    "pfcount h s",
    "pfmerge s h",
    "pfmerge h s",
    "set n 5",
    "pfcount n",
    "set short HYLL",
    "pfcount short",
    "set dense HYLL\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00",
    "pfcount dense",
    "pfadd dense a",
    "set form HYLL\\x02\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x7f\\xff",
    "pfcount form",
    "set empty HYLL\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x80",
    "pfcount empty",
    "pfadd empty a",
    "pfmerge to empty",
    "set few HYLL\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x80\\x3f",
    "pfcount few",
    "pfcount few h",
    "set many HYLL\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x80\\x7f\\xff\\x83",
    "pfcount many",
    "pfmerge to many",
    "set cached HYLL\\x01\\x00\\x00\\x00\\x39\\x30\\x00\\x00\\x00\\x00\\x00\\x00\\x7f\\xff",
    "pfcount cached",
    "pfcount cached none",
    "pfadd cached a",
    "get cached",
    "pfcount",
    "pfadd",
    "pfmerge",
    "pfcount h",
];

#[test]
fn replies_and_values_are_those_of_redis_with_any_number_of_shards() {
    assert_same(&[], LINES);
}

#[test]
fn values_grow_as_those_of_redis_do_and_are_exchanged_with_it() {
    let (redis, server) = (Redis::start(&[]), Server::start(&["--shards", "2", "--ring-bytes", "4m"]));
    let (theirs, ours) = (redis.client(), server.client());
    let (mut theirs, mut ours) = (Raw::of(&theirs), Raw::of(&ours));
    let mut both = |words: &[Vec<u8>]| {
        let (expected, found) = (theirs.call(words), ours.call(words));
        assert!(expected == found, "{}", words[0].escape_ascii());
        found
    };
    let words = |text: &str| text.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
    // From sparse to dense, by single elements and by many; with other bounds too.
    for (bound, key) in [("3000", "a"), ("100", "b"), ("0", "c"), ("12000", "d")] {
        both(&words(&format!("config set hll-sparse-max-bytes {bound}")));
        let mut element = 0;
        for step in [1, 1, 3, 10, 30, 100, 300, 300, 300, 1_000, 3_000, 10_000, 1] {
            let mut add = words(&format!("pfadd {key}"));
            add.extend((element..element + step).map(|n: u32| format!("element:{n}").into_bytes()));
            both(&add);
            element += step;
            both(&words(&format!("get {key}")));
            both(&words(&format!("pfcount {key} none")));
        }
    }
    both(&words("config set hll-sparse-max-bytes 3000"));
    // Sketches of every size are merged.
    for n in 0..12u32 {
        let mut add = words(&format!("pfadd part:{n}"));
        add.extend((0..1u32 << n).map(|element| format!("{n}:{element}").into_bytes()));
        both(&add);
        both(&words(&format!("pfmerge all part:{n} part:{}", n / 2)));
        both(&words("get all"));
        both(&words("pfcount all part:0 a"));
    }
    // The value of one is that of the other.
    let value = theirs.call(&["get", "all"]);
    let bulk = &value[value.iter().position(|&byte| byte == b'\n').expect("a head") + 1..value.len() - 2];
    ours.call(&[b"set", &b"copy"[..], bulk]);
    assert_eq!(theirs.call(&["pfcount", "all"]), ours.call(&["pfcount", "copy"]));
}

#[test]
fn an_element_is_recorded_in_few_bytes() {
    let server = Server::small();
    let mut client = server.client();
    line(&mut client, "config set hll-sparse-max-bytes 100");
    let add = |client: &mut Client, from: u32, to: u32| {
        let mut words = vec!["pfadd".to_owned(), "h".to_owned()];
        words.extend((from..to).map(|n| n.to_string()));
        client.call(&words)
    };
    add(&mut client, 0, 100);
    let rows = |client: &mut Client| -> Vec<(String, usize)> {
        let rows = line(client, "cdcpoll 0 1000");
        let bytes = |value: &Value| match value {
            Value::Bulk(bytes) => bytes.len(),
            Value::Array(parts) => parts[1..].iter().map(|part| part.text().len()).sum(),
            other => panic!("{other:?}"),
        };
        rows.values().iter().map(|row| (row.values()[2].text(), bytes(&row.values()[3]))).collect()
    };
    assert_eq!(rows(&mut client), [("SET".to_owned(), 12_304)]);
    assert_eq!(add(&mut client, 0, 100), Value::Integer(0), "nothing new");
    add(&mut client, 100, 110);
    let later = &rows(&mut client)[1..];
    assert!(later.len() <= 10 && !later.is_empty());
    assert!(later.iter().all(|(op, bytes)| op == "SETRANGE" && *bytes <= 4), "{later:?}");
}
