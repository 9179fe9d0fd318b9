//! Consumer groups whose disk takes no more. Alone in its process, whose files it limits.
#![cfg(not(loom))]

mod common;

use common::local::{Local, copy};
use common::{Value, scratch};
use keytide_engine::log::Fsync;
use std::process::Command;
use std::sync::Arc;

/// Lets no file of this process grow beyond so many bytes.
fn limit_files(bytes: &str) {
    let pid = std::process::id().to_string();
    let status = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}:unlimited")]).status();
    assert!(status.expect("prlimit is installed (Debian: util-linux)").success());
}

#[test]
fn what_cannot_be_written_is_refused_and_nobody_is_told_otherwise() {
    // The signal that comes with it would end the process.
    const SIGXFSZ: i32 = 25;
    signal_hook::flag::register(SIGXFSZ, Arc::default()).expect("a signal that can be caught");
    let scratch = scratch("groups-disk-full");
    let (dir, left) = (scratch.join("dir"), scratch.join("left"));
    let server = Local::start(&dir, 1, Fsync::Os, 1_000);
    let mut client = server.client();
    client.call(&["cdc.group", "create", "*", "g", "0", "idle", "0"]);
    (0..4).for_each(|_| drop(client.call(&["set", "k", "v"])));
    assert_eq!(client.call(&["cdc.group", "read", "*", "g", "one", "4"]).values().len(), 4);
    let journal = || std::fs::metadata(dir.join("groups/run-00000001/core-0.journal")).expect("the journal").len();
    let refusal = "ERR consumer groups cannot be written: File too large (os error 27); restart the server when the \
                   disk is well";
    // The first of these finds it out, together with its neighbours of the turn.
    let mut waiting = server.client();
    waiting.call(&["cdc.group", "create", "absent", "w", "$"]);
    waiting.send(&["cdc.group", "read", "absent", "w", "one", "1", "block", "0"]);
    limit_files(&(journal() + 3).to_string());
    for words in [
        &["cdc.ack", "*", "g", "1000"][..],
        &["cdc.group", "read", "*", "g", "one", "4"],
        &["cdc.group", "create", "*", "h", "0"],
        &["cdc.group", "destroy", "*", "g"],
    ] {
        assert_eq!(client.call(words).error(), refusal);
    }
    assert_eq!(waiting.read().error(), refusal);
    limit_files("unlimited");
    assert_eq!(client.call(&["cdc.nack", "*", "g", "skip", "1001"]).error(), refusal);
    assert_eq!(client.call(&["set", "k", "v"]).text(), "OK");
    assert_eq!(client.call(&["cdc.group", "list"]).values().len(), 2);
    copy(&dir, &left);
    let again = Local::start(&left, 1, Fsync::Os, 2_000);
    assert_eq!(again.client().call(&["cdc.pending", "*", "g"]).values().len(), 4);
    assert_eq!(again.client().call(&["cdc.ack", "*", "g", "1000"]), Value::Integer(1));
    drop((server, again));
    std::fs::remove_dir_all(scratch).expect("nobody uses it any more");
}
