//! The rules of the house that the compiler doesn't know, for the sources of all packages. A failure says what to do.
#![cfg(not(loom))]

use std::fs;
use std::path::{Path, PathBuf};

/// Files that may be longer than [`LINES_MAX`], with their lines at the most. It may only shrink: split a file instead.
const LONG_FILES: &[(&str, usize)] = &[];

const LINES_MAX: usize = 500;

/// The only files with `unsafe`; a directory stands for the files in it.
const UNSAFE_FILES: &[&str] = &[
    "engine/src/clock.rs",
    "engine/src/collection/thin.rs",
    "engine/src/keyspace/block.rs",
    "engine/src/keyspace/block/head.rs",
    "engine/src/keyspace/block/pointed.rs",
    "engine/src/keyspace/block/string.rs",
    "engine/src/keyspace/block/tests.rs",
    "engine/src/keyspace/table/line.rs",
    "engine/src/keyspace/table/word.rs",
    "engine/src/log/map.rs",
    "engine/src/log/map/tests.rs",
    "engine/src/prefetch.rs",
    "engine/src/ring/checksum.rs",
    "engine/src/ring/words.rs",
    "engine/src/ring/writer.rs",
    "engine/src/shard/mod.rs",
    "net/src/allocator.rs",
    "net/src/connection/input.rs",
    "net/src/heap.rs",
    "net/src/mesh/lane.rs",
    "net/src/main.rs",
    "net/src/net_ring/",
    "net/src/process.rs",
    "net/src/scripting/interpreter.rs",
    "net/src/scripting/lent.rs",
    "net/src/wake.rs",
    "net/tests/common/mod.rs",
    "net/tests/net_ring_leaks.rs",
];

struct Source {
    path: String,
    text: String,
}

