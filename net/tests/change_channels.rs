//! Channels of changes, `cdc:…`: changes for clients that know nothing but publish/subscribe.

mod common;

use common::{Client, Server, Value, numbers_of_shards};
use serde_json::{Value as Json, json};

/// The next thing that is told: a word, a channel, and a payload or a number.
fn told(client: &mut Client) -> (String, String, String) {
    let (Value::Array(told) | Value::Push(told)) = client.read() else { panic!("nothing that is told") };
    let last = if let Value::Integer(number) = told[2] { number.to_string() } else { told[2].text() };
    (told[0].text(), told[1].text(), last)
}

/// Subscribes to one channel, and passes over what there is on others until that is told.
fn subscribe(client: &mut Client, channel: &str) {
    client.send(&["SUBSCRIBE", channel]);
    loop {
        let (word, of, _) = told(client);
        assert!(word == "subscribe" || of != channel, "a message before the subscription");
        if word == "subscribe" {
            return assert_eq!(of, channel);
        }
    }
}

/// The next message, which has to be on this channel.
fn next(client: &mut Client, channel: &str) -> Json {
    let (word, of, payload) = told(client);
    assert_eq!((word.as_str(), of.as_str()), ("message", channel));
    serde_json::from_str(&payload).expect("JSON")
}

/// The next event, with notices passed over.
fn next_event(client: &mut Client, channel: &str) -> Json {
    loop {
        let message = next(client, channel);
        match message["kind"].as_str().expect("each has a kind") {
            "event" => return message,
            "caughtup" | "checkpoint" | "fellbehind" => {}
            _ => panic!("{message}"),
        }
    }
}

#[test]
fn changes_arrive_from_the_moment_when_the_client_is_told_that_it_is_subscribed() {
    for shards in numbers_of_shards() {
        let server = Server::start(&["--shards", &shards]);
        let mut writer = server.client();
        for round in 0..40 {
            let mut subscriber = server.client();
            let key = format!("user:{round}");
            let (own, all) = (format!("cdc:{key}"), format!("cdc:$all?prefix={key}"));
            let channel = if round % 2 == 0 { &own } else { &all };
            writer.call(&["SET", &key, "before"]);
            subscribe(&mut subscriber, channel);
            writer.call(&["SET", &key, "after"]);
            let event = next_event(&mut subscriber, channel);
            assert_eq!((&event["stream"], &event["type"]), (&json!(key), &json!("Set")));
            assert_eq!((&event["data"], &event["revision"], &event["meta"]), (&json!("after"), &json!(1), &Json::Null));
            assert!(event["position"].as_u64() > Some(0) && event["timestamp"].as_u64() > Some(0), "{event}");
        }
    }
}

#[test]
fn a_subscription_resumes_behind_a_position_and_behind_a_revision() {
    for shards in numbers_of_shards() {
        let server = Server::start(&["--shards", &shards]);
        let mut writer = server.client();
        for n in 0..100 {
            writer.call(&["HSET", &format!("key:{}", n % 10), "field", &n.to_string()]);
        }
        let mut client = server.client();
        subscribe(&mut client, "cdc:$all?from=start");
        let events: Vec<Json> = (0..100).map(|_| next_event(&mut client, "cdc:$all?from=start")).collect();
        for (n, event) in events.iter().enumerate() {
            assert_eq!((&event["data"], &event["type"]), (&json!(["field", n.to_string()]), &json!("HSet")));
        }
        let channel = format!("cdc:$all?from={}", events[59]["position"]);
        let mut client = server.client();
        subscribe(&mut client, &channel);
        for n in 60..100 {
            assert_eq!(next_event(&mut client, &channel)["data"][1], n.to_string());
        }
        let mut client = server.client();
        subscribe(&mut client, "cdc:key:3?from=7");
        for data in ["83", "93"] {
            assert_eq!(next_event(&mut client, "cdc:key:3?from=7")["data"][1], data);
        }
    }
}

