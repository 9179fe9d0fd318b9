//! Starting and stopping the binary: what it says, what it refuses and with which remedy.

mod common;

use common::{BINARY, Client, Server, eventually, run, scratch};
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

fn refusal(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn help_names_the_flags_and_exits_without_an_error() {
    let output = run(&["--help"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success());
    for flag in ["--bind", "--port", "--shards", "--ring-bytes", "--maxclients", "--requirepass", "--spin-us"] {
        assert!(text.contains(flag), "{flag} is not in {text}");
    }
}

#[test]
fn a_port_in_use_is_named_with_the_remedy() {
    let server = Server::small();
    let port = server.address.port().to_string();
    let text = refusal(&run(&["--port", &port, "--shards", "1", "--ring-bytes", "1m"]));
    assert!(text.contains("Address already in use") && text.contains("give another --port"), "{text}");
    assert!(text.contains(&port), "{text}");
}

#[test]
fn a_port_of_grpc_that_is_taken_is_named_with_its_flag() {
    let server = Server::start(&["--grpc-port", "any"]);
    let port = server.grpc.expect("it serves gRPC").port().to_string();
    let text = refusal(&run(&["--port", "0", "--grpc-port", &port]));
    assert!(text.contains("Address already in use") && text.contains("give another --grpc-port"), "{text}");
}

#[test]
fn a_server_that_was_killed_can_be_started_again_at_once() {
    let mut port = "0".to_owned();
    for _ in 0..5 {
        let server = Server::start(&["--shards", "1", "--ring-bytes", "1m", "--port", &port]);
        port = server.address.port().to_string();
        // Dropped, and so killed.
    }
}

#[test]
fn a_flag_or_a_value_that_is_not_there_is_refused_by_name() {
    let text = refusal(&run(&["--port", "0", "--maxmemory-policy", "allkeys-fifo"]));
    assert!(text.contains("--maxmemory-policy allkeys-fifo: one of noeviction, allkeys-lru"), "{text}");
    let text = refusal(&run(&["--no-such-flag"]));
    assert!(text.contains("--no-such-flag"), "{text}");
}

#[test]
fn other_machines_are_not_served_without_a_password() {
    let text = refusal(&run(&["--port", "0", "--bind", "0.0.0.0"]));
    assert!(text.contains("--requirepass") && text.contains("--insecure"), "{text}");
}

#[test]
fn sigterm_and_sigint_end_it_without_an_error() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let server = Server::small();
        let mut client = server.client();
        client.call(&["set", "a", "1"]);
        server.signal(signal);
        assert!(client.is_closed());
        assert_eq!(server.wait().code(), Some(0));
    }
}