impl Source {
    /// Whether the word stands in the code, outside line comments. This file names what it forbids.
    fn says(&self, word: &str) -> bool {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let is_word = |code: &str| {
            code.match_indices(word).any(|(at, _)| {
                let after = &code[at + word.len()..];
                !code[..at].ends_with(is_part) && (word.ends_with(':') || !after.starts_with(is_part))
            })
        };
        self.path != "engine/tests/tidy.rs"
            && self.text.lines().any(|line| is_word(line.split_once("//").map_or(line, |(code, _)| code)))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package stands in the workspace")
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory of the workspace") {
        let path = entry.expect("its entry").path();
        match path.is_dir() {
            true if path.ends_with("target") => {}
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

/// Every file of these directories, by its path from the root, in order.
fn paths(directories: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    directories.iter().for_each(|directory| files(&root().join(directory), &mut found));
    let from_root = |path: &PathBuf| path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
    let mut paths: Vec<String> = found.iter().map(from_root).collect();
    paths.sort();
    paths
}

fn sources() -> Vec<Source> {
    let rust = paths(&["engine", "net", "bench"]).into_iter().filter(|path| path.ends_with(".rs"));
    rust.map(|path| Source { text: fs::read_to_string(root().join(&path)).expect("UTF-8"), path }).collect()
}

/// Fails with every source that breaks a rule.
fn none(breaks: impl Fn(&Source) -> bool, remedy: &str) {
    let broken: Vec<String> = sources().into_iter().filter(breaks).map(|source| source.path).collect();
    assert!(broken.is_empty(), "{}: {remedy}", broken.join(", "));
}

#[test]
fn every_file_says_what_it_is() {
    none(|source| !source.text.starts_with("//!"), "begin the file with a `//!` line that says what is in it");
}

#[test]
fn no_file_is_long() {
    let allowed = |source: &Source| LONG_FILES.iter().find(|(path, _)| source.path == *path).map(|(_, lines)| *lines);
    let lines = |source: &Source| source.text.lines().count();
    none(|source| lines(source) > allowed(source).unwrap_or(LINES_MAX), "too long: split it, each part one idea");
    for (path, _) in LONG_FILES {
        let needed = sources().iter().any(|source| source.path == *path && lines(source) > LINES_MAX);
        assert!(needed, "{path}: no longer long, take it from LONG_FILES");
    }
}

#[test]
fn unsafe_code_stays_where_it_is_known() {
    let listed =
        |source: &Source, entry: &str| source.path == entry || entry.ends_with('/') && source.path.starts_with(entry);
    none(
        |source| source.says("unsafe") && !UNSAFE_FILES.iter().any(|entry| listed(source, entry)),
        "do without `unsafe`, or justify the file and list it in UNSAFE_FILES",
    );
    for entry in UNSAFE_FILES {
        let needed = sources().iter().any(|source| listed(source, entry) && source.says("unsafe"));
        assert!(needed, "{entry}: no `unsafe` there any more, take it from UNSAFE_FILES");
    }
}

#[test]
fn the_kernels_ring_is_used_in_one_place() {
    none(
        |source| !source.path.starts_with("net/src/net_ring/") && source.says("io_uring::"),
        "io_uring is used under net/src/net_ring/ only: give NetRing a method for what you need",
    );
}

#[test]
fn the_layers_below_the_protocol_know_no_protocol() {
    let layers = [
        "net_ring/",
        "connection/transport.rs",
        "connection/input.rs",
        "connection/output.rs",
        "turn_loop/net_events.rs",
    ];
    let is_below =
        |path: &str| layers.iter().any(|layer| path.strip_prefix("net/src/").is_some_and(|p| p.starts_with(layer)));
    none(
        |source| is_below(&source.path) && ["resp::", "Reply", "error_text"].iter().any(|word| source.says(word)),
        "transport, input and output are the same for every protocol: let connection/protocol.rs do it",
    );
}

#[test]
fn the_paths_of_the_architecture_are_short_and_go_one_way() {
    const FILES_MAX: usize = 12;
    let page = fs::read_to_string(root().join("docs/architecture.md")).expect("the page on the architecture");
    let paths: Vec<&str> = page.split("\n## ").filter(|section| section.starts_with("The life of a ")).collect();
    assert_eq!(paths.len(), 2, "docs/architecture.md: follow a SET, and a pushed event");
    for path in paths {
        let title = path.lines().next().unwrap_or_default();
        let rows: Vec<&str> = path.lines().filter(|line| line.starts_with("| ") && line.contains(".rs`")).collect();
        let mut files: Vec<&str> = rows.iter().filter_map(|row| row.split('`').nth(1)).collect();
        assert!((1..=FILES_MAX).contains(&files.len()), "{title}: {} files, merge some", files.len());
        for file in &files {
            assert!(root().join(file).is_file(), "{title}: there is no {file}");
        }
        files.sort_unstable();
        files.dedup();
        assert_eq!(files.len(), rows.len(), "{title}: a file comes twice, or a row names more than one");
    }
}

#[test]
fn the_engine_is_told_the_time() {
    let asks = |source: &Source| source.says("SystemTime") || source.says("Instant");
    none(
        |source| source.path.starts_with("engine/") && source.path != "engine/src/clock.rs" && asks(source),
        "take the time as an argument; only engine/src/clock.rs asks for it",
    );
}

#[test]
fn the_engine_does_not_know_the_network() {
    let names =
        |source: &Source| ["keytide_net", "glommio", "socket2", "io_uring"].iter().any(|name| source.says(name));
    none(
        |source| source.path.starts_with("engine/") && names(source),
        "the engine has no sockets and no executor: what needs them belongs into net/",
    );
    let manifest = fs::read_to_string(root().join("engine/Cargo.toml")).expect("the engine's manifest");
    assert!(!manifest.contains("../net"), "engine/Cargo.toml: the engine must not depend on net");
}

#[test]
fn every_file_among_the_tests_is_used() {
    for package in ["engine", "net"] {
        let manifest = fs::read_to_string(root().join(package).join("Cargo.toml")).expect("a manifest");
        assert!(!manifest.contains("autotests"), "{package}/Cargo.toml: let cargo find the tests, without autotests");
        let tests = sources().into_iter().filter(|source| source.path.starts_with(&format!("{package}/tests/")));
        let tests: Vec<Source> = tests.collect();
        for path in paths(&[&format!("{package}/tests")]) {
            let inner = &path[package.len() + "/tests/".len()..];
            let (directory, file) = inner.rsplit_once('/').unwrap_or(("", inner));
            // Cargo runs these by itself; the others are modules or data of a test, which names them.
            let is_run = directory.is_empty() && file.ends_with(".rs") || file == "main.rs";
            let parent = directory.rsplit('/').next().unwrap_or("");
            let names: Vec<String> = match file.strip_suffix(".rs") {
                Some("mod") => vec![format!("mod {parent};")],
                Some(module) => vec![format!("mod {module};")],
                None => vec![file.to_owned(), format!("{parent}/"), format!("\"{parent}\"")],
            };
            let is_named =
                || tests.iter().any(|test| names.iter().any(|name| test.path != path && test.text.contains(name)));
            assert!(is_run || is_named(), "{path}: no test uses it; name it in one, move it, or delete it");
        }
    }
}

/// The rooms of a package: the top-level modules of its `src/`. A room may use the rooms below it.
struct House {
    package: &'static str,
    /// All rooms, bottom to top.
    rooms: &'static [&'static str],
    /// Imports that go up: the room, the room above it that it uses, and why. The list may only shrink.
    exceptions: &'static [(&'static str, &'static str, &'static str)],
}

