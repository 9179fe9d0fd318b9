//! Publish/subscribe over sockets: over any number of cores, beside redis-server, under slow readers and changed users.

mod common;

use common::redis::Redis;
use common::{Client, Server, Value, encode, eventually, numbers_of_shards};
use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

fn bulk(text: &str) -> Value {
    Value::Bulk(text.into())
}

fn array(values: &[Value]) -> Value {
    Value::Array(values.to_vec())
}

fn told(word: &str, name: &str, count: i64) -> Value {
    array(&[bulk(word), bulk(name), Value::Integer(count)])
}

fn message(channel: &str, payload: &str) -> Value {
    array(&[bulk("message"), bulk(channel), bulk(payload)])
}

/// Subscribes, and reads what is told of it.
fn subscribe(client: &mut Client, words: &[&str]) {
    client.send(words);
    for _ in &words[1..] {
        client.read();
    }
}

/// So many clients that several cores have some.
fn clients(server: &Server) -> Vec<Client> {
    (0..12).map(|_| server.client()).collect()
}

#[test]
fn a_message_reaches_the_subscribers_of_all_cores_and_publish_counts_them() {
    for shards in numbers_of_shards() {
        let server = Server::start(&["--shards", &shards]);
        let (mut subscribers, mut publishers) = (clients(&server), clients(&server));
        for (n, subscriber) in subscribers.iter_mut().enumerate() {
            subscribe(subscriber, &["SUBSCRIBE", "all", &format!("own:{n}")]);
            if n % 2 == 0 {
                subscribe(subscriber, &["PSUBSCRIBE", "al?", "no:*"]);
            }
        }
        // Whoever was told that it is subscribed is, for publishers on all cores.
        for (n, publisher) in publishers.iter_mut().enumerate() {
            assert_eq!(publisher.call(&["PUBLISH", "all", &n.to_string()]), Value::Integer(12 + 6));
            assert_eq!(publisher.call(&["PUBLISH", &format!("own:{n}"), "x"]), Value::Integer(1));
            assert_eq!(publisher.call(&["PUBLISH", "nobody", "x"]), Value::Integer(0));
            let wanted = array(&[bulk("all"), Value::Integer(12), bulk("none"), Value::Integer(0)]);
            assert_eq!(publisher.call(&["PUBSUB", "NUMSUB", "all", "none"]), wanted);
            assert_eq!(publisher.call(&["PUBSUB", "NUMPAT"]), Value::Integer(2));
            assert_eq!(publisher.call(&["PUBSUB", "CHANNELS", "own:*"]).values().len(), 12);
            assert_eq!(publisher.call(&["PUBSUB", "CHANNELS"]).values().len(), 13);
        }
        for (n, subscriber) in subscribers.iter_mut().enumerate() {
            let mut seen = BTreeMap::new();
            for _ in 0..(if n % 2 == 0 { 24 } else { 12 }) + 1 {
                *seen.entry(format!("{:?}", subscriber.read())).or_insert(0) += 1;
            }
            for from in 0..12 {
                assert_eq!(seen.get(&format!("{:?}", message("all", &from.to_string()))), Some(&1));
                let by_pattern = array(&[bulk("pmessage"), bulk("al?"), bulk("all"), bulk(&from.to_string())]);
                assert_eq!(seen.get(&format!("{by_pattern:?}")), (n % 2 == 0).then_some(&1));
            }
            assert_eq!(seen.get(&format!("{:?}", message(&format!("own:{n}"), "x"))), Some(&1));
        }
        // Nobody hears anything once the end was told.
        for subscriber in &mut subscribers {
            subscribe(subscriber, &["UNSUBSCRIBE", "all"]);
            subscribe(subscriber, &["PUNSUBSCRIBE", "al?"]);
        }
        for publisher in &mut publishers {
            assert_eq!(publisher.call(&["PUBLISH", "all", "x"]), Value::Integer(0));
        }
        drop(subscribers);
        eventually("the clients that are gone are counted out", || {
            let channels = publishers[0].call(&["PUBSUB", "CHANNELS"]).values().len();
            channels == 0 && publishers[0].call(&["PUBSUB", "NUMPAT"]) == Value::Integer(0)
        });
    }
}

