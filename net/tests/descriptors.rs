//! Open files: however many clients come, the log finds one for its next segment; and where there is none, writes are
//! refused until there is.
#![cfg(not(loom))]

mod common;

use common::{BINARY, Client, Server, Value, eventually, scratch};
use rustix::process::Resource;
use std::fs::File;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

/// A server under these limits of open files, soft and hard, with what it logs going to a file.
fn start(limits: &str, log: &Path, flags: &[&str]) -> Server {
    let mut command = Command::new("prlimit");
    command.arg(format!("--nofile={limits}")).args([BINARY, "--port", "0", "--ring-bytes", "1m"]).args(flags);
    let log = File::create(log).expect("the test's directory can be written");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    Server::spawn(&mut command)
}

fn set(client: &mut Client, n: u32) -> Value {
    client.call(&["set".to_owned(), format!("key:{n}"), format!("{n:01000}")])
}

fn info(client: &mut Client, name: &str) -> u64 {
    let text = client.call(&["info"]).text();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.expect("INFO has it").trim().parse().expect("it is a number")
}

#[test]
fn strangers_take_the_descriptors_of_clients_and_none_of_the_log() {
    for shards in ["1", "2", "3"] {
        let directory = scratch(&format!("descriptors-{shards}"));
        let (dir, log) = (directory.join("data"), directory.join("log"));
        let flags = ["--shards", shards, "--segment-bytes", "1m", "--requirepass", "secret"];
        let dir = dir.to_str().expect("a plain path");
        let server = start("300:300", &log, &[&flags[..], &["--dir", dir]].concat());
        let mut owner = server.client();
        assert_eq!(owner.call(&["auth", "secret"]).text(), "OK");
        let maxclients = info(&mut owner, "maxclients");
        let logged = std::fs::read_to_string(&log).expect("it is there");
        assert!(logged.contains(&format!("--maxclients is reduced from 10000 to {maxclients}: ")), "{logged}");
        assert!(logged.contains("the limit of open files is 300") && logged.contains("ulimit -n"), "{logged}");
        let refused = owner.call(&["config", "set", "maxclients", "10000"]);
        assert!(refused.error().contains("The operating system is not able to handle"), "{refused:?}");
        // More than it has descriptors, all kept.
        let strangers: Vec<_> = (0..400).map(|_| TcpStream::connect(server.address)).collect();
        for n in 0..5_000 {
            assert_eq!(set(&mut owner, n).text(), "OK");
        }
        assert!(server.descriptors() < 300 && strangers.iter().all(Result::is_ok));
        assert!(info(&mut owner, "unauthenticated_too_many_total") > 0);
        assert!(info(&mut owner, "unauthenticated_clients") <= info(&mut owner, "unauthenticated_clients_max"));
        // There is a place for whoever gives the password: strangers that only wait make room.
        eventually("another one who may is let in", || {
            let mut another = server.client();
            another.send(&["auth", "secret"]);
            another.try_read().is_ok_and(|reply| reply.text_or_error() == "OK")
        });
        drop((owner, strangers, server));
        // Killed, and everything is there.
        let server = start("300:300", &log, &[&flags[..], &["--dir", dir]].concat());
        let mut owner = server.client();
        assert_eq!(owner.call(&["auth", "secret"]).text(), "OK");
        assert_eq!(owner.call(&["dbsize"]).integer(), 5_000);
        drop((owner, server));
        std::fs::remove_dir_all(directory).expect("the directory is ours");
    }
}

#[test]
fn without_a_descriptor_for_a_segment_writes_are_refused_until_there_is_one() {
    let directory = scratch("no-descriptor");
    let (dir, log) = (directory.join("data"), directory.join("log"));
    let flags =
        ["--shards", "1", "--ring-bytes", "1m", "--segment-bytes", "1m", "--dir", dir.to_str().expect("a plain path")];
    let server = Server::start_logging(&flags, &log);
    let mut client = server.client();
    let mut written = 0;
    // Where the last descriptor goes is by chance: to the file, or to the directory that is synced after it.
    for _ in 0..6 {
        assert_eq!(set(&mut client, written).text(), "OK");
        written += 1;
        // Less than it has open, so that it gets no other one.
        server.limit(Resource::Nofile, Some(3));
        let refusal = loop {
            match set(&mut client, written) {
                Value::Error(text) => break text,
                _ => written += 1,
            }
            assert!(written < 30_000, "it needs another segment");
        };
        assert!(refusal.starts_with("ERR no segment of "), "{refusal}");
        assert_eq!(client.call(&["get", "key:0"]).text(), format!("{:01000}", 0));
        assert!(client.call(&["del", "key:0"]).error().starts_with("ERR no segment of "));
        server.limit(Resource::Nofile, Some(1000));
        eventually("writes go on", || set(&mut client, written).text_or_error() == "OK");
        written += 1;
        for _ in 0..1_500 {
            assert_eq!(set(&mut client, written).text(), "OK");
            written += 1;
        }
    }
    drop((client, server));
    let server = Server::start_logging(&flags, &log);
    assert_eq!(server.client().call(&["dbsize"]).integer(), u64::from(written));
    drop(server);
    std::fs::remove_dir_all(directory).expect("the directory is ours");
}

#[test]
fn the_soft_limit_is_raised_and_too_few_are_named_with_the_remedy() {
    let directory = scratch("soft-limit");
    let log = directory.join("log");
    let server = start("300:20000", &log, &["--shards", "2"]);
    assert_eq!(info(&mut server.client(), "maxclients"), 10_000);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).expect("it runs");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("Linux writes this line");
    assert_eq!(line.split_whitespace().nth(3), Some("20000"));
    assert_eq!(std::fs::read_to_string(&log).expect("it is there"), "");
    drop(server);
    std::fs::remove_dir_all(directory).expect("the directory is ours");
    let words = ["--nofile=64:64", BINARY, "--port", "0", "--shards", "2", "--ring-bytes", "1m"];
    let output = Command::new("prlimit").args(words).output().expect("util-linux is installed");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("the limit of open files is 64") && text.contains("ulimit -n"), "{text}");
}
