//! Output that clients do not take: a client that reads late gets everything, one that never reads costs a bounded amount
//! and is closed in the end, and the memory goes back.

mod common;

use common::{Client, Server, Value, encode, eventually};
use keytide_engine::slot::shard_of;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;

/// One that takes no memory of its own beside its rings.
fn server(shards: u16, flags: &[&str]) -> Server {
    Server::start(&[&["--shards", &shards.to_string(), "--ring-bytes", "16m"], flags].concat())
}

fn numbers_of_shards() -> Vec<u16> {
    common::numbers_of_shards().iter().map(|shards| shards.parse().expect("a number of shards")).collect()
}

/// A key of each shard.
fn a_key_each(shards: u16) -> Vec<String> {
    let key = |shard| (0..).map(|n| format!("k{n}")).find(|key| shard_of(key.as_bytes(), shards).0 == shard);
    (0..shards).map(|shard| key(shard).expect("each shard has its part of all keys")).collect()
}

fn figure(server: &Server, field: &str) -> u64 {
    let info = server.client().call(&["info"]).text();
    let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("{field} is not in {info}"))
}

/// Sends as much of this as the server takes within a while, and reads nothing.
fn send_what_goes(client: &mut Client, bytes: &[u8]) {
    let mut stream = client.stream();
    stream.set_write_timeout(Some(Duration::from_millis(300))).expect("a timeout above 0");
    let mut left = bytes;
    while !left.is_empty() {
        match stream.write(left) {
            Ok(count) => left = &left[count..],
            Err(_) => return,
        }
    }
}

/// Waits until a server's memory has not grown for a while; answers it.
fn settled_bytes(server: &Server) -> u64 {
    let mut last = server.resident_bytes();
    for _ in 0..50 {
        std::thread::sleep(Duration::from_millis(200));
        let now = server.resident_bytes();
        if now <= last + MIB {
            return now;
        }
        last = now;
    }
    panic!("it goes on growing: {last} bytes");
}

/// Clients may write all before they read anything: the replies of some 30 MB are kept, whichever shards they are of.
#[test]
fn a_client_that_writes_all_and_then_reads_gets_everything_in_order() {
    for shards in numbers_of_shards() {
        let server = server(shards, &[]);
        let keys = a_key_each(shards);
        let mut client = server.client();
        let value = |n: usize| format!("{n}:{}", "x".repeat(1_000));
        for (n, key) in keys.iter().enumerate() {
            assert_eq!(client.call(&["set", key, &value(n)]).text(), "OK");
        }
        let all: Vec<u8> = (0..30_000).flat_map(|n| encode(&["get", &keys[n % keys.len()]])).collect();
        client.send_raw(&all);
        client.stream().shutdown(Shutdown::Write).expect("it is connected");
        for n in 0..30_000 {
            assert_eq!(client.read().text(), value(n % keys.len()), "{shards} shards, reply {n}");
        }
        assert!(client.is_closed());
    }
}

/// Whatever makes the replies: this shard, others, all of them together, a transaction.
#[test]
fn who_never_reads_costs_its_limit_and_no_more() {
    for shards in numbers_of_shards() {
        let server = server(shards, &["--client-output-bytes", "4m"]);
        let keys = a_key_each(shards);
        let mut client = server.client();
        // One of each of 8 shards are less than the limit: a transaction whose reply is larger is closed, not stalled.
        for key in &keys {
            assert_eq!(client.call(&["set", key, &"x".repeat(500_000)]).text(), "OK");
        }
        let mget: Vec<&str> = std::iter::once("mget").chain(keys.iter().map(String::as_str)).collect();
        let kinds: Vec<Vec<u8>> = [
            keys.iter().flat_map(|key| encode(&["get", key])).collect(),
            encode(&["get", &keys[0]]),
            encode(&["get", &keys[keys.len() - 1]]),
            encode(&mget),
            [encode(&["multi"]), encode(&mget), encode(&["exec"])].concat(),
        ]
        .to_vec();
        let before = server.resident_bytes();
        for kind in kinds {
            // More than a connection's sockets hold, and not more than is received.
            let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
            clients.iter_mut().for_each(|client| send_what_goes(client, &kind.repeat(500)));
            let grown = settled_bytes(&server).saturating_sub(before);
            // Each has its limit, one reply beyond, which is one of each shard, and what is still between the cores.
            let bound = 4 * (4 + 4 * u64::from(shards)) * MIB + 64 * MIB;
            assert!(grown < bound, "{shards} shards: {grown} bytes");
            eventually("all of them are stalled", || figure(&server, "clients_stalled_by_output") == 4);
            assert_eq!(client.call(&["ping"]).text(), "PONG");
            drop(clients);
            eventually("nothing is unread", || figure(&server, "client_output_bytes") < 64 << 10);
        }
        drop(client);
        eventually("the memory goes back", || server.resident_bytes() < before + 64 * MIB);
    }
}

