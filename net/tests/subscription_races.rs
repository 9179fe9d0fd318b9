//! Subscriptions while much happens at once: changes over several shards, rings that are overwritten under the reader,
//! filters that come and go, one connection that does everything.

mod common;

use common::subscriber::{Subscriber, Told, events, history, row};
use common::{Server, Stop, Value, encode, numbers_of_shards, placements};

/// Writes `count` times what `command` says of each number, in pipelines; errors are no failure, as with MSETNX.
fn write(server: &Server, count: usize, command: impl Fn(usize) -> Vec<String>) {
    let mut client = server.client();
    for batch in (0..count).collect::<Vec<_>>().chunks(40) {
        client.send_raw(&batch.iter().flat_map(|n| encode(&command(*n))).collect::<Vec<_>>());
        batch.iter().for_each(|_| drop(client.read()));
    }
}

fn words(line: String) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

/// Changes of all kinds: on one key, over several shards at once, in transactions.
fn mixed(writer: usize) -> impl Fn(usize) -> Vec<String> {
    move |n| {
        let (a, b) = (format!("k{}", n % 7), format!("k{}", (n + writer) % 11));
        words(match n % 10 {
            0 => format!("MSET {a} {n} {b} {n} x{writer} {n}"),
            1 => format!("RENAME {a} {b}"),
            2 => format!("HSET h{writer} f{n} {n} g {n}"),
            3 => "MULTI".to_owned(),
            4 | 5 => format!("SET {b} {n}"),
            6 => format!("DEL {a} {b}"),
            7 => "EXEC".to_owned(),
            8 => format!("SET {a} {n} PX 1"),
            _ => format!("CDC.APPEND {b} Type{} data", n % 3),
        })
    }
}

#[test]
fn changes_over_several_shards_are_told_in_the_one_order() {
    for flags in [&["--spin-us", "50"], &["--spin-us", "0"]] {
        let server = Server::start(&[&["--ring-bytes", "8m"][..], flags].concat());
        let mut subscribers: Vec<(&str, Subscriber)> = ["", "", "PREFIX 1 k", "ON TYPE MATCH S*", "REGEX ^[hx]"]
            .into_iter()
            .map(|filter| {
                let mut subscriber = Subscriber::connect(&server, 3);
                subscriber.subscribe(&format!("$all {filter}"));
                (filter, subscriber)
            })
            .collect();
        std::thread::scope(|scope| {
            for writer in 1..4 {
                let server = &server;
                scope.spawn(move || write(server, 1_500, mixed(writer)));
            }
            scope.spawn(|| {
                for _ in 0..5 {
                    server.cli(&["flushdb"]);
                }
            });
        });
        server.cli(&["mset", "k", "end", "h", "end"]);
        for (filter, subscriber) in &mut subscribers {
            let all = history(&server, filter);
            let stop = all.last().expect("each filter lets something through").0;
            let told = subscriber.until_position(stop);
            let told: Vec<_> = events(&told).into_iter().map(row).collect();
            let differs = told.iter().zip(&all).position(|(told, read)| told != read);
            assert_eq!(differs.map(|at| (&told[at], &all[at])), None, "{filter}");
            assert_eq!(told.len(), all.len(), "{filter}");
        }
    }
}

/// Positions are dense, so that events and gaps together must cover each of them once.
#[test]
fn a_ring_that_is_overwritten_under_its_readers_leaves_no_silent_hole() {
    for shards in &numbers_of_shards() {
        let flags = ["--shards", shards, "--ring-bytes", "64k", "--subscription-queue-events", "50"];
        let server = Server::start(&flags);
        let stop = Stop::default();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.is_asked() {
                        write(&server, 400, |n| words(format!("SET k{} {}", n % 9, "v".repeat(n % 200 + 1))));
                    }
                });
            }
            let _end = stop.at_end();
            let (mut gaps, mut fallen, mut caught) = (0, 0, 0);
            for round in 0..12 {
                let mut subscriber = Subscriber::connect(&server, 3);
                let (start, window) = (["START", "END"][round % 2], [100_000, 30][round / 2 % 2]);
                let id = subscriber.subscribe(&format!("$all FROM {start} ONGAP SKIP CHECKPOINT 1 WINDOW {window}"));
                let (mut last, mut count) = (None, 0);
                while count < 1_500 {
                    match subscriber.next().1 {
                        Told::Event(event) => {
                            assert!(last.is_none_or(|last| event.position == last + 1), "{last:?} {event:?}");
                            last = Some(event.position);
                            count += 1;
                            if count % 30 == 0 && window == 30 {
                                subscriber.send(&format!("CDC.CREDIT {id} 30"));
                                assert_eq!(subscriber.reply().text(), "OK");
                            }
                        }
                        Told::Gap(from, to) => {
                            assert!(from <= to && last.is_none_or(|last| from == last + 1), "{last:?} {from} {to}");
                            last = Some(to);
                            gaps += 1;
                        }
                        Told::CaughtUp(position) => {
                            assert!(last.is_none_or(|last| last == position), "{last:?} {position}");
                            last = Some(position);
                            caught += 1;
                        }
                        Told::FellBehind(position) => {
                            assert_eq!(last, Some(position));
                            fallen += 1;
                        }
                        // What was looked at was told.
                        Told::Checkpoint(position) => {
                            assert!(last.is_none_or(|last| position == last), "{last:?} {position}");
                            last = Some(position);
                        }
                        other => panic!("{other:?}"),
                    }
                }
            }
            assert!(gaps > 0 && caught > 0, "{gaps} gaps, caught up {caught} times, fallen behind {fallen} times");
        });
    }
}

