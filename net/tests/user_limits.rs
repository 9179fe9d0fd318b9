//! The limits of users over sockets: each is refused with its name and the remedy, counted, and touches no other user.

mod common;

use common::{Client, PATIENCE, Server, Value, eventually};
use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

fn call(client: &mut Client, line: &str) -> Value {
    client.call(&line.split(' ').collect::<Vec<_>>())
}

fn ok(client: &mut Client, line: &str) {
    assert_eq!(call(client, line), Value::Simple("OK".to_owned()), "{line}");
}

/// A server with the users anna and bert, who may do everything but have to log in, and these flags.
fn server(flags: &[&str]) -> Server {
    let users = ["--user", "anna on >pw ~* &* +@all -acl", "--user", "bert on >pw ~* &* +@all -acl"];
    Server::start(&[&["--ring-bytes", "1m"], &users[..], flags].concat())
}

fn log_in(server: &Server, user: &str) -> Client {
    let mut client = server.client();
    ok(&mut client, &format!("auth {user} pw"));
    client
}

/// A figure of INFO.
fn figure(client: &mut Client, name: &str) -> u64 {
    let info = call(client, "info stats").text();
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("{name} is a number in {info}"))
}

#[test]
fn an_address_whose_logins_fail_is_refused_also_with_the_right_password() {
    let server = server(&["--auth-failures", "3", "--auth-failures-window", "1d"]);
    let mut admin = server.client();
    let mut client = server.client();
    // What succeeds between does not count, and forgives nothing.
    for line in ["auth anna wrong", "hello 3 auth nobody x", "auth anna pw", "auth bert wrong"] {
        let reply = call(&mut client, line);
        assert_eq!(reply.text_or_error().starts_with("WRONGPASS"), !line.ends_with("pw"), "{line}: {reply:?}");
    }
    let wanted = "ERR too many logins from this address have failed, the limit auth-failures is 3: try again in ";
    for line in ["auth anna pw", "auth anna wrong", "hello 3 auth bert pw"] {
        let reply = call(&mut server.client(), line);
        assert!(reply.error().starts_with(wanted) && reply.error().ends_with("or raise it by CONFIG SET"), "{reply:?}");
    }
    assert_eq!(
        (figure(&mut admin, "auth_failures_refused_total"), figure(&mut admin, "acl_access_denied_auth")),
        (3, 3)
    );
    assert_eq!(
        call(&mut client, "acl whoami").text_or_error(),
        "NOPERM this user has no permissions to run the 'acl|whoami' command"
    );
    ok(&mut admin, "config set auth-failures 0");
    ok(&mut client, "auth bert pw");
    ok(&mut admin, "config resetstat");
    assert_eq!(figure(&mut admin, "auth_failures_refused_total"), 0);
}

#[test]
fn a_user_has_so_many_connections() {
    let server = server(&["--user-connections", "2"]);
    let mut admin = server.client();
    let (mut first, second) = (log_in(&server, "anna"), log_in(&server, "anna"));
    let text = "ERR this would exceed the limit user-connections of 2 connections for one user: close some, or raise it by \
                CONFIG SET";
    let mut third = server.client();
    assert_eq!(call(&mut third, "auth anna pw").error(), text);
    assert_eq!(call(&mut third, "hello 3 auth anna pw").error(), text);
    ok(&mut first, "auth anna pw");
    ok(&mut third, "auth bert pw");
    // The default user has two now, and needs no login: a third connection is closed with the error.
    let mut fourth = server.client();
    assert_eq!(call(&mut fourth, "ping").text(), "PONG");
    let mut fifth = server.client();
    assert_eq!((fifth.read().error(), fifth.is_closed()), (text, true));
    assert!(figure(&mut admin, "user_connections_refused_total") >= 3);
    drop(second);
    eventually("a closed connection frees its place", || {
        call(&mut third, "auth anna pw") == Value::Simple("OK".to_owned())
    });
    ok(&mut admin, "config set user-connections 0");
    let _many = [(); 5].map(|()| log_in(&server, "anna"));
}

