//! `docs/commands.md` is made from the table of commands: it has every command of redis-server 8.2.3, here or not and why.
//! `KEYTIDE_WRITE_PAGES=1 cargo test --test commands_page` writes it anew.

#[path = "../common/mod.rs"]
mod common;

use common::{Server, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

const PAGE: &str = include_str!("../../../docs/commands.md");

/// What COMMAND LIST of redis-server 8.2.3 says.
const REDIS: &str = include_str!("redis-8.2.3.txt");

/// Why commands of Redis are not here. The first whose name begins a command's name says it.
const REASONS: &[(&str, &str)] = &[
    (
        "bgrewriteaof",
        "there is no append-only file to rewrite: the log's segments are dropped by age and size, and `BGSAVE` takes a snapshot",
    ),
    ("cluster", "there is one server: `CLUSTER` answers that cluster support is disabled"),
    ("failover", "there is no replication"),
    ("fcall", "not yet: scripts are here"),
    ("function", "not yet: scripts are here"),
    ("memory|malloc-stats", "the allocator is another one; `INFO memory` has its figures"),
    ("migrate", "there is no other server to move keys to; `DUMP` and `RESTORE` do it by hand"),
    ("module", "there are no modules"),
    ("pfdebug", "it tests Redis's own code"),
    ("pfselftest", "it tests Redis's own code"),
    ("psync", "there is no replication"),
    ("replconf", "there is no replication"),
    ("restore-asking", "there is no cluster"),
    ("script|debug", "there is no debugger of scripts"),
    ("swapdb", "each key's stream has the name of its database"),
    ("sync", "there is no replication"),
    ("v", "there are no vector sets"),
    ("waitaof", "what is on disk when a command is answered, `--fsync` says"),
    ("", "not yet"),
];

/// Commands that the server knows only to refuse them, whatever they are asked for.
const REFUSED: &[&[&str]] =
    &[&["fcall", "f", "0"], &["fcall_ro", "f", "0"], &["function", "list"], &["swapdb", "0", "1"]];

fn reason(name: &str) -> &'static str {
    let found = REASONS.iter().find(|(begin, _)| name.starts_with(begin));
    found.expect("the last one begins every name").1
}

/// The commands of a server that do something, with their groups.
fn commands(server: &Server) -> BTreeMap<String, String> {
    let mut client = server.client();
    let names = client.call(&["COMMAND", "LIST"]);
    let group = |name: &str, client: &mut common::Client| {
        let docs = client.call(&["COMMAND", "DOCS", name]);
        let fields = docs.values()[1].values();
        let at = fields.iter().position(|field| *field == Value::Bulk(b"group".to_vec())).expect("each has a group");
        fields[at + 1].text()
    };
    let does_something = |name: &String| REFUSED.iter().all(|refused| refused[0] != name);
    names
        .values()
        .iter()
        .map(Value::text)
        .filter(does_something)
        .map(|name| (name.clone(), group(&name, &mut client)))
        .collect()
}

fn page(here: &BTreeMap<String, String>) -> String {
    let redis: BTreeSet<&str> = REDIS.lines().collect();
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    here.iter().for_each(|(name, group)| groups.entry(group).or_default().push(name));
    let (own, missing): (Vec<&str>, Vec<&str>) = (
        here.keys().map(String::as_str).filter(|name| !redis.contains(name)).collect(),
        redis.iter().copied().filter(|name| !here.contains_key(*name)).collect(),
    );
    let shown = |name: &str| format!("`{}`", name.to_uppercase().replace('|', " "));
    let list = |names: &[&str]| names.iter().map(|name| shown(name)).collect::<Vec<_>>().join(" ");
    let mut page = String::new();
    let both = redis.len() - missing.len();
    let _ = write!(
        page,
        "# Commands\n\n\
         Made from the table of commands, and held by a test. Redis is redis-server 8.2.3, whose `COMMAND LIST` has {} commands and\n\
         subcommands; {both} of them are here. [protocol.md](protocol.md) has what differs in them, and the commands of change capture.\n\n\
         ## Here\n\n| group | commands |\n|---|---|\n",
        redis.len()
    );
    for (group, names) in &groups {
        let _ = writeln!(page, "| {group} | {} |", list(names));
    }
    page += "\n## Not here\n\n| command | why |\n|---|---|\n";
    let mut why: Vec<(&str, Vec<&str>)> = Vec::new();
    for name in missing {
        match why.iter_mut().find(|(reason_of, _)| *reason_of == reason(name)) {
            Some((_, names)) => names.push(name),
            None => why.push((reason(name), vec![name])),
        }
    }
    for (reason, names) in why {
        let _ = writeln!(page, "| {} | {reason} |", list(&names));
    }
    let _ = write!(page, "\n## Only here\n\n{}\n", list(&own));
    page
}

#[test]
fn the_page_is_what_the_server_says() {
    let server = Server::start(&["--shards", "1"]);
    let made = page(&commands(&server));
    if std::env::var_os("KEYTIDE_WRITE_PAGES").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/commands.md");
        std::fs::write(path, &made).expect("the page can be written");
    }
    let differs = made.lines().zip(PAGE.lines()).find(|(made, page)| made != page);
    assert!(
        made == PAGE,
        "docs/commands.md is not what the server says: write it anew as this file's head says; {differs:?}"
    );
}

#[test]
fn what_is_not_here_is_no_command_or_is_refused() {
    let server = Server::start(&["--shards", "1"]);
    let here = commands(&server);
    let mut client = server.client();
    for words in REFUSED {
        let reply = client.call(words);
        assert!(!reply.error().contains("unknown command"), "{words:?}: {reply:?}");
    }
    let is_refused = |name: &str| REFUSED.iter().any(|refused| refused[0] == name);
    for name in REDIS.lines().filter(|name| !here.contains_key(*name) && !name.contains('|') && !is_refused(name)) {
        let reply = client.call(&["COMMAND", "INFO", name]);
        assert_eq!(reply.values(), [Value::Nil], "{name}");
    }
}
