//! TLS over sockets: real clients and rustls's own, certificates of clients, replaced certificates, and hostile bytes.

#[path = "common/authority.rs"]
mod authority;
mod common;

use authority::{Authority, Tls, connect, works};
use common::{BINARY, PATIENCE, Server, eventually};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

/// The value of a figure of INFO.
fn figure(server: &Server, name: &str) -> u64 {
    let info = server.cli(&["info", "stats"]);
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("{name} is a number"))
}

#[test]
fn commands_replies_and_pushes_pass_whatever_their_length() {
    let authority = Authority::new("lengths");
    authority.sign("server");
    let (server, address) = authority.serve(&[]);
    let mut client = authority.client(address, None);
    let mut subscriber = authority.client(address, None);
    subscriber.ask(b"HELLO 3\r\nCDC.SUBSCRIBE big FROM END\r\n", b"%");
    for bytes in [1, 1000, 16_384, 16_385, 300_000, 5_000_000] {
        let value = vec![b'v'; bytes];
        let set = [format!("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n${bytes}\r\n").as_bytes(), &value, b"\r\n"].concat();
        client.ask(&set, b"+OK\r\n");
        let reply = [format!("${bytes}\r\n").as_bytes(), &value, b"\r\n"].concat();
        client.ask(&b"GET big\r\n".repeat(3), &reply.repeat(3));
    }
    client.ask(
        &b"INCR n\r\n".repeat(20_000),
        &(1..=20_000).map(|n| format!(":{n}\r\n")).collect::<String>().into_bytes(),
    );
    // The subscriber gets each value as an event, behind the rest of HELLO's reply.
    let mut read = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    while read.windows(9).filter(|bytes| bytes == b"cdc.event").count() < 6 || read.len() < 5_300_000 {
        let got = subscriber.0.read(&mut buffer).expect("events come");
        assert!(got > 0, "the server has ended the connection after {} bytes", read.len());
        read.extend_from_slice(&buffer[..got]);
    }
    assert_eq!(server.cli(&["strlen", "big"]), "5000000");
    assert_eq!(figure(&server, "tls_failures_total"), 0);
}

