//! Memory that clients have the server keep has limits for all of them together: beyond one the client is told which,
//! and what has gone is given back.

mod common;

use common::{Client, Server, Value, encode, eventually};

fn server(flags: &[&str]) -> Server {
    Server::start(&[&["--shards", "2", "--ring-bytes", "4m"], flags].concat())
}

/// A figure of INFO.
fn figure(client: &mut Client, name: &str) -> u64 {
    let text = client.call(&["info", "everything"]).text();
    let row = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    row.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
}

/// How many of these succeed before one is refused, and its error.
fn until_refused(mut ask: impl FnMut(usize) -> Value) -> (usize, String) {
    for n in 0..10_000 {
        match ask(n) {
            Value::Error(text) => return (n, text),
            _ => continue,
        }
    }
    panic!("nothing was refused");
}

#[test]
fn groups_have_a_limit_together() {
    let server = server(&["--groups-bytes", "2m"]);
    let mut client = server.client();
    let pattern = "?[ab]".repeat(4_000);
    let (made, text) = until_refused(|n| client.call(&["cdc.group", "create", &pattern, &format!("g{n}"), "$"]));
    assert_eq!(text, "ERR this would exceed the limit groups-bytes of 2097152 bytes for all clients together");
    assert!((5..100).contains(&made), "{made} groups");
    assert!(figure(&mut client, "groups_bytes") <= 2 << 20);
    assert_eq!(figure(&mut client, "over_limit_refused_total"), 1);
    for n in 0..made {
        assert_eq!(client.call(&["cdc.group", "destroy", &pattern, &format!("g{n}")]), Value::Integer(1));
    }
    assert_eq!(figure(&mut client, "groups_bytes"), 0);
    assert_eq!(client.call(&["cdc.group", "create", &pattern, "again", "$"]).text(), "OK");
}

#[test]
fn what_groups_keep_of_events_and_consumers_counts() {
    let server = server(&["--groups-bytes", "64k"]);
    let mut client = server.client();
    assert_eq!(client.call(&["cdc.group", "create", "*", "g", "0"]).text(), "OK");
    for n in 0..2_000 {
        assert_eq!(client.call(&["set", &format!("key:{n}"), "1"]).text(), "OK");
    }
    // Events are held back once there is no room, and go on when some are acknowledged.
    let read = |client: &mut Client| match client.call(&["cdc.group", "read", "*", "g", "c", "100"]) {
        Value::Array(rows) => rows.iter().map(position).collect(),
        Value::Nil => Vec::new(),
        other => panic!("{other:?}"),
    };
    let mut pending: Vec<String> = Vec::new();
    loop {
        let rows = read(&mut client);
        if rows.is_empty() {
            break;
        }
        pending.extend(rows);
        assert!(pending.len() < 1_500, "nothing is held back");
    }
    let (_, text) = until_refused(|n| client.call(&["cdc.group", "read", "*", "g", &format!("consumer-{n}"), "1"]));
    assert_eq!(text, "ERR this would exceed the limit groups-bytes of 65536 bytes for all clients together");
    let words: Vec<&str> = ["cdc.ack", "*", "g"].into_iter().chain(pending.iter().map(String::as_str)).collect();
    assert_eq!(client.call(&words), Value::Integer(pending.len() as i64));
    assert!(!read(&mut client).is_empty(), "there is room again");
}

/// The position in a group's row.
fn position(row: &Value) -> String {
    match row {
        Value::Array(fields) => match &fields[0] {
            Value::Integer(position) => position.to_string(),
            other => panic!("no position: {other:?}"),
        },
        other => panic!("no row: {other:?}"),
    }
}

#[test]
fn transactions_have_a_limit_together_and_each_client_a_part() {
    let server = server(&["--transactions-bytes", "1m"]);
    let value = "x".repeat(10_000);
    let mut others: Vec<Client> = Vec::new();
    for _ in 0..4 {
        let mut client = server.client();
        assert_eq!(client.call(&["multi"]).text(), "OK");
        for n in 0..25 {
            assert_eq!(client.call(&["set", &format!("key:{n}"), &value]).text(), "QUEUED");
        }
        others.push(client);
    }
    let text = others[0].call(&["set", "key", &value]).error().to_owned();
    assert_eq!(text, "ERR this would exceed the limit transactions-bytes of 262144 bytes for one client");
    assert!(others[0].call(&["exec"]).error().starts_with("EXECABORT"));
    let mut client = server.client();
    assert!(figure(&mut client, "transactions_bytes") > 700_000);
    // One has gone, and so there is room for one.
    for client in [&mut client, &mut server.client()] {
        assert_eq!(client.call(&["multi"]).text(), "OK");
        let (queued, text) = until_refused(|_| client.call(&["set", "key", &value]));
        assert!(queued <= 26 && text.contains("the limit transactions-bytes of "), "{queued}, {text}");
    }
    drop(others);
    let mut last = server.client();
    eventually("all is given back", || figure(&mut last, "transactions_bytes") == 0);
    assert_eq!(client.call(&["discard"]).text(), "OK");
    assert_eq!(client.call(&["multi"]).text(), "OK");
    assert_eq!(client.call(&["set", "key", "1"]).text(), "QUEUED");
    assert!(figure(&mut last, "transactions_bytes") > 0);
    assert_eq!(client.call(&["exec"]), Value::Array(vec![Value::Simple("OK".into())]));
    assert_eq!(figure(&mut last, "transactions_bytes"), 0);
}

