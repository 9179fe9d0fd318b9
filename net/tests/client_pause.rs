//! CLIENT PAUSE over all cores, CLIENT REPLY, and CLIENT INFO in a transaction: as redis-server does it.

mod common;

use common::redis::Redis;
use common::{Client, Server, Value};

const SHARDS: [&str; 4] = ["1", "2", "3", "8"];

fn line(client: &mut Client, text: &str) -> Value {
    client.call(&text.split(' ').collect::<Vec<_>>())
}

fn send(client: &mut Client, text: &str) {
    client.send(&text.split(' ').collect::<Vec<_>>());
}

#[test]
fn words_and_errors_are_those_of_redis() {
    let (redis, server) = (Redis::start(&[]), Server::start(&["--ring-bytes", "1m"]));
    let (mut own, mut other) = (server.client(), redis.client());
    for text in [
        "client pause",
        "client pause x",
        "client pause -1",
        "client pause 1 foo",
        "client pause x foo",
        "client pause 1 write x",
        "client pause 99999999999999999999",
        "client pause 9223372036854775807 write",
        "client unpause",
        "client unpause x",
        "client reply",
        "client reply x",
        "client reply on",
    ] {
        assert_eq!(line(&mut own, text), line(&mut other, text), "{text}");
    }
}

#[test]
fn commands_that_write_wait_for_the_end_of_a_pause_on_all_cores() {
    for shards in SHARDS {
        let server = Server::start(&["--shards", shards, "--ring-bytes", "1m"]);
        let mut asker = server.client();
        assert_eq!(line(&mut asker, "client pause 1000000 write").text(), "OK");
        // Neither shorter, nor of fewer.
        assert_eq!(line(&mut asker, "client pause 1 write").text(), "OK");
        let mut writers: Vec<Client> = (0..16).map(|_| server.client()).collect();
        for (number, writer) in writers.iter_mut().enumerate() {
            assert_eq!(line(writer, "get x"), Value::Nil);
            match number % 4 {
                0 => send(writer, &format!("set k{number} 1")),
                1 => writer.call(&["multi"]).text().clear(),
                2 => send(writer, "publish c x"),
                _ => send(writer, "eval return{1} 0"),
            }
            if number % 4 == 1 {
                // What writes is not queued either, as in Redis.
                send(writer, &format!("set k{number} 1"));
            }
        }
        for number in 0..16 {
            assert_eq!(line(&mut asker, &format!("get k{number}")), Value::Nil);
        }
        assert_eq!(line(&mut asker, "client unpause").text(), "OK");
        for (number, writer) in writers.iter_mut().enumerate() {
            match (number % 4, writer.read()) {
                (0, reply) => assert_eq!(reply.text(), "OK"),
                (1, reply) => assert_eq!(reply.text(), "QUEUED"),
                (2, reply) => assert_eq!(reply, Value::Integer(0)),
                (_, reply) => assert_eq!(reply.values().len(), 1),
            }
        }
        assert_eq!(line(&mut asker, "get k0").text(), "1");
    }
}

#[test]
fn all_commands_wait_but_those_of_a_monitor() {
    for shards in SHARDS {
        let server = Server::start(&["--shards", shards, "--ring-bytes", "1m"]);
        let (mut monitor, mut asker) = (server.client(), server.client());
        assert_eq!(line(&mut monitor, "monitor").text(), "OK");
        let mut others: Vec<Client> = (0..8).map(|_| server.client()).collect();
        assert_eq!(line(&mut asker, "client pause 1000000").text(), "OK");
        others.iter_mut().for_each(|other| send(other, "echo late"));
        send(&mut asker, "echo late");
        send(&mut monitor, "echo early");
        let mut lines = Vec::new();
        loop {
            match monitor.read() {
                Value::Bulk(_) => break,
                line => lines.push(line.text()),
            }
        }
        assert!(lines.iter().all(|line| !line.contains("late")), "{lines:?}");
        send(&mut monitor, "client unpause");
        others.iter_mut().chain([&mut asker]).for_each(|other| assert_eq!(other.read().text(), "late"));
        // Without anybody who ends it, it ends by itself.
        assert_eq!(line(&mut asker, "client pause 50").text(), "OK");
        others.iter_mut().for_each(|other| assert_eq!(line(other, "echo x").text(), "x"));
    }
}

#[test]
fn replies_that_are_not_wanted_are_left_out() {
    let redis = Redis::start(&[]);
    for shards in SHARDS {
        let server = Server::start(&["--shards", shards, "--ring-bytes", "1m"]);
        let (mut own, mut other) = (server.client(), redis.client());
        for lines in [
            &["client reply skip", "ping", "echo end"][..],
            &["client reply skip", "client reply on", "echo end"],
            &["client reply skip", "nosuch", "echo end"],
            &["client reply skip", "client reply skip", "ping", "ping", "echo end"],
            &["client reply skip", "multi", "set a 1", "get b", "exec", "echo end"],
            &[
                "client reply off",
                "mset a 1 b 2 c 3 d 4",
                "mget a b c d e f",
                "set x 1",
                "get x",
                "client reply on",
                "echo end",
            ],
            &[
                "client reply off",
                "get",
                "nosuch",
                "client reply skip",
                "rename x y",
                "dbsize",
                "client reply on",
                "echo end",
            ],
            &["client reply off", "blpop q 0.01", "multi", "set a 1", "set b 1", "exec", "client reply on", "echo end"],
            &["client reply off", "subscribe c", "unsubscribe c", "client reply on", "echo end"],
            &["client reply off", "flushall", "reset", "echo end"],
            &["client reply off", "select 2", "set inner 1", "select 0", "client reply on", "dbsize", "echo end"],
        ] {
            let replies = |client: &mut Client| {
                let bytes: Vec<u8> =
                    lines.iter().flat_map(|text| common::encode(&text.split(' ').collect::<Vec<_>>())).collect();
                client.send_raw(&bytes);
                let mut replies = Vec::new();
                loop {
                    match client.read() {
                        Value::Bulk(end) if end == b"end" => return replies,
                        reply => replies.push(reply),
                    }
                }
            };
            assert_eq!(replies(&mut own), replies(&mut other), "{lines:?} on {shards} shards");
        }
        // What a client that caches is told is no reply.
        own.call(&["hello", "3"]);
        own.call(&["client", "tracking", "on"]);
        send(&mut own, "client reply off");
        ["get t", "set t 1"].iter().for_each(|text| send(&mut own, text));
        assert!(matches!(own.read(), Value::Push(_)));
    }
}

#[test]
fn a_client_sees_itself_in_a_transaction() {
    let server = Server::start(&["--ring-bytes", "1m"]);
    let mut client = server.client();
    line(&mut client, "client setname me");
    line(&mut client, "multi");
    assert_eq!(line(&mut client, "client info").text(), "QUEUED");
    let info = line(&mut client, "exec").values()[0].text();
    assert!(info.contains(" name=me ") && info.ends_with('\n'), "{info}");
    assert_eq!(line(&mut client, "client no-touch on").text(), "OK");
    assert!(line(&mut client, "client info").text().contains(" flags=T "));
}
