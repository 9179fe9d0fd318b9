//! TTLs of the fields of hashes: replies and keyspace notifications of redis-server 8.2.3, time, restarts.

#[path = "../common/mod.rs"]
mod common;

use common::beside::Raw;
use common::{Client, Server, Value, eventually, numbers_of_shards, scratch};

/// Commands that follow each other on an empty server, each with the lines of the reply that redis-server 8.2.3 gives.
const REPLIES: &str = include_str!("replies.txt");

/// Sends a command of words without spaces.
fn line(client: &mut Client, text: &str) -> Value {
    client.call(&text.split(' ').collect::<Vec<_>>())
}

/// The values of an array, each as text; `-` for nil.
fn texts(value: &Value) -> String {
    let text = |value: &Value| match value {
        Value::Nil => "-".to_owned(),
        Value::Integer(number) => number.to_string(),
        other => other.text(),
    };
    value.values().iter().map(text).collect::<Vec<_>>().join(" ")
}

#[test]
fn replies_and_errors_are_those_of_redis_to_the_byte() {
    for shards in numbers_of_shards() {
        let server = Server::start(&["--shards", &shards, "--ring-bytes", "1m"]);
        let client = server.client();
        let mut raw = Raw::of(&client);
        for row in REPLIES.lines() {
            let (command, reply) = row.split_once(" => ").expect("a command and its reply");
            let got = raw.call(&command.split(' ').collect::<Vec<_>>());
            let got = String::from_utf8_lossy(&got).trim_end().replace("\r\n", " ");
            assert_eq!(got, reply, "{command}, {shards} shards");
        }
    }
}

#[test]
fn a_field_is_gone_once_its_ttl_is_over_and_the_key_with_the_last_one() {
    for shards in numbers_of_shards() {
        let server = Server::start(&["--shards", &shards, "--ring-bytes", "1m"]);
        let mut client = server.client();
        line(&mut client, "hset h a 1 b 2 c 3");
        line(&mut client, "hpexpire h 20 fields 2 a b");
        eventually("two fields are gone", || line(&mut client, "hlen h") == Value::Integer(1));
        for (command, reply) in [
            ("hmget h a b c", "- - 3"),
            ("hkeys h", "c"),
            ("hvals h", "3"),
            ("hgetall h", "c 3"),
            ("hrandfield h 5", "c"),
            ("httl h fields 3 a b c", "-2 -2 -1"),
        ] {
            assert_eq!(texts(&line(&mut client, command)), reply, "{command}");
        }
        assert_eq!(texts(&line(&mut client, "hscan h 0").values()[1]), "c 3");
        for (command, reply) in [("hexists h a", 0), ("hstrlen h a", 0), ("hincrby h a 5", 5), ("hset h b 1", 1)] {
            assert_eq!(line(&mut client, command), Value::Integer(reply), "{command}");
        }
        assert_eq!(texts(&line(&mut client, "httl h fields 2 a b")), "-1 -1");
        line(&mut client, "hpexpire h 20 fields 3 a b c");
        eventually("the key is gone", || line(&mut client, "exists h") == Value::Integer(0));
        assert_eq!(line(&mut client, "dbsize"), Value::Integer(0));
    }
}

#[test]
fn ttls_of_fields_and_what_time_took_are_there_after_a_restart() {
    let directory = scratch("field-ttls");
    let path = directory.to_str().expect("a path of text");
    for (shards, snapshot) in [("2", false), ("2", true), ("3", true), ("1", false)] {
        let server = Server::start(&["--shards", shards, "--dir", path]);
        let mut client = server.client();
        let is_first = line(&mut client, "exists h") == Value::Integer(0);
        if is_first {
            line(&mut client, "hset h a 1 b 2 c 3");
            line(&mut client, "hexpireat h 4000000000 fields 2 a b");
            line(&mut client, "hset h b 3");
            line(&mut client, "copy h copied");
            let many: Vec<String> = (0..300).map(|n| format!("f{n}")).collect();
            let set: Vec<&str> = ["hset", "large"].into_iter().chain(many.iter().flat_map(|f| [&f[..], "v"])).collect();
            client.call(&set);
            let expire = ["hexpireat", "large", "4000000001", "fields", "300"].into_iter();
            client.call(&expire.chain(many.iter().map(|field| &field[..])).collect::<Vec<_>>());
            line(&mut client, "hset gone a 1 b 2");
            line(&mut client, "hpexpire gone 1 fields 1 a");
        }
        for key in ["h", "copied"] {
            let ends = line(&mut client, &format!("hexpiretime {key} fields 3 a b c"));
            assert_eq!(texts(&ends), "4000000000 -1 -1", "{key}");
            assert_eq!(texts(&line(&mut client, &format!("hmget {key} a b c"))), "1 3 3", "{key}");
        }
        assert_eq!(texts(&line(&mut client, "hexpiretime large fields 2 f0 f299")), "4000000001 4000000001");
        assert_eq!(line(&mut client, "object encoding large").text(), "hashtable");
        assert_eq!(line(&mut client, "object encoding h").text(), "listpackex");
        eventually("a field is gone", || texts(&line(&mut client, "hmget gone a b")) == "- 2");
        let checked = line(&mut client, "memory check");
        assert!(!matches!(checked, Value::Error(_)), "{checked:?}");
        if snapshot {
            assert_eq!(line(&mut client, "save").text(), "OK");
        }
    }
}

