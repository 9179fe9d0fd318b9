//! Reads that wait: nobody is looked at for what he does not want, and nobody misses what he wants.

mod common;

use common::{Client, Server, Value, eventually};
use std::net::Shutdown;

/// One, two, three and eight shards, or what `KEYTIDE_TEST_SHARDS` says.
fn placements() -> Vec<String> {
    let named = std::env::var("KEYTIDE_TEST_SHARDS");
    named.map_or(["1", "2", "3", "8"].map(str::to_owned).to_vec(), |shards| vec![shards])
}

fn start(shards: &str, ring_bytes: &str) -> Server {
    Server::start(&["--shards", shards, "--ring-bytes", ring_bytes])
}

fn figure(client: &mut Client, name: &str) -> u64 {
    let text = client.call(&["info", "everything"]).text();
    let row = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    row.expect("INFO has it").trim().parse().expect("a number")
}

/// Sends commands in one write and reads their replies.
fn pipeline(client: &mut Client, commands: &[Vec<String>]) -> Vec<Value> {
    client.send_raw(&commands.iter().flat_map(|words| common::encode(words)).collect::<Vec<_>>());
    commands.iter().map(|_| client.read()).collect()
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn sets(count: usize) -> Vec<Vec<String>> {
    (0..count).map(|n| words(&format!("SET user:{n} {n}"))).collect()
}

/// The members of a CDC.READ's reply, in RESP2: `gap`, `next_seq`, and the keys of the events.
fn page(reply: &Value) -> (u64, u64, Vec<String>) {
    let fields = reply.values();
    let field = |name: &str| {
        let pair = fields.chunks(2).find(|pair| pair[0].text() == name);
        &pair.expect("it is there")[1]
    };
    let keys = field("events").values().iter().map(|row| row.values()[1].text()).collect();
    (field("gap").integer(), field("next_seq").integer(), keys)
}

#[test]
fn nobody_is_looked_at_for_what_he_does_not_want() {
    for shards in placements() {
        let server = start(&shards, "1m");
        let mut writer = server.client();
        let mut readers = Vec::new();
        for n in 0..60 {
            let mut reader = server.client();
            reader.send(&words(&match n % 3 {
                0 => "CDC.READ END PREFIX 1 nobody: BLOCK 0".to_owned(),
                1 => format!("CDC.READ END MATCH nobody:{}* BLOCK 0", n % 2),
                _ => "CDC.READ END REGEX ^nobody:[a-z0-9]+$ BLOCK 600000".to_owned(),
            }));
            readers.push(reader);
        }
        let mut workers = Vec::new();
        for n in 0..40 {
            let group = format!("g{}", n % 4);
            let _ = writer.call(&words(&format!("CDC.GROUP CREATE nobody:* {group} $")));
            let mut worker = server.client();
            worker.send(&words(&format!("CDC.GROUP READ nobody:* {group} w{n} 10 BLOCK 0")));
            workers.push(worker);
        }
        eventually("all of them wait", || figure(&mut writer, "blocked_clients") == 100);
        // What is on its way when they begin to wait may let them look once more, and not again.
        let mut looks = u64::MAX;
        eventually("they rest", || {
            pipeline(&mut writer, &sets(50));
            let before = std::mem::replace(&mut looks, figure(&mut writer, "blocked_looks_total"));
            before == looks
        });
        // More than the rings hold.
        for _ in 0..40 {
            pipeline(&mut writer, &sets(1_000));
        }
        assert_eq!(figure(&mut writer, "blocked_looks_total"), looks, "{shards} shards");
        assert_eq!(figure(&mut writer, "blocked_clients"), 100);
        pipeline(&mut writer, &[words("MSET nobody:0 a nobody:1 b")]);
        for reader in &mut readers {
            let (gap, _, keys) = page(&reader.read());
            assert!(
                gap == 0 && keys.iter().all(|key| key.starts_with("nobody:")) && !keys.is_empty(),
                "{gap} {keys:?}"
            );
        }
        // Two events for each group, and what had gone by was no loss.
        let mut rows = 0;
        for group in 0..4 {
            let name = format!("g{group}");
            let mut given = 0;
            eventually("both events are given", || {
                given = writer.call(&words(&format!("CDC.PENDING nobody:* {name}"))).values().len();
                given == 2
            });
            rows += given;
        }
        drop(workers);
        assert_eq!(rows, 8);
        eventually("nobody waits any more", || figure(&mut writer, "blocked_clients") == 0);
    }
}

#[test]
fn no_event_is_missed_between_reading_and_waiting() {
    const READERS: usize = 12;
    const EVENTS: usize = 40;
    for shards in placements() {
        let server = start(&shards, "8m");
        std::thread::scope(|scope| {
            for reader in 0..READERS {
                let mut client = server.client();
                scope.spawn(move || {
                    let filter = match reader % 4 {
                        0 => format!("PREFIX 1 r{reader}:"),
                        1 => format!("MATCH r{reader}:*"),
                        2 => format!("REGEX ^r{reader}:"),
                        _ => format!("ON STREAM REGEX r{reader}:.*$"),
                    };
                    let (mut cursor, mut seen) = (0, Vec::new());
                    while seen.len() < EVENTS {
                        let line = format!("CDC.READ {cursor} COUNT 2 {filter} BLOCK 0");
                        let (gap, next, keys) = page(&client.call(&words(&line)));
                        assert_eq!(gap, 0);
                        (cursor, seen) = (next, [seen, keys].concat());
                    }
                    // One writer writes all of a reader's, in order.
                    let wanted: Vec<_> = (0..EVENTS).map(|n| format!("r{reader}:{n}")).collect();
                    assert_eq!(seen, wanted);
                });
            }
            for writer in 0..4 {
                let mut client = server.client();
                scope.spawn(move || {
                    for n in 0..EVENTS {
                        for reader in (0..READERS).filter(|reader| reader % 4 == writer) {
                            client.call(&words(&format!("SET r{reader}:{n} v")));
                            client.call(&words(&format!("SET other{n} v")));
                        }
                    }
                });
            }
        });
    }
}

#[test]
fn workers_that_wait_get_every_event_once_and_what_is_given_back_too() {
    const WORKERS: usize = 10;
    const EVENTS: usize = 200;
    for shards in placements() {
        let server = start(&shards, "8m");
        let mut client = server.client();
        assert_eq!(client.call(&words("CDC.GROUP CREATE job:* g $ IDLE 3600000")).text(), "OK");
        let mut seen = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS)
                .map(|worker| {
                    let mut client = server.client();
                    scope.spawn(move || {
                        let (mut seen, mut refused) = (Vec::new(), false);
                        loop {
                            let line = format!("CDC.GROUP READ job:* g w{worker} 1 BLOCK 0");
                            let reply = client.call(&words(&line));
                            let Value::Array(rows) = &reply else { break };
                            let row = rows[0].values();
                            let (position, key) = (row[0].integer(), row[1].text());
                            // Each gives its first one back: somebody gets it again.
                            let gives_back = !std::mem::replace(&mut refused, true);
                            let line = match gives_back {
                                true => format!("CDC.NACK job:* g RETRY {position}"),
                                false => format!("CDC.ACK job:* g {position}"),
                            };
                            assert_eq!(client.call(&words(&line)).integer(), 1);
                            if !gives_back {
                                seen.push(key);
                            }
                        }
                        seen
                    })
                })
                .collect();
            for writer in 0..2 {
                let mut client = server.client();
                scope.spawn(move || {
                    for n in (0..EVENTS).filter(|n| n % 2 == writer) {
                        client.call(&words(&format!("SET job:{n} v")));
                        client.call(&words(&format!("SET other:{n} v")));
                    }
                });
            }
            let done = |client: &mut Client| {
                let info = client.call(&words("CDC.GROUP INFO job:* g"));
                let of = |name: &str| {
                    let pair = info.values().chunks(2).find(|pair| pair[0].text() == name);
                    pair.expect("it is there")[1].integer()
                };
                of("acknowledged") == EVENTS as u64 && of("pending") == 0
            };
            eventually("all is worked off", || done(&mut client));
            eventually("all workers wait", || figure(&mut client, "blocked_clients") == WORKERS as u64);
            // All who wait for a group that goes are told.
            assert_eq!(client.call(&words("CDC.GROUP DESTROY job:* g")).integer(), 1);
            workers.into_iter().flat_map(|worker| worker.join().expect("no worker fails")).collect::<Vec<_>>()
        });
        seen.sort_unstable();
        let mut wanted: Vec<_> = (0..EVENTS).map(|n| format!("job:{n}")).collect();
        wanted.sort_unstable();
        assert_eq!(seen, wanted, "{shards} shards");
    }
}

