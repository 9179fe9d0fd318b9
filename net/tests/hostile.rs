//! Clients that do harm, by mistake or on purpose: they get an error or a close, and others are served meanwhile.

mod common;

use common::{Client, Server, Value, encode, eventually, numbers_of_shards};
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// Asserts that somebody else is served.
fn probe(server: &Server) {
    assert_eq!(server.client().call(&["ping"]).text(), "PONG");
}

#[test]
fn lengths_that_cannot_be_are_refused() {
    let server = Server::small();
    for (bytes, text) in [
        (&b"*9223372036854775808\r\n"[..], "ERR Protocol error: invalid multibulk length"),
        (b"*2147483648\r\n", "ERR Protocol error: invalid multibulk length"),
        (b"*1\r\n$9223372036854775808\r\n", "ERR Protocol error: invalid bulk length"),
        (b"*1\r\n$-5\r\n", "ERR Protocol error: invalid bulk length"),
        (b"*1\r\n$18446744073709551615\r\n", "ERR Protocol error: invalid bulk length"),
        (b"*1\r\n*1\r\n$4\r\nping\r\n", "ERR Protocol error: expected '$', got '*'"),
        (b"*1\r\n:1\r\n", "ERR Protocol error: expected '$', got ':'"),
    ] {
        let mut client = server.client();
        client.send_raw(bytes);
        assert_eq!(client.read().error(), text, "{}", bytes.escape_ascii());
        assert!(client.is_closed());
        probe(&server);
    }
    // No commands, and no errors either.
    let mut client = server.client();
    client.send_raw(b"*-1\r\n*0\r\n\r\n*-9223372036854775808\r\n");
    assert_eq!(client.call(&["ping"]).text(), "PONG");
}

#[test]
fn a_command_cut_anywhere_leaves_the_server_well() {
    let server = Server::small();
    let command = encode(&["set", "key", "value"]);
    for cut in 0..command.len() {
        let mut client = server.client();
        client.send_raw(&command[..cut]);
        drop(client);
    }
    probe(&server);
    assert_eq!(server.cli(&["exists", "key"]), "0");
    let mut client = server.client();
    for byte in &command {
        client.send_raw(&[*byte]);
    }
    assert_eq!(client.read().text(), "OK");
}

#[test]
fn a_million_tiny_arguments_are_one_command() {
    let server = Server::start(&["--ring-bytes", "1m"]);
    let words: Vec<&[u8]> = std::iter::once(&b"exists"[..]).chain(std::iter::repeat_n(&b"k"[..], 1_000_000)).collect();
    let mut client = server.client();
    client.send(&words);
    assert_eq!(client.read(), Value::Integer(0));
    probe(&server);
}

/// Writes as much as the server takes, and reads nothing.
fn flood(stream: &TcpStream, bytes: &[u8], bytes_max: usize) -> usize {
    stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a timeout above 0");
    let (mut stream, mut sent) = (stream, 0);
    while sent < bytes_max {
        match stream.write(bytes) {
            Ok(count) => sent += count,
            // The server has stopped reading, as it should.
            Err(_) => break,
        }
    }
    sent
}

#[test]
fn a_long_command_behind_one_that_waits_arrives() {
    for spin in ["0", "50"] {
        let server = Server::start(&["--ring-bytes", "32m", "--spin-us", spin]);
        let gets: Vec<u8> = (0..300).flat_map(|n| encode(&["get", &format!("key:{n}")])).collect();
        let waiting = [encode(&["flushall"]), encode(&["cdc.read", "0", "count", "1"]), gets];
        for before in waiting.iter().cycle().take(9) {
            let mut client = server.client();
            let value = "x".repeat(2_000_000);
            client.send_raw(&[before.clone(), encode(&["set", "big", &value]), encode(&["ping"])].concat());
            let mut replies = std::iter::from_fn(|| Some(client.read()));
            assert!(replies.any(|reply| reply == Value::Simple("PONG".into())));
        }
    }
}

/// The head of a command whose last argument is of so many bytes, and that argument with its line end.
fn in_two(words: &[&str], bytes: usize) -> (Vec<u8>, Vec<u8>) {
    let last = "x".repeat(bytes);
    let whole = encode(&[words, &[&last]].concat());
    let head = whole.len() - bytes - 2;
    (whole[..head].to_vec(), whole[head..].to_vec())
}

