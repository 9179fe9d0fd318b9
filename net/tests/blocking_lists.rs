//! Commands that wait for an element of a list: who gets it, what ends a wait, what the client is answered.

mod common;

use common::{Client, Server, Value, eventually};

/// One, two, three and eight shards, or what `KEYTIDE_TEST_SHARDS` says.
fn placements() -> Vec<String> {
    let named = std::env::var("KEYTIDE_TEST_SHARDS");
    named.map_or(["1", "2", "3", "8"].map(str::to_owned).to_vec(), |shards| vec![shards])
}

fn start(shards: &str) -> Server {
    Server::start(&["--shards", shards, "--ring-bytes", "1m"])
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn line(client: &mut Client, text: &str) -> Value {
    client.call(&words(text))
}

fn figure(client: &mut Client, name: &str) -> u64 {
    let text = client.call(&["info", "everything"]).text();
    let row = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    row.expect("INFO has it").trim().parse().expect("a number")
}

/// The bytes of the next reply of one line.
fn raw(client: &mut Client) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n") {
        let mut byte = [0];
        std::io::Read::read_exact(&mut client.stream(), &mut byte).expect("a reply comes");
        bytes.extend(byte);
    }
    bytes
}

/// A server with a client that acts, and clients that wait.
struct World {
    server: Server,
    actor: Client,
    waiting: u64,
}

impl World {
    fn new(shards: &str) -> World {
        World::with(&["--shards", shards, "--ring-bytes", "1m"])
    }

    fn with(flags: &[&str]) -> World {
        let server = Server::start(flags);
        let actor = server.client();
        World { server, actor, waiting: 0 }
    }

    fn act(&mut self, text: &str) -> Value {
        line(&mut self.actor, text)
    }

    /// Waits until so many clients wait.
    fn expect_waiting(&mut self, count: u64) {
        self.waiting = count;
        let mut seen = u64::MAX;
        eventually("as many clients wait as should", || {
            seen = figure(&mut self.actor, "blocked_clients");
            seen == count
        });
    }

    /// A client that waits by this command, behind all that wait already.
    fn wait(&mut self, command: &str) -> Client {
        let client = self.server.client();
        self.wait_on(client, command)
    }

    fn wait_on(&mut self, mut client: Client, command: &str) -> Client {
        client.send(&words(command));
        self.expect_waiting(self.waiting + 1);
        client
    }
}

fn texts(value: &Value) -> Vec<String> {
    value.values().iter().map(Value::text).collect()
}

#[test]
fn the_client_that_has_waited_longest_gets_the_first_element() {
    for shards in placements() {
        let mut world = World::new(&shards);
        for key in ["a", "b", "c", "d", "e"] {
            let mut clients: Vec<Client> = (0..4).map(|_| world.wait(&format!("BLPOP {key} 0"))).collect();
            assert_eq!(world.act(&format!("RPUSH {key} 1")), Value::Integer(1));
            assert_eq!(texts(&clients[0].read()), [key, "1"], "{shards} shards");
            // One command's elements go to as many waiters, and what is left stays.
            assert_eq!(world.act(&format!("RPUSH {key} 2 3 4 5 6")), Value::Integer(5));
            for (client, element) in clients[1..].iter_mut().zip(["2", "3", "4"]) {
                assert_eq!(texts(&client.read()), [key, element], "{shards} shards");
            }
            assert_eq!(texts(&world.act(&format!("LRANGE {key} 0 -1"))), ["5", "6"]);
            world.expect_waiting(0);
        }
    }
}

