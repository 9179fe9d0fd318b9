//! Users by the certificates of clients, servers for TLS only, and settings of TLS that change while the server runs.

#[path = "common/authority.rs"]
mod authority;
mod common;

use authority::{Authority, Tls, connect};
use common::{BINARY, Server, shards};
use rustls::HandshakeKind;
use std::io::{ErrorKind, Read};
use std::process::{Command, Stdio};

/// The users of these tests: anna and bert may log in, carl may not.
const USERS: [&str; 6] = ["--user", "anna on ~a* +@all", "--user", "bert on >pw ~b* +@all", "--user", "carl off +@all"];

/// An authority that has signed certificates of the server and of these clients.
fn authority(name: &str, clients: &[&str]) -> Authority {
    let authority = Authority::new(name);
    authority.sign("server");
    clients.iter().for_each(|client| authority.sign(client));
    authority
}

fn is(client: &mut Tls, user: &str) {
    client.ask(b"ACL WHOAMI\r\n", format!("${}\r\n{user}\r\n", user.len()).as_bytes());
}

#[test]
fn the_common_name_of_a_certificate_is_the_user_if_there_is_one_that_is_on() {
    let authority = authority("names", &["anna", "bert", "carl", "dora"]);
    let ca = authority.path("ca.crt");
    let flags = [&["--tls-ca", &ca, "--tls-auth-clients", "optional", "--tls-auth-user", "cn"], &USERS[..]].concat();
    let (server, address) = authority.serve(&flags);
    assert_eq!(server.cli(&["config", "get", "tls-auth-clients-user"]), "tls-auth-clients-user\nCN");
    // No password is needed, and the user's rules count from the first command on.
    let mut anna = authority.client(address, Some("anna"));
    anna.ask(b"SET a 1\r\n", b"+OK\r\n");
    anna.ask(b"SET b 1\r\n", b"-NOPERM ");
    let mut bert = authority.client(address, Some("bert"));
    is(&mut bert, "bert");
    for name in [Some("carl"), Some("dora"), None] {
        is(&mut authority.client(address, name), "default");
    }
    // A login is still possible, and RESET goes back to the default user.
    let mut dora = authority.client(address, Some("dora"));
    dora.ask(b"AUTH bert pw\r\n", b"+OK\r\n");
    is(&mut dora, "bert");
    dora.ask(b"RESET\r\n", b"+RESET\r\n");
    is(&mut dora, "default");
    // Resumed sessions show no certificate anew, and are the same user.
    let config = authority.config(Some("anna"));
    is(&mut connect(address, &config), "anna");
    let mut resumed = connect(address, &config);
    is(&mut resumed, "anna");
    assert_eq!(resumed.0.conn.handshake_kind(), Some(HandshakeKind::Resumed));
    let log = server.cli(&["acl", "log", "1"]);
    assert!(log.contains("tls-cert") && log.contains("dora"), "{log}");
    assert!(server.cli(&["info", "stats"]).contains("acl_access_denied_tls_cert:3"), "carl, and dora twice");
    // Rights that change, and users that go, are no matter of the certificate.
    assert_eq!(server.cli(&["acl", "deluser", "bert"]), "1");
    // At once, which is not the orderly end of a session.
    let end = bert.0.read(&mut [0; 1]).expect_err("bert's connection is closed");
    assert_eq!(end.kind(), ErrorKind::UnexpectedEof);
    is(&mut authority.client(address, Some("bert")), "default");
}