#[test]
fn a_group_that_had_no_room_goes_on_when_it_has() {
    for shards in placements() {
        let server = start(&shards, "1m");
        let mut client = server.client();
        client.call(&words("CDC.GROUP CREATE job:* g $ MAXPENDING 1"));
        pipeline(&mut client, &[words("SET job:1 v"), words("SET job:2 v")]);
        let first = client.call(&words("CDC.GROUP READ job:* g a 10"));
        let (position, key) = (first.values()[0].values()[0].integer(), first.values()[0].values()[1].text());
        let other = if key == "job:1" { "job:2" } else { "job:1" };
        let mut worker = server.client();
        worker.send(&words("CDC.GROUP READ job:* g b 10 BLOCK 0"));
        eventually("it waits", || figure(&mut client, "blocked_clients") == 1);
        pipeline(&mut client, &sets(100));
        assert_eq!(client.call(&words(&format!("CDC.ACK job:* g {position}"))).integer(), 1);
        assert_eq!(worker.read().values()[0].values()[1].text(), other);
        // An entry that is due again comes although nothing else happens.
        client.call(&words("CDC.GROUP CREATE due:* g $ IDLE 100"));
        client.call(&words("SET due:1 v"));
        assert_eq!(client.call(&words("CDC.GROUP READ due:* g a 10")).values().len(), 1);
        let again = worker.call(&words("CDC.GROUP READ due:* g b 10 BLOCK 0"));
        assert_eq!(again.values()[0].values()[1].text(), "due:1");
    }
}

