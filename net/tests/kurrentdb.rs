//! The client of KurrentDB for Python, unmodified, against the server: what it writes it reads, beside a Redis client.

mod common;

use common::Server;
use std::path::Path;

/// Runs a script of `net/tests/kurrentdb` against a server with so many shards.
fn run(script: &str, shards: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kurrentdb").join(script);
    let text = std::fs::read_to_string(path).expect("it is in the project");
    let server = Server::start(&["--grpc-port", "any", "--shards", shards, "--ring-bytes", "4m"]);
    let grpc = server.grpc.expect("it serves gRPC");
    let preamble = format!(
        // A script that has failed waits for its open calls at its end, for ever.
        "import faulthandler\nfaulthandler.dump_traceback_later(120, exit=True)\n\
         GRPC, RESP = 'kurrentdb://{grpc}?tls=false', {}\n",
        server.address.port()
    );
    let Some(output) = common::python(&(preamble + &text)) else { return };
    let error = String::from_utf8_lossy(&output.stderr);
    // As for redis-py: `scripts/test` installs it.
    if error.contains("No module named 'kurrentdbclient'") {
        return;
    }
    assert!(output.status.success(), "{script}, {shards} shards: {}\n{error}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn what_is_appended_is_read() {
    common::numbers_of_shards().iter().for_each(|shards| run("streams.py", shards));
}

#[test]
fn subscriptions_get_what_there_is_and_what_happens() {
    common::numbers_of_shards().iter().for_each(|shards| run("subscriptions.py", shards));
}