#[test]
fn without_the_setting_a_certificate_names_nobody_and_it_changes_while_the_server_runs() {
    let authority = authority("unnamed", &["anna"]);
    let ca = authority.path("ca.crt");
    let (server, address) = authority.serve(&[&["--tls-ca", &ca], &USERS[..]].concat());
    let mut before = authority.client(address, Some("anna"));
    is(&mut before, "default");
    let set = |words: &[&str]| server.cli(&[&["config", "set"], words].concat());
    assert_eq!(set(&["tls-auth-clients-user", "CN"]), "OK");
    is(&mut before, "default");
    is(&mut authority.client(address, Some("anna")), "anna");
    // An error names the setting that is wrong.
    let wrong = |words: &[&str], setting: &str| {
        let text = set(words);
        let wanted = format!("ERR CONFIG SET failed (possibly related to argument '{setting}')");
        assert!(text.starts_with(&wanted), "{words:?}: {text}");
    };
    wrong(&["tls-auth-clients-user", "x"], "tls-auth-clients-user");
    wrong(&["tls-auth-clients", "no"], "tls-auth-clients-user");
    wrong(&["tls-cert-file", "/nosuch", "tls-auth-clients", "optional"], "tls-cert-file");
    wrong(&["tls-auth-clients", "optional", "tls-key-file", &ca], "tls-key-file");
    wrong(&["tls-ca-cert-file", "/nosuch", "tls-auth-clients", "yes"], "tls-ca-cert-file");
    assert_eq!(set(&["tls-auth-clients-user", "off"]), "OK");
    is(&mut authority.client(address, Some("anna")), "default");
}

#[test]
fn a_certificate_of_a_user_with_too_many_connections_is_told_so() {
    let authority = authority("too-many", &["anna"]);
    let ca = authority.path("ca.crt");
    let flags = [&["--tls-ca", &ca, "--tls-auth-user", "cn", "--user-connections", "1"], &USERS[..]].concat();
    let (_server, address) = authority.serve(&flags);
    let mut first = authority.client(address, Some("anna"));
    is(&mut first, "anna");
    let mut second = authority.client(address, Some("anna"));
    second.ask(b"PING\r\n", b"-ERR this would exceed the limit user-connections of 1 connections for one user");
    is(&mut first, "anna");
}

#[test]
fn settings_of_a_moment_do_not_undo_each_other() {
    let authority = authority("moment", &["anna"]);
    let (server, address) = authority.serve(&["--tls-ca", &authority.path("ca.crt")]);
    // While SIGHUP has the files read again, another change must stay.
    for round in 0..20 {
        let whether = if round % 2 == 0 { "optional" } else { "yes" };
        (0..20).for_each(|_| server.signal(libc::SIGHUP));
        assert_eq!(server.cli(&["config", "set", "tls-auth-clients", whether]), "OK");
        (0..20).for_each(|_| server.signal(libc::SIGHUP));
        assert_eq!(server.cli(&["config", "get", "tls-auth-clients"]), format!("tls-auth-clients\n{whether}"));
    }
    authority.client(address, Some("anna")).ask(b"PING\r\n", b"+PONG\r\n");
}

#[test]
fn a_server_may_be_for_tls_only() {
    let authority = authority("only", &[]);
    let (certificate, key) = (authority.path("server.crt"), authority.path("server.key"));
    let mut command = Command::new(BINARY);
    command.args([
        "--port",
        "0",
        "--shards",
        &shards(),
        "--tls-port",
        "0",
        "--tls-cert",
        &certificate,
        "--tls-key",
        &key,
    ]);
    let server = Server::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()));
    let address = server.tls.expect("it serves TLS");
    let mut client = authority.client(address, None);
    client.ask(b"SET k v\r\nCONFIG GET port\r\n", b"+OK\r\n*2\r\n$4\r\nport\r\n$1\r\n0\r\n");
    let port = address.port().to_string();
    let tls_port = format!("*2\r\n$8\r\ntls-port\r\n${}\r\n{port}\r\n", port.len());
    client.ask(b"CONFIG GET tls-port\r\n", tls_port.as_bytes());
    // All sockets of the process that listen are those of TLS.
    assert_eq!(listening(&server), [address.port()]);
}

/// The ports that a server listens on.
fn listening(server: &Server) -> Vec<u16> {
    let inodes: Vec<String> = std::fs::read_dir(format!("/proc/{}/fd", server.pid()))
        .expect("it runs")
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let mut ports: Vec<u16> = std::fs::read_to_string("/proc/net/tcp")
        .expect("Linux has it")
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|row| {
            row.get(3) == Some(&"0A") && row.get(9).is_some_and(|inode| inodes.iter().any(|own| own == inode))
        })
        .filter_map(|row| u16::from_str_radix(row[1].split_once(':')?.1, 16).ok())
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}
