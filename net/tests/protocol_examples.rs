//! The examples of `docs/protocol.md` are what redis-cli shows.

mod common;

use common::Server;
use common::page::{Example, Names, blocks};
use std::io::Write;
use std::process::{Command, Stdio};

const PAGE: &str = include_str!("../../docs/protocol.md");

/// What redis-cli prints for a command, as it is typed at its prompt.
fn ask(server: &Server, command: &str) -> String {
    let port = server.address.port().to_string();
    let mut cli = Command::new("redis-cli")
        .args(["--no-raw", "-p", &port])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-cli is installed: scripts/test does it");
    let mut stdin = cli.stdin.take().expect("its standard input is a pipe");
    writeln!(stdin, "{command}").expect("redis-cli reads it");
    drop(stdin);
    let output = cli.wait_with_output().expect("redis-cli ends with its input");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn every_example_of_the_page_is_what_redis_cli_shows() {
    let (mut count, mut heading, mut server, mut names) = (0, "", Server::small(), Names::default());
    for block in blocks(PAGE) {
        if block.heading != heading {
            (heading, server, names) = (block.heading, Server::small(), Names::default());
        }
        for Example { command, expected } in block.examples() {
            count += 1;
            let shown = ask(&server, &names.fill(command));
            let lines: Vec<&str> = shown.trim_end().lines().collect();
            let is_so = names.accept_all(&expected, &lines);
            assert!(is_so, "{heading}: {command}\nexpected:\n{}\nshown:\n{shown}", expected.join("\n"));
        }
    }
    assert!(count >= 30, "only {count} examples were found: has the page's form changed?");
}

/// The table of event types on the page is the engine's.
#[test]
fn the_page_lists_every_event_type_with_its_meaning() {
    for (_, name, meaning) in keytide_engine::event::BUILT_IN {
        let row = format!("| `{name}` | `{}` | {meaning} |", name.to_ascii_uppercase());
        assert!(PAGE.contains(&row), "docs/protocol.md lacks the row\n{row}");
    }
}