#[test]
fn a_channel_ends_with_unsubscribe_reset_and_a_drop_and_can_begin_again() {
    let server = Server::start(&["--shards", "2"]);
    let (mut client, mut writer) = (server.client(), server.client());
    client.send(&["SUBSCRIBE", "news", "cdc:k", "cdc:$all?match=k*"]);
    for n in 1..=3 {
        assert_eq!(told(&mut client).2, n.to_string());
    }
    writer.call(&["SET", "k", "1"]);
    let mut seen: Vec<String> = Vec::new();
    while seen.len() < 2 {
        let (_, of, payload) = told(&mut client);
        if payload.contains("\"event\"") {
            seen.push(of);
        }
    }
    seen.sort();
    assert_eq!(seen, ["cdc:$all?match=k*", "cdc:k"]);
    assert_eq!(writer.call(&["PUBSUB", "NUMSUB", "cdc:k"]).values()[1], Value::Integer(1));
    client.send(&["UNSUBSCRIBE", "cdc:k"]);
    while told(&mut client).0 != "unsubscribe" {}
    writer.call(&["SET", "k", "2"]);
    let event = next_event(&mut client, "cdc:$all?match=k*");
    assert_eq!(event["data"], "2");
    // All of them.
    client.send(&["UNSUBSCRIBE"]);
    for _ in 0..2 {
        while told(&mut client).0 != "unsubscribe" {}
    }
    writer.call(&["SET", "k", "3"]);
    assert_eq!(client.call(&["PING"]).text(), "PONG");
    // A start that there is not: it is told on the channel, and the channel can be subscribed to again.
    for _ in 0..2 {
        subscribe(&mut client, "cdc:k?from=99");
        let dropped = next(&mut client, "cdc:k?from=99");
        assert_eq!((&dropped["kind"], &dropped["reason"]), (&json!("dropped"), &json!("revision-ahead")));
    }
    client.send(&["RESET"]);
    assert_eq!(client.read().text(), "RESET");
    assert_eq!(client.call(&["GET", "k"]).text(), "3");
}

#[test]
fn what_cannot_be_is_refused_with_the_reason() {
    let server = Server::start(&["--shards", "1"]);
    let mut client = server.client();
    for (channel, text) in [
        ("cdc:a?from=x", "ERR FROM takes START, END, a number, or POSITION and a number"),
        (
            "cdc:$nosuch",
            "ERR no such system stream '$nosuch', there are $all, $streams, $db, $shard-<n>, $ce-<category> and $et-<type>; for a key of that name use $all MATCH",
        ),
        ("cdc:a?checkpoint=3", "ERR CHECKPOINT is for $all and system streams"),
        ("cdc:$all?on=type", "ERR syntax error"),
        ("cdc:%", "ERR channel 'cdc:%': % is followed by two hexadecimal digits; %25 is %"),
    ] {
        assert_eq!(client.call(&["SUBSCRIBE", "news", channel]).error(), text);
    }
    // A regex is compiled later.
    subscribe(&mut client, "cdc:$all?regex=(");
    let dropped = next(&mut client, "cdc:$all?regex=(");
    assert_eq!(dropped, json!({"kind": "dropped", "reason": "ERR invalid regex: unclosed group"}));
    let mut other = server.client();
    let text = "ERR channels whose names begin with 'cdc:' carry changes, and nobody can publish on them";
    assert_eq!(other.call(&["PUBLISH", "cdc:a", "forged"]).error(), text);
    assert_eq!(other.call(&["EVAL", "return redis.pcall('publish', 'cdc:a', 'x')['err']", "0"]).text(), text);
    let text = "ERR no pattern begins with 'cdc:': SUBSCRIBE cdc:$all?match=<pattern> has the changes of many keys";
    assert_eq!(other.call(&["PSUBSCRIBE", "cdc:*"]).error(), text);
    // Nothing was subscribed to: other commands run.
    assert_eq!(other.call(&["GET", "a"]), Value::Nil);
    let server = Server::start(&["--shards", "1", "--ring-bytes", "0"]);
    assert_eq!(server.client().call(&["SUBSCRIBE", "cdc:a"]).error(), "ERR CDC not enabled");
}

