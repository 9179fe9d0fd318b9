//! Subscriptions over sockets: each event behind the start once and in order, whoever writes meanwhile and wherever.

mod common;

use common::subscriber::{Event, Row, Subscriber, Told, events, history, row};
use common::{Server, Stop, Value, encode, eventually, placements};

/// Runs a test with each of [`placements`], in both versions of the protocol.
fn everywhere(test: impl Fn(&Server, u8)) {
    for flags in &placements() {
        let flags: Vec<&str> = flags.iter().map(String::as_str).chain(["--ring-bytes", "4m"]).collect();
        for version in [2, 3] {
            let server = Server::start(&flags);
            test(&server, version);
        }
    }
}

/// Writes `count` times to several keys, in pipelines; with `rare`, to such a key once in a hundred times.
fn write(server: &Server, writer: usize, count: usize, rare: &str) {
    let mut client = server.client();
    for batch in (0..count).collect::<Vec<_>>().chunks(50) {
        let mut bytes = Vec::new();
        for n in batch {
            let key = if n % 100 == 7 { format!("{rare}{writer}") } else { format!("user:{writer}:{}", n % 10) };
            match n % 3 {
                0 => bytes.extend(encode(&["SET", &key, &n.to_string()])),
                1 => bytes.extend(encode(&["APPEND", &key, "x"])),
                _ => bytes.extend(encode(&["DEL", &key])),
            }
        }
        client.send_raw(&bytes);
        for _ in batch {
            let reply = client.read();
            assert!(!matches!(reply, Value::Error(_)), "{reply:?}");
        }
    }
}

fn rows(told: &[Told]) -> Vec<Row> {
    events(told).into_iter().map(row).collect()
}

fn sum(server: &Server, field: &str) -> u64 {
    let info = server.cli(&["info", "subscriptions"]);
    let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).map(str::trim);
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{field} is not in {info}"))
}

#[test]
fn every_event_behind_the_start_comes_once_and_in_order_while_others_write() {
    everywhere(|server, version| {
        write(server, 9, 500, "rare:");
        let mut subscribers = Vec::new();
        for what in ["$all", "$all PREFIX 1 rare:", "$all ON TYPE REGEX ^D", "$all FROM END"] {
            let mut subscriber = Subscriber::connect(server, version);
            assert_eq!(subscriber.subscribe(what), 1);
            subscribers.push((what, subscriber));
        }
        let told: Vec<(&str, Vec<Told>)> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..2).map(|n| scope.spawn(move || write(server, n, 1500, "rare:"))).collect();
            // Some begin while the others write, in the middle of what there is.
            for what in ["$all MATCH user:1:*", "$all NOSYSTEM"] {
                let mut subscriber = Subscriber::connect(server, version);
                let from = history(server, "")[100].0;
                subscriber.subscribe(&format!("{what} FROM {from}"));
                subscribers.push((what, subscriber));
            }
            writers.into_iter().for_each(|writer| writer.join().expect("it has written"));
            // An event that all of them want comes last.
            server.cli(&["flushdb"]);
            let is_last = |told: &Told| told.event().is_some_and(|event| event.kind == "FlushDb");
            subscribers.into_iter().map(|(what, mut subscriber)| (what, subscriber.until(is_last))).collect()
        });
        for (what, told) in told {
            let filter = what.trim_start_matches("$all").trim_end_matches("FROM END");
            let all = history(server, filter);
            let rows = rows(&told);
            let is_whole = matches!(what, "$all" | "$all PREFIX 1 rare:" | "$all ON TYPE REGEX ^D");
            assert!(all.ends_with(&rows), "{what}: what was told is no end of what happened");
            assert!(!is_whole || rows.len() == all.len(), "{what}: {} of {}", rows.len(), all.len());
            assert!(rows.len() > 10 && told.iter().any(|told| matches!(told, Told::CaughtUp(_))), "{what}");
        }
    });
}

