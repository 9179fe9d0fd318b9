//! The client of KurrentDB for Python, unmodified, against the server: what it writes it reads, beside a Redis client.

#[path = "common/authority.rs"]
mod authority;
mod common;

use authority::Authority;
use common::Server;
use std::path::{Path, PathBuf};

/// Runs a script of `net/tests/kurrentdb` against a server with so many shards.
fn run(script: &str, shards: &str) {
    let server = Server::start(&["--grpc-port", "any", "--shards", shards, "--ring-bytes", "4m"]);
    run_with("", &server, script, shards);
}

/// The same with variables of its own, against this server.
fn run_with(variables: &str, server: &Server, script: &str, shards: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kurrentdb").join(script);
    let text = std::fs::read_to_string(path).expect("it is in the project");
    let grpc = server.grpc.expect("it serves gRPC");
    let preamble = format!(
        // A script that has failed waits for its open calls at its end, for ever.
        "import faulthandler\nfaulthandler.dump_traceback_later(120, exit=True)\n\
         GRPC, RESP = 'kurrentdb://{grpc}?tls=false', {}\n",
        server.address.port()
    );
    let Some(output) = common::python(&(preamble + variables + &text)) else { return };
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
fn events_for_several_streams_are_appended_together() {
    common::numbers_of_shards().iter().for_each(|shards| run("appends.py", shards));
}

#[test]
fn each_append_of_a_batch_is_one() {
    let server = Server::start(&["--grpc-port", "any", "--ring-bytes", "64m"]);
    let paced = Server::start(&["--grpc-port", "any", "--user-commands", "10"]);
    let port = paced.grpc.expect("it serves gRPC").port();
    run_with(&format!("PACED = {port}\n"), &server, "batches.py", "any");
}

/// Sixteen writers that expect revisions of one stream, and writers that repeat what a killed server has not answered: nothing is
/// lost, nothing comes twice.
#[test]
fn writers_lose_and_double_nothing() {
    let server = Server::start(&["--grpc-port", "any"]);
    let directory = std::env::temp_dir().join(format!("keytide-races-{}", std::process::id()));
    let (binary, shards) = (common::BINARY, common::shards());
    let _removed = Removed(directory.clone());
    run_with(
        &format!("BINARY, DIRECTORY, SHARDS = {binary:?}, {:?}, {shards:?}\n", directory.display().to_string()),
        &server,
        "races.py",
        &shards,
    );
}

/// A directory that goes with the test.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        // It is not there where no client for Python is installed.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn each_call_has_its_own_user_and_passwords_need_tls() {
    let authority = Authority::new("kurrentdb");
    authority.sign("server");
    let users = ["--requirepass", "all", "--user", "reader on >see ~seen* +@all", "--grpc-port", "any"];
    let (server, _) = authority.serve(&users);
    let (plain, _) = authority.serve(&[&users[..], &["--grpc-tls", "no"]].concat());
    let (asked, _) = authority.serve(&[&users[..], &["--grpc-tls", "no", "--grpc-plain-credentials"]].concat());
    let [tls, plain, asked] = [&server, &plain, &asked].map(|server| server.grpc.expect("it serves gRPC").port());
    let ports = format!("TLS, PLAIN, ASKED, CA = {tls}, {plain}, {asked}, {:?}\n", authority.path("ca.crt"));
    run_with(&ports, &server, "users.py", "any");
}

#[test]
fn persistent_subscriptions_are_the_consumer_groups_of_redis_clients() {
    common::numbers_of_shards().iter().for_each(|shards| run("persistent.py", shards));
}

#[test]
fn persistent_subscriptions_outlive_a_server_that_is_killed() {
    let dir = common::scratch("persistent-durable");
    let flags = |shards| {
        ["--grpc-port", "any", "--ring-bytes", "4m", "--dir", dir.to_str().expect("UTF-8"), "--shards", shards]
    };
    for (phase, shards) in [(1, "2"), (2, "3")] {
        // Dropping it kills it.
        let server = Server::start(&flags(shards));
        run_with(&format!("PHASE = {phase}\n"), &server, "persistent_durable.py", shards);
    }
    std::fs::remove_dir_all(dir).expect("nobody uses it any more");
}

#[test]
fn persistent_subscriptions_are_for_who_may_read_their_streams() {
    let authority = Authority::new("kurrentdb-persistent");
    authority.sign("server");
    let users = ["--requirepass", "all", "--user", "reader on >see ~seen* +@all", "--grpc-port", "any"];
    let (server, _) = authority.serve(&users);
    let port = server.grpc.expect("it serves gRPC").port();
    let variables = format!("TLS, CA = {port}, {:?}\n", authority.path("ca.crt"));
    run_with(&variables, &server, "persistent_users.py", "any");
}

#[test]
fn hostile_readers_of_persistent_subscriptions_are_bounded_and_others_are_served() {
    common::numbers_of_shards().iter().for_each(|shards| run("persistent_hostile.py", shards));
}

#[test]
fn subscriptions_get_what_there_is_and_what_happens() {
    common::numbers_of_shards().iter().for_each(|shards| run("subscriptions.py", shards));
}

#[test]
fn links_that_clients_have_written_are_resolved() {
    common::numbers_of_shards().iter().for_each(|shards| run("links.py", shards));
}