#[test]
fn what_is_too_long_for_its_command_is_refused_when_it_is_announced_and_not_kept() {
    for shards in &numbers_of_shards() {
        let server = Server::start(&["--shards", shards, "--ring-bytes", "1m"]);
        let mut asks = server.client();
        for (words, text) in [
            (&["set", "a"][..], "bytes that one command may record; raise --ring-bytes"),
            (&["set", "b"], "bytes that one command may record; raise --ring-bytes"),
            (&["append", "c"], "bytes that one command may record; raise --ring-bytes"),
            (&["mset", "a", "1", "b"], "bytes that one command may record; raise --ring-bytes"),
            (&["cdc.append", "stream", "type"], "bytes that one command may record; raise --ring-bytes"),
            (&["scan", "0", "match"], "ERR pattern of 3000000 bytes exceeds the limit of 65536 bytes"),
            (&["keys"], "ERR pattern of 3000000 bytes exceeds the limit of 65536 bytes"),
            (&["cdc.read", "0", "match"], "ERR pattern of 3000000 bytes exceeds the limit of 65536 bytes"),
            (&["cdc.group", "create"], "ERR pattern of 3000000 bytes exceeds the limit of 65536 bytes"),
            (&["cdc.subscribe", "$all", "match"], "ERR pattern of 3000000 bytes exceeds the limit of 65536 bytes"),
            (&["cdc.subscribe"], "ERR name of 3000000 bytes exceeds the limit of 262144 bytes"),
        ] {
            let mut client = server.client();
            let (head, rest) = in_two(words, 3_000_000);
            client.send_raw(&[encode(&["ping"]), head].concat());
            assert_eq!(client.read().text(), "PONG");
            assert!(client.read().error().ends_with(text), "{words:?}");
            client.send_raw(&rest[..2_000_000]);
            // A little may wait for its turn.
            eventually("nothing is kept", || asks.call(&["info"]).text().contains("\r\ninput_bytes:0\r\n"));
            // What follows is served.
            client.send_raw(&[&rest[2_000_000..], &encode(&["get", "a"])].concat());
            assert_eq!(client.read(), Value::Nil, "{words:?}");
            client.send_raw(&[encode(&["multi"]), in_two(words, 3_000_000).0].concat());
            assert_eq!(client.read().text(), "OK");
            assert!(client.read().error().ends_with(text), "{words:?}");
            client.send_raw(&[rest, encode(&["exec"])].concat());
            assert!(client.read().error().starts_with("EXECABORT"), "{words:?}");
        }
        // There may be more behind it, also of the same kind.
        let mut client = server.client();
        let long = "x".repeat(2_000_000);
        let commands = [&["set", "a", &long, "ex", "100"][..], &["mset", &long, &long, "a", &long], &["dbsize"]];
        client.send_raw(&commands.map(encode).concat());
        assert!(client.read().error().starts_with("ERR change of"));
        assert!(client.read().error().starts_with("ERR change of"));
        assert_eq!(client.read(), Value::Integer(0));
    }
}

#[test]
fn input_of_many_megabytes_arrives_and_its_memory_is_given_back() {
    let server = Server::start(&["--shards", "2", "--ring-bytes", "1m", "--heap-bytes", "0"]);
    let mut client = server.client();
    let before = server.resident_bytes();
    let (head, rest) = in_two(&["ECHO"], 70_000_000);
    for cut in [1, 10_000_000, 69_999_999] {
        client.send_raw(&[encode(&["ping"]), head.clone()].concat());
        assert_eq!(client.read().text(), "PONG");
        client.send_raw(&rest[..cut]);
        client.send_raw(&[&rest[cut..], &encode(&["ping"])].concat());
        assert!(client.read().text().as_bytes() == &rest[..70_000_000], "the same comes back");
        assert_eq!(client.read().text(), "PONG");
    }
    eventually("the memory is given back", || server.resident_bytes() < before + (32 << 20));
    // Of one that goes before all has come as well.
    client.send_raw(&[head, rest[..60_000_000].to_vec()].concat());
    eventually("it is kept", || server.resident_bytes() > before + (50 << 20));
    drop(client);
    eventually("the memory is given back", || server.resident_bytes() < before + (32 << 20));
}