#[test]
fn a_stream_is_told_from_its_start_a_revision_a_position_or_its_end() {
    everywhere(|server, version| {
        let mut writer = server.client();
        let mut append = |data: &str| {
            writer.call(&["SET", "other", data]);
            writer.call(&["CDC.APPEND", "s", "T", data, "META", "m"]).values()[0].integer()
        };
        let mut all: Vec<(u64, String)> = ["a", "b", "c"].map(|data| (append(data), data.to_owned())).into();
        for (from, first) in [
            (String::new(), Some(0)),
            ("FROM START".to_owned(), Some(0)),
            ("FROM 0".to_owned(), Some(1)),
            ("FROM 1".to_owned(), Some(2)),
            (format!("FROM POSITION {}", all[0].0), Some(1)),
            (format!("FROM POSITION {}", all[0].0 - 1), Some(0)),
            (format!("FROM POSITION {}", all[2].0), Some(3)),
            ("FROM END".to_owned(), None),
        ] {
            let mut subscriber = Subscriber::connect(server, version);
            subscriber.subscribe(&format!("s {from}"));
            let first = first.unwrap_or(all.len());
            let told = subscriber.until_caught_up();
            assert_eq!(told.len(), all.len() - first + 1, "{from}: {told:?}");
            let next = all.len().to_string();
            all.push((append(&next), next));
            let told = [told, subscriber.until(|told| told.event().is_some())].concat();
            let found = events(&told);
            assert_eq!(found.len(), all.len() - first, "{from}: {told:?}");
            for (index, event) in found.into_iter().enumerate() {
                let (position, data) = &all[first + index];
                assert_eq!((event.position, event.revision), (*position, (first + index) as u64), "{from}");
                assert_eq!((event.kind.as_str(), &event.data.text()), ("T", data));
                assert_eq!((event.meta.text().as_str(), &event.link), ("m", &None));
            }
        }
    });
}

#[test]
fn what_lies_ahead_is_dropped_with_the_newest_position() {
    everywhere(|server, version| {
        let at = server.client().call(&["CDC.APPEND", "s", "T", "x"]).values()[0].integer();
        for (what, reason) in [
            ("s FROM 1", "revision-ahead"),
            ("s FROM 2", "revision-ahead"),
            ("t FROM 0", "revision-ahead"),
            ("t FROM 1", "revision-ahead"),
            ("s FROM POSITION 9007199254740991", "position-ahead"),
            ("$all FROM 18446744073709551615", "position-ahead"),
            ("$streams FROM 18446744073709551614", "position-ahead"),
        ] {
            let mut subscriber = Subscriber::connect(server, version);
            subscriber.subscribe(what);
            assert_eq!(subscriber.next(), (1, Told::Dropped(reason.to_owned(), at)), "{what}");
            assert_eq!(subscriber.call("CDC.UNSUBSCRIBE 1").error(), "ERR no such subscription");
            let again = Subscriber::subscribe(&mut subscriber, "s FROM 0");
            assert_eq!((again, subscriber.next()), (2, (2, Told::CaughtUp(at))));
        }
    });
}