#[test]
fn a_user_runs_so_many_commands_a_second() {
    let server = server(&["--user-commands", "1"]);
    let mut bert = log_in(&server, "bert");
    let mut annas = [log_in(&server, "anna"), log_in(&server, "anna")];
    let text = "ERR this would exceed the limit user-commands of 1 commands a second for one user: send fewer, or raise it by \
                CONFIG SET";
    for anna in &mut annas {
        anna.send_raw(&b"SET k v\r\n".repeat(10_000));
    }
    let (mut ran, mut refused) = (0, 0);
    for anna in &mut annas {
        for _ in 0..10_000 {
            match anna.read() {
                Value::Simple(_) => ran += 1,
                error => {
                    assert_eq!(error.error(), text);
                    refused += 1;
                }
            }
        }
    }
    assert!(ran >= 1 && refused > 19_000, "{ran} ran");
    eventually("another user has a second of its own", || call(&mut bert, "get k") == Value::Bulk(b"v".to_vec()));
    // A command that cannot be queued fails its transaction.
    eventually("it is refused in a transaction", || {
        call(&mut bert, "multi");
        (0..3).for_each(|_| _ = call(&mut bert, "set k w"));
        call(&mut bert, "exec").text_or_error().starts_with("EXECABORT")
    });
    // A login, and its end, are always possible.
    ok(&mut annas[0], "auth bert pw");
    assert_eq!(call(&mut annas[0], "reset").text(), "RESET");
    // What is no command counts too, and for who may do everything what changes the limit is always possible.
    annas[1].send_raw(&b"NOSUCH\r\n".repeat(100));
    let unknown = (0..100).filter(|_| annas[1].read().error().starts_with("ERR unknown command")).count();
    assert!(unknown < 50, "{unknown} of 100");
    let mut admin = server.client();
    (0..100).for_each(|_| _ = call(&mut admin, "ping"));
    ok(&mut admin, "config set user-commands 0");
    assert!(figure(&mut admin, "user_commands_refused_total") >= refused);
    annas[1].send_raw(&b"SET k v\r\n".repeat(10_000));
    (0..10_000).for_each(|_| assert_eq!(annas[1].read().text(), "OK"));
}

#[test]
fn a_user_has_so_many_subscriptions_and_bytes_of_them() {
    let server = server(&["--user-subscriptions", "2"]);
    let subscribe = |client: &mut Client, name: &str| {
        client.send(&["cdc.subscribe", name, "from", "end"]);
        loop {
            match client.read() {
                Value::Push(_) => {}
                reply => return reply,
            }
        }
    };
    let hello = |user: &str| {
        let mut client = server.client();
        assert!(!call(&mut client, &format!("hello 3 auth {user} pw")).values().is_empty());
        client
    };
    let (mut one, mut two, mut bert) = (hello("anna"), hello("anna"), hello("bert"));
    assert_eq!(subscribe(&mut one, "a"), Value::Integer(1));
    assert_eq!(subscribe(&mut two, "a"), Value::Integer(1));
    let text = "ERR this would exceed the limit user-subscriptions of 2 subscriptions for one user: end some, or raise it by \
                CONFIG SET";
    let mut third = hello("anna");
    assert_eq!(subscribe(&mut third, "b").error(), text);
    assert_eq!(subscribe(&mut bert, "a"), Value::Integer(1));
    // Who has made it has it, whoever the connection is afterwards; and a connection that ends gives it back.
    drop(two);
    eventually("an ended connection has none", || matches!(subscribe(&mut third, "b"), Value::Integer(_)));
    let mut admin = server.client();
    ok(&mut admin, "config set user-subscriptions 0 user-subscriptions-bytes 1k");
    let mut fourth = hello("anna");
    let error = subscribe(&mut fourth, "c").error().to_owned();
    assert!(
        error.starts_with("ERR this would exceed the limit user-subscriptions-bytes of 1024 bytes for one user"),
        "{error}"
    );
    assert!(figure(&mut admin, "user_subscriptions_refused_total") >= 1);
    assert_eq!(figure(&mut admin, "user_subscriptions_bytes_refused_total"), 1);
    ok(&mut admin, "config set user-subscriptions-bytes 0");
    assert!(matches!(subscribe(&mut fourth, "c"), Value::Integer(1)));
}