/// Commands, and the names of the events that redis-server 8.2.3 tells of each.
const EVENTS: &[(&str, &str)] = &[
    ("hset h a 1 b 2 c 3 d 4", "new hset"),
    ("hexpire h 100 fields 2 a b", "hexpire"),
    ("hexpire h 100 nx fields 1 a", ""),
    ("hexpire h 100 fields 1 none", ""),
    ("hexpire none 100 fields 1 a", ""),
    ("hpersist h fields 2 a b", "hpersist"),
    ("hpersist h fields 2 a b", ""),
    ("hexpire h 0 fields 2 a none", "hdel"),
    ("hpexpireat h 1 fields 3 b c d", "hdel del"),
    ("hset h a 1 b 2 c 3", "new hset"),
    ("hgetex h fields 1 c", ""),
    ("hgetex h ex 10 fields 2 c c", "hexpire"),
    ("hgetex h persist fields 1 c", "hpersist"),
    ("hgetex h persist fields 1 c", ""),
    ("hgetex h pxat 1 fields 2 a none", "hdel"),
    ("hgetex none ex 10 fields 1 a", ""),
    ("hsetex h fields 1 d 1", "hset"),
    ("hsetex h ex 10 fields 2 d 1 e 1", "hset hexpire"),
    ("hsetex h keepttl fields 2 d 1 e 1", "hset"),
    ("hsetex h fnx fields 2 d 1 e 1", ""),
    ("hsetex h pxat 1 fields 2 d 1 e 1", "hset hdel"),
    ("hsetex new pxat 1 fields 2 d 1 e 1", "new hset hdel del"),
    ("hsetex new ex 10 fields 1 x 1", "new hset hexpire"),
    ("hset new x 2", "hset"),
    ("hexpire new 100 fields 1 x", "hexpire"),
    ("hincrby new x 1", "hincrby"),
    ("hsetex new pxat 1 fields 1 x 1", "hset hdel del"),
    ("hsetex new fxx fields 1 x 1", ""),
    ("hgetdel h fields 2 b none", "hdel"),
    ("hgetdel h fields 1 none", ""),
    ("hgetdel h fields 1 c", "hdel del"),
    ("httl none fields 1 a", "keymiss"),
    ("hset h a 1 b 2", "new hset"),
    ("hpexpire h 1 fields 1 a", "hexpire"),
    ("", "hexpired"),
    ("hpexpire h 1 fields 1 b", "hexpire"),
    ("", "hexpired del"),
];

#[test]
fn keyspace_notifications_are_those_of_redis() {
    for shards in numbers_of_shards() {
        let flags = ["--shards", &shards, "--ring-bytes", "1m", "--notify-keyspace-events", "EAnm"];
        let server = Server::start(&flags);
        let (mut client, mut listener) = (server.client(), server.client());
        listener.send(&["psubscribe", "__keyevent*"]);
        listener.read();
        for (command, events) in EVENTS {
            if !command.is_empty() {
                line(&mut client, command);
            }
            for event in events.split(' ').filter(|event| !event.is_empty()) {
                let message = listener.read();
                let channel = message.values()[2].text();
                assert_eq!(channel.split_once("__:").map(|parts| parts.1), Some(event), "{command}");
            }
        }
        line(&mut client, "publish __keyevent:end end");
        assert_eq!(listener.read().values()[2].text(), "__keyevent:end");
    }
}
