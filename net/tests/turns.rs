//! What a turn promises its clients: commands in their order, nobody forgotten, nothing shown before it is published.

mod common;

use common::{Client, Server, Value, encode, eventually};
use keytide_engine::slot::shard_of;
use std::net::Shutdown;

fn server() -> Server {
    Server::start(&["--ring-bytes", "1m"])
}

/// A key of the first shard and one of the last: two shards, unless there is only one.
fn a_key_each(server: &Server) -> [String; 2] {
    [("a", 0), ("b", server.shards - 1)].map(|(prefix, shard)| {
        let mut keys = (0..).map(|number| format!("{prefix}{number}"));
        keys.find(|key| shard_of(key.as_bytes(), server.shards).0 == shard)
            .expect("each shard has its part of all keys")
    })
}

/// Sends commands in one piece and reads their replies.
fn pipeline(client: &mut Client, commands: &[&[&str]]) -> Vec<Value> {
    let bytes: Vec<u8> = commands.iter().flat_map(|words| encode(words)).collect();
    client.send_raw(&bytes);
    commands.iter().map(|_| client.read()).collect()
}

/// Of a command that is split over the shards, the part of the client's own core is in its place in the order too.
#[test]
fn a_command_sees_what_a_split_one_before_it_wrote_on_either_shard() {
    let server = server();
    let [a, b] = a_key_each(&server);
    // Connections land on either core.
    for round in 0..8 {
        let (mut client, old, new) = (server.client(), format!("old{round}"), format!("new{round}"));
        let replies = pipeline(
            &mut client,
            &[
                &["mset", &a, &old, &b, &old],
                &["get", &a],
                &["get", &b],
                &["mget", &a, &b],
                &["set", &a, &new],
                &["set", &b, &new],
                &["del", &a, &b],
                &["exists", &a],
                &["exists", &b],
                &["set", &a, &old],
            ],
        );
        let old = Value::Bulk(old.into_bytes());
        assert_eq!(replies[1..4], [old.clone(), old.clone(), Value::Array(vec![old.clone(), old])]);
        assert_eq!(replies[6..9], [2, 0, 0].map(Value::Integer));
    }
}

#[test]
fn an_uneven_mset_sets_nothing_on_any_shard() {
    let server = server();
    let [a, b] = a_key_each(&server);
    let mut client = server.client();
    let text = "ERR wrong number of arguments for 'mset' command";
    assert_eq!(client.call(&["mset", &a, "1", &b]).error(), text);
    assert_eq!(client.call(&["mset", &b, "1", &a]).error(), text);
    assert_eq!(client.call(&["exists", &a, &b]), Value::Integer(0));
}

/// While changes over both shards follow each other without a pause, a shard is lent again in the turn in which it came
/// back: whoever waited for it must have had its turn by then.
#[test]
fn who_waits_for_a_lent_shard_is_served_though_it_is_lent_again_at_once() {
    let server = server();
    let keys = a_key_each(&server);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (mut client, keys) = (server.client(), &keys);
            scope.spawn(move || {
                for round in 0..1500 {
                    let target = &keys[(number + round) % 2];
                    if number < 4 {
                        client.call(&["msetnx", &keys[0], "1", &keys[1], "1"]);
                    } else {
                        assert_eq!(client.call(&["set", target, "v"]).text(), "OK");
                    }
                }
            });
        }
    });
}

/// What follows a command that had to wait runs at the end of a turn, after its commit.
#[test]
fn a_group_on_any_core_sees_the_write_before_its_reader() {
    let server = server();
    let keys = a_key_each(&server);
    for round in 0..40 {
        let (mut client, group, value) = (server.client(), format!("g{round}"), format!("v{round}"));
        assert_eq!(client.call(&["cdc.group", "create", "*", &group, "$"]).text(), "OK");
        for key in &keys {
            let replies = pipeline(
                &mut client,
                &[&["cdcpoll", "0", "1"], &["set", key, &value], &["cdc.group", "read", "*", &group, "c", "10"]],
            );
            let Value::Array(rows) = &replies[2] else { panic!("rows: {replies:?}") };
            assert_eq!(rows.len(), 1, "{replies:?}");
        }
    }
}

#[test]
fn who_has_hung_up_before_its_reader_begins_to_wait_is_let_go() {
    let server = server();
    let [a, b] = a_key_each(&server);
    let mut watcher = server.client();
    assert_eq!(watcher.call(&["cdc.group", "create", "*", "g", "$"]).text(), "OK");
    for round in 0..8 {
        let mut client = server.client();
        for words in [
            &["debug", "sleep", "0.05"][..],
            &["set", &a, "v"],
            &["set", &b, "v"],
            &["cdc.read", "END", "MATCH", "nothing", "BLOCK", "0"],
            &["cdc.group", "read", "*", "g", "c", "10", "BLOCK", "0"],
            &["cdc.read", "END", "MATCH", "nothing", "BLOCK", "0"],
        ] {
            client.send(words);
        }
        client.stream().shutdown(Shutdown::Write).expect("it is connected");
        assert!(client.is_closed(), "round {round}");
    }
    eventually("nobody else is connected", || {
        watcher.call(&["info", "clients"]).text().contains("connected_clients:1\r\n")
    });
}