#[test]
fn a_user_creates_so_many_groups_on_all_cores_together() {
    let server = server(&["--user-groups", "8"]);
    let (mut anna, mut bert, mut admin) = (log_in(&server, "anna"), log_in(&server, "bert"), server.client());
    // Groups of different names are kept by different cores.
    for n in 0..8 {
        ok(&mut anna, &format!("cdc.group create * g{n} $"));
    }
    let text =
        "ERR this would exceed the limit user-groups of 8 groups for one user: destroy some, or raise it by CONFIG SET";
    for n in 8..16 {
        assert_eq!(call(&mut anna, &format!("cdc.group create * g{n} $")).error(), text);
        ok(&mut bert, &format!("cdc.group create * g{n} $"));
    }
    // Whoever destroys it, its creator has one less.
    assert_eq!(call(&mut admin, "cdc.group destroy * g3"), Value::Integer(1));
    ok(&mut anna, "cdc.group create * h $");
    assert_eq!(call(&mut anna, "cdc.group create * i $").error(), text);
    assert_eq!(figure(&mut admin, "user_groups_refused_total"), 9);
    ok(&mut admin, "config set user-groups 0 user-groups-bytes 1kb");
    let error = call(&mut anna, "cdc.group create * i $").error().to_owned();
    assert!(
        error.starts_with("ERR this would exceed the limit user-groups-bytes of 1024 bytes for one user"),
        "{error}"
    );
    // What a group has may grow no further either.
    let error = call(&mut bert, "cdc.group read * h consumer 1").error().to_owned();
    assert!(error.contains("user-groups-bytes"), "{error}");
    ok(&mut admin, "config set user-groups-bytes 0");
    ok(&mut anna, "cdc.group create * i $");
}

#[test]
fn groups_of_before_a_start_count_for_the_user_who_has_created_them() {
    let dir = common::scratch("user-groups");
    let flags = ["--user-groups", "4", "--dir", dir.to_str().expect("UTF-8")];
    let refused = |client: &mut Client, name: &str| {
        let error = call(client, &format!("cdc.group create * {name} $")).error().to_owned();
        assert!(error.contains("the limit user-groups of 4 groups for one user"), "{error}");
    };
    {
        let server = server(&flags);
        let (mut anna, mut bert) = (log_in(&server, "anna"), log_in(&server, "bert"));
        (0..4).for_each(|n| ok(&mut anna, &format!("cdc.group create * a{n} $")));
        ok(&mut bert, "cdc.group create * b $");
        refused(&mut anna, "more");
        // Dropping the server kills it.
    }
    for _ in 0..2 {
        let server = server(&flags);
        let (mut anna, mut bert, mut admin) = (log_in(&server, "anna"), log_in(&server, "bert"), server.client());
        refused(&mut anna, "more");
        assert_eq!(call(&mut admin, "cdc.group destroy * a1"), Value::Integer(1));
        ok(&mut anna, "cdc.group create * a1 $");
        refused(&mut anna, "more");
        (0..3).for_each(|n| ok(&mut bert, &format!("cdc.group create * c{n} $")));
        refused(&mut bert, "more");
        (0..3).for_each(|n| assert_eq!(call(&mut bert, &format!("cdc.group destroy * c{n}")), Value::Integer(1)));
        ok(&mut admin, "config set user-groups-bytes 1kb");
        assert!(call(&mut anna, "cdc.group read * a2 consumer 1").error().contains("user-groups-bytes"));
    }
    std::fs::remove_dir_all(dir).expect("nobody uses it any more");
}

