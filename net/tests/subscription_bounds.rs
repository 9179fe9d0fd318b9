//! Subscribers that are slow, away, late, many or hostile: each is told, none of them harms another, and memory stays
//! within its bounds.

mod common;

use common::subscriber::{Subscriber, Told, events, history};
use common::{Server, Value, encode, eventually, numbers_of_shards};
use std::net::Shutdown;

fn servers(flags: &[&str]) -> Vec<Server> {
    numbers_of_shards().iter().map(|shards| Server::start(&[&["--shards", shards], flags].concat())).collect()
}

/// Writes `count` values of so many bytes, in pipelines.
fn write(server: &Server, count: usize, bytes: usize) {
    let mut client = server.client();
    let value = "v".repeat(bytes);
    let mut left = count;
    while left > 0 {
        let batch = left.min(200);
        client
            .send_raw(&(0..batch).flat_map(|n| encode(&["SET", &format!("k{}", n % 50), &value])).collect::<Vec<_>>());
        (0..batch).for_each(|_| assert_eq!(client.read().text(), "OK"));
        left -= batch;
    }
}

fn figure(server: &Server, field: &str) -> u64 {
    let info = server.cli(&["info", "subscriptions"]);
    let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).map(str::trim);
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{field} is not in {info}"))
}

#[test]
fn subscribers_that_never_read_cost_bounded_memory_and_no_writer_waits_for_them() {
    for server in servers(&["--ring-bytes", "1m"]) {
        let mut idle: Vec<Subscriber> = (0..40).map(|n| Subscriber::connect(&server, 2 + n % 2)).collect();
        for subscriber in &mut idle {
            assert_eq!(subscriber.subscribe("$all"), 1);
            subscriber.subscribe("$all FROM END ONGAP SKIP");
        }
        write(&server, 10_000, 100);
        let before = server.resident_bytes();
        write(&server, 100_000, 500);
        let grown = server.resident_bytes().saturating_sub(before);
        // For each client two buffers of 128 KiB, which have room for as much again, and two queues of 4,096 places. 40
        // times what was written would be 2 GB.
        assert!(grown < 96 << 20, "{grown} bytes");
        // Who reads at last has lost events and is told so: it is dropped, or goes on behind the gap.
        for mut subscriber in idle.into_iter().take(4) {
            let (mut last, mut dropped, mut skipped) = ([0; 3], false, false);
            while !(dropped && skipped) {
                let (id, told) = subscriber.next();
                let last = &mut last[id as usize];
                match (id, told) {
                    (_, Told::Event(event)) => {
                        assert!(
                            event.position > *last && (*last == 0 || id == 1 || skipped || event.position == *last + 1)
                        );
                        *last = event.position;
                    }
                    (1, Told::Dropped(reason, first)) => {
                        assert!(reason == "position-evicted" && first > *last + 1, "{reason} {first}");
                        dropped = true;
                    }
                    (2, Told::Gap(from, to)) => {
                        assert!(from == *last + 1 || *last == 0, "a gap from {from} on behind {last}");
                        assert!(to >= from);
                        skipped = true;
                    }
                    (_, Told::CaughtUp(_) | Told::FellBehind(_) | Told::Checkpoint(_)) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

#[test]
fn who_falls_behind_catches_up_again_and_misses_nothing() {
    for server in servers(&["--ring-bytes", "4m", "--subscription-queue-events", "100"]) {
        for version in [2, 3] {
            let mut subscriber = Subscriber::connect(&server, version);
            let id = subscriber.subscribe("$all FROM END WINDOW 3");
            let Told::CaughtUp(start) = subscriber.until_caught_up()[1] else { panic!("there is a checkpoint first") };
            // Caught up is told before the shards have said that they look for it; from then on it is live.
            eventually("it is live", || figure(&server, "subscriptions_live") == 1);
            write(&server, 1_000, 10);
            let told = subscriber.until(|told| matches!(told, Told::FellBehind(_)));
            let found: Vec<u64> = events(&told).iter().map(|event| event.position).collect();
            assert_eq!(found.len(), 3);
            assert_eq!(told.last(), Some(&Told::FellBehind(found[2])));
            assert_eq!(subscriber.call(&format!("CDC.CREDIT {id} 5000")).text(), "OK");
            let rest = subscriber.until_caught_up();
            let found = [found, events(&rest).iter().map(|event| event.position).collect()].concat();
            let all: Vec<u64> = history(&server, "").iter().map(|row| row.0).filter(|at| *at > start).collect();
            assert_eq!(found, all);
            // And it is live.
            server.cli(&["set", "k", "again"]);
            let told = subscriber.until(|told| told.event().is_some());
            assert_eq!(events(&told)[0].data.text(), "again");
            drop(subscriber);
            eventually("it is gone", || figure(&server, "subscriptions") == 0);
        }
        assert!(figure(&server, "subscriptions_fell_behind_total") >= 2);
    }
}

#[test]
fn who_is_not_to_fall_behind_is_dropped_and_resumes() {
    for server in servers(&["--ring-bytes", "4m", "--subscription-queue-bytes", "10k"]) {
        let mut subscriber = Subscriber::connect(&server, 3);
        subscriber.subscribe("$all FROM END WINDOW 3 ONSLOW DROP");
        subscriber.until_caught_up();
        eventually("it is live", || figure(&server, "subscriptions_live") == 1);
        write(&server, 1_000, 100);
        let told = subscriber.until(|told| matches!(told, Told::Dropped(_, _)));
        let (found, last) = (events(&told), told.last().expect("it was dropped"));
        assert_eq!((found.len(), last), (3, &Told::Dropped("too-slow".to_owned(), found[2].position)));
        assert_eq!(subscriber.subscribe(&format!("$all FROM {}", found[2].position)), 2);
        assert_eq!(events(&subscriber.until_caught_up()).len(), 997);
        assert_eq!(figure(&server, "subscriptions_dropped_total"), 1);
    }
}

#[test]
fn a_window_is_never_exceeded() {
    for server in servers(&["--ring-bytes", "1m"]) {
        for from in ["FROM START", "FROM END"] {
            let mut subscriber = Subscriber::connect(&server, 3);
            let id = subscriber.subscribe(&format!("s WINDOW 4 {from}"));
            for n in 0..40 {
                server.cli(&["cdc.append", "s", "T", &n.to_string()]);
            }
            let (mut credit, mut count) = (4, 0);
            for step in [1, 2, 3, 5, 20] {
                // A reply that comes behind all that was told.
                while count < credit {
                    count += usize::from(subscriber.next().1.event().is_some());
                }
                assert_eq!(subscriber.call("PING").text(), "PONG");
                assert_eq!(subscriber.call(&format!("CDC.CREDIT {id} {step}")).text(), "OK");
                credit += step;
            }
            while count < credit {
                count += usize::from(subscriber.next().1.event().is_some());
            }
            assert_eq!(subscriber.call("PING").text(), "PONG");
            assert_eq!(subscriber.call(&format!("CDC.UNSUBSCRIBE {id}")).text(), "OK");
            let told = subscriber.until(|told| matches!(told, Told::Dropped(_, _)));
            assert!(events(&told).is_empty(), "{credit} were to come, and more did: {told:?}");
            server.cli(&["del", "s"]);
            server.cli(&["flushdb"]);
        }
    }
}

#[test]
fn who_is_too_late_is_told_what_is_gone() {
    for server in servers(&["--ring-bytes", "64k"]) {
        let early = server.client().call(&["CDC.APPEND", "k1", "T", "x"]).values()[0].integer();
        write(&server, 3_000, 100);
        let first = history(&server, "")[0].0;
        for (what, expected) in [
            (format!("$all FROM {early}"), Told::Dropped("position-evicted".to_owned(), first)),
            (format!("$all FROM {early} ONGAP DROP"), Told::Dropped("position-evicted".to_owned(), first)),
            (format!("$all FROM {early} ONGAP SKIP"), Told::Gap(early + 1, first - 1)),
        ] {
            let mut subscriber = Subscriber::connect(&server, 3);
            subscriber.subscribe(&what);
            assert_eq!(subscriber.next(), (1, expected), "{what}");
        }
        for (what, is_told) in [("$all", true), ("$all FROM 0", true), ("$all FROM END", false)] {
            let mut subscriber = Subscriber::connect(&server, 3);
            subscriber.subscribe(what);
            let told = subscriber.until_caught_up();
            assert_eq!(matches!(told[0], Told::Gap(from, to) if from <= early && to == first - 1), is_told, "{what}");
            assert_eq!(events(&told).len(), if is_told { history(&server, "").len() } else { 0 });
        }
    }
}

#[test]
fn a_client_that_goes_away_in_the_middle_leaves_nothing_behind() {
    for server in servers(&["--ring-bytes", "4m"]) {
        write(&server, 5_000, 100);
        for round in 0..30 {
            let mut subscriber = Subscriber::connect(&server, 2 + (round % 2) as u8);
            subscriber.subscribe("$all");
            subscriber.subscribe("$ce-k RESOLVELINKS FROM END");
            (0..round * 7).for_each(|_| drop(subscriber.next()));
            match round % 3 {
                0 => drop(subscriber),
                1 => subscriber.client().stream().shutdown(Shutdown::Both).expect("it is connected"),
                // It only says that it asks for nothing more; that ends a subscription too.
                _ => {
                    subscriber.client().stream().shutdown(Shutdown::Write).expect("it is connected");
                    assert!(subscriber.client().is_closed());
                }
            }
            write(&server, 100, 100);
        }
        eventually("no subscription is left", || figure(&server, "subscriptions") == 0);
        assert_eq!(figure(&server, "subscriptions_live"), 0);
        let mut subscriber = Subscriber::connect(&server, 3);
        subscriber.subscribe("$all FROM END");
        subscriber.until_caught_up();
    }
}

#[test]
fn reset_kill_and_quit_end_subscriptions() {
    for server in servers(&["--ring-bytes", "1m"]) {
        let mut asker = server.client();
        for version in [2, 3] {
            let mut subscriber = Subscriber::connect(&server, version);
            assert_eq!((subscriber.subscribe("$all"), subscriber.subscribe("k")), (1, 2));
            assert_eq!(figure(&server, "subscriptions"), 2);
            let list = asker.call(&["client", "list", "type", "pubsub"]).text();
            assert!(list.contains(" flags=P ") && list.contains(" sub=2 ") && list.lines().count() == 1, "{list}");
            assert_eq!(subscriber.call("RESET").text(), "RESET");
            assert_eq!(asker.call(&["client", "list", "type", "pubsub"]).text(), "");
            eventually("they have ended", || figure(&server, "subscriptions") == 0);
            // It is as it was when it was opened: RESP2, all commands, numbers from 1.
            drop(subscriber);
            let mut subscriber = Subscriber::connect(&server, 2);
            subscriber.subscribe("k FROM END");
            assert_eq!(subscriber.call("RESET").text(), "RESET");
            subscriber.until_caught_up();
            asker.call(&["set", "k", "v"]);
            assert_eq!(subscriber.call("GET k").text(), "v");
            assert_eq!(subscriber.subscribe("k FROM END"), 1);
            assert_eq!(subscriber.call("QUIT").text(), "OK");
            assert!(subscriber.client().is_closed());
            let mut subscriber = Subscriber::connect(&server, version);
            subscriber.subscribe("$all");
            assert_eq!(asker.call(&["client", "kill", "type", "pubsub"]), Value::Integer(1));
            assert!(subscriber.client().is_closed());
            eventually("they have ended", || figure(&server, "subscriptions") == 0);
        }
    }
}

#[test]
fn a_resp2_subscriber_may_do_little_else_and_a_resp3_one_anything() {
    for server in servers(&["--ring-bytes", "1m"]) {
        let mut subscriber = Subscriber::connect(&server, 2);
        let id = subscriber.subscribe("other FROM END");
        subscriber.until_caught_up();
        for (line, name) in [("GET k", "get"), ("client id", "client|id"), ("COMMAND", "command"), ("HELLO 3", "hello")]
        {
            let text = format!(
                "ERR Can't execute '{name}': only CDC.SUBSCRIBE / CDC.UNSUBSCRIBE / CDC.CREDIT / (P|S)SUBSCRIBE / \
                 (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
            );
            assert_eq!(subscriber.call(line).error(), text);
        }
        let bulk = |text: &str| Value::Bulk(text.into());
        assert_eq!(subscriber.call("PING"), Value::Array(vec![bulk("pong"), bulk("")]));
        assert_eq!(subscriber.call("PING x"), Value::Array(vec![bulk("pong"), bulk("x")]));
        assert_eq!(subscriber.call(&format!("CDC.CREDIT {id} 1")).text(), "OK");
        assert_eq!(subscriber.call(&format!("CDC.UNSUBSCRIBE {id}")).text(), "OK");
        assert_eq!(subscriber.call("PING").text(), "PONG");
        assert_eq!(subscriber.call("GET k"), Value::Nil);
        let mut subscriber = Subscriber::connect(&server, 3);
        subscriber.subscribe("k");
        assert_eq!(subscriber.call("SET k v").text(), "OK");
        assert_eq!(subscriber.call("PING").text(), "PONG");
        assert_eq!(subscriber.call("MULTI").text(), "OK");
        assert_eq!(subscriber.call("CDC.SUBSCRIBE k").error(), "ERR Command not allowed inside a transaction");
        assert!(subscriber.call("EXEC").error().starts_with("EXECABORT"));
        assert_eq!(subscriber.call("MULTI").text(), "OK");
        assert_eq!(subscriber.call("SET k w").text(), "QUEUED");
        assert!(matches!(subscriber.call("EXEC"), Value::Array(_)));
        let told = subscriber.until(|told| told.event().is_some_and(|event| event.data.text() == "w"));
        assert_eq!(events(&told).len(), 2);
    }
}

#[test]
fn a_server_that_stops_says_so_to_every_subscriber() {
    for flags in [&["--ring-bytes", "1m"][..], &["--ring-bytes", "1m", "--spin-us", "0"]] {
        for server in servers(flags) {
            // On two shards some are on each core.
            let mut all: Vec<Subscriber> = (0..12).map(|n| Subscriber::connect(&server, 2 + n % 2)).collect();
            for subscriber in &mut all {
                subscriber.subscribe("$all");
                subscriber.subscribe("k WINDOW 1");
            }
            server.cli(&["set", "k", "v"]);
            server.signal(libc::SIGTERM);
            for subscriber in &mut all {
                let mut ended = 0;
                while ended < 2 {
                    if let (_, Told::Dropped(reason, _)) = subscriber.next() {
                        assert_eq!(reason, "shutting-down");
                        ended += 1;
                    }
                }
                assert!(subscriber.client().is_closed());
            }
            assert!(server.wait().success());
        }
    }
}

#[test]
fn arguments_that_make_no_sense_are_refused_and_leave_nothing_behind() {
    for server in servers(&["--ring-bytes", "1m", "--subscriptions-per-client", "5"]) {
        let mut subscriber = Subscriber::connect(&server, 3);
        let many_prefixes = format!("$all PREFIX 70000 {}", "x ".repeat(70_000));
        for (line, text) in [
            ("CDC.SUBSCRIBE", "ERR wrong number of arguments for 'cdc.subscribe' command"),
            ("CDC.SUBSCRIBE s FROM", "ERR FROM takes START, END, a number, or POSITION and a number"),
            ("CDC.SUBSCRIBE s FROM 1.5", "ERR FROM takes START, END, a number, or POSITION and a number"),
            ("CDC.SUBSCRIBE s CHECKPOINT 1", "ERR CHECKPOINT is for $all and system streams"),
            ("CDC.SUBSCRIBE $all CHECKPOINT 0", "ERR CHECKPOINT takes a number from 1"),
            ("CDC.SUBSCRIBE $all WINDOW -1", "ERR WINDOW takes a number from 1"),
            ("CDC.SUBSCRIBE $all ONSLOW", "ERR ONSLOW takes FALLBACK or DROP"),
            ("CDC.SUBSCRIBE $all PREFIX 99999999999 a", "ERR syntax error"),
            ("CDC.SUBSCRIBE $all PREFIX 18446744073709551615 a", "ERR syntax error"),
            ("CDC.SUBSCRIBE $all REGEX (((a{1000}){1000}){1000})", "ERR "),
            ("CDC.SUBSCRIBE $all REGEX (?=a)", "ERR invalid regex"),
            ("CDC.SUBSCRIBE $all MATCH a MATCH b", "ERR syntax error"),
            ("CDC.SUBSCRIBE $all NONSENSE", "ERR syntax error"),
            ("CDC.SUBSCRIBE $shard-65536", "ERR no such shard"),
            (&format!("CDC.SUBSCRIBE {many_prefixes}"), "ERR "),
            ("CDC.UNSUBSCRIBE", "ERR wrong number of arguments for 'cdc.unsubscribe' command"),
            ("CDC.UNSUBSCRIBE 1", "ERR no such subscription"),
            ("CDC.UNSUBSCRIBE x", "ERR value is not an integer or out of range"),
            ("CDC.UNSUBSCRIBE -1", "ERR value is not an integer or out of range"),
            ("CDC.UNSUBSCRIBE 18446744073709551615", "ERR no such subscription"),
            ("CDC.CREDIT 1", "ERR wrong number of arguments for 'cdc.credit' command"),
            ("CDC.CREDIT 1 0", "ERR value is out of range, must be positive"),
            ("CDC.CREDIT 1 1", "ERR no such subscription"),
        ] {
            let error = subscriber.call(line).error().to_owned();
            assert!(error == text || error.starts_with(text) && text.len() < 20, "{line}: {error}");
        }
        assert_eq!(figure(&server, "subscriptions"), 0);
        for number in 1..=5 {
            assert_eq!(subscriber.subscribe("k FROM END WINDOW 18446744073709551615"), number);
            assert_eq!(subscriber.call(&format!("CDC.CREDIT {number} 18446744073709551615")).text(), "OK");
        }
        assert_eq!(subscriber.call("CDC.SUBSCRIBE k").error(), "ERR a client may have 5 subscriptions");
        assert_eq!(subscriber.call("CDC.UNSUBSCRIBE 3").text(), "OK");
        // Numbers are not given twice.
        assert_eq!(subscriber.subscribe("k FROM END"), 6);
        server.cli(&["set", "k", "v"]);
        let told = subscriber.until(|told| told.event().is_some());
        assert_eq!(events(&told)[0].data.text(), "v");
    }
    let off = Server::start(&["--shards", "1", "--ring-bytes", "0"]);
    for line in ["CDC.SUBSCRIBE k", "CDC.UNSUBSCRIBE 1", "CDC.CREDIT 1 1"] {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(off.client().call(&words).error(), "ERR CDC not enabled");
    }
    assert_eq!(figure(&off, "subscriptions"), 0);
}

/// Subscriptions come and go while two connections write: whoever is there gets all of its events.
#[test]
fn subscribing_and_unsubscribing_all_the_time_loses_nothing_for_others() {
    for server in servers(&["--ring-bytes", "4m"]) {
        let mut steady = Subscriber::connect(&server, 3);
        steady.subscribe("$all FROM END");
        steady.until_caught_up();
        let after = history(&server, "").len();
        std::thread::scope(|scope| {
            for writer in 0..2 {
                let server = &server;
                scope.spawn(move || write(server, 4_000 + writer, 20));
            }
            for round in 0..60 {
                let mut restless = Subscriber::connect(&server, 2 + (round % 2) as u8);
                for n in 0..10 {
                    let what =
                        ["$all", "$ce-k", "$et-Set FROM END", "k1", "$all PREFIX 2 k1 k2", "$all REGEX ^k[0-4]"][n % 6];
                    restless.send(&format!("CDC.SUBSCRIBE {what}"));
                    if n % 3 == 2 {
                        restless.send(&format!("CDC.UNSUBSCRIBE {n}"));
                    }
                }
                let mut replies = 0;
                while replies < 13 {
                    let reply = restless.reply();
                    assert!(!matches!(reply, Value::Error(_)), "{reply:?}");
                    replies += 1;
                }
            }
        });
        server.cli(&["set", "last", "x"]);
        let told = steady.until(|told| told.event().is_some_and(|event| event.stream == "last"));
        let found: Vec<u64> = events(&told).iter().map(|event| event.position).collect();
        let all: Vec<u64> = history(&server, "")[after..].iter().map(|row| row.0).collect();
        assert_eq!(found, all);
        eventually("the others have gone", || figure(&server, "subscriptions") == 1);
    }
}

/// One event that is far longer than what is given to a subscriber at once.
#[test]
fn an_event_longer_than_every_buffer_arrives_whole() {
    for server in servers(&["--ring-bytes", "16m", "--push-buffer-bytes", "1k", "--subscription-queue-bytes", "1k"]) {
        let mut subscribers: Vec<Subscriber> = (0..4).map(|n| Subscriber::connect(&server, 2 + n % 2)).collect();
        for subscriber in &mut subscribers {
            subscriber.subscribe("$all FROM END");
            subscriber.until_caught_up();
        }
        let value = "long".repeat(1 << 18);
        let mut writer = server.client();
        for _ in 0..3 {
            assert_eq!(writer.call(&["SET", "k", &value]).text(), "OK");
        }
        for mut subscriber in subscribers {
            for _ in 0..3 {
                let told = subscriber.until(|told| told.event().is_some());
                assert!(events(&told)[0].data == Value::Bulk(value.clone().into_bytes()), "it is another value");
            }
        }
    }
}