#[test]
fn subscriptions_have_a_limit_together_and_each_client_a_part() {
    let server = server(&["--subscriptions-bytes", "1m"]);
    let mut asks = server.client();
    let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
    let mut texts = Vec::new();
    for (n, client) in clients.iter_mut().enumerate() {
        client.call(&["hello", "3"]);
        let glob = |m: usize| format!("*{n}:{m}{}", "?a".repeat(2_000));
        let (made, text) = until_refused(|m| client.call(&["cdc.subscribe", "$all", "from", "end", "match", &glob(m)]));
        assert!(made < 100, "{made}");
        texts.push(text);
    }
    assert_eq!(texts[0], "ERR this would exceed the limit subscriptions-bytes of 262144 bytes for one client");
    assert_eq!(
        texts[7],
        "ERR this would exceed the limit subscriptions-bytes of 1048576 bytes for all clients together"
    );
    assert!(figure(&mut asks, "subscriptions_bytes") <= 1 << 20);
    drop(clients);
    eventually("all is given back", || figure(&mut asks, "subscriptions_bytes") == 0);
}

#[test]
fn what_many_want_alike_counts_once() {
    let server = server(&["--subscriptions-bytes", "1m"]);
    let glob = format!("*{}", "?a".repeat(2_000));
    let mut clients: Vec<Client> = (0..100).map(|_| server.client()).collect();
    for client in &mut clients {
        client.call(&["hello", "3"]);
        assert_eq!(client.call(&["cdc.subscribe", "$all", "from", "end", "match", &glob]), Value::Integer(1));
    }
}

#[test]
fn who_has_much_unfinished_input_goes_first_when_there_is_too_much() {
    let server = server(&["--input-bytes", "4m"]);
    let mut asks = server.client();
    let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
    let begun = [b"*2\r\n$3\r\nGET\r\n$500000000\r\n".to_vec(), vec![b'x'; 900_000]].concat();
    for client in &mut clients {
        client.send_raw(&begun);
    }
    eventually("one is refused", || figure(&mut asks, "over_limit_refused_total") > 0);
    assert!(figure(&mut asks, "input_bytes") <= 5 << 20);
    // Who sends little is served.
    let mut honest = server.client();
    honest.send_raw(&encode(&["set", "honest", &"x".repeat(100_000)])[..50_000]);
    assert_eq!(asks.call(&["set", "other", &"y".repeat(100_000)]).text(), "OK");
    honest.send_raw(&encode(&["set", "honest", &"x".repeat(100_000)])[50_000..]);
    assert_eq!(honest.read().text(), "OK");
    drop(clients);
    eventually("all is given back", || figure(&mut asks, "input_bytes") == 0);
}

#[test]
fn many_subscriptions_that_end_at_once_all_end() {
    let server = server(&[]);
    let mut asks = server.client();
    let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
    let subscribe = encode(&["cdc.subscribe", "$all", "from", "end"]).repeat(1_000);
    for client in &mut clients {
        client.call(&["hello", "3"]);
        client.send_raw(&subscribe);
    }
    eventually("all are there", || figure(&mut asks, "subscriptions") == 4_000);
    // Who ends them and stays is told nothing of them any more, and gets new ones.
    let mut stays = clients.pop().expect("there are four");
    drop(clients);
    stays.send_raw(&encode(&["reset"]));
    loop {
        match stays.read() {
            Value::Simple(text) if text == "RESET" => break,
            _ => continue,
        }
    }
    stays.call(&["hello", "3"]);
    assert_eq!(stays.call(&["cdc.subscribe", "$all", "from", "end"]), Value::Integer(1));
    asks.call(&["set", "key", "1"]);
    eventually("the others are gone", || figure(&mut asks, "subscriptions") == 1);
    // The event may come after the reply to a later command, but before a second event of the same write would.
    let is_event = |value: &Value| matches!(value, Value::Push(words) if words[0].text() == "cdc.event");
    while !is_event(&stays.read()) {}
    let mut events = 1;
    stays.send_raw(&encode(&["ping"]));
    loop {
        match stays.read() {
            Value::Simple(text) if text == "PONG" => break,
            value => events += i32::from(is_event(&value)),
        }
    }
    assert_eq!(events, 1);
}

#[test]
fn what_no_shard_would_take_is_not_copied_to_another_core() {
    let server = server(&[]);
    let mut client = server.client();
    // The ring is of 4 MiB.
    let value = "x".repeat(4_000_000);
    let before = figure(&mut client, "commands_forwarded_total");
    for key in ["a", "b", "c", "d", "e", "f"] {
        let text = client.call(&["set", key, &value]).error().to_owned();
        assert!(text.ends_with("bytes that one command may record; raise --ring-bytes"), "{text}");
    }
    assert_eq!(figure(&mut client, "commands_forwarded_total"), before);
    // What might be taken is asked for where it would be.
    assert_eq!(client.call(&["mset", "a", "1", "b", "1", "c", "1", "d", "1"]).text(), "OK");
    assert_eq!(client.call(&["lpos", "list", &value]), Value::Nil);
}
