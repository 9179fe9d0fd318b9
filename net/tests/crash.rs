//! A server with `--dir` that is killed at random moments under a mixed load of real clients. The load and what must
//! still be there are `scripts/crash`; this is its short form.
#![cfg(not(loom))]

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// Enough that segments are sealed, snapshots replaced, starts interrupted; 200 are the long form.
const ROUNDS: &str = "20";

#[test]
fn nothing_is_lost_doubled_or_out_of_order_when_the_server_is_killed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let own = root.join(".venv/bin/python3");
    let python = if own.exists() { own } else { "python3".into() };
    // KEYTIDE_TEST_SEED repeats what is sent and when the server is killed.
    let seed = std::env::var("KEYTIDE_TEST_SEED").unwrap_or_else(|_| {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() % 1_000_000_000).to_string()
    });
    // As for the servers of the other tests.
    let shards = std::env::var("KEYTIDE_TEST_SHARDS").unwrap_or_else(|_| "2".to_owned());
    println!("seed {seed}, {shards} shards");
    let run = Command::new(&python)
        .arg(root.join("scripts/crash"))
        .args(["--server", env!("CARGO_BIN_EXE_keytide"), "--seed", &seed, "--rounds", ROUNDS, "--shards", &shards])
        .output()
        .expect("python3 is installed");
    let (told, complained) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    println!("{told}");
    assert!(run.status.success(), "seed {seed}\n{told}{complained}");
}