#[test]
fn what_follows_the_end_of_a_login_is_a_strangers() {
    let server = Server::start(&["--shards", "1", "--ring-bytes", "1m", "--requirepass", "secret"]);
    let mut client = server.client();
    let many: Vec<String> = (0..20).map(|n| format!("key:{n}")).collect();
    let many: Vec<&str> = std::iter::once("del").chain(many.iter().map(String::as_str)).collect();
    client.send_raw(&[encode(&["auth", "secret"]), encode(&many), encode(&["reset"]), encode(&many)].concat());
    assert_eq!(client.read().text(), "OK");
    assert_eq!(client.read(), Value::Integer(0));
    assert_eq!(client.read().text(), "RESET");
    assert_eq!(client.read().error(), "ERR Protocol error: unauthenticated multibulk length");
    assert!(client.is_closed());
}

#[test]
fn who_never_reads_costs_no_more_than_a_bounded_amount() {
    for shards in &numbers_of_shards() {
        let flags = ["--shards", shards, "--ring-bytes", "1m", "--client-output-bytes", "4m"];
        let server = Server::start(&flags);
        let mut client = server.client();
        // On two shards one of these is elsewhere.
        for key in ["a", "b", "c"] {
            assert_eq!(client.call(&["set", key, &"x".repeat(100_000)]).text(), "OK");
        }
        let before = server.resident_bytes();
        let requests: Vec<u8> = (0..1000).flat_map(|number| encode(&["get", ["a", "b", "c"][number % 3]])).collect();
        let sent = flood(client.stream(), &requests, 64 << 20);
        let grown = server.resident_bytes().saturating_sub(before);
        assert!(sent < 64 << 20, "the server read all of {sent} bytes");
        assert!(grown < 64 << 20, "{shards} shards: {grown} bytes for a client that never reads");
        probe(&server);
    }
}

#[test]
fn a_thousand_comings_and_goings_leave_nothing_open() {
    let server = Server::start(&["--ring-bytes", "1m"]);
    probe(&server);
    eventually("the probe is gone", || server.cli(&["client", "list"]).lines().count() == 1);
    let before = server.descriptors();
    for number in 0..1000 {
        let mut client = server.client();
        match number % 3 {
            0 => drop(client),
            1 => client.send(&["ping"]),
            _ => assert_eq!(client.call(&["ping"]).text(), "PONG"),
        }
    }
    eventually("all descriptors are given back", || server.descriptors() <= before);
    probe(&server);
}

#[test]
fn idle_connections_cost_others_nothing() {
    let server = Server::small();
    let idle: Vec<Client> = (0..200).map(|_| server.client()).collect();
    probe(&server);
    let mut half = server.client();
    half.send_raw(b"*2\r\n$3\r\nget\r\n$1");
    probe(&server);
    drop(idle);
    half.send_raw(b"\r\nk\r\n");
    assert_eq!(half.read(), Value::Nil);
}

#[test]
fn who_has_ended_its_side_still_gets_its_replies() {
    let server = Server::start(&["--ring-bytes", "1m"]);
    let mut client = server.client();
    let mut batch = Vec::new();
    for number in 0..200 {
        batch.extend(encode(&["set", &format!("k{number}"), "v"]));
    }
    client.send_raw(&batch);
    client.stream().shutdown(Shutdown::Write).expect("it is connected");
    (0..200).for_each(|_| assert_eq!(client.read().text(), "OK"));
    assert!(client.is_closed());
    probe(&server);
}

#[test]
fn long_keys_deleted_in_one_batch_from_another_core_find_room_in_its_ring() {
    let server = Server::start(&["--ring-bytes", "64k"]);
    let mut client = server.client();
    // As long as a SET of them may be, so that a few records fill what a turn may hold; of both shards, so that half
    // of the commands cross.
    let keys: Vec<String> = (0..60).map(|n| format!("{n}{}", "k".repeat(8_000))).collect();
    for _ in 0..5 {
        for key in &keys {
            assert_eq!(client.call(&["SET", key, ""]).text(), "OK");
        }
        client.send_raw(&keys.iter().flat_map(|key| encode(&["GETDEL", key])).collect::<Vec<u8>>());
        keys.iter().for_each(|_| assert_eq!(client.read().text(), ""));
    }
}
