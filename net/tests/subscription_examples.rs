//! The examples of `docs/subscriptions.md` are what redis-cli and redis-py show.

mod common;

use common::page::{Block, Names, blocks};
use common::{PATIENCE, Server, python, shards};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const PAGE: &str = include_str!("../../docs/subscriptions.md");

/// A redis-cli that stays, for messages come to the connection that asked for them.
struct Cli {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    /// Messages that were shown earlier than on the page.
    messages: VecDeque<String>,
}

impl Cli {
    fn start(server: &Server) -> Cli {
        let port = server.address.port().to_string();
        let mut child = Command::new("redis-cli")
            .args(["--json", "--show-pushes", "yes", "-p", &port])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-cli is installed: scripts/test does it");
        let stdin = child.stdin.take().expect("its standard input is a pipe");
        let stdout = BufReader::new(child.stdout.take().expect("its standard output is a pipe"));
        let (sender, lines) = channel();
        // It ends with redis-cli.
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Cli { child, stdin, lines, messages: VecDeque::new() }
    }

    fn type_in(&mut self, command: &str) {
        writeln!(self.stdin, "{command}").expect("redis-cli reads it");
    }

    /// What is shown for a command of which the page shows so many messages and then the reply. A message may come
    /// with an earlier reply than on the page, or later: it is kept until the page shows it, and PING asks again.
    fn ask(&mut self, command: &str, messages: usize) -> Vec<String> {
        self.type_in(command);
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("{command}: nothing more, after {:?}", self.messages));
            if is_message(&line) {
                self.messages.push_back(line);
            } else if command == "PING" && self.messages.len() < messages {
                std::thread::sleep(Duration::from_millis(5));
                self.type_in(command);
            } else {
                let messages = messages.min(self.messages.len());
                return self.messages.drain(..messages).chain([line]).collect();
            }
        }
    }
}

/// Whether redis-cli shows a message by this line.
fn is_message(line: &str) -> bool {
    line.starts_with("[\"cdc.")
}

impl Drop for Cli {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Types the block's commands into a redis-cli of its own; answers how many there were.
fn run_commands(server: &Server, names: &mut Names, block: &Block) -> usize {
    let examples = block.examples();
    if examples.is_empty() {
        return 0;
    }
    let mut cli = Cli::start(server);
    for example in &examples {
        let messages = example.expected.iter().filter(|line| is_message(line)).count();
        let shown = cli.ask(&names.fill(example.command), messages);
        let lines: Vec<&str> = shown.iter().map(String::as_str).collect();
        let is_so = names.accept_all(&example.expected, &lines);
        let (heading, command, expected) = (block.heading, example.command, example.expected.join("\n"));
        assert!(is_so, "{heading}: {command}\nexpected:\n{expected}\nshown:\n{}", shown.join("\n"));
    }
    // Whatever is left would be a message that the page does not show.
    cli.ask("PING", 0);
    assert!(cli.messages.is_empty(), "{}: {:?}", block.heading, cli.messages);
    examples.len()
}

/// Runs the block behind the page's first one, which the others use, and compares what it prints.
fn run_python(server: &Server, first: &Block, block: &Block, expected: &Block) {
    let script = format!("{}\n{}\n", first.text(), block.text());
    let port = format!("redis.Redis(port={}, ", server.address.port());
    let Some(output) = python(&script.replace("redis.Redis(", &port)) else { return };
    let shown = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = shown.lines().collect();
    let is_so = output.status.success() && Names::default().accept_all(&expected.lines, &lines);
    assert!(is_so, "{}: expected\n{}\nshown\n{shown}\n{output:?}", block.heading, expected.text());
}

fn run_page(shards: &str) {
    let start = || Server::start(&["--shards", shards, "--ring-bytes", "1m"]);
    let blocks = blocks(PAGE);
    let first = blocks.iter().find(|block| block.language == "python").expect("the page has Python on it");
    let (mut heading, mut names) = ("", Names::default());
    let (mut server, mut commands, mut scripts) = (start(), 0, 0);
    for (index, block) in blocks.iter().enumerate() {
        if block.heading != heading {
            (heading, server, names) = (block.heading, start(), Names::default());
        }
        match (block.language, blocks.get(index + 1)) {
            ("", _) => commands += run_commands(&server, &mut names, block),
            ("python", Some(expected)) if expected.language == "text" => {
                run_python(&server, first, block, expected);
                scripts += 1;
            }
            ("python" | "text", _) => {}
            (other, _) => panic!("who runs {other}?"),
        }
    }
    assert!(commands >= 50 && scripts >= 6, "only {commands} and {scripts}: has the page's form changed?");
}

#[test]
fn every_example_of_the_page_is_what_is_shown_by_one_shard() {
    run_page("1");
}

#[test]
fn every_example_of_the_page_is_what_is_shown_by_several_shards() {
    run_page(&shards());
}