#[test]
fn a_client_that_waits_for_keys_of_several_shards_gets_one_element() {
    for shards in placements() {
        let mut world = World::new(&shards);
        for round in 0..20 {
            let keys: Vec<String> = (0..6).map(|n| format!("k{round}:{n}")).collect();
            let mut first = world.wait(&format!("BRPOP {} 0", keys.join(" ")));
            let mut second = world.wait(&format!("BLMPOP 0 6 {} LEFT COUNT 10", keys.join(" ")));
            let pushed = &keys[round % 6];
            world.act(&format!("RPUSH {pushed} x y"));
            assert_eq!(texts(&first.read()), [pushed.as_str(), "y"], "{shards} shards");
            let reply = second.read();
            assert_eq!((reply.values()[0].text(), texts(&reply.values()[1])), (pushed.clone(), vec!["x".to_owned()]));
            // The others are not waited for any more.
            for key in &keys {
                assert_eq!(world.act(&format!("RPUSH {key} later")), Value::Integer(1));
            }
            for key in &keys {
                assert_eq!(texts(&world.act(&format!("LRANGE {key} 0 -1"))), ["later"]);
            }
            world.expect_waiting(0);
        }
    }
}

#[test]
fn no_element_is_lost_and_none_is_taken_twice() {
    const CLIENTS: usize = 16;
    const PUSHERS: usize = 4;
    const EACH: usize = 300;
    for shards in placements() {
        let server = start(&shards);
        let mut taken: Vec<String> = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..CLIENTS)
                .map(|taker| {
                    let mut client = server.client();
                    scope.spawn(move || {
                        let mut rng = fastrand::Rng::with_seed(taker as u64);
                        let (mut taken, mut empty) = (Vec::new(), 0);
                        // Pushers end sooner than so many waits in a row.
                        while empty < 40 {
                            let mut keys: Vec<String> = (0..8).map(|n| format!("k{n}")).collect();
                            rng.shuffle(&mut keys);
                            let some = keys[..rng.usize(1..5)].join(" ");
                            let command = match rng.u8(0..5) {
                                0 => format!("BLPOP {some} 0.05"),
                                1 => format!("BRPOP {some} 0.05"),
                                2 => format!("BLMPOP 0.05 {} {some} RIGHT COUNT 2", some.split(' ').count()),
                                3 => format!("BLMOVE {} moved{} LEFT RIGHT 0.05", keys[0], keys[1]),
                                _ => format!("BRPOPLPUSH {} moved{} 0.05", keys[0], keys[1]),
                            };
                            match line(&mut client, &command) {
                                Value::Nil => empty += 1,
                                Value::Bulk(element) => {
                                    empty = 0;
                                    assert!(!element.is_empty());
                                }
                                reply => {
                                    empty = 0;
                                    match &reply.values()[1] {
                                        Value::Array(elements) => taken.extend(elements.iter().map(Value::text)),
                                        element => taken.push(element.text()),
                                    }
                                }
                            }
                        }
                        taken
                    })
                })
                .collect();
            for pusher in 0..PUSHERS {
                let mut client = server.client();
                scope.spawn(move || {
                    let mut rng = fastrand::Rng::with_seed(1_000 + pusher as u64);
                    for n in 0..EACH {
                        let (key, other) = (rng.u8(0..8), rng.u8(0..8));
                        let element = format!("{pusher}:{n}");
                        match rng.u8(0..4) {
                            0 => {
                                // Over shards, and made by another command than a push.
                                line(&mut client, &format!("RPUSH own{pusher}:{n} {element}"));
                                line(&mut client, &format!("LMOVE own{pusher}:{n} k{key} LEFT LEFT"));
                            }
                            1 => {
                                line(&mut client, "MULTI");
                                line(&mut client, &format!("RPUSH k{key} {element}"));
                                line(&mut client, &format!("RPUSH k{other} extra{element}"));
                                assert_eq!(line(&mut client, "EXEC").values().len(), 2);
                            }
                            _ => {
                                line(&mut client, &format!("LPUSH k{key} {element} extra{element}"));
                            }
                        }
                        if rng.u8(0..8) == 0 {
                            line(&mut client, &format!("CLIENT UNBLOCK {}", rng.u8(1..24)));
                        }
                    }
                });
            }
            takers.into_iter().flat_map(|taker| taker.join().expect("no taker fails")).collect()
        });
        let mut client = server.client();
        for n in 0..8 {
            for key in [format!("k{n}"), format!("movedk{n}")] {
                taken.extend(texts(&line(&mut client, &format!("LRANGE {key} 0 -1"))));
            }
        }
        let count = taken.len();
        taken.sort_unstable();
        taken.dedup();
        assert_eq!(taken.len(), count, "{shards} shards: an element was taken twice");
        let pushed = taken.iter().filter(|element| !element.starts_with("extra")).count();
        assert_eq!(pushed, PUSHERS * EACH, "{shards} shards: an element was lost");
        assert_eq!(figure(&mut client, "blocked_clients"), 0);
        assert_eq!(figure(&mut client, "waits_bytes"), 0);
    }
}

