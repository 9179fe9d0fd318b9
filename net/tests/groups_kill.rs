//! Consumer groups whose server is killed at any moment, while workers read and acknowledge.
#![cfg(not(loom))]

mod common;

use common::{BINARY, Client, Value, encode, scratch, shards};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn start(dir: &Path) -> (Child, SocketAddr) {
    let mut command = Command::new(BINARY);
    command.args(["--port", "0", "--shards", &shards(), "--ring-bytes", "1m", "--dir"]).arg(dir).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the binary was built for this test");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("the pipe is read");
    let address = line.split(' ').find_map(|word| word.strip_prefix("resp=")?.parse().ok()).expect("it serves");
    (child, address)
}

fn cursor(client: &mut Client, group: &str) -> u64 {
    let info = client.call(&["cdc.group", "info", "*", group]);
    info.values().chunks(2).find(|pair| pair[0].text() == "next_seq").expect("it is told")[1].integer()
}

/// A command to a server that may be gone.
fn call(client: &mut Client, words: &[&str]) -> std::io::Result<Value> {
    client.stream().write_all(&encode(words))?;
    client.try_read()
}

/// What a worker knows.
#[derive(Default)]
struct Worker {
    /// The events that it was given.
    given: BTreeSet<u64>,
    /// Those of them that it has acknowledged, and those of which it knows that it did.
    sent: BTreeSet<u64>,
    acknowledged: BTreeSet<u64>,
}

/// Works until the server is gone.
fn work(address: SocketAddr, group: &str, name: &str) -> Worker {
    let (mut client, mut worker) = (Client::connect(address), Worker::default());
    let read = ["cdc.group", "read", "*", group, name, "10", "block", "1000"];
    while let Ok(rows) = call(&mut client, &read) {
        let given: Vec<u64> = rows.values().iter().map(|row| row.values()[0].integer()).collect();
        worker.given.extend(&given);
        let some = given.iter().filter(|position| *position % 3 > 0).copied().collect::<Vec<u64>>();
        if some.is_empty() {
            continue;
        }
        worker.sent.extend(&some);
        let some: Vec<String> = some.iter().map(u64::to_string).collect();
        let words: Vec<&str> = ["cdc.ack", "*", group].into_iter().chain(some.iter().map(String::as_str)).collect();
        if call(&mut client, &words).is_err() {
            break;
        }
        worker.acknowledged.extend(some.iter().filter_map(|position| position.parse::<u64>().ok()));
    }
    worker
}

fn write(address: SocketAddr) {
    let mut client = Client::connect(address);
    while call(&mut client, &["mset", "a", "1", "b", "2", "c", "3"]).is_ok() {}
}

#[test]
fn killed_at_any_moment_a_server_forgets_no_group_no_delivery_and_no_acknowledgement_and_skips_nothing() {
    let scratch = scratch("groups-kill");
    let (mut killed, mut delivered) = (0, 0);
    for round in 1..=8_u64 {
        let (mut child, address) = start(&scratch);
        let group = format!("g{round}");
        let mut client = Client::connect(address);
        assert_eq!(client.call(&["cdc.group", "create", "*", &group, "$"]).text(), "OK");
        let first = cursor(&mut client, &group);
        let workers: Vec<Worker> = std::thread::scope(|scope| {
            scope.spawn(move || write(address));
            let worker = |name: &'static str| {
                let group = &group;
                scope.spawn(move || work(address, group, name))
            };
            let workers = ["one", "two", "three"].map(worker);
            std::thread::sleep(Duration::from_millis(60 + 17 * round));
            child.kill().expect("it is our child");
            workers.into_iter().map(|worker| worker.join().expect("it ends with the server")).collect()
        });
        child.wait().expect("it is our child");
        killed += 1;
        // The next server knows what this one's workers know.
        let (mut child, address) = start(&scratch);
        let mut client = Client::connect(address);
        assert_eq!(client.call(&["cdc.group", "list"]).values().len(), killed);
        let cursor = cursor(&mut client, &group);
        let rows = client.call(&["cdc.pending", "*", &group]);
        let pending: BTreeSet<u64> = rows.values().iter().map(|row| row.values()[0].integer()).collect();
        let all = |of: fn(&Worker) -> &BTreeSet<u64>| workers.iter().flat_map(of).copied().collect::<BTreeSet<u64>>();
        let (given, sent, acknowledged) = (all(|w| &w.given), all(|w| &w.sent), all(|w| &w.acknowledged));
        assert_eq!(given.len(), workers.iter().map(|worker| worker.given.len()).sum::<usize>(), "given to two");
        assert!(given.last().is_none_or(|last| *last < cursor));
        assert!(given.difference(&sent).all(|position| pending.contains(position)));
        assert!(acknowledged.is_disjoint(&pending));
        assert!((first..cursor).all(|position| pending.contains(&position) || sent.contains(&position)));
        // What they did not work off is given again, found by its position alone.
        assert!(!pending.is_empty(), "the server was killed before anyone had worked");
        let words: Vec<String> = pending.iter().map(u64::to_string).collect();
        let claim = ["cdc.claim", "*", &group, "four", "0"].into_iter().chain(words.iter().map(String::as_str));
        let rows = client.call(&claim.collect::<Vec<&str>>());
        let claimed: BTreeSet<u64> = rows.values().iter().map(|row| row.values()[0].integer()).collect();
        assert_eq!(claimed, pending);
        assert!(rows.values().iter().all(|row| row.values()[2].text() == "SET"));
        delivered += given.len();
        child.kill().expect("it is our child");
        child.wait().expect("it is our child");
    }
    assert!(delivered > 0, "nothing was tested");
    println!("{delivered} events were given");
    std::fs::remove_dir_all(scratch).expect("nobody uses it any more");
}
