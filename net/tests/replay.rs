//! The whole server under a mixed load of real clients: what its events make is exactly its keyspace. The load, the
//! model and the comparison are `scripts/replay`; this is its short form.
#![cfg(not(loom))]

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// A few seconds' worth; the script's own default is the long form.
const COMMANDS: &str = "60000";

#[test]
fn the_events_of_a_mixed_load_make_exactly_the_keyspace() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let own = root.join(".venv/bin/python3");
    let python = if own.exists() { own } else { "python3".into() };
    let has_client = Command::new(&python).args(["-c", "import redis"]).output();
    assert!(
        has_client.is_ok_and(|run| run.status.success()),
        "{} has no redis-py: python3 -m venv .venv && .venv/bin/pip install redis",
        python.display()
    );
    // KEYTIDE_TEST_SEED repeats a run.
    let seed = std::env::var("KEYTIDE_TEST_SEED").unwrap_or_else(|_| {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() % 1_000_000_000).to_string()
    });
    // As for the servers of the other tests.
    let shards = std::env::var("KEYTIDE_TEST_SHARDS").unwrap_or_else(|_| "2".to_owned());
    println!("seed {seed}, {shards} shards");
    let run = Command::new(&python)
        .arg(root.join("scripts/replay"))
        .args(["--server", env!("CARGO_BIN_EXE_keytide"), "--seed", &seed, "--commands", COMMANDS])
        .args(["--shards", &shards, "--processes", "3", "--ring-bytes", "256m", "--timeout", "120"])
        .output()
        .expect("python3 ran a moment ago");
    let (told, complained) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    println!("{told}");
    assert!(run.status.success(), "seed {seed}\n{told}{complained}");
}