#[test]
fn a_publishers_messages_come_in_their_order_over_all_channels() {
    for shards in numbers_of_shards() {
        let server = Server::start(&["--shards", &shards]);
        let (mut subscribers, mut publishers) = (clients(&server), clients(&server));
        for subscriber in &mut subscribers {
            subscribe(subscriber, &["SUBSCRIBE", "a", "b", "c"]);
        }
        const COUNT: usize = 300;
        for (n, publisher) in publishers.iter_mut().enumerate() {
            let all = (0..COUNT).flat_map(|at| encode(&["PUBLISH", ["a", "b", "c"][at % 3], &format!("{n}:{at}")]));
            publisher.send_raw(&all.collect::<Vec<u8>>());
        }
        for publisher in &mut publishers {
            (0..COUNT).for_each(|_| assert_eq!(publisher.read(), Value::Integer(12)));
        }
        for subscriber in &mut subscribers {
            let mut next = [0; 12];
            for _ in 0..COUNT * 12 {
                let value = subscriber.read();
                let (channel, text) = (value.values()[1].text(), value.values()[2].text());
                let (n, at) = text.split_once(':').expect("it was made so");
                let (n, at): (usize, usize) = (n.parse().expect("a number"), at.parse().expect("a number"));
                assert_eq!((next[n], channel.as_str()), (at, ["a", "b", "c"][at % 3]));
                next[n] += 1;
            }
        }
    }
}

#[test]
fn a_message_tells_of_what_was_written_before_it() {
    let server = Server::start(&[]);
    let (mut subscriber, mut reader, mut writer) = (server.client(), server.client(), server.client());
    subscribe(&mut subscriber, &["SUBSCRIBE", "written"]);
    for n in 0..200 {
        let key = format!("key:{n}");
        let words: [&[&str]; 4] = [&["MULTI"], &["SET", &key, "x"], &["PUBLISH", "written", &key], &["EXEC"]];
        writer.send_raw(&words.iter().flat_map(|words| encode(words)).collect::<Vec<u8>>());
        assert_eq!(subscriber.read(), message("written", &key));
        assert_eq!(reader.call(&["GET", &key]), bulk("x"));
        (0..3).for_each(|_| _ = writer.read());
        assert_eq!(writer.read(), array(&[Value::Simple("OK".into()), Value::Integer(1)]));
    }
}

#[test]
fn a_client_in_resp3_hears_its_own_messages_and_does_everything_else() {
    for shards in numbers_of_shards() {
        let server = Server::start(&["--shards", &shards]);
        let mut client = server.client();
        client.call(&["HELLO", "3"]);
        client.send(&["SUBSCRIBE", "me"]);
        assert_eq!(client.read(), Value::Push(vec![bulk("subscribe"), bulk("me"), Value::Integer(1)]));
        assert_eq!(client.call(&["SET", "k", "v"]), Value::Simple("OK".into()));
        client.send(&["PUBLISH", "me", "hi"]);
        let mut both = [client.read(), client.read()];
        both.sort_by_key(|value| matches!(value, Value::Push(_)));
        assert_eq!(both, [Value::Integer(1), Value::Push(vec![bulk("message"), bulk("me"), bulk("hi")])]);
        let line = client.call(&["CLIENT", "INFO"]).text();
        assert!(line.contains(" flags=P ") && line.contains(" sub=1 psub=0 ssub=0 "), "{line}");
        assert_eq!(client.call(&["RESET"]), Value::Simple("RESET".into()));
        assert_eq!(client.call(&["PUBLISH", "me", "hi"]), Value::Integer(0));
    }
}