/// Filters of all kinds, some of them expensive, come and go while others write; what each is told is what a reader
/// with the same filter reads.
#[test]
fn many_filters_at_once_each_let_through_what_they_let_through_alone() {
    for shards in &numbers_of_shards() {
        let server = Server::start(&["--shards", shards, "--ring-bytes", "8m"]);
        let filter = |n: usize| match n % 8 {
            0 => format!("PREFIX 3 user:{} order:{} x{n}", n % 10, n % 7),
            1 => format!("REGEX ^user:{}.*[0-4]$", n % 10),
            2 => format!("REGEX [0-9]{{2,6}}{}.*{}", n % 10, n % 3),
            3 => format!("MATCH *:{}?", n % 100),
            4 => format!("ON TYPE REGEX ^(Set|Kind{})$", n % 5),
            5 => format!("ON TYPE PREFIX 1 Kind{}", n % 5),
            6 => format!("NOSYSTEM REGEX {}.{}", n % 10, n % 9),
            _ => format!("PREFIX 1 order:{n}"),
        };
        let command = |n: usize| {
            words(match n % 4 {
                0 => format!("CDC.APPEND user:{} Kind{} d", n * 7919 % 1000, n % 5),
                1 => format!("SET order:{} v", n * 104_729 % 1000),
                2 => format!("SADD user:{}:{} m{n}", n % 10, n * 31 % 100),
                _ => format!("SET ${} v", n % 100),
            })
        };
        let mut connections: Vec<(Vec<usize>, Subscriber)> = Vec::new();
        std::thread::scope(|scope| {
            let (server, command) = (&server, &command);
            let writer = scope.spawn(move || write(server, 3_000, command));
            for c in 0..6 {
                let mut subscriber = Subscriber::connect(server, 2 + (c % 2) as u8);
                let kept: Vec<usize> = (0..25).map(|i| c * 25 + i).collect();
                for &n in &kept {
                    // Beside each one that stays there is one that goes again at once.
                    subscriber.send(&format!("CDC.SUBSCRIBE $all {}", filter(n)));
                    let end = if n % 3 == 0 { "FROM END" } else { "" };
                    subscriber.send(&format!("CDC.SUBSCRIBE $all {end} {}", filter(n + 1000)));
                    subscriber.send(&format!("CDC.UNSUBSCRIBE {}", (n - c * 25) * 2 + 2));
                }
                (0..75).for_each(|_| assert!(!matches!(subscriber.reply(), Value::Error(_))));
                connections.push((kept, subscriber));
            }
            writer.join().expect("it has written");
        });
        // All are live, and see the same again.
        write(&server, 500, command);
        server.cli(&["flushdb"]);
        for (kept, mut subscriber) in connections {
            let mut told: Vec<Vec<u64>> = vec![Vec::new(); 51];
            let mut ended = 0;
            while ended < kept.len() {
                match subscriber.next() {
                    (id, Told::Event(event)) => {
                        told[id as usize].push(event.position);
                        // The numbers of those that stayed are odd.
                        ended += usize::from(event.kind == "FlushDb" && id % 2 == 1);
                    }
                    (_, Told::CaughtUp(_) | Told::Checkpoint(_) | Told::FellBehind(_)) => {}
                    (id, Told::Dropped(reason, _)) => assert!(id % 2 == 0 && reason == "unsubscribed", "{id} {reason}"),
                    other => panic!("{other:?}"),
                }
            }
            for (index, n) in kept.into_iter().enumerate() {
                let filter = filter(n);
                let all: Vec<u64> = history(&server, &filter).iter().map(|row| row.0).collect();
                assert_eq!(told[index * 2 + 1], all, "{filter}");
            }
        }
    }
}

#[test]
fn one_connection_writes_reads_and_is_told_at_once() {
    for shards in &numbers_of_shards() {
        let server = Server::start(&["--shards", shards, "--ring-bytes", "8m", "--push-buffer-bytes", "4k"]);
        let mut subscriber = Subscriber::connect(&server, 3);
        subscriber.subscribe("$all FROM END");
        for round in 0..20 {
            let mut batch = Vec::new();
            for n in 0..250 {
                batch.extend(encode(&["SET", &format!("k{n}"), &format!("{round}:{n}")]));
                batch.extend(encode(&["GET", &format!("k{n}")]));
                batch.extend(encode(&["MGET", "k1", "k2", "k3"]));
            }
            batch.extend(encode(&["CDC.READ", "0", "COUNT", "1"]));
            subscriber.client().send_raw(&batch);
            for n in 0..250 {
                assert_eq!(subscriber.reply().text(), "OK");
                assert_eq!(subscriber.reply().text(), format!("{round}:{n}"));
                assert_eq!(subscriber.reply().values().len(), 3);
            }
            assert_eq!(subscriber.reply().values().len(), 10);
        }
        let all = history(&server, "");
        let told = subscriber.until_position(all.last().expect("it has written").0);
        assert_eq!(events(&told).into_iter().map(row).collect::<Vec<_>>(), all);
    }
}