/// Small replies train the window of commands on their way to another core; what comes then may be large.
#[test]
fn large_replies_after_many_small_ones_cost_no_more() {
    let server = server(2, &["--client-output-bytes", "4m"]);
    let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
    let values = ["x".repeat(1_000); 1].concat();
    for key in a_key_each(2) {
        for _ in 0..100 {
            let push: Vec<&str> = ["rpush", &key].into_iter().chain(std::iter::repeat_n(values.as_str(), 10)).collect();
            clients[0].call(&push);
        }
    }
    let before = settled_bytes(&server);
    for client in &mut clients {
        for key in a_key_each(2) {
            client.send_raw(&encode(&["llen", &key]).repeat(2_000));
            (0..2_000).for_each(|_| assert_eq!(client.read(), Value::Integer(1_000)));
        }
        let both: Vec<u8> = a_key_each(2).iter().flat_map(|key| encode(&["lrange", key, "0", "-1"])).collect();
        send_what_goes(client, &both.repeat(1_000));
    }
    let grown = settled_bytes(&server).saturating_sub(before);
    assert!(grown < 96 * MIB, "{grown} bytes");
    // They get all of it when they read.
    for mut client in clients {
        for _ in 0..200 {
            let Value::Array(rows) = client.read() else { panic!("a list is an array") };
            assert_eq!(rows.len(), 1_000);
        }
    }
}

/// Together they may leave less unread than each of them by itself.
#[test]
fn all_clients_together_have_a_limit_and_who_reads_goes_on() {
    for shards in numbers_of_shards() {
        let server = server(shards, &["--clients-output-bytes", "16m"]);
        let keys = a_key_each(shards);
        let mut client = server.client();
        for key in &keys {
            assert_eq!(client.call(&["set", key, &"x".repeat(50_000)]).text(), "OK");
        }
        let before = settled_bytes(&server);
        let gets: Vec<u8> = keys.iter().flat_map(|key| encode(&["get", key])).collect();
        let mut clients: Vec<Client> = (0..30).map(|_| server.client()).collect();
        clients.iter_mut().for_each(|client| send_what_goes(client, &gets.repeat(2_000)));
        let grown = settled_bytes(&server).saturating_sub(before);
        // Each may have a reply of each shard beyond, and what a turn adds; memory may be twice what is in it.
        let bound = 2 * (16 + 30 * (1 + u64::from(shards))) * MIB + 64 * MIB;
        assert!(grown < bound, "{shards} shards: {grown} bytes");
        // Others are served, and get replies of any size.
        for _ in 0..20 {
            for key in &keys {
                assert_eq!(client.call(&["get", key]).text().len(), 50_000);
            }
        }
        // Those who read at last get all that they have asked for.
        for mut reader in clients.into_iter().take(3) {
            (0..500).for_each(|_| assert_eq!(reader.read().text().len(), 50_000));
        }
    }
}