#[test]
fn a_user_has_the_changes_of_the_keys_that_it_may_read() {
    let server = Server::start(&["--shards", "2"]);
    let mut admin = server.client();
    admin.call(&["ACL", "SETUSER", "app", "on", "nopass", "~app:*", "&cdc:*", "+@all"]);
    let mut client = server.client();
    client.call(&["AUTH", "app", "x"]);
    let key = "NOPERM this user has no permissions to access one of the keys used as arguments";
    assert_eq!(client.call(&["SUBSCRIBE", "cdc:other"]).error(), key);
    let all = "NOPERM this user has no permissions to read all keys, as this command does with these arguments";
    assert_eq!(client.call(&["SUBSCRIBE", "cdc:$all"]).error(), all);
    assert_eq!(client.call(&["SUBSCRIBE", "cdc:app:1?match=*"]).error(), all);
    let channel = "NOPERM this user has no permissions to access one of the channels used as arguments";
    assert_eq!(client.call(&["SUBSCRIBE", "news"]).error(), channel);
    subscribe(&mut client, "cdc:app:1");
    admin.call(&["SET", "app:1", "v"]);
    assert_eq!(next_event(&mut client, "cdc:app:1")["data"], "v");
    // Rights that are taken away end it.
    admin.call(&["ACL", "SETUSER", "app", "resetkeys"]);
    let dropped = next(&mut client, "cdc:app:1");
    assert_eq!((&dropped["kind"], &dropped["reason"]), (&json!("dropped"), &json!("access-revoked")));
}

#[test]
fn many_subscribers_of_one_channel_and_of_alike_ones_each_get_every_change_in_order() {
    for shards in numbers_of_shards() {
        let server = Server::start(&["--shards", &shards]);
        let channels = ["cdc:$all?prefix=k", "cdc:$all?prefix=k&format=json", "cdc:$ce-k"];
        let mut clients: Vec<(Client, &str)> = (0..30).map(|n| (server.client(), channels[n % 3])).collect();
        for (n, (client, channel)) in clients.iter_mut().enumerate() {
            if n % 2 == 0 {
                client.call(&["HELLO", "3"]);
            }
            subscribe(client, channel);
        }
        let mut writer = server.client();
        for n in 0..200 {
            // On one shard, so that all see them in this order.
            writer.send(&["SET", &format!("k-{{one}}{n}"), &n.to_string()]);
        }
        for (client, channel) in &mut clients {
            for n in 0..200 {
                let event = next_event(client, channel);
                let wanted = if *channel == "cdc:$ce-k" { format!("0@k-{{one}}{n}") } else { n.to_string() };
                assert_eq!(event["data"], wanted, "{channel}");
            }
        }
    }
}

#[test]
fn a_client_has_as_many_as_it_may_and_what_ends_makes_place() {
    let server = Server::start(&["--shards", "2", "--subscriptions-per-client", "3"]);
    let (mut client, mut writer) = (server.client(), server.client());
    let text = "ERR a client may have 3 subscriptions";
    assert_eq!(client.call(&["SUBSCRIBE", "cdc:a", "cdc:b", "cdc:c", "cdc:d"]).error(), text);
    // One after the other too, and those that were dropped count as long as they are subscribed to.
    let dropped = ["cdc:a?from=7", "cdc:b?from=7", "cdc:$all?regex=("];
    dropped.iter().for_each(|channel| client.send(&["SUBSCRIBE", channel]));
    client.send(&["SUBSCRIBE", "cdc:d"]);
    loop {
        match client.read() {
            Value::Error(error) => break assert_eq!(error, text),
            other => assert!(!format!("{other:?}").contains("cdc:d"), "{other:?}"),
        }
    }
    client.send(&[&["UNSUBSCRIBE"], &dropped[..]].concat());
    for _ in dropped {
        while told(&mut client).0 != "unsubscribe" {}
    }
    // Begun and ended without waiting for anything.
    for n in 0..50 {
        let channel = format!("cdc:$all?regex=%5E{n}");
        client.send(&["SUBSCRIBE", &channel]);
        client.send(&["UNSUBSCRIBE", &channel]);
    }
    for _ in 0..50 {
        while told(&mut client).0 != "unsubscribe" {}
    }
    client.send(&["SUBSCRIBE", "cdc:a", "cdc:b", "cdc:c", "news"]);
    let mut names = Vec::new();
    while names.len() < 4 {
        let (word, name, _) = told(&mut client);
        names.extend((word == "subscribe").then_some(name));
    }
    let described = writer.call(&["CLIENT", "LIST"]).text();
    assert!(described.contains(" sub=4 "), "three of changes and one other: {described}");
    for name in ["a", "b", "c"] {
        writer.call(&["SET", name, "1"]);
        while !told(&mut client).2.contains("\"event\"") {}
    }
}