#[test]
fn filters_choose_by_stream_and_by_type_what_was_and_what_happens() {
    everywhere(|server, version| {
        let act = |server: &Server, member: &str| {
            let mut writer = server.client();
            for words in [
                &["SET", "user:1", "a"][..],
                &["HSET", "user:2", "f", "v"],
                &["SET", "company:1", "b"],
                &["SET", "$config", "c"],
                &["CDC.APPEND", "order:1", "$system", "d"],
                &["CDC.APPEND", "order:1", "paid", "e"],
                &["SADD", "tags", member],
            ] {
                assert!(!matches!(writer.call(words), Value::Error(_)), "{words:?}");
            }
        };
        act(server, "a");
        let filters = [
            ("PREFIX 2 user: company:", &["user:1", "user:2", "company:1"][..]),
            ("REGEX ^user|^company", &["user:1", "user:2", "company:1"]),
            ("REGEX r:1$", &["user:1", "order:1", "order:1"]),
            ("MATCH *:1", &["user:1", "company:1", "order:1", "order:1"]),
            ("ON TYPE PREFIX 2 H pa", &["user:2", "order:1"]),
            ("ON TYPE REGEX ^(H|S)", &["user:1", "user:2", "company:1", "$config", "tags"]),
            ("ON TYPE MATCH pai?", &["order:1"]),
            ("NOSYSTEM PREFIX 3 $config order: tags", &["order:1", "tags"]),
            ("NOSYSTEM", &["user:1", "user:2", "company:1", "order:1", "tags"]),
        ];
        let mut subscriber = Subscriber::connect(server, version);
        let mut streams: Vec<Vec<String>> = vec![Vec::new(); filters.len()];
        for (index, (filter, _)) in filters.iter().enumerate() {
            assert_eq!(subscriber.subscribe(&format!("$all {filter}")), index as u64 + 1);
        }
        let mut live = 0;
        while live < filters.len() {
            match subscriber.next() {
                (id, Told::Event(event)) => streams[id as usize - 1].push(event.stream),
                (_, Told::CaughtUp(_)) => live += 1,
                (_, Told::Checkpoint(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        act(server, "b");
        server.cli(&["flushdb"]);
        let mut ended = 0;
        while ended < filters.len() {
            match subscriber.next() {
                (_, Told::Event(event)) if event.kind == "FlushDb" => ended += 1,
                (id, Told::Event(event)) => streams[id as usize - 1].push(event.stream),
                (_, Told::Checkpoint(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        for ((filter, wanted), streams) in filters.iter().zip(streams) {
            assert_eq!(streams, [*wanted, *wanted].concat(), "{filter}");
        }
    });
}

#[test]
fn links_point_to_events_and_are_resolved_on_request() {
    everywhere(|server, version| {
        let mut writer = server.client();
        let mut append = |stream: &str, kind: &str| {
            let reply = writer.call(&["CDC.APPEND", stream, kind, "d"]);
            (reply.values()[0].integer(), reply.values()[1].integer())
        };
        // In the first half there are events already, in the second one they happen.
        let mut subscribers = Vec::new();
        let mut all: Vec<(u64, &str, u64, &str)> = Vec::new();
        for half in 0..2 {
            let names =
                [["user-1", "user-2", "user:3", "userx", "order-1"], ["user-1", "user-4", "order-2", "user:3", "x"]];
            for stream in names[half] {
                let kind = if stream.starts_with("user") { "Seen" } else { "Paid" };
                let (position, revision) = append(stream, kind);
                all.push((position, stream, revision, kind));
            }
            if half == 0 {
                for source in ["$ce-user", "$et-Paid", "$streams", "$ce-nobody"] {
                    for resolve in ["", "RESOLVELINKS"] {
                        let mut subscriber = Subscriber::connect(server, version);
                        subscriber.subscribe(&format!("{source} {resolve}"));
                        let told = subscriber.until_caught_up();
                        subscribers.push((source, resolve, told, subscriber));
                    }
                }
            }
        }
        server.cli(&["flushdb"]);
        for (source, resolve, mut told, mut subscriber) in subscribers {
            told.extend(subscriber.until(|told| told.event().is_some_and(|event| event.kind == "FlushDb")));
            let found = events(&told);
            let (flush, found) = found.split_last().expect("the flush at least");
            assert_eq!((flush.stream.as_str(), &flush.link), ("$db", &None));
            let is_in = |(_, stream, revision, kind): &&(u64, &str, u64, &str)| match source {
                "$ce-user" => stream.starts_with("user-") || stream.starts_with("user:"),
                "$et-Paid" => *kind == "Paid",
                "$streams" => *revision == 0,
                _ => false,
            };
            let wanted: Vec<_> = all.iter().filter(is_in).collect();
            assert_eq!(found.len(), wanted.len(), "{source} {resolve}: {found:?}");
            for (event, &&(position, stream, revision, kind)) in found.iter().zip(&wanted) {
                assert_eq!(event.position, position);
                if resolve.is_empty() {
                    assert_eq!((event.stream.as_str(), event.revision), (source, position));
                    assert_eq!((event.kind.as_str(), event.data.text()), ("$>", format!("{revision}@{stream}")));
                    assert_eq!((&event.link, &event.meta), (&None, &Value::Nil));
                } else {
                    assert_eq!((event.stream.as_str(), event.revision, event.kind.as_str()), (stream, revision, kind));
                    assert_eq!(event.link, Some((source.to_owned(), position)));
                }
            }
        }
    });
}

#[test]
fn a_shards_stream_has_the_events_of_that_shard() {
    let server = Server::start(&["--ring-bytes", "4m"]);
    (0..8).for_each(|writer| write(&server, writer, 300, "rare:"));
    let mut all = Vec::new();
    for shard in 0..server.shards {
        let mut subscriber = Subscriber::connect(&server, 3);
        subscriber.subscribe(&format!("$shard-{shard}"));
        let told = subscriber.until_caught_up();
        assert!(events(&told).len() > 20, "shard {shard} has few events");
        assert!(server.shards == 1 || matches!(told[told.len() - 2], Told::Checkpoint(_)));
        all.extend(rows(&told));
    }
    all.sort();
    assert_eq!(all, history(&server, ""));
    let mut subscriber = Subscriber::connect(&server, 3);
    let shards = server.shards;
    let refused = subscriber.call(&format!("CDC.SUBSCRIBE $shard-{shards}"));
    assert_eq!(refused.error(), format!("ERR no such shard '$shard-{shards}', there are {shards}"));
}

#[test]
fn resuming_from_any_checkpoint_or_event_misses_nothing() {
    everywhere(|server, version| {
        let stop = Stop::default();
        std::thread::scope(|scope| {
            for writer in 0..2 {
                let stop = &stop;
                scope.spawn(move || {
                    while !stop.is_asked() {
                        write(server, writer, 200, "rare:");
                    }
                });
            }
            let mut end = Some(stop.at_end());
            let (mut seen, mut from): (Vec<Event>, String) = (Vec::new(), "START".to_owned());
            for run in 0..=20_usize {
                let mut subscriber = Subscriber::connect(server, version);
                // The last one stays until all is written and told; the others are cut off anywhere.
                let is_last = run == 20;
                if is_last {
                    end.take();
                    server.cli(&["set", "rare:last", "x"]);
                }
                subscriber.subscribe(&format!("$all FROM {from} PREFIX 1 rare:"));
                let mut left = run * 5 % 17 + 1;
                while is_last || left > 0 {
                    left = left.saturating_sub(1);
                    match subscriber.next() {
                        (_, Told::Event(event)) => {
                            from = event.position.to_string();
                            let is_end = is_last && event.stream == "rare:last";
                            seen.push(event);
                            if is_end {
                                break;
                            }
                        }
                        (_, Told::Checkpoint(position)) => from = position.to_string(),
                        (_, Told::CaughtUp(_) | Told::FellBehind(_)) => {}
                        other => panic!("{other:?}"),
                    }
                }
            }
            let seen: Vec<Row> = seen.iter().map(row).collect();
            let all = history(server, "PREFIX 1 rare:");
            assert_eq!(seen[..], all[..seen.len()]);
            assert_eq!(seen.last().map(|row| row.1.as_str()), Some("rare:last"));
        });
    });
}

#[test]
fn checkpoints_come_every_so_many_events_while_catching_up_and_while_live() {
    everywhere(|server, version| {
        write(server, 1, 1000, "rare:");
        for (what, events_between) in [("$all", 32), ("$all CHECKPOINT 3", 96)] {
            let mut subscriber = Subscriber::connect(server, version);
            subscriber.subscribe(what);
            let told = subscriber.until_caught_up();
            let (mut since, mut last) = (0, 0);
            for message in &told {
                match message {
                    Told::Event(event) => {
                        since += 1;
                        assert!(since <= events_between, "{what}: no checkpoint at {event:?}");
                        assert!(event.position > last);
                    }
                    Told::Checkpoint(position) => (since, last) = (0, *position),
                    _ => {}
                }
            }
            let [.., Told::Checkpoint(checkpoint), Told::CaughtUp(position)] = told[..] else { panic!("{what}") };
            assert_eq!(checkpoint, position);
            // Nothing of what is written from here on is wanted.
            let mut quiet = Subscriber::connect(server, version);
            quiet.subscribe(&format!("{} PREFIX 1 nothing", what.trim_end()));
            quiet.until_caught_up();
            let before = history(server, "").last().expect("there are events").0;
            write(server, 2, 500, "rare:");
            let told = quiet.until(|told| matches!(told, Told::Checkpoint(position) if *position >= before + 300));
            assert!(events(&told).is_empty());
        }
    });
}

#[test]
fn the_reply_comes_before_the_first_message_and_the_last_message_before_the_reply() {
    everywhere(|server, version| {
        let mut client = server.client();
        if version == 3 {
            client.call(&["hello", "3"]);
        }
        let batch =
            ["SET k v", "CDC.SUBSCRIBE k", "CDC.SUBSCRIBE $all FROM END", "CDC.UNSUBSCRIBE 1", "CDC.UNSUBSCRIBE 2"];
        let words = |line: &str| encode(&line.split(' ').collect::<Vec<_>>());
        client.send_raw(&batch.map(words).concat());
        let (mut dropped, mut replies) = (Vec::new(), Vec::new());
        while replies.len() < batch.len() {
            let value = client.read();
            match Told::parse(&value) {
                Some((id, Told::Dropped(reason, _))) => {
                    assert_eq!((reason.as_str(), replies.len() as u64), ("unsubscribed", id + 2));
                    dropped.push(id);
                }
                // Its first message comes after its number.
                Some((id, _)) => assert!(replies.len() as u64 > id && !dropped.contains(&id), "{value:?}"),
                None => replies.push(value),
            }
        }
        let ok = || Value::Simple("OK".to_owned());
        assert_eq!(replies, [ok(), Value::Integer(1), Value::Integer(2), ok(), ok()]);
        assert_eq!(dropped, [1, 2]);
        assert_eq!(client.call(&["GET", "k"]).text(), "v");
    });
}

#[test]
fn a_subscription_of_the_end_sees_what_is_written_after_its_reply() {
    everywhere(|server, version| {
        for n in 0..50 {
            let mut subscriber = Subscriber::connect(server, version);
            let mut writer = server.client();
            writer.call(&["SET", "k", "before"]);
            subscriber.subscribe("k FROM END");
            writer.call(&["SET", "k", &n.to_string()]);
            let told = subscriber.until(|told| told.event().is_some());
            assert_eq!(events(&told)[0].data.text(), n.to_string());
        }
        eventually("all of them are gone", || sum(server, "subscriptions") == 0);
    });
}
