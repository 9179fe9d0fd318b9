//! The examples of `docs/protocol.md` are what redis-cli shows.

mod common;

use common::Server;
use std::collections::HashMap;
use std::io::Write;
use std::process::{Command, Stdio};

const PAGE: &str = include_str!("../../docs/protocol.md");

/// One command of the page with what it should answer.
struct Example<'a> {
    command: &'a str,
    expected: Vec<&'a str>,
}

/// The examples of each section that has some.
fn sections() -> Vec<(&'static str, Vec<Example<'static>>)> {
    let mut sections: Vec<(&str, Vec<Example<'_>>)> = Vec::new();
    let mut is_example = false;
    for line in PAGE.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            sections.push((heading, Vec::new()));
        } else if line.starts_with("```") {
            is_example = false;
        } else if let Some(command) = line.strip_prefix("> ").filter(|_| !line.starts_with("> |")) {
            is_example = true;
            let (_, examples) = sections.last_mut().expect("the page has a heading before its examples");
            examples.push(Example { command, expected: Vec::new() });
        } else if is_example {
            let (_, examples) = sections.last_mut().expect("it has an example already");
            examples.last_mut().expect("it has an example already").expected.push(line);
        }
    }
    sections.retain(|(_, examples)| !examples.is_empty());
    sections
}

/// The names that the page uses for numbers, with what they stand for in this run.
#[derive(Default)]
struct Names(HashMap<String, String>);

impl Names {
    /// A command with the numbers in place of the names.
    fn fill(&self, command: &str) -> String {
        self.0.iter().fold(command.to_owned(), |filled, (name, value)| filled.replace(&format!("<{name}>"), value))
    }

    /// Whether a line is the expected one; names that are new get their numbers from it.
    fn accepts(&mut self, expected: &str, line: &str) -> bool {
        let Some((before, rest)) = expected.split_once('<') else { return expected == line };
        let Some((name, after)) = rest.split_once('>') else { return expected == line };
        let Some(line) = line.strip_prefix(before) else { return false };
        let end = match after.chars().next() {
            None => line.len(),
            Some(next) => line.find(next).unwrap_or(line.len()),
        };
        let (value, tail) = line.split_at(end);
        let is_so =
            name == "*" || !value.is_empty() && self.0.entry(name.to_owned()).or_insert(value.to_owned()) == value;
        is_so && self.accepts(after, tail)
    }
}

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
    let sections = sections();
    let count: usize = sections.iter().map(|(_, examples)| examples.len()).sum();
    assert!(count >= 30, "only {count} examples were found: has the page's form changed?");
    for (heading, examples) in sections {
        let server = Server::small();
        let mut names = Names::default();
        for Example { command, expected } in examples {
            let shown = ask(&server, &names.fill(command));
            let lines: Vec<&str> = shown.trim_end().lines().collect();
            let is_so = lines.len() == expected.len()
                && expected.iter().zip(&lines).all(|(expected, line)| names.accepts(expected, line));
            assert!(is_so, "{heading}: {command}\nexpected:\n{}\nshown:\n{shown}", expected.join("\n"));
        }
    }
}

/// The table of event types on the page is the engine's.
#[test]
fn the_page_lists_every_event_type_with_its_meaning() {
    for (_, name, meaning) in keytide_engine::event::BUILT_IN {
        let row = format!("| `{name}` | `{}` | {meaning} |", name.to_ascii_uppercase());
        assert!(PAGE.contains(&row), "docs/protocol.md lacks the row\n{row}");
    }
}