#[test]
fn waiters_are_served_after_the_transaction_and_nothing_waits_within_one() {
    for shards in placements() {
        let mut world = World::new(&shards);
        let exec = |world: &mut World, commands: &[&str]| {
            world.act("MULTI");
            commands.iter().for_each(|command| assert_eq!(world.act(command).text(), "QUEUED"));
            world.act("EXEC")
        };
        let mut client = world.wait("BLPOP k 0");
        // The list that has gone when the transaction ends was never there for others.
        assert_eq!(exec(&mut world, &["RPUSH k a", "LPOP k", "RPUSH other x"]).values().len(), 3);
        assert_eq!(exec(&mut world, &["RPUSH k a", "DEL k"]).values()[1], Value::Integer(1));
        assert_eq!(exec(&mut world, &["LPUSH k a", "LPUSH k b", "LLEN k", "RPUSH z z"]).values()[2], Value::Integer(2));
        assert_eq!(texts(&client.read()), ["k", "b"], "{shards} shards");
        world.expect_waiting(0);
        let replies =
            exec(&mut world, &["BLPOP none 0", "BLMOVE none k LEFT LEFT 0", "BLMPOP 0 1 none LEFT", "BLPOP none k 0"]);
        assert_eq!(replies.values()[..3], [Value::Nil, Value::Nil, Value::Nil]);
        assert_eq!(texts(&replies.values()[3]), ["k", "a"]);
    }
}

#[test]
fn a_list_that_any_command_makes_wakes_its_waiters() {
    for shards in placements() {
        let mut world = World::new(&shards);
        for (makes, command, element) in [
            ("RPUSH source a", "RENAME source k", "a"),
            ("RPUSH source b", "RENAMENX source k", "b"),
            ("RPUSH source c", "LMOVE source k LEFT RIGHT", "c"),
            ("RPUSH source d", "RPOPLPUSH source k", "d"),
            ("RPUSH source e", "BLMOVE source k LEFT LEFT 0", "e"),
            ("RPUSH source f", "BRPOPLPUSH source k 0", "f"),
            ("DEL source", "LPUSH k g", "g"),
        ] {
            let mut client = world.wait("BLPOP k 0");
            world.act(makes);
            world.act(command);
            assert_eq!(texts(&client.read()), ["k", element], "{shards} shards: {command}");
            world.expect_waiting(0);
        }
        // One wakes the other, over as many lists as there are.
        let mut chain: Vec<Client> =
            (0..5).map(|n| world.wait(&format!("BLMOVE l{n} l{} LEFT LEFT 0", n + 1))).collect();
        let mut last = world.wait("BRPOP l5 0");
        world.act("RPUSH l0 x");
        chain.iter_mut().for_each(|client| assert_eq!(client.read().text(), "x"));
        assert_eq!(texts(&last.read()), ["l5", "x"], "{shards} shards");
        world.expect_waiting(0);
        assert_eq!(world.act("EXISTS k source l0 l1 l2 l3 l4 l5"), Value::Integer(0));
    }
}

#[test]
fn other_types_are_refused_at_once_and_do_not_end_a_wait() {
    const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
    for shards in placements() {
        let mut world = World::new(&shards);
        world.act("SET string x");
        for command in ["BLPOP none string 0", "BLMOVE string none LEFT LEFT 0", "BLMPOP 0 2 none string LEFT"] {
            assert_eq!(world.act(command).error(), WRONG_TYPE, "{shards} shards: {command}");
        }
        let mut client = world.wait("BLPOP k 0");
        for command in ["SET k x", "DEL k", "SADD k x", "FLUSHALL", "HSET k f v", "DEL k"] {
            world.act(command);
        }
        world.expect_waiting(1);
        world.act("RPUSH k x");
        assert_eq!(texts(&client.read()), ["k", "x"]);
        world.expect_waiting(0);
        // The target is of another type: the client gets the error, and the element stays for the next one.
        world.act("SET string x");
        let mut client = world.wait("BLMOVE k string LEFT LEFT 0");
        let mut next = world.wait("BLPOP k 0");
        world.act("RPUSH k y");
        assert_eq!(client.read().error(), WRONG_TYPE, "{shards} shards");
        assert_eq!(texts(&next.read()), ["k", "y"], "{shards} shards");
    }
}