/// What all are told alike leaves once for all of them, beside the replies to each.
#[test]
fn many_who_are_told_alike_each_get_everything_beside_their_own_replies() {
    const SUBSCRIBERS: usize = 8;
    for (shards, room) in numbers_of_shards().iter().zip(["40k", "256k"].iter().cycle()) {
        let server = Server::start(&["--shards", shards, "--ring-bytes", "8m", "--push-buffer-bytes", room]);
        let mut subscribers: Vec<Subscriber> = (0..SUBSCRIBERS).map(|_| Subscriber::connect(&server, 3)).collect();
        for subscriber in &mut subscribers {
            subscriber.subscribe("$all FROM END");
        }
        for round in 0..5 {
            // Replies are on their way while there is much to tell.
            for (n, subscriber) in subscribers.iter_mut().enumerate().skip(round % 2) {
                (0..20).for_each(|k| subscriber.send(&format!("ECHO {round}-{n}-{k}")));
            }
            write(&server, 2_000, |n| vec!["SET".into(), format!("k{n}"), format!("{round}{:0100}", n)]);
            for (n, subscriber) in subscribers.iter_mut().enumerate().skip(round % 2) {
                (0..20).for_each(|k| assert_eq!(subscriber.reply().text(), format!("{round}-{n}-{k}")));
            }
        }
        let all = history(&server, "");
        assert_eq!(all.len(), 10_000);
        for mut subscriber in subscribers {
            let told = subscriber.until_position(all.last().expect("it was written").0);
            assert!(events(&told).into_iter().map(row).eq(all.iter().cloned()));
        }
    }
}

/// Nobody asks for anything: a core that sleeps wakes for a TTL that is over, and tells.
#[test]
fn what_ends_by_itself_is_told() {
    for flags in &placements() {
        let flags: Vec<&str> = flags.iter().map(String::as_str).chain(["--ring-bytes", "1m"]).collect();
        let server = Server::start(&flags);
        let mut subscribers: Vec<Subscriber> = (0..4).map(|_| Subscriber::connect(&server, 3)).collect();
        for (n, subscriber) in subscribers.iter_mut().enumerate() {
            subscriber.subscribe(["$all FROM END", "$et-Expire RESOLVELINKS"][n % 2]);
            subscriber.until_caught_up();
        }
        for n in 0..8 {
            server.cli(&["set", &format!("k{n}"), "v", "px", "30"]);
        }
        for mut subscriber in subscribers {
            let mut expired = Vec::new();
            while expired.len() < 8 {
                let told = subscriber.until(|told| told.event().is_some_and(|event| event.kind == "Expire"));
                expired.extend(events(&told).last().map(|event| event.stream.clone()));
            }
            expired.sort();
            assert_eq!(expired, ["k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"]);
        }
    }
}

/// The same event to many: each gets it whole, and as its own subscription's.
#[test]
fn a_thousand_subscriptions_of_few_clients_are_all_told() {
    for shards in &numbers_of_shards() {
        let server = Server::start(&["--shards", shards, "--ring-bytes", "1m"]);
        let mut subscribers: Vec<Subscriber> = (0..5).map(|n| Subscriber::connect(&server, 2 + n % 2)).collect();
        for subscriber in &mut subscribers {
            for n in 1..=200 {
                let what = ["$all", "k", "$ce-k RESOLVELINKS", "$et-Set", "$all PREFIX 1 k"][n as usize % 5];
                assert_eq!(subscriber.subscribe(&format!("{what} FROM END")), n);
            }
        }
        for n in 0..20 {
            server.cli(&["set", "k", &n.to_string()]);
            server.cli(&["set", "k-1", &n.to_string()]);
        }
        for mut subscriber in subscribers {
            let mut told = vec![Vec::new(); 201];
            // 20 of one stream, 20 of the category, 40 of the others.
            while told.iter().map(Vec::len).sum::<usize>() < 40 * (20 + 20 + 3 * 40) {
                let (id, message) = subscriber.next();
                told[id as usize].extend(message.event().cloned());
            }
            for (id, told) in told.iter().enumerate().skip(1) {
                let count = if [1, 2].contains(&(id % 5)) { 20 } else { 40 };
                assert_eq!(told.len(), count);
                assert!(told.windows(2).all(|pair| pair[0].position < pair[1].position), "{id}");
            }
        }
    }
}