/// The bytes that have come when nothing more does.
fn everything(client: &mut Client) -> Vec<u8> {
    // What a server answers last shows that the rest has come.
    client.send(&["PING", "the-end"]);
    let mut bytes = Vec::new();
    while !bytes.windows(9).any(|window| window == b"the-end\r\n") {
        let mut some = [0; 4096];
        let count = client.stream().read(&mut some).expect("the server answers");
        assert!(count > 0, "closed: {}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&some[..count]);
    }
    bytes
}

#[test]
fn replies_are_those_of_redis() {
    let scripts: &[&[&str]] = &[
        &["SUBSCRIBE a b a", "PING", "PING x", "UNSUBSCRIBE b nosuch", "UNSUBSCRIBE", "UNSUBSCRIBE", "GET k"],
        &["PSUBSCRIBE a* ? a*", "SUBSCRIBE a", "PUNSUBSCRIBE a*", "PUNSUBSCRIBE", "PUNSUBSCRIBE x", "UNSUBSCRIBE a"],
        &["SSUBSCRIBE s", "SUBSCRIBE c", "SUNSUBSCRIBE s t", "SUNSUBSCRIBE", "UNSUBSCRIBE c"],
        &["UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE", "UNSUBSCRIBE a b", "PUNSUBSCRIBE a"],
        &["SUBSCRIBE", "PSUBSCRIBE", "PUBLISH a", "PUBLISH a b c", "PUBSUB", "PUBSUB NOSUCH", "PUBSUB NUMSUB"],
        &["SUBSCRIBE a", "GET k", "MULTI", "RESET", "GET k", "PUBLISH a x"],
        &[
            "PUBLISH a x",
            "SPUBLISH a x",
            "PUBSUB CHANNELS",
            "PUBSUB NUMPAT",
            "PUBSUB SHARDNUMSUB a",
            "PUBSUB SHARDCHANNELS",
        ],
        &["MULTI", "PUBLISH a x", "PUBSUB NUMSUB a", "SPUBLISH a x", "EXEC"],
    ];
    let (keytide, redis) = (Server::start(&[]), Redis::start(&[]));
    for version in ["2", "3"] {
        for script in scripts {
            let run = |mut client: Client| {
                client.call(&["HELLO", version]);
                for line in *script {
                    client.send(&line.split(' ').collect::<Vec<_>>());
                }
                String::from_utf8(everything(&mut client)).expect("only text")
            };
            // Without arguments the order of the names is nobody's promise: each script ends only one that way.
            assert_eq!(run(keytide.client()), run(redis.client()), "version {version}: {script:?}");
        }
    }
}

#[test]
fn a_subscriber_that_reads_too_slowly_is_closed_and_the_others_are_served() {
    let server = Server::start(&["--pubsub-output-bytes", "1m"]);
    let (mut slow, mut fast, mut publisher) = (server.client(), server.client(), server.client());
    subscribe(&mut slow, &["SUBSCRIBE", "news"]);
    subscribe(&mut fast, &["SUBSCRIBE", "news"]);
    assert_eq!(
        publisher.call(&["CONFIG", "GET", "client-output-buffer-limit"]).values()[1].text(),
        "normal 268435456 268435456 60 slave 0 0 0 pubsub 1048576 8388608 60"
    );
    let payload = "x".repeat(100_000);
    eventually("the slow one is closed", || {
        let receivers = publisher.call(&["PUBLISH", "news", &payload]).integer();
        assert_eq!(fast.read(), message("news", &payload));
        receivers == 1
    });
    let info = publisher.call(&["INFO", "stats"]).text();
    assert!(info.contains("client_output_limit_disconnections:1"), "{info}");
    let mut rest = Vec::new();
    let _ = slow.stream().read_to_end(&mut rest);
    assert!(rest.len() < 64 << 20);
}

#[test]
fn a_subscriber_may_be_beyond_the_soft_limit_for_a_while() {
    let server = Server::start(&[]);
    let (mut slow, mut publisher) = (server.client(), server.client());
    publisher.call(&["CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 64kb 1"]);
    subscribe(&mut slow, &["SUBSCRIBE", "news"]);
    let payload = "x".repeat(1_000_000);
    // The socket itself takes a few megabytes.
    for _ in 0..20 {
        assert_eq!(publisher.call(&["PUBLISH", "news", &payload]), Value::Integer(1));
    }
    eventually("its time is over", || {
        std::thread::sleep(Duration::from_millis(50));
        publisher.call(&["PUBLISH", "news", "x"]) == Value::Integer(0)
    });
}

#[test]
fn channels_are_for_those_who_may_use_them() {
    for shards in numbers_of_shards() {
        let server = Server::start(&["--shards", &shards]);
        let mut admin = server.client();
        let ok = Value::Simple("OK".into());
        assert_eq!(admin.call(&["ACL", "SETUSER", "eve", "on", "nopass", "+@all", "resetchannels", "&news:*"]), ok);
        let login = || {
            let mut client = server.client();
            assert_eq!(client.call(&["AUTH", "eve", "x"]), Value::Simple("OK".into()));
            client
        };
        let (mut eve, mut other) = (login(), login());
        let refused = "NOPERM this user has no permissions to access one of the channels used as arguments";
        for words in [&["SUBSCRIBE", "news:1", "secret"][..], &["PSUBSCRIBE", "news:1*"], &["PUBLISH", "secret", "x"]] {
            assert_eq!(eve.call(words).error(), refused, "{words:?}");
        }
        assert_eq!(eve.call(&["SUBSCRIBE", "news:1"]), told("subscribe", "news:1", 1));
        assert_eq!(eve.call(&["PSUBSCRIBE", "news:*"]), told("psubscribe", "news:*", 2));
        assert_eq!(other.call(&["SUBSCRIBE", "news:2"]), told("subscribe", "news:2", 1));
        assert_eq!(admin.call(&["ACL", "SETUSER", "eve", "resetchannels", "&news:2"]), ok);
        assert!(eve.is_closed(), "its channel is not permitted any more");
        // The core of another client learns of it a little later.
        eventually("nobody has a pattern", || admin.call(&["PUBSUB", "NUMPAT"]) == Value::Integer(0));
        assert_eq!(admin.call(&["PUBLISH", "news:2", "x"]), Value::Integer(1));
        assert_eq!(other.read(), message("news:2", "x"));
    }
}

#[test]
fn subscriptions_are_counted_and_bounded() {
    let server = Server::start(&["--subscriptions-bytes", "1m"]);
    let mut client = server.client();
    client.call(&["HELLO", "3"]);
    let mut refused = None;
    for n in 0..10_000 {
        match client.call(&["SUBSCRIBE", &format!("channel:{n}:{}", "x".repeat(100))]) {
            Value::Push(_) => {}
            other => {
                refused = Some((n, other));
                break;
            }
        }
    }
    let (count, error) = refused.expect("there is a limit");
    assert!(count > 100, "{count}");
    assert!(error.error().contains("subscriptions-bytes"), "{error:?}");
    client.call(&["RESET"]);
    client.call(&["HELLO", "3"]);
    assert_eq!(
        client.call(&["SUBSCRIBE", "one"]),
        Value::Push(vec![bulk("subscribe"), bulk("one"), Value::Integer(1)])
    );
}

#[test]
fn a_pattern_that_cannot_be_matched_is_refused() {
    let server = Server::start(&[]);
    let mut client = server.client();
    assert!(client.call(&["PSUBSCRIBE", &format!("*{}*", "a?".repeat(40_000))]).error().starts_with("ERR "));
    assert_eq!(client.call(&["PSUBSCRIBE", "a*"]), told("psubscribe", "a*", 1));
}

#[test]
fn many_names_at_once_are_subscribed_and_ended() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let names: Vec<String> = (0..20_000).map(|n| format!("c{n}")).collect();
    for word in ["SUBSCRIBE", "UNSUBSCRIBE"] {
        let words: Vec<&str> = std::iter::once(word).chain(names.iter().map(String::as_str)).collect();
        client.send(&words);
        names.iter().for_each(|_| assert_eq!(client.read().values().len(), 3));
    }
    assert_eq!(client.call(&["PUBSUB", "CHANNELS"]).values().len(), 0);
}