#[test]
fn redis_cli_connects_and_checks_the_certificate() {
    let authority = Authority::new("cli");
    authority.sign("server");
    let (_server, address) = authority.serve(&[]);
    let port = address.port().to_string();
    let cli = |words: &[&str]| {
        let output = Command::new("redis-cli").args(["-h", "localhost", "-p", &port, "--tls"]).args(words).output();
        let output = output.expect("redis-cli is installed (Debian: redis-tools)");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let trusted = authority.path("ca.crt");
    assert_eq!(cli(&["--cacert", &trusted, "set", "k", "v"]), (true, "OK".to_owned()));
    assert_eq!(cli(&["--cacert", &trusted, "get", "k"]), (true, "v".to_owned()));
    let other = Authority::new("cli-other");
    assert!(!cli(&["--cacert", &other.path("ca.crt"), "get", "k"]).0, "another authority's certificate is refused");
}

#[test]
fn clients_show_certificates_as_they_are_asked_to() {
    let authority = Authority::new("clients");
    let stranger = Authority::new("clients-stranger");
    authority.sign("server");
    authority.sign("client");
    stranger.sign("client");
    let ca = authority.path("ca.crt");
    for (whether, without, wrong) in [("no", true, true), ("optional", true, false), ("yes", false, false)] {
        let (server, address) = authority.serve(&["--tls-ca", &ca, "--tls-auth-clients", whether]);
        assert!(works(authority.client(address, Some("client"))), "{whether}, with a certificate");
        assert_eq!(works(authority.client(address, None)), without, "{whether}, without one");
        // It shows the certificate of another authority, and trusts this one.
        std::fs::copy(stranger.path("client.crt"), authority.path("wrong.crt")).expect("it can be copied");
        std::fs::copy(stranger.path("client.key"), authority.path("wrong.key")).expect("it can be copied");
        assert_eq!(works(authority.client(address, Some("wrong"))), wrong, "{whether}, with another authority's");
        assert_eq!(server.cli(&["config", "get", "tls-auth-clients"]), format!("tls-auth-clients\n{whether}"));
    }
}

#[test]
fn a_session_from_before_certificates_were_asked_for_is_not_resumed() {
    let authority = Authority::new("resumed");
    authority.sign("server");
    authority.sign("client");
    let (server, address) = authority.serve(&["--tls-ca", &authority.path("ca.crt"), "--tls-auth-clients", "no"]);
    let (known, shown) = (authority.config(None), authority.config(Some("client")));
    assert!(works(connect(address, &known)) && works(connect(address, &shown)));
    let mut resumed = connect(address, &known);
    resumed.ask(b"PING\r\n", b"+PONG\r\n");
    assert_eq!(resumed.0.conn.handshake_kind(), Some(rustls::HandshakeKind::Resumed), "sessions are resumed at all");
    assert_eq!(server.cli(&["config", "set", "tls-auth-clients", "yes"]), "OK");
    assert!(!works(connect(address, &known)));
    assert!(works(connect(address, &shown)));
    // Nor is one of a client whose authority is trusted no more.
    let other = Authority::new("resumed-other");
    assert_eq!(server.cli(&["config", "set", "tls-ca-cert-file", &other.path("ca.crt")]), "OK");
    assert!(!works(connect(address, &shown)));
}

#[test]
fn a_certificate_is_replaced_while_clients_stay() {
    let authority = Authority::new("replaced");
    authority.sign("server");
    let (server, address) = authority.serve(&[]);
    // This process has as many descriptors as it may.
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("the soft limit may be the hard one");
    let mut clients: Vec<Tls> = (0..1000).map(|_| authority.client(address, None)).collect();
    for client in &mut clients {
        client.ask(b"HELLO 3\r\n", b"%");
        client.ask(b"CDC.SUBSCRIBE k FROM END\r\nPING\r\n", b"");
    }
    let first = clients[0].certificate();
    authority.sign("server");
    server.signal(libc::SIGHUP);
    let mut second = Vec::new();
    eventually("new clients get the new certificate", || {
        let mut client = authority.client(address, None);
        client.ask(b"PING\r\n", b"+PONG\r\n");
        second = client.certificate();
        second != first
    });
    // CONFIG SET takes other files at once, and none that do not belong together.
    authority.sign("other");
    let (certificate, key) = (authority.path("other.crt"), authority.path("other.key"));
    assert!(server.cli(&["config", "set", "tls-cert-file", &certificate]).starts_with("ERR CONFIG SET failed"));
    assert_eq!(server.cli(&["config", "set", "tls-cert-file", &certificate, "tls-key-file", &key]), "OK");
    let mut client = authority.client(address, None);
    client.ask(b"SET k v\r\n", b"+OK\r\n");
    assert!(![first, second].contains(&client.certificate()));
    // None was dropped: each gets the event.
    for client in &mut clients {
        let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
        while !read.windows(9).any(|bytes| bytes == b"cdc.event") {
            let got = client.0.read(&mut buffer).expect("the event comes");
            assert!(got > 0, "a client was dropped");
            read.extend_from_slice(&buffer[..got]);
        }
    }
}

#[test]
fn hostile_bytes_cost_their_connection_only() {
    let authority = Authority::new("hostile");
    authority.sign("server");
    let (server, address) = authority.serve(&["--auth-timeout", "2s"]);
    let mut client = authority.client(address, None);
    client.ask(b"PING\r\n", b"+PONG\r\n");
    let connect = || {
        let socket = TcpStream::connect(address).expect("the server listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        socket
    };
    // Plain commands, records without a meaning, and a record of more bytes than may be.
    for bytes in [&b"PING\r\n"[..], &[0xff; 4096], &[22, 3, 1, 0xff, 0xff], &[23, 3, 3, 0, 1, 0]] {
        let mut socket = connect();
        socket.write_all(bytes).expect("the server takes them");
        let mut read = Vec::new();
        socket.read_to_end(&mut read).expect("the server ends the connection");
        assert_eq!(read.first(), Some(&21), "an alert: {read:?}");
    }
    // Handshakes that are never finished end in time, and many of them take nobody's place.
    let mut silent: Vec<TcpStream> = (0..300).map(|_| connect()).collect();
    silent.iter_mut().step_by(2).for_each(|socket| socket.write_all(&[22, 3, 1, 1, 0, 1]).expect("it is taken"));
    client.ask(b"PING\r\n", b"+PONG\r\n");
    authority.client(address, None).ask(b"PING\r\n", b"+PONG\r\n");
    for socket in &mut silent {
        let mut read = Vec::new();
        // A reset is an end too.
        let _ = socket.read_to_end(&mut read);
    }
    // A client that has shaken hands is no stranger: it stays, beyond that time too.
    client.ask(b"PING\r\n", b"+PONG\r\n");
    eventually("only it and redis-cli are left", || server.cli(&["client", "list"]).lines().count() == 2);
    assert_eq!(figure(&server, "tls_failures_total"), 4);
    assert!(figure(&server, "unauthenticated_too_slow_total") >= 300);
}

#[test]
fn what_follows_an_end_is_dropped_and_a_failed_session_is_closed_though_it_reads_nothing() {
    let authority = Authority::new("ends");
    authority.sign("server");
    let (server, address) = authority.serve(&[]);
    server.cli(&["setrange", "big", "1000000", "x"]);
    let bytes_before = figure(&server, "total_net_input_bytes");
    for is_end in [true, false] {
        let mut client = authority.client(address, None);
        // More than sockets hold.
        client.0.write_all(&b"GET big\r\n".repeat(50)).expect("the server takes them");
        if is_end {
            client.0.conn.send_close_notify();
        }
        client.0.flush().expect("the server takes it");
        eventually("the commands have run", || server.cli(&["client", "list"]).contains("cmd=get"));
        let socket = &mut client.0.sock;
        socket.write_all(&[23, 3, 3, 0, 4, 1, 2, 3, 4]).expect("the server takes it");
        if is_end {
            // It goes on taking bytes, which count for nothing.
            socket.write_all(&vec![0; 4 << 20]).expect("the server takes them");
            eventually("they have come", || figure(&server, "total_net_input_bytes") > bytes_before + (4 << 20));
            assert_eq!(server.cli(&["get", "k"]), "");
        } else {
            eventually("only redis-cli is left", || server.cli(&["client", "list"]).lines().count() == 1);
        }
    }
}

#[test]
fn a_handshake_is_bounded_whatever_becomes_of_users() {
    let authority = Authority::new("half-open");
    authority.sign("server");
    let (server, address) = authority.serve(&["--auth-timeout", "2s", "--unauthenticated-clients", "20"]);
    let mut half: Vec<TcpStream> = (0..10).map(|_| TcpStream::connect(address).expect("the server listens")).collect();
    for number in 0..20 {
        assert_eq!(server.cli(&["acl", "setuser", &format!("u{number}"), "on"]), "OK");
    }
    eventually("only redis-cli is left", || server.cli(&["client", "list"]).lines().count() == 1);
    for socket in &mut half {
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        assert!(socket.read(&mut [0; 16]).is_ok_and(|read| read == 0), "it was closed");
    }
    // A message of a handshake that is longer than what a stranger may send, in whole records.
    let mut socket = TcpStream::connect(address).expect("the server listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    let first = [&[22, 3, 1, 0x40, 0][..], &[1, 0, 0xff, 0xf0], &[0; (16 << 10) - 4]].concat();
    let next = [&[22, 3, 1, 0x40, 0][..], &[0; 16 << 10]].concat();
    // It is closed before the message is whole, so that a write may fail.
    let _ = socket.write_all(&[first, next.clone(), next].concat());
    let _ = socket.read_to_end(&mut Vec::new());
    assert!(figure(&server, "unauthenticated_too_much_total") > 0);
}

#[test]
fn a_server_without_the_files_that_it_needs_says_which() {
    let authority = Authority::new("refused");
    authority.sign("server");
    authority.sign("other");
    authority.write("empty", "");
    let path = |file: &str| authority.path(file);
    let (certificate, key) = (path("server.crt"), path("server.key"));
    for (flags, text) in [
        (vec!["--tls-port", "0"], "give --tls-cert too"),
        (vec!["--tls-cert", &certificate], "give --tls-port too"),
        (vec!["--tls-port", "0", "--tls-cert", &certificate], "give --tls-key too"),
        (vec!["--tls-port", "0", "--tls-cert", &path("none"), "--tls-key", &key], "No such file"),
        (vec!["--tls-port", "0", "--tls-cert", &path("empty"), "--tls-key", &key], "no certificate found"),
        (vec!["--tls-port", "0", "--tls-cert", &path("other.crt"), "--tls-key", &key], "server.key"),
        (
            vec!["--tls-port", "0", "--tls-cert", &certificate, "--tls-key", &key, "--tls-auth-clients", "yes"],
            "give --tls-ca too",
        ),
        (
            vec!["--tls-port", "0", "--tls-cert", &certificate, "--tls-key", &key, "--tls-auth-clients", "x"],
            "no, optional or yes is expected",
        ),
    ] {
        let output = Command::new(BINARY).args(["--port", "0", "--shards", "1"]).args(&flags).output();
        let output = output.expect("the binary was built for this test");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(text) && error.lines().count() == 1, "{flags:?}: {error}");
    }
}
