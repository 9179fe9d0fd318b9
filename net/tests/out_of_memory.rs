//! A server that comes near the limit of its memory: commands that may use more are refused, as by Redis, and go on once
//! there is memory. The limit is the one of the address space, which can be set for a running process.
#![cfg(not(loom))]

mod common;

use common::{BINARY, Client, Server, Value, encode, eventually};
use rustix::process::Resource;
use std::io::Write;
use std::process::{Command, Stdio};

/// What Redis answers.
const REFUSED: &str = "OOM command not allowed when used memory > 'maxmemory'.";

/// Limits the address space of a server; not any more with none.
fn limit(server: &Server, bytes: Option<u64>) {
    server.limit(Resource::As, bytes);
}

fn is_refused(reply: &Value) -> bool {
    matches!(reply, Value::Error(text) if text == REFUSED)
}

fn info(client: &mut Client, name: &str) -> u64 {
    let text = client.call(&["info"]).text();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.expect("INFO has it").trim().parse().expect("it is a number")
}

#[test]
fn what_may_use_more_is_refused_and_all_else_goes_on() {
    for shards in ["1", "2", "3"] {
        let server = Server::start(&["--shards", shards, "--ring-bytes", "1m"]);
        let (mut client, mut open) = (server.client(), server.client());
        for n in 0..20 {
            assert_eq!(client.call(&["set", &format!("key:{n}"), "x"]).text(), "OK");
        }
        // These were begun before: one may use more, one may not.
        assert_eq!(open.call(&["multi"]).text(), "OK");
        assert_eq!(open.call(&["set", "a", "1"]).text(), "QUEUED");
        let mut reader = server.client();
        assert_eq!(reader.call(&["multi"]).text(), "OK");
        assert_eq!(reader.call(&["get", "key:1"]).text(), "QUEUED");
        assert_eq!(info(&mut client, "memory_is_short"), 0);
        // As much as is mapped: no more can be.
        limit(&server, Some(server.memory_bytes("VmSize:")));
        eventually("memory is short", || is_refused(&client.call(&["set", "probe", "1"])));
        for words in [
            &["set", "key:1", "y"][..],
            &["mset", "key:1", "y", "key:2", "y", "key:3", "y"],
            &["msetnx", "new:1", "y", "new:2", "y", "new:3", "y"],
            &["incr", "n"],
            &["append", "key:1", "y"],
            &["rpush", "list", "y"],
            &["hset", "hash", "f", "y"],
            &["sadd", "set", "y"],
            &["cdc.append", "stream", "type", "data"],
        ] {
            assert!(is_refused(&client.call(words)), "{words:?}");
        }
        for n in 0..20 {
            assert_eq!(client.call(&["get", &format!("key:{n}")]).text(), "x");
        }
        assert_eq!(client.call(&["expire", "key:7", "1000"]), Value::Integer(1));
        assert_eq!(client.call(&["del", "key:5", "key:6"]), Value::Integer(2));
        // A transaction that waits is refused as a whole; one of other commands runs.
        let aborted = format!("EXECABORT Transaction discarded because of: {REFUSED}");
        assert_eq!(open.call(&["exec"]).error(), aborted);
        assert_eq!(open.call(&["exec"]).error(), "ERR EXEC without MULTI");
        assert_eq!(reader.call(&["exec"]).values(), [Value::Bulk(b"x".to_vec())]);
        // What would wait is refused whatever it is, and so the transaction.
        assert_eq!(open.call(&["multi"]).text(), "OK");
        assert!(is_refused(&open.call(&["get", "key:1"])));
        assert_eq!(open.call(&["exec"]).error(), "EXECABORT Transaction discarded because of previous errors.");
        assert_eq!(info(&mut client, "memory_is_short"), 1);
        assert!(info(&mut client, "memory_refused_total") >= 12);
        // A large argument is not even collected.
        let mut large = server.client();
        let bytes = encode(&["get".as_bytes(), &vec![b'x'; 32 << 20]]);
        // The server closes while it is sent.
        let _ = large.stream().write_all(&bytes);
        assert!(large.try_read().map_or(true, |reply| is_refused(&reply)));
        assert_eq!(client.call(&["exists", "a", "n", "large", "list", "new:1"]), Value::Integer(0));
        limit(&server, None);
        eventually("there is memory again", || client.call(&["set", "a", "1"]).text_or_error() == "OK");
        assert_eq!(client.call(&["strlen", "key:1"]), Value::Integer(1));
    }
}

#[test]
fn a_server_that_is_filled_answers_errors_and_goes_on_when_keys_are_gone() {
    // Under a limit from the start the allocator maps no more than it uses.
    let mut command = Command::new("prlimit");
    command.args(["--as=1073741824:unlimited", BINARY, "--port", "0", "--shards", "2", "--ring-bytes", "1m"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let server = Server::spawn(&mut command);
    let mapped = server.memory_bytes("VmSize:");
    limit(&server, Some(mapped + mapped / 4));
    let mut client = server.client();
    let value = "x".repeat(10_000);
    let mut count = 0;
    let mut fill = |client: &mut Client| {
        loop {
            let reply = client.call(&["set".to_owned(), format!("key:{count}"), value.clone()]);
            if is_refused(&reply) {
                return count;
            }
            assert_eq!(reply.text(), "OK");
            count += 1;
            assert!(count < 200_000, "it is never refused");
        }
    };
    let filled = fill(&mut client);
    assert!(filled > 100, "{filled} keys");
    assert_eq!(client.call(&["get", "key:0"]).text(), value);
    assert_eq!(client.call(&["flushall"]).text(), "OK");
    eventually("there is memory again", || client.call(&["set", "a", "1"]).text_or_error() == "OK");
    server.signal(libc::SIGTERM);
    assert_eq!(server.wait().code(), Some(0));
}
