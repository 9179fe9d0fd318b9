//! Retention that races its readers: whoever reads what is being removed gets each event in its order, or is told of a
//! gap; never an error, never another event.
#![cfg(not(loom))]

mod common;

use common::subscriber::{Subscriber, Told};
use common::{Client, Server, Stop, Value, encode, eventually, scratch};
use std::io::Write;
use std::net::SocketAddr;

/// Until so many bytes of history are written; some 40 times what is kept.
const OFFSET: u64 = 96 << 20;

fn write(address: SocketAddr, stop: &Stop) {
    let (mut client, mut n) = (Client::connect(address), 0_u64);
    while !stop.is_asked() {
        let mut batch = Vec::new();
        for n in n..n + 500 {
            batch.extend(encode(&["set".to_owned(), format!("key:{}", n % 2_000), format!("{:0400}", n % 2_000)]));
        }
        client.stream().write_all(&batch).expect("the server reads");
        (0..500).for_each(|_| assert_eq!(client.read().text(), "OK"));
        n += 500;
    }
}

fn field(reply: &Value, name: &str) -> Value {
    reply.values().chunks(2).find(|pair| pair[0].text() == name).expect("it is told")[1].clone()
}

/// The value says which key it was written to.
fn is_right(key: &str, value: &str) -> bool {
    key.strip_prefix("key:").and_then(|n| n.parse::<u64>().ok()) == value.parse().ok()
}

/// Reads pages from the oldest event on, again and again; answers how many events and gaps there were.
fn read(address: SocketAddr, stop: &Stop) -> (u64, u64) {
    let (mut client, mut cursor, mut events, mut gaps) = (Client::connect(address), 0, 0, 0);
    while !stop.is_asked() {
        let page = client.call(&["cdc.read", &cursor.to_string(), "count", "300"]);
        let has_gap = field(&page, "gap") != Value::Integer(0);
        let (next, rows) = (field(&page, "next_seq").integer(), field(&page, "events"));
        let mut expected = cursor;
        for row in rows.values() {
            let row = row.values();
            let position = row[0].integer();
            assert!(position >= cursor, "{position} below {cursor}");
            assert!(
                position == expected || (has_gap || cursor == 0) && expected == cursor,
                "{position} instead of {expected}"
            );
            assert!(is_right(&row[1].text(), &row[3].text()), "{row:?}");
            expected = position + 1;
        }
        assert!(next >= expected, "{next} below {expected}");
        events += rows.values().len() as u64;
        gaps += u64::from(has_gap);
        // Now and then from the oldest event on: where retention is at work.
        cursor = if events % 7 == 0 { 0 } else { next };
    }
    (events, gaps)
}

#[test]
fn readers_of_what_retention_removes_get_every_event_in_order_or_a_gap() {
    let scratch = scratch("retention");
    let dir = scratch.to_str().expect("a plain path");
    let sizes = ["--ring-bytes", "256k", "--segment-bytes", "1m", "--retain-bytes", "2m", "--snapshot-bytes", "512k"];
    let server = Server::start(&[&["--snapshots", "1", "--dir", dir][..], &sizes].concat());
    let (stop, address) = (Stop::default(), server.address);
    let (mut events, mut gaps) = (0, 0);
    std::thread::scope(|scope| {
        let at_end = stop.at_end();
        scope.spawn(|| write(address, &stop));
        let readers = [0, 1].map(|_| scope.spawn(|| read(address, &stop)));
        let subscriber = || {
            let mut subscriber = Subscriber::connect(&server, 3);
            subscriber.subscribe("$all FROM START ONGAP SKIP");
            let (mut last, mut events, mut gap) = (None::<u64>, 0, None::<u64>);
            while !stop.is_asked() {
                match subscriber.next().1 {
                    Told::Event(event) => {
                        let after = gap.take().or(last);
                        assert!(after.is_none_or(|after| event.position == after + 1), "{after:?}, {event:?}");
                        last = Some(event.position);
                        events += 1;
                    }
                    Told::Gap(_, to) => gap = Some(to),
                    Told::Dropped(reason, position) => panic!("dropped at {position}: {reason}"),
                    Told::CaughtUp(_) | Told::FellBehind(_) | Told::Checkpoint(_) => {}
                }
            }
            events
        };
        let subscribers = [0, 1].map(|_| scope.spawn(subscriber));
        let mut client = server.client();
        eventually("enough is written", || {
            let info = client.call(&["info", "persistence"]).text();
            let line = info.lines().find_map(|line| line.strip_prefix("log_written_offset:"));
            line.and_then(|number| number.trim().parse().ok()).is_some_and(|offset: u64| offset >= OFFSET)
        });
        drop(at_end);
        // For those who wait for an event.
        assert_eq!(client.call(&["set", "key:1", "1"]).text(), "OK");
        for reader in readers {
            let (read, told) = reader.join().expect("nothing was wrong");
            (events, gaps) = (events + read, gaps + told);
        }
        for subscriber in subscribers {
            events += subscriber.join().expect("nothing was wrong");
        }
    });
    println!("{events} events, {gaps} gaps");
    assert!(events > 0 && gaps > 0, "the race was none");
    let kept = std::fs::read_dir(scratch.join("generation-0001/shard-0000")).expect("it is there");
    let segments = kept.filter(|entry| {
        entry.as_ref().expect("its entry").path().extension().is_some_and(|extension| extension == "segment")
    });
    assert!(segments.count() < 12, "retention is at work");
    drop(server);
    std::fs::remove_dir_all(scratch).expect("nobody uses it any more");
}