#[test]
fn a_wait_ends_by_its_time_and_by_client_unblock() {
    for shards in placements() {
        let mut world = World::new(&shards);
        let mut client = world.server.client();
        let id = line(&mut client, "CLIENT ID").integer();
        // Redis answers a null array to each of these once it has waited.
        for command in ["BLPOP k 0.01", "BRPOP a b c d 0.01", "BLMOVE k l LEFT LEFT 0.01", "BLMPOP 0.01 2 k j LEFT"] {
            client.send(&words(command));
            assert_eq!(raw(&mut client), b"*-1\r\n", "{shards} shards: {command}");
        }
        for command in ["BLPOP k 0", "BRPOP a b c d 0", "BLMOVE k l LEFT LEFT 100", "CDC.READ END BLOCK 0"] {
            for (reason, reply) in
                [("", "*"), (" TIMEOUT", "*"), (" ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n")]
            {
                client.send(&words(command));
                world.expect_waiting(1);
                let text = world.act("CLIENT LIST").text();
                let own = text.lines().find(|line| line.contains(&format!("id={id} "))).expect("it is there");
                assert!(own.contains(" flags=b "), "{own}");
                assert_eq!(world.act(&format!("CLIENT UNBLOCK {id}{reason}")), Value::Integer(1));
                if command.starts_with("CDC") && !reason.ends_with("ERROR") {
                    assert_eq!(client.read().values().len(), 10);
                } else {
                    let got = String::from_utf8(raw(&mut client)).expect("text");
                    assert!(got.starts_with(reply), "{shards} shards: {command}{reason}: {got}");
                }
                world.expect_waiting(0);
                assert_eq!(world.act(&format!("CLIENT UNBLOCK {id}{reason}")), Value::Integer(0));
            }
        }
        // What an ended wait would have got stays.
        for key in ["a", "b", "c", "d", "k"] {
            assert_eq!(world.act(&format!("RPUSH {key} x")), Value::Integer(1));
        }
        assert_eq!(texts(&line(&mut client, "BLPOP b 0")), ["b", "x"]);
        assert!(!world.act("CLIENT LIST").text().contains("flags=b"));
    }
}

#[test]
fn a_client_that_has_gone_takes_nothing() {
    for shards in placements() {
        let mut world = World::new(&shards);
        for keys in ["k", "k j i h"] {
            let gone = world.wait(&format!("BLPOP {keys} 0"));
            let mut stays = world.wait(&format!("BLPOP {keys} 0"));
            drop(gone);
            world.expect_waiting(1);
            world.act("RPUSH k x");
            assert_eq!(texts(&stays.read()), ["k", "x"], "{shards} shards");
            world.expect_waiting(0);
        }
        // Very many on one key, which all go.
        let clients: Vec<Client> = (0..200)
            .map(|n| {
                let mut client = world.server.client();
                client.send(&words(if n % 2 == 0 { "BLPOP k 0" } else { "BLPOP j k i 0" }));
                client
            })
            .collect();
        world.expect_waiting(200);
        drop(clients);
        world.expect_waiting(0);
        assert_eq!(world.act("RPUSH k x"), Value::Integer(1));
        assert_eq!(world.act("LLEN k"), Value::Integer(1), "{shards} shards");
        assert_eq!(figure(&mut world.actor, "waits_bytes"), 0);
    }
}