const HOUSES: &[House] = &[
    House {
        package: "engine",
        rooms: &[
            "account",
            "clock",
            "limits",
            "event",
            "bits",
            "number",
            "prefetch",
            "sync",
            "eviction",
            "extended",
            "collection",
            "geo",
            "position",
            "stream_name",
            "stream_metadata",
            "stream_acl",
            "error",
            "hyperloglog",
            "subsequence",
            "sequencer",
            "slot",
            "filter",
            "ring",
            "waiters",
            "readers",
            "interest",
            "log",
            "recent_ids",
            "turn",
            "keyspace",
            "dump",
            "snapshot",
            "shard",
            "shards",
            "history",
            "matcher",
            "fanout",
            "subscription",
            "group",
            "store",
        ],
        exceptions: &[
            ("turn", "keyspace", "the open turn has the shard's `Expiries`"),
            ("keyspace", "shard", "replay restores a `StoredEntry`"),
            ("snapshot", "shard", "a snapshot is loaded into a `Shard`"),
        ],
    },
    House {
        package: "net",
        rooms: &[
            "limits",
            "allocator",
            "process",
            "value",
            "sync",
            "wake",
            "paced",
            "slow_log",
            "access",
            "net_ring",
            "keyspace_events",
            "changes",
            "channels",
            "tracking",
            "resp",
            "scripting",
            "protocol",
            "gather",
            "unread",
            "groups",
            "rate",
            "snapshots",
            "reading_time",
            "weight",
            "heap",
            "task_queues",
            "memory",
            "tls",
            "config",
            "port",
            "accounts",
            "descriptors",
            "server",
            "session",
            "strangers",
            "streams",
            "http2",
            "grpc",
            "kurrent",
            "web",
            "connection",
            "delivery",
            "command",
            "mesh",
            "turn_loop",
            "check",
            "hash_password",
            "import",
            "start",
        ],
        exceptions: &[("server", "command", "the cores share the statistics of commands")],
    },
];