#[test]
fn who_takes_nothing_is_closed_and_counted_and_who_takes_little_is_not() {
    for shards in numbers_of_shards() {
        let server = server(shards, &["--client-output-bytes", "1m", "--output-stall-seconds", "3"]);
        let mut client = server.client();
        let keys = a_key_each(shards);
        for key in &keys {
            assert_eq!(client.call(&["set", key, &"x".repeat(100_000)]).text(), "OK");
        }
        let gets: Vec<u8> = keys.iter().flat_map(|key| encode(&["get", key])).collect();
        let (mut slow, mut idle) = (server.client(), server.client());
        send_what_goes(&mut slow, &gets.repeat(1_000));
        send_what_goes(&mut idle, &gets.repeat(1_000));
        let mut stream = slow.stream();
        stream.set_read_timeout(Some(Duration::from_millis(1))).expect("a timeout above 0");
        let (mut buffer, mut taken, end) = (vec![0; 1 << 20], 0, Instant::now() + common::PATIENCE);
        while figure(&server, "client_output_limit_disconnections") == 0 {
            assert!(Instant::now() < end, "nobody is closed");
            match stream.read(&mut buffer) {
                Ok(count) => taken += count,
                Err(error) => assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // What was on its way arrives, and then the end, or a reset.
        assert!(taken > 0);
        eventually("the idle one is gone", || figure(&server, "connected_clients") <= 3);
        stream.set_read_timeout(Some(common::PATIENCE)).expect("a timeout above 0");
        let all = 1_000 * keys.len() * (100_000 + "$100000\r\n\r\n".len());
        while taken < all {
            let count = stream.read(&mut buffer).expect("the slow one is served");
            assert!(count > 0, "it was closed after {taken} bytes");
            taken += count;
        }
        assert_eq!(figure(&server, "client_output_limit_disconnections"), 1);
    }
}

#[test]
fn a_transaction_whose_reply_is_too_large_ends_its_connection_and_is_done() {
    for shards in numbers_of_shards() {
        let server = server(shards, &["--client-output-bytes", "8m"]);
        let keys = a_key_each(shards);
        let mut client = server.client();
        assert_eq!(client.call(&["set", &keys[0], &"x".repeat(1_000_000)]).text(), "OK");
        // All of them on one shard, and over several.
        for (ended, last) in [&keys[0], &keys[keys.len() - 1]].into_iter().enumerate() {
            let mut other = server.client();
            let gets = encode(&["get", &keys[0]]).repeat(300);
            let end = [encode(&["append", last, "y"]), encode(&["incr", "done"]), encode(&["exec"])].concat();
            let before = server.resident_bytes();
            send_what_goes(&mut other, &[encode(&["multi"]), gets, end].concat());
            // Not by the number of clients alone: that is right too before the server has accepted it.
            let closed = || figure(&server, "client_output_limit_disconnections") == ended as u64 + 1;
            eventually("it is closed for its output", closed);
            eventually("it is gone", || figure(&server, "connected_clients") == 2);
            assert!(server.resident_bytes() < before + 96 * MIB);
        }
        assert_eq!(client.call(&["get", "done"]).text(), "2");
        assert_eq!(figure(&server, "client_output_limit_disconnections"), 2);
    }
}

#[test]
fn the_limits_are_shown_and_set_by_the_name_that_redis_has_for_them() {
    let server = server(1, &["--client-output-bytes", "1m", "--output-stall-seconds", "7"]);
    let mut client = server.client();
    let mut get = |name: &str| client.call(&["config", "get", name]).values()[1].text();
    let name = "client-output-buffer-limit";
    let pubsub = "pubsub 33554432 8388608 60";
    assert_eq!(get(name), format!("normal 1048576 1048576 7 slave 0 0 0 {pubsub}"));
    assert_eq!(server.cli(&["config", "set", name, "normal 0 2mb 5"]), "OK");
    assert_eq!(get(name), format!("normal 2097152 2097152 5 slave 0 0 0 {pubsub}"));
    assert_eq!((get("client-output-bytes"), get("output-stall-seconds")), ("2097152".into(), "5".into()));
    assert_eq!(server.cli(&["config", "set", name, "normal 0 0 0"]), "OK");
    assert_eq!(get(name), format!("normal 0 0 0 slave 0 0 0 {pubsub}"));
    assert_eq!(server.cli(&["config", "set", name, "pubsub 1mb 64kb 5"]), "OK");
    assert_eq!(get(name), "normal 0 0 0 slave 0 0 0 pubsub 1048576 65536 5");
    let refused = server.client().call(&["config", "set", name, "master 0 0 0"]);
    assert!(refused.error().ends_with("Invalid client class specified in buffer limit configuration."));
}