#[test]
fn limits_are_shown_and_changed_by_their_names() {
    let server = server(&[]);
    let mut client = server.client();
    let shown = |client: &mut Client| -> Vec<String> {
        let all = call(client, "config get user-* auth-failures*");
        all.values().iter().map(Value::text).collect()
    };
    let names = [
        "auth-failures",
        "auth-failures-window",
        "user-commands",
        "user-connections",
        "user-groups",
        "user-groups-bytes",
        "user-subscriptions",
        "user-subscriptions-bytes",
    ];
    let values: Vec<String> = shown(&mut client);
    for (name, value) in names.iter().zip(["10000", "60s", "0", "0", "0", "0", "0", "0"]) {
        let at = values.iter().position(|shown| shown == name).unwrap_or_else(|| panic!("{name} in {values:?}"));
        assert_eq!(values[at + 1], value, "{name}");
    }
    for (name, wrong) in names.iter().zip(["x", "60", "-1", "1.5", "", "1x", " 1", "-1k"]) {
        let error = client.call(&["config", "set", name, wrong]).error().to_owned();
        assert!(error.contains(&format!("related to argument '{name}'")) && error.contains("is expected"), "{error}");
    }
    ok(&mut client, "config set user-groups-bytes 2mb auth-failures-window 2m user-commands 100000");
    let values = shown(&mut client);
    assert!(["2097152", "120s", "100000"].iter().all(|value| values.iter().any(|shown| shown == value)), "{values:?}");
}

/// Begins calls of gRPC with these credentials, base64 of user and password, on a new connection.
fn begin_calls(address: SocketAddr, credentials: &str, count: u32) -> TcpStream {
    let credentials = format!("Basic {credentials}");
    let headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/event_store.client.monitoring.Monitoring/Stats"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("authorization", &credentials),
    ];
    // HPACK: literal fields, without indexing and without Huffman's code. All lengths are below 127.
    let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let block =
        headers.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect::<Vec<u8>>();
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let length = (payload.len() as u32).to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    let mut bytes = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(4, 0, 0, &[])[..]].concat();
    // HEADERS that end both the headers and the stream.
    (0..count).for_each(|call| bytes.extend(frame(1, 5, 1 + 2 * call, &block)));
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.write_all(&bytes).expect("the server takes them");
    stream
}

/// Reads until so many calls have been answered with HEADERS.
fn wait_for_answers(stream: &mut TcpStream, count: usize) {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    let mut answered = HashSet::new();
    while answered.len() < count {
        let mut head = [0; 9];
        stream.read_exact(&mut head).expect("the server answers");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        stream.read_exact(&mut vec![0; length as usize]).expect("frames are whole");
        if head[3] == 1 {
            answered.insert(head[5..].to_vec());
        }
    }
}

#[test]
fn calls_of_grpc_have_the_same_limits() {
    // anna:no, anna:pw.
    let [wrong, right] = ["YW5uYTpubw==", "YW5uYTpwdw=="];
    let flags = ["--requirepass", "secret", "--grpc-port", "any", "--grpc-plain-credentials", "--auth-failures", "3"];
    let server = server(&flags);
    let grpc = server.grpc.expect("it serves gRPC");
    let mut admin = server.client();
    ok(&mut admin, "auth secret");
    let _failed = begin_calls(grpc, wrong, 5);
    eventually("two of five are refused unseen", || figure(&mut admin, "auth_failures_refused_total") == 2);
    // The address is the same, whatever the protocol.
    assert!(call(&mut server.client(), "auth anna pw").error().starts_with("ERR too many logins from this address"));
    ok(&mut admin, "config set auth-failures 0 user-commands 1");
    // Of those that run nothing has to come.
    wait_for_answers(&mut begin_calls(grpc, right, 50), 40);
    ok(&mut admin, "config set user-commands 0");
    let refused = figure(&mut admin, "user_commands_refused_total");
    assert!((40..50).contains(&refused), "{refused} of 50: each second one runs");
}