/// Code for tests, which may use every room: `mod` items under `#[cfg(test)]`, as files or directories from the root.
fn test_modules(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let directory = match source.path.strip_suffix("/mod.rs").or_else(|| source.path.strip_suffix("/lib.rs")) {
            Some(directory) => directory,
            None => source.path.trim_end_matches(".rs"),
        };
        let mut is_test = false;
        for line in source.text.lines() {
            match line.trim() {
                line if line.starts_with("#[cfg(") => is_test = line.contains("test") && !line.contains("not(test)"),
                line if line.starts_with("#[") => {}
                line => {
                    let name = line.rsplit_once("mod ").and_then(|(_, name)| name.strip_suffix(';'));
                    found.extend(name.filter(|_| is_test).map(|name| format!("{directory}/{name}")));
                    is_test = false;
                }
            }
        }
    }
    found
}

/// The code of a file without line comments, and without its inline `mod tests`, which ends the file.
fn code(source: &Source) -> String {
    let lines = source.text.lines().take_while(|line| !line.ends_with("mod tests {"));
    lines.map(|line| line.split_once("//").map_or(line, |(code, _)| code)).collect::<Vec<_>>().join("\n")
}

/// The names behind each `prefix` in the code.
fn names_behind<'c>(code: &'c str, prefix: &'c str) -> impl Iterator<Item = &'c str> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(prefix).filter_map(move |(at, _)| {
        let is_start = !code[..at].ends_with(|c| is_part(c) || c == ':' || c == '$');
        let name = code[at + prefix.len()..].split(|c| !is_part(c)).next();
        name.filter(|name| is_start && !name.is_empty())
    })
}

/// The imports between rooms of a package: room, used room, and the file that uses it.
fn imports(house: &House) -> Vec<(String, String, String)> {
    let root = format!("{}/src/", house.package);
    let sources: Vec<Source> = sources().into_iter().filter(|source| source.path.starts_with(&root)).collect();
    let tests = test_modules(&sources);
    let is_test = |path: &str| {
        tests.iter().any(|test| path.strip_prefix(&**test).is_some_and(|rest| rest == ".rs" || rest.starts_with('/')))
    };
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| !is_test(&source.path)) {
        let inner = source.path[root.len()..].trim_end_matches(".rs");
        let inner = inner.strip_suffix("/mod").unwrap_or(inner);
        let room = inner.split('/').next().unwrap_or(inner);
        if matches!(room, "lib" | "main") {
            continue;
        }
        assert!(house.rooms.contains(&room), "{root}{room}: no room of HOUSES: add it above all rooms that it uses");
        let code = code(source);
        let braces = "`crate::{` hides which rooms are used: import each room in a line of its own";
        assert!(!code.contains("crate::{"), "{}: {braces}", source.path);
        let to_root = "super::".repeat(inner.split('/').count());
        let used = names_behind(&code, "crate::").chain(names_behind(&code, &to_root));
        let others = used.filter(|used| *used != room && house.rooms.contains(used));
        found.extend(others.map(|used| (room.to_owned(), used.to_owned(), source.path.clone())));
    }
    found
}

#[test]
fn rooms_use_only_rooms_below_them() {
    for house in HOUSES {
        let package = house.package;
        let floor = |room: &str| house.rooms.iter().position(|other| *other == room).expect("a room of the house");
        for room in house.rooms {
            let path = root().join(package).join("src").join(room);
            assert!(
                path.is_dir() || path.with_extension("rs").is_file(),
                "{package}: no room {room}: take it from HOUSES"
            );
        }
        let imports = imports(house);
        for (room, used, path) in &imports {
            let is_excepted = house.exceptions.iter().any(|(from, to, _)| from == room && to == used);
            assert!(
                floor(used) < floor(room) || is_excepted,
                "{path}: {room} uses {used}, which is above it in HOUSES: move what it needs into a room below both, or pass \
                 it in from above; a new room that stands wrong may move in the list"
            );
        }
        for (room, used, _) in house.exceptions {
            let is_needed = imports.iter().any(|(from, to, _)| from == room && to == used) && floor(used) > floor(room);
            assert!(
                is_needed,
                "{package}: {room} does not use {used} above it any more: take the exception from HOUSES"
            );
        }
    }
}
