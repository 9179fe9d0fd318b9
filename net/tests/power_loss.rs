//! A gap inside the history, as a power loss leaves it or a copy that is started with `--restored`: whoever reads over it
//! is told, and gets ahead.
#![cfg(not(loom))]

mod common;

use common::page::blocks;
use common::subscriber::{Subscriber, Told, events};
use common::{Server, Value, numbers_of_shards, python, scratch};

/// A server whose history has a gap inside: behind `last`, and up to the event at `new`.
struct Gapped {
    server: Server,
    last: u64,
    new: u64,
}

/// How many events there are before the gap.
const BEFORE: usize = 100;

fn gapped(name: &str, shards: &str, test: impl FnOnce(&Gapped)) {
    let dir = scratch(&format!("power-loss-{name}-{shards}"));
    let path = dir.to_str().expect("a plain path");
    let flags = ["--dir", path, "--shards", shards, "--ring-bytes", "1m", "--segment-bytes", "1m"];
    let server = Server::start(&flags);
    let mut client = server.client();
    for n in 0..BEFORE {
        client.call(&["set", &format!("k:{n}"), "v"]);
    }
    let rows = client.call(&["cdcpoll", "0", "1000"]);
    let last = rows.values().last().expect("what was written").values()[0].integer();
    // It is killed.
    drop(server);
    let server = Server::start(&[&flags[..], &["--restored"]].concat());
    let mut client = server.client();
    let new = client.call(&["cdc.append", "k:1", "New", "v"]).values()[0].integer();
    assert!(new > last + 1_000_000, "{new} after {last}");
    test(&Gapped { server, last, new });
    std::fs::remove_dir_all(dir).expect("nobody writes to it any more");
}

fn everywhere(name: &str, test: impl Fn(&Gapped)) {
    for shards in numbers_of_shards() {
        gapped(name, &shards, &test);
    }
}

#[test]
fn who_follows_the_advice_of_a_drop_gets_ahead_from_anywhere() {
    everywhere("drop", |Gapped { server, last, new }| {
        for stream in ["$all", "$all PREFIX 1 k:", "$ce-k", "$et-New", "k:1", "k:1 ON TYPE MATCH New"] {
            for from in [0, last - 50, *last, last + 1, (last + new) / 2, new - 2] {
                let (mut position, mut drops, mut is_told) = (from, 0, false);
                while !is_told {
                    let mut subscriber = Subscriber::connect(server, 3);
                    let (source, filter) = stream.split_once(' ').unwrap_or((stream, ""));
                    subscriber.subscribe(&format!("{source} FROM POSITION {position} {filter}"));
                    let ends = |told: &Told| matches!(told, Told::CaughtUp(_) | Told::Dropped(..));
                    for one in subscriber.until(ends) {
                        match one {
                            Told::Event(event) => {
                                position = event.position;
                                is_told |= event.position == *new;
                            }
                            // Who has been told nothing yet begins with what there is.
                            Told::Checkpoint(at) | Told::Gap(_, at) => position = at,
                            Told::Dropped(reason, first) => {
                                assert_eq!(reason, "position-evicted", "{stream} from {from}");
                                assert!(first > position + 1, "{stream} from {from}: {first} after {position}");
                                (position, drops) = (first - 1, drops + 1);
                            }
                            Told::CaughtUp(_) => assert!(is_told, "{stream} from {from}"),
                            other => panic!("{stream} from {from}: {other:?}"),
                        }
                    }
                    assert!(drops <= 1, "{stream} from {from}: once is enough");
                }
            }
        }
    });
}

#[test]
fn who_skips_gaps_is_told_of_it_once_and_goes_on() {
    everywhere("skip", |Gapped { server, last, new }| {
        for stream in ["$all", "$all PREFIX 1 k:", "$ce-k", "k:1", "$streams"] {
            let (source, filter) = stream.split_once(' ').unwrap_or((stream, ""));
            for start in ["START".to_owned(), format!("POSITION {}", last - 10), format!("POSITION {last}")] {
                let mut subscriber = Subscriber::connect(server, 3);
                subscriber.subscribe(&format!("{source} FROM {start} {filter} ONGAP SKIP"));
                let told = subscriber.until_caught_up();
                let gaps: Vec<_> = told.iter().filter(|told| matches!(told, Told::Gap(..))).collect();
                assert_eq!(gaps, [&Told::Gap(last + 1, new - 1)], "{stream} from {start}: {told:?}");
                let is_there = events(&told).iter().any(|event| event.position == *new);
                assert_eq!(is_there, stream != "$streams", "{stream} from {start}: {told:?}");
                let mut through = 0;
                for one in &told {
                    let position = match one {
                        Told::Event(event) => event.position,
                        Told::CaughtUp(at) | Told::FellBehind(at) | Told::Checkpoint(at) => *at,
                        Told::Gap(_, to) => *to,
                        Told::Dropped(..) => panic!("{stream} from {start}: {told:?}"),
                    };
                    assert!(position >= through, "{stream} from {start}: {position} after {through}");
                    through = position;
                }
            }
        }
    });
}