/// Whoever waits is let go, and whoever never stops asking is cut off.
#[test]
fn sigterm_ends_it_whatever_its_clients_do() {
    let server = Server::start(&["--ring-bytes", "1m"]);
    let mut readers: Vec<_> = (0..4).map(|_| server.client()).collect();
    readers.iter_mut().for_each(|reader| reader.send(&["cdc.read", "END", "MATCH", "nothing", "BLOCK", "0"]));
    std::thread::scope(|scope| {
        for number in 0..4 {
            let mut client = server.client();
            scope.spawn(move || {
                let words =
                    [&["msetnx", "a", "1", "b", "2", "c", "3"][..], &["set", "a", "1"], &["mset", "a", "1", "b", "2"]];
                for round in number.. {
                    client.send(words[round % 3]);
                    if client.try_read().is_err() {
                        break;
                    }
                }
            });
        }
        let mut other = server.client();
        (0..500).for_each(|_| assert_eq!(other.call(&["ping"]).text(), "PONG"));
        server.signal(libc::SIGTERM);
    });
    readers.iter_mut().for_each(|reader| assert!(reader.is_closed()));
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn shutdown_ends_it_without_an_error_and_without_a_reply() {
    let server = Server::start(&["--ring-bytes", "1m"]);
    let mut client = server.client();
    client.send(&["shutdown", "nosave"]);
    assert!(client.try_read().is_err());
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn sighup_is_logged_and_ends_nothing() {
    let directory = scratch("sighup");
    let log = directory.join("log");
    let server = Server::start_logging(&["--shards", "1", "--ring-bytes", "1m"], &log);
    let mut client = server.client();
    for _ in 0..2 {
        server.signal(libc::SIGHUP);
    }
    let logged = || std::fs::read_to_string(&log).expect("it is there").matches("SIGHUP").count();
    // Two signals of a kind may arrive as one.
    eventually("it is logged", || logged() >= 1);
    assert_eq!(client.call(&["ping"]).text(), "PONG");
    server.signal(libc::SIGTERM);
    assert_eq!(server.wait().code(), Some(0));
    std::fs::remove_dir_all(directory).expect("the directory is ours");
}

#[test]
fn at_level_info_the_log_says_what_is_started_also_in_memory() {
    let directory = scratch("info");
    let log = directory.join("log");
    let server = Server::start_logging(&["--shards", "1", "--ring-bytes", "1m", "--log-level", "info"], &log);
    let address = server.address.to_string();
    server.signal(libc::SIGTERM);
    assert_eq!(server.wait().code(), Some(0));
    let text = std::fs::read_to_string(&log).expect("it is there");
    std::fs::remove_dir_all(directory).expect("the directory is ours");
    for part in [env!("CARGO_PKG_VERSION"), &address, "shards", "ring_bytes", "MiB (", "in memory", "ready", "stopping"]
    {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn what_is_refused_is_named_where_it_was_said_in_one_line() {
    let directory = scratch("refused");
    let file = directory.join("keytide.toml");
    std::fs::write(&file, "# A comment.\nport = \"abc\"\n").expect("the directory is ours");
    let file = file.to_str().expect("a plain path");
    let with = |variable: Option<(&str, &str)>, words: &[&str]| {
        let mut command = Command::new(BINARY);
        command.args(words).envs(variable);
        command.output().expect("the binary was built for this test")
    };
    for (variable, words, status, text) in [
        (None, &["--log-level", "wran"][..], 2, "--log-level wran: error, warn, info, debug, trace or off"),
        (None, &["--maxclients", "0"], 2, "--maxclients 0: from 1"),
        (None, &["--shards", "0"], 2, "--shards 0: a number from 1"),
        (None, &["--cores", "4095"], 2, "only on 0"),
        (None, &["--bind", "no such host"], 2, "--bind no such host: "),
        (None, &["--port", "0", "--heap-bytes", "1000000g"], 1, "--heap-bytes 1073741824000000 take more than "),
        (None, &["--config", file], 2, "keytide.toml line 2: invalid type: string \"abc\""),
        (Some(("KEYTIDE_PORT", "abc")), &[], 2, "KEYTIDE_PORT=abc: "),
        (Some(("KEYTIDE_PORT", "70000")), &[], 2, "KEYTIDE_PORT=70000: "),
        (Some(("KEYTIDE_LOG_LEVEL", "wran")), &[], 2, "KEYTIDE_LOG_LEVEL=wran: "),
        (Some(("KEYTIDE_INSECURE", "maybe")), &[], 2, "KEYTIDE_INSECURE=maybe: true or false"),
        (Some(("KEYTIDE_FSYNC", "os")), &[], 2, "KEYTIDE_FSYNC is about history on disk"),
        (Some(("KEYTIDE_BIND", "0.0.0.0")), &[], 2, "KEYTIDE_BIND=0.0.0.0 serves other machines"),
    ] {
        let output = with(variable, words);
        let refused = refusal(&output);
        assert_eq!(output.status.code(), Some(status), "{refused}");
        assert!(refused.starts_with("keytide: ") && refused.contains(text), "{refused}");
        assert_eq!(refused.trim_end().lines().count(), 1, "{refused}");
    }
    // The command line is clap's, which shows the usage too; where both say something, it is the one that counts.
    let output = with(Some(("KEYTIDE_PORT", "1")), &["--port", "abc"]);
    assert!(refusal(&output).contains("'--port <PORT>'") && output.status.code() == Some(2));
    std::fs::remove_dir_all(directory).expect("the directory is ours");
}

#[test]
fn a_name_is_listened_on() {
    let server = Server::start(&["--bind", "localhost", "--shards", "1", "--ring-bytes", "1m"]);
    assert!(server.address.ip().is_loopback());
    assert_eq!(server.client().call(&["ping"]).text(), "PONG");
}

#[test]
fn settings_come_from_a_file_and_a_flag_beats_it() {
    let path = scratch("startup").join("keytide.toml");
    std::fs::write(&path, "maxclients = 7\nshards = 1\nring-bytes = \"2m\"\n").expect("the directory is ours");
    let server = Server::start(&["--config", path.to_str().expect("a plain path"), "--ring-bytes", "1m"]);
    std::fs::remove_dir_all(path.parent().expect("it is in a directory")).expect("the directory is ours");
    assert_eq!(server.cli(&["config", "get", "maxclients", "ring-bytes"]), "maxclients\n7\nring-bytes\n1048576");
}

#[test]
fn as_much_of_the_heap_is_there_as_was_asked_for() {
    let resident = |bytes: u64| {
        let server = Server::start(&["--shards", "1", "--ring-bytes", "1m", "--heap-bytes", &bytes.to_string()]);
        assert_eq!(server.cli(&["config", "get", "heap-bytes"]), format!("heap-bytes\n{bytes}"));
        server.resident_bytes()
    };
    let (none, some) = (resident(0), resident(96 << 20));
    // What it has touched without being asked is a part of that.
    assert!(none < 64 << 20 && some > 96 << 20 && some < none + (112 << 20), "{none} and {some} bytes");
}

/// The kernel counts locked memory only for processes without CAP_IPC_LOCK. The limit is for all shards together.
#[test]
fn too_little_lockable_memory_is_named_with_the_remedy() {
    for (bytes, shards) in [("65536", "1"), ("1572864", "8")] {
        let limit = format!("--memlock={bytes}:{bytes}");
        let limited = [&limit, BINARY, "--port", "0", "--shards", shards, "--ring-bytes", "1m"];
        let mut command = Command::new("timeout");
        command.args(["10", "setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock", "prlimit"]).args(limited);
        let output = command.output().expect("coreutils and util-linux are installed");
        let text = String::from_utf8_lossy(&output.stderr);
        if output.status.code() == Some(124) || text.contains("setpriv") {
            // It serves: this kernel does not count the rings, or the limit cannot be set here.
            return;
        }
        assert!(!output.status.success());
        assert!(text.contains("ulimit -l") && text.contains("512 KiB"), "{text}");
    }
}

#[test]
fn more_shards_than_cores_are_served_with_one_line_of_warning() {
    let cores = std::thread::available_parallelism().expect("the system counts its cores");
    let shards = (cores.get() + 3).to_string();
    let warnings = |shards: &str| {
        let mut command = Command::new(BINARY);
        command.args(["--port", "0", "--ring-bytes", "1m", "--heap-bytes", "0", "--shards", shards]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary was built");
        let mut ready = String::new();
        let stdout = child.stdout.as_mut().expect("its standard output is a pipe");
        BufReader::new(stdout).read_line(&mut ready).expect("the pipe is read");
        let address =
            ready.split(' ').find_map(|word| word.strip_prefix("resp=")).unwrap_or_else(|| panic!("{ready:?}"));
        let mut client = Client::connect(address.parse().expect("an address is printed"));
        client.send(&["shutdown"]);
        assert!(client.is_closed());
        let output = child.wait_with_output().expect("it is our child");
        assert!(ready.contains(&format!("shards={shards}")) && output.status.success(), "{ready} {output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let text = warnings(&shards);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("share a core") && text.contains("--shards"), "{text}");
    assert_eq!(warnings("1"), "");
}
