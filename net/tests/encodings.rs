//! The forms of values: OBJECT, and the names of CONFIG that set the bounds of the compact ones.

mod common;

use common::redis::Redis;
use common::{Client, Server, Value};

/// Sends an inline command.
fn line(client: &mut Client, text: &str) -> Value {
    client.call(&text.split(' ').collect::<Vec<_>>())
}

fn encoding(client: &mut Client, key: &str) -> String {
    client.call(&["object", "encoding", key]).text()
}

#[test]
fn words_for_forms_are_those_of_redis_under_the_same_bounds() {
    let (redis, server) = (Redis::start(&[]), Server::small());
    let (mut theirs, mut ours) = (redis.client(), server.client());
    let mut both = |text: &str| {
        let replies = (line(&mut theirs, text), line(&mut ours, text));
        assert_eq!(replies.0, replies.1, "{text}");
        replies.1
    };
    both("config set hash-max-listpack-entries 3 hash-max-ziplist-value 5 set-max-intset-entries 4");
    for name in ["hash-max-listpack-value", "hash-max-ziplist-entries", "set-max-intset-entries"] {
        both(&format!("config get {name}"));
    }
    for text in ["config set hash-max-listpack-entries x", "config set list-max-listpack-size 1k"] {
        both(text);
    }
    for (key, commands) in [
        ("s1", &["set s1 12345"][..]),
        ("s2", &["set s2 x"]),
        ("s3", &["set s3 0123456789012345678901234567890123456789xxxx"]),
        ("s4", &["set s4 0123456789012345678901234567890123456789xxxxx"]),
        ("h1", &["hset h1 a 1 b 2 c 3"]),
        ("h2", &["hset h2 a 1 b 2 c 3 d 4"]),
        ("h3", &["hset h3 a 12345"]),
        ("h4", &["hset h4 a 123456"]),
        ("h5", &["hset h5 a 1", "hset h5 a 123456", "hset h5 a 1"]),
        ("i1", &["sadd i1 1 2 3 4"]),
        ("i2", &["sadd i2 1 2 3 4", "sadd i2 5"]),
        ("none", &[]),
    ] {
        commands.iter().for_each(|command| _ = both(command));
        both(&format!("object encoding {key}"));
        both(&format!("object refcount {key}"));
    }
    both("object encoding");
    both("object nosuch k");
    // What this version of redis-server has not yet, or has otherwise.
    let mut client = server.client();
    line(&mut client, "config set set-max-listpack-entries 3 list-max-listpack-size 3");
    line(&mut client, "sadd m1 a 1 b");
    line(&mut client, "sadd m2 a 1 b c");
    line(&mut client, "rpush l1 a b c");
    line(&mut client, "rpush l2 a b c d");
    let words = ["m1", "m2", "l1", "l2"].map(|key| encoding(&mut client, key));
    assert_eq!(words, ["listpack", "hashtable", "listpack", "quicklist"]);
    for (count, word) in [(5, "quicklist"), (4, "quicklist"), (1, "listpack")] {
        line(&mut client, "del l");
        line(&mut client, "rpush l a b c d e");
        line(&mut client, &format!("ltrim l 0 {}", count - 1));
        assert_eq!(encoding(&mut client, "l"), word, "{count} left");
    }
}

#[test]
fn replies_are_the_same_whatever_the_form() {
    // As integers, packed, and large; the second and the third have one more member, which is removed again.
    let server = Server::small();
    let mut client = server.client();
    let mut replies = Vec::new();
    for bounds in
        ["config set set-max-intset-entries 512", "config set set-max-intset-entries 0 set-max-listpack-entries 0"]
    {
        line(&mut client, bounds);
        line(&mut client, "flushall");
        line(&mut client, "sadd {s}a 3 1 2 -7 007");
        line(&mut client, "srem {s}a 007");
        line(&mut client, "sadd {s}b 2 3 9223372036854775807");
        let sorted = |value: Value| {
            let mut texts: Vec<String> = value.values().iter().map(Value::text).collect();
            texts.sort_unstable();
            texts
        };
        let mut round = Vec::new();
        for command in
            ["smembers {s}a", "sinter {s}a {s}b", "sunion {s}a {s}b", "sdiff {s}a {s}b", "srandmember {s}a 9"]
        {
            round.push(sorted(line(&mut client, command)));
        }
        for command in ["sismember {s}a 1", "sismember {s}a 01", "sismember {s}b 9223372036854775807", "scard {s}a"] {
            round.push(vec![format!("{:?}", line(&mut client, command))]);
        }
        line(&mut client, "rename {s}b {s}c");
        round.push(sorted(line(&mut client, "spop {s}c 5")));
        replies.push(round);
    }
    assert_eq!(replies[0], replies[1]);
}

#[test]
fn a_small_hash_and_a_small_set_of_strings_keep_their_order() {
    let server = Server::small();
    let mut client = server.client();
    line(&mut client, "hset h z 1 a 2 m 3");
    line(&mut client, "hset h a 4");
    line(&mut client, "hdel h z");
    line(&mut client, "hset h z 5");
    let all: Vec<String> = line(&mut client, "hgetall h").values().iter().map(Value::text).collect();
    assert_eq!(all, ["a", "4", "m", "3", "z", "5"]);
    line(&mut client, "sadd s z a m");
    let all: Vec<String> = line(&mut client, "smembers s").values().iter().map(Value::text).collect();
    assert_eq!(all, ["z", "a", "m"]);
}