#[test]
fn a_flush_passes_every_filter_and_a_deadline_ends_every_wait() {
    for shards in placements() {
        let server = start(&shards, "1m");
        let mut client = server.client();
        let mut readers: Vec<_> = (0..9).map(|_| server.client()).collect();
        for (n, reader) in readers.iter_mut().enumerate() {
            reader.send(&words(["CDC.READ END PREFIX 1 x BLOCK 0", "CDC.READ END REGEX ^x BLOCK 0"][n % 2]));
        }
        eventually("they wait", || figure(&mut client, "blocked_clients") == 9);
        client.call(&["flushall"]);
        for reader in &mut readers {
            assert_eq!(page(&reader.read()).2, [""]);
        }
        for reader in &mut readers {
            reader.send(&words("CDC.READ END PREFIX 1 x BLOCK 50"));
        }
        for reader in &mut readers {
            let (gap, next, keys) = page(&reader.read());
            assert!(gap == 0 && keys.is_empty() && next > 0);
        }
    }
}

#[test]
fn many_who_hang_up_are_let_go() {
    for shards in placements() {
        let server = start(&shards, "1m");
        let mut client = server.client();
        client.call(&words("CDC.GROUP CREATE * g $"));
        let mut readers: Vec<_> = (0..300).map(|_| server.client()).collect();
        for (n, reader) in readers.iter_mut().enumerate() {
            let line = ["CDC.READ END PREFIX 1 x BLOCK 0", "CDC.GROUP READ * g w 1 BLOCK 0"][n % 2];
            reader.send(&words(line));
        }
        eventually("they wait", || figure(&mut client, "blocked_clients") == 300);
        let (closed, half) = readers.split_at_mut(150);
        for reader in half.iter() {
            reader.stream().shutdown(Shutdown::Write).expect("it is connected");
        }
        for reader in closed.iter() {
            reader.stream().shutdown(Shutdown::Both).expect("it is connected");
        }
        half.iter_mut().for_each(|reader| assert!(reader.is_closed()));
        eventually("nobody waits, or is connected", || {
            figure(&mut client, "blocked_clients") == 0 && figure(&mut client, "connected_clients") == 1
        });
    }
}

/// A regex that costs the shards too much is looked for in the history: whoever waits for it is answered all the same.
#[test]
fn whoever_waits_for_what_costs_too_much_is_answered() {
    let server = start(&common::shards(), "8m");
    let mut client = server.client();
    let mut reader = server.client();
    // Names so long that the regex is not matched against them on the shards.
    let regex = format!("x{}y", "(?:a?b?c?d?e?f?g?h?){200}");
    reader.send(&["CDC.READ", "END", "REGEX", &regex, "BLOCK", "0"]);
    eventually("it waits", || figure(&mut client, "blocked_clients") == 1);
    for n in 0..200 {
        client.call(&["SET", &format!("x{}{n}", "abcdefgh".repeat(12)), "v"]);
    }
    client.call(&["SET", "xabcy", "v"]);
    assert_eq!(page(&reader.read()).2, ["xabcy"]);
}
