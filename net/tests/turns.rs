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

/// Clients whose last commands were light go before others that wait. A client that changes between light and heavy
/// commands, on its own core's shard and the other, must not overtake itself.
#[test]
fn a_client_that_changes_between_heavy_and_light_commands_keeps_its_order() {
    let server = server();
    let keys = a_key_each(&server);
    let elements: Vec<String> = (0..2_000).map(|number| format!("{number:0>100}")).collect();
    for key in &keys {
        let list = format!("list{{{key}}}");
        let words: Vec<&str> = ["rpush", &list].into_iter().chain(elements.iter().map(String::as_str)).collect();
        server.client().call(&words);
    }
    std::thread::scope(|scope| {
        for number in 0..12usize {
            let (mut client, keys) = (server.client(), &keys);
            scope.spawn(move || {
                let counter = |key: usize| format!("n{number}{{{}}}", keys[key % 2]);
                let (mut counts, mut unread) = ([0; 2], std::collections::VecDeque::new());
                for round in 0..60 {
                    for at in 0..1 + (round * 7 + number) % 9 {
                        let kind = (round / 3 + at) % 4;
                        client.send_raw(&match kind {
                            0 => encode(&["lrange", &format!("list{{{}}}", keys[at % 2]), "0", "-1"]),
                            1 => encode(&["lpos", &format!("list{{{}}}", keys[(at + 1) % 2]), "nobody"]),
                            _ => encode(&["incr", &counter(at)]),
                        });
                        unread.push_back((kind, at));
                    }
                    // In some rounds everything is answered before the next, in others commands are still under way.
                    let leave = if round % 4 == 0 { 0 } else { 5 };
                    while unread.len() > leave {
                        match (unread.pop_front(), client.read()) {
                            (Some((0, _)), Value::Array(elements)) => assert_eq!(elements.len(), 2_000),
                            (Some((1, _)), reply) => assert_eq!(reply, Value::Nil),
                            (Some((_, at)), reply) => {
                                counts[at % 2] += 1;
                                assert_eq!(reply, Value::Integer(counts[at % 2]));
                            }
                            (None, _) => unreachable!("there was one"),
                        }
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

/// A figure of INFO.
fn figure(client: &mut Client, field: &str) -> u64 {
    let info = client.call(&["info", "stats"]).text();
    let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.and_then(|value| value.trim().parse().ok()).expect("INFO has it")
}

/// A list of so many elements that each look through it takes a while, on each of two shards.
fn long_lists(server: &Server) -> [String; 2] {
    let lists = a_key_each(server);
    let mut client = server.client();
    let elements = vec!["x"; 1000];
    for list in &lists {
        let push: Vec<&str> = ["rpush", list].into_iter().chain(elements.iter().copied()).collect();
        let batch = encode(&push).repeat(100);
        client.send_raw(&batch);
        (0..100).for_each(|_| assert!(client.read().integer() > 0));
    }
    lists
}

/// No client's pipeline runs to its end while others wait, wherever its commands run.
#[test]
fn others_are_answered_while_a_long_pipeline_of_expensive_commands_runs() {
    const COMMANDS: u64 = 20_000;
    let server = Server::start(&["--ring-bytes", "16m"]);
    let lists = long_lists(&server);
    // Connections land on any core.
    let mut others: Vec<Client> = (0..8).map(|_| server.client()).collect();
    for list in &lists {
        let before = figure(&mut others[0], "total_commands_processed");
        let cut_before = figure(&mut others[0], "turns_cut_total");
        let mut busy = server.client();
        busy.send_raw(&encode(&["lpos", list, "y"]).repeat(COMMANDS as usize));
        // One of them has run, so the rest waits.
        assert_eq!(busy.read(), Value::Nil);
        for other in &mut others {
            assert_eq!(other.call(&["llen", list]), Value::Integer(100_000));
        }
        let run = figure(&mut others[0], "total_commands_processed") - before;
        assert!(run < COMMANDS, "{run} commands have run before eight others were answered");
        eventually("they take many turns", || figure(&mut others[0], "turns_cut_total") > cut_before + 20);
    }
}

/// A pipeline that takes many turns is answered in order, also for who has ended its side; what takes turns includes
/// transactions, changes over several shards and reads of the history.
#[test]
fn a_pipeline_over_many_turns_is_answered_in_order() {
    let server = Server::start(&["--ring-bytes", "16m"]);
    let lists = long_lists(&server);
    let [a, b] = a_key_each(&server);
    let (a, b) = (format!("{{{a}}}n"), format!("{{{b}}}n"));
    let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
    for client in &mut clients {
        let mut all = Vec::new();
        for _ in 0..20 {
            for list in &lists {
                all.extend(encode(&["lpos", list, "y"]));
            }
            all.extend([encode(&["incr", &a]), encode(&["incr", &b])].concat());
            all.extend([encode(&["multi"]), encode(&["incr", &a]), encode(&["incr", &b]), encode(&["exec"])].concat());
            all.extend(encode(&["msetnx", &a, "0", &b, "0"]));
            all.extend(encode(&["cdcpoll", "0", "1"]));
        }
        client.send_raw(&all);
        client.stream().shutdown(Shutdown::Write).expect("it is connected");
    }
    for mut client in clients {
        let mut last = [0, 0];
        let mut grows = |place: usize, value: &Value| {
            assert!(value.integer() > last[place], "{value:?} after {}", last[place]);
            last[place] = value.integer();
        };
        for _ in 0..20 {
            (0..2).for_each(|_| assert_eq!(client.read(), Value::Nil));
            grows(0, &client.read());
            grows(1, &client.read());
            (0..3).for_each(|_| drop(client.read().text()));
            let exec = client.read();
            grows(0, &exec.values()[0]);
            grows(1, &exec.values()[1]);
            assert_eq!(client.read(), Value::Integer(0));
            let Value::Array(_) = client.read() else { panic!("CDCPOLL answers an array") };
        }
        assert!(client.is_closed());
    }
}

/// Commands that wait on another core for their replies to be taken come before a change over both shards that their
/// connection asks for behind them.
#[test]
fn a_change_over_several_shards_does_not_pass_commands_that_wait_on_another_core() {
    let server = Server::start(&["--ring-bytes", "16m"]);
    let [a, b] = a_key_each(&server);
    let value = "x".repeat(200_000);
    for _ in 0..4 {
        let mut client = server.client();
        let mut all = Vec::new();
        for round in 0..20 {
            for key in [&a, &b] {
                all.extend(encode(&["set", key, &format!("{round}{value}")]));
                all.extend(encode(&["get", key]).repeat(5));
            }
            all.extend(encode(&["del", &a, &b]));
            all.extend(encode(&["mset", &a, "gone", &b, "gone"]));
            all.extend([encode(&["rename", &a, &b]), encode(&["get", &b]), encode(&["flushall"])].concat());
        }
        client.send_raw(&all);
        for round in 0..20 {
            for _ in 0..2 {
                assert_eq!(client.read().text(), "OK");
                (0..5).for_each(|_| assert_eq!(client.read().text(), format!("{round}{value}")));
            }
            assert_eq!(client.read(), Value::Integer(if a == b { 1 } else { 2 }));
            (0..2).for_each(|_| assert_eq!(client.read().text(), "OK"));
            assert_eq!(client.read().text(), "gone");
            assert_eq!(client.read().text(), "OK");
        }
    }
}

/// What a client has asked to change is changed though it leaves, also where that waits on another core behind replies
/// that nobody takes.
#[test]
fn writes_of_who_has_left_are_done_in_their_order() {
    let server = Server::start(&["--ring-bytes", "16m", "--client-output-bytes", "64k"]);
    let keys = a_key_each(&server);
    let mut watcher = server.client();
    for (round, key) in keys.iter().chain(&keys).enumerate() {
        assert_eq!(watcher.call(&["set", key, &"x".repeat(100_000)]).text(), "OK");
        let counter = format!("{{{key}}}{round}");
        let mut client = server.client();
        let mut all = encode(&["get", key]).repeat(8);
        (0..20).for_each(|n| all.extend(encode(&["set", &counter, &n.to_string()])));
        client.send_raw(&all);
        // It is there when the first reply is; whether the rest has run or waits does not matter.
        assert_eq!(client.read().text().len(), 100_000);
        drop(client);
        eventually("it is gone", || watcher.call(&["info", "clients"]).text().contains("connected_clients:1\r\n"));
        // Either nothing of them was received when it left, or all that came before it.
        let last = watcher.call(&["get", &counter]);
        assert!(last == Value::Nil || last.text().parse::<u32>().is_ok(), "{last:?}");
        assert_eq!(watcher.call(&["ping"]).text(), "PONG");
    }
}

/// A server stops within its grace though pipelines have not run to their end.
#[test]
fn a_server_stops_while_clients_have_commands_left() {
    let server = Server::start(&["--ring-bytes", "16m"]);
    let lists = long_lists(&server);
    let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.send_raw(&encode(&["lpos", &lists[n % 2], "y"]).repeat(5_000));
        assert_eq!(client.read(), Value::Nil);
    }
    server.signal(libc::SIGTERM);
    assert!(server.wait().success());
}