#[test]
fn polls_reads_and_groups_have_a_row_for_it_and_read_on_behind_it() {
    everywhere("rows", |Gapped { server, last, new }| {
        let mut client = server.client();
        let seqs = |rows: &Value| -> Vec<(u64, String)> {
            rows.values().iter().map(|row| (row.values()[0].integer(), row.values()[2].text())).collect()
        };
        let behind = [(new - 1, "GAP".to_owned()), (*new, "New".to_owned())];
        for cursor in [last + 1, last + 2, (last + new) / 2, new - 1] {
            let rows = client.call(&["cdcpoll", &cursor.to_string(), "10"]);
            assert_eq!(seqs(&rows), behind, "from {cursor}");
            assert_eq!(rows.values()[0].values()[3], Value::Nil);
            let page = client.call(&["cdc.read", &cursor.to_string()]);
            let [_, next, _, gap, _, lost, _, _, _, events] = page.values() else { panic!("{page:?}") };
            assert_eq!((next.integer(), gap.integer(), lost), (new + 1, 1, &Value::Nil), "from {cursor}");
            assert_eq!(seqs(events), behind[1..]);
        }
        assert_eq!(seqs(&client.call(&["cdcpoll", &new.to_string(), "10"])), behind[1..]);
        // From the start: page by page, as whoever polls does.
        let (mut cursor, mut told) = (0, Vec::new());
        while told.last() != behind.last() {
            let rows = seqs(&client.call(&["cdcpoll", &cursor.to_string(), "30"]));
            cursor = rows.last().expect("it gets ahead").0 + 1;
            told.extend(rows);
        }
        assert_eq!((told.len(), &told[BEFORE..]), (BEFORE + 2, &behind[..]));
        let cursor = (last - 4).to_string();
        client.call(&["cdc.group", "create", "k:*", "g", &cursor]);
        let mut told = Vec::new();
        while told.last() != behind.last() {
            let rows = seqs(&client.call(&["cdc.group", "read", "k:*", "g", "worker", "3"]));
            assert!(!rows.is_empty(), "it gets ahead: {told:?}");
            told.extend(rows);
        }
        assert_eq!((told.len(), &told[5..]), (7, &behind[..]));
    });
}

#[test]
fn the_recipe_of_the_docs_gets_ahead() {
    let blocks = blocks(include_str!("../../docs/subscriptions.md"));
    let python_blocks = || blocks.iter().filter(|block| block.language == "python");
    let class = python_blocks().next().expect("the page has Python on it").text();
    let recipe = python_blocks().map(|block| block.text()).find(|text| text.contains("def follow"));
    let recipe = recipe.expect("the page has the recipe");
    let follow = recipe.split("\nclient = ").next().expect("a text has a first part");
    gapped("recipe", "2", |Gapped { server, last, .. }| {
        for (stream, position) in [("$all", *last), ("k:1", *last), ("$all", last + 7), ("$all", 0)] {
            let script = format!(
                "{class}\n{follow}\nposition, attempts, is_told = {position}, 0, False\n\
                 def handle(event):\n    global is_told\n    is_told = event[2] == 'New'\n    \
                 return 'stop' if is_told else None\n\
                 while not is_told:\n    attempts += 1\n    assert attempts < 3, position\n    \
                 before, position = position, follow('{stream}', handle, position)\n    \
                 assert position >= before\nprint('ahead')\n"
            );
            let port = format!("redis.Redis(port={}, ", server.address.port());
            let Some(output) = python(&script.replace("redis.Redis(", &port)) else { return };
            let shown = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && shown.ends_with("ahead\n"), "{stream} from {position}: {output:?}");
        }
    });
}
