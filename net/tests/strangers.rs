//! Clients that have not given the password: how long they may take, how much they may send and leave unread.
#![cfg(not(loom))]

mod common;

use common::{Client, Server, Value, encode, eventually};
use std::io::Write;

fn start(flags: &[&str]) -> (Server, Client) {
    let server = Server::start(&[&["--ring-bytes", "1m", "--requirepass", "secret"], flags].concat());
    // On a busy machine its time may be over before it is heard.
    for _ in 0..100 {
        let mut owner = server.client();
        owner.send(&["auth", "secret"]);
        if owner.try_read().is_ok_and(|reply| reply.text_or_error() == "OK") {
            return (server, owner);
        }
    }
    panic!("the owner is not let in");
}

fn info(client: &mut Client, name: &str) -> u64 {
    let text = client.call(&["info"]).text();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.expect("INFO has it").trim().parse().expect("it is a number")
}

#[test]
fn one_that_takes_too_long_is_closed_and_one_that_has_logged_in_is_not() {
    let (server, mut owner) = start(&["--auth-timeout", "1s"]);
    let mut strangers: Vec<_> = (0..8).map(|_| server.client()).collect();
    // It may well be busy without ever giving the password.
    let get = encode(&["get", "k"]);
    eventually("it is closed", || strangers[0].stream().write_all(&get).is_err() || strangers[0].try_read().is_err());
    assert!(strangers.iter_mut().all(Client::is_closed));
    eventually("they are counted out", || info(&mut owner, "unauthenticated_clients") == 0);
    assert!(info(&mut owner, "unauthenticated_too_slow_total") >= 8);
    assert_eq!(info(&mut owner, "connected_clients"), 1);
}

#[test]
fn none_is_closed_where_no_password_is_asked_or_no_time_is_set() {
    let server = Server::start(&["--ring-bytes", "1m", "--auth-timeout", "1s"]);
    let (patient, mut owner) = start(&["--auth-timeout", "0"]);
    let (mut client, mut stranger) = (server.client(), patient.client());
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    assert_eq!(client.call(&["ping"]).text(), "PONG");
    assert_eq!(stranger.call(&["auth", "secret"]).text(), "OK");
    assert_eq!(info(&mut owner, "unauthenticated_clients"), 0);
}

#[test]
fn whoever_logs_in_or_resets_is_counted_as_what_it_is_then() {
    let (server, mut owner) = start(&[]);
    let count = |owner: &mut Client| info(owner, "unauthenticated_clients");
    let mut other = server.client();
    eventually("it is counted", || count(&mut owner) == 1);
    assert_eq!(other.call(&["auth", "wrong"]).error(), "WRONGPASS invalid username-password pair or user is disabled.");
    assert_eq!(count(&mut owner), 1);
    other.send_raw(b"AUTH secret\r\n");
    assert_eq!(other.read().text(), "OK");
    assert_eq!(count(&mut owner), 0);
    assert_eq!(other.call(&["reset"]).text(), "RESET");
    assert_eq!(count(&mut owner), 1);
    assert!(matches!(other.call(&["hello", "2", "auth", "default", "secret"]), Value::Array(_)));
    assert_eq!(count(&mut owner), 0);
    assert_eq!(other.call(&["reset"]).text(), "RESET");
    drop(other);
    eventually("it is counted out", || count(&mut owner) == 0);
}

#[test]
fn one_that_sends_or_leaves_unread_too_much_is_closed() {
    let (server, mut owner) = start(&[]);
    // Within the bounds of each argument, and more than a login takes.
    let mut long = server.client();
    let words = vec![vec![b'x'; 16_000]; 9];
    let bytes = encode(&words);
    // It is closed while it sends.
    let _ = long.stream().write_all(&bytes[..bytes.len() - 2]);
    assert!(long.is_closed());
    // Replies that are not read.
    let mut deaf = server.client();
    let many = encode(&["get", "k"]).repeat(100_000);
    let _ = (0..100).try_for_each(|_| deaf.stream().write_all(&many));
    eventually("both are counted", || info(&mut owner, "unauthenticated_too_much_total") == 2);
    assert!(deaf.is_closed());
    // A login is followed by as much as anyone may send.
    let mut client = server.client();
    let value = "x".repeat(200_000);
    client.send_raw(&[encode(&["auth", "secret"]), encode(&["set", "k", &value])].concat());
    assert_eq!((client.read().text(), client.read().text()), ("OK".into(), "OK".into()));
    assert_eq!(owner.call(&["strlen", "k"]).integer(), 200_000);
}

#[test]
fn when_there_are_too_many_the_oldest_goes_and_those_who_may_have_their_places() {
    let (server, mut owner) = start(&["--unauthenticated-clients", "4", "--maxclients", "100"]);
    assert_eq!(owner.call(&["config", "get", "unauthenticated-clients"]).values()[1].text(), "4");
    let strangers: Vec<_> = (0..40).map(|_| server.client()).collect();
    eventually("some were not let in", || info(&mut owner, "unauthenticated_too_many_total") >= 36);
    assert!(info(&mut owner, "unauthenticated_clients") <= 4);
    // The four have their places until they have had a second.
    eventually("who gives the password gets one of them", || {
        let mut another = server.client();
        another.send(&["auth", "secret"]);
        another.try_read().is_ok_and(|reply| reply.text_or_error() == "OK")
    });
    drop(strangers);
}