#[test]
fn commands_behind_one_that_waits_come_after_it() {
    for shards in placements() {
        let mut world = World::new(&shards);
        let mut client = world.server.client();
        let commands = ["RPUSH mine a", "BLPOP mine 0", "BLPOP k j 0", "GET other", "RPUSH k later", "BLPOP k 0"];
        client.send_raw(&commands.iter().flat_map(|command| common::encode(&words(command))).collect::<Vec<_>>());
        assert_eq!(client.read(), Value::Integer(1));
        assert_eq!(texts(&client.read()), ["mine", "a"]);
        world.expect_waiting(1);
        world.act("SET other written");
        world.act("RPUSH j x");
        assert_eq!(texts(&client.read()), ["j", "x"], "{shards} shards");
        assert_eq!(client.read().text(), "written");
        assert_eq!(client.read(), Value::Integer(1));
        assert_eq!(texts(&client.read()), ["k", "later"]);
    }
}

#[test]
fn the_events_are_those_of_the_commands_that_do_not_wait() {
    for shards in placements() {
        let mut world = World::new(&shards);
        let mut pop = world.wait("BRPOP {k}a 0");
        let mut shift = world.wait("BLMOVE {k}a {k}b LEFT RIGHT 0");
        world.act("RPUSH {k}a 1 2");
        let _ = (pop.read(), shift.read());
        let rows = world.act("CDCPOLL 0 100");
        let rows: Vec<Vec<String>> =
            rows.values().iter().map(|row| texts(&Value::Array(row.values()[1..4].to_vec()))).collect();
        let wanted = [
            ["{k}a", "RPUSH", "1"],
            ["{k}a", "RPUSH", "2"],
            ["{k}a", "RPOP", "2"],
            ["{k}b", "RPUSH", "1"],
            ["{k}a", "LPOP", "1"],
        ];
        assert_eq!(rows, wanted, "{shards} shards");
    }
}

#[test]
fn a_user_who_may_not_any_more_waits_no_longer() {
    for shards in placements() {
        let mut world = World::new(&shards);
        for keys in ["k", "k j i h"] {
            world.act("ACL SETUSER anna on nopass ~* +@all");
            let mut client = world.server.client();
            line(&mut client, "AUTH anna x");
            let mut client = world.wait_on(client, &format!("BLPOP {keys} 0"));
            world.act("ACL SETUSER anna resetkeys ~other");
            let error = client.read().error().to_owned();
            assert!(error.starts_with("NOPERM access-revoked"), "{shards} shards: {error}");
            world.expect_waiting(0);
            world.act("RPUSH k x");
            assert_eq!(world.act("LPOP k").text(), "x");
        }
    }
}

#[test]
fn waits_have_limits_for_one_client_and_for_all() {
    for shards in placements() {
        let mut world = World::with(&[
            "--shards",
            &shards,
            "--ring-bytes",
            "1m",
            "--waits-bytes",
            "64k",
            "--waiting-keys-per-client",
            "5",
        ]);
        let text = "ERR the command waits for 6 keys, the limit is 5 (--waiting-keys-per-client)";
        assert_eq!(world.act("BLPOP a b c d e f 0").error(), text);
        let long = "x".repeat(10_000);
        let text = "ERR this would exceed the limit waits-bytes of 16384 bytes for one client";
        assert_eq!(world.act(&format!("BLPOP {long} 0")).error(), text, "{shards} shards");
        // It need not wait.
        world.act(&format!("RPUSH {long} x"));
        assert_eq!(world.act(&format!("BLPOP {long} 0")).values().len(), 2);
        let mut clients = Vec::new();
        let refused = loop {
            let mut client = world.server.client();
            client.send(&words("BLPOP a b c d e 0"));
            clients.push(client);
            let mut is_full = false;
            let count = clients.len() as u64;
            eventually("it waits, or is refused", || {
                is_full = figure(&mut world.actor, "over_limit_refused_total") > 1;
                is_full || figure(&mut world.actor, "blocked_clients") == count
            });
            if is_full {
                break clients.pop().expect("the last one").read().error().to_owned();
            }
        };
        assert_eq!(refused, "ERR this would exceed the limit waits-bytes of 65536 bytes for all clients together");
        drop(clients);
        world.expect_waiting(0);
        assert_eq!(figure(&mut world.actor, "waits_bytes"), 0);
    }
}
