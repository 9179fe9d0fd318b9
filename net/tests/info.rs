//! INFO: what it counts of commands, and when it counts from 0 again.

mod common;

use common::{Client, Server, eventually};

fn call(client: &mut Client, line: &str) {
    client.call(&line.split(' ').collect::<Vec<_>>());
}

/// The value of a field, of all sections.
fn field(client: &mut Client, name: &str) -> Option<String> {
    let text = client.call(&["info", "everything"]).text();
    let start = format!("{name}:");
    text.lines().find_map(|line| line.strip_prefix(&start)).map(str::to_owned)
}

/// A number within a command's field, as `calls` of `calls=3,usec=…`.
fn number(client: &mut Client, command: &str, name: &str) -> Option<u64> {
    let all = field(client, &format!("cmdstat_{command}"))?;
    let value = all.split(',').find_map(|one| one.strip_prefix(name)?.strip_prefix('=').map(str::to_owned));
    Some(value.expect("the field has this number").parse().expect("it is a number"))
}

#[test]
fn commands_are_counted_wherever_they_run() {
    for shards in ["1", "2", "3", "8"] {
        let server = Server::start(&["--shards", shards, "--ring-bytes", "1m"]);
        let mut client = server.client();
        for n in 0..20 {
            call(&mut client, &format!("set key:{n} x"));
            call(&mut client, &format!("lpush key:{n} x"));
        }
        // Over several shards, and in a transaction.
        call(&mut client, "mget key:1 key:2 key:3 key:4 key:5");
        call(&mut client, "rename key:1 other");
        ["multi", "get key:2", "lpush key:3 x", "exec"].iter().for_each(|line| call(&mut client, line));
        ["get", "nosuch", "cdc.read x", "exec"].iter().for_each(|line| call(&mut client, line));
        let mut numbers =
            |command| ["calls", "rejected_calls", "failed_calls"].map(|name| number(&mut client, command, name));
        for (command, expected) in [
            ("set", [20, 0, 0]),
            ("lpush", [21, 0, 21]),
            ("mget", [1, 0, 0]),
            ("rename", [1, 0, 0]),
            ("get", [1, 1, 0]),
            ("multi", [1, 0, 0]),
            ("exec", [2, 0, 1]),
            ("cdc.read", [1, 0, 1]),
        ] {
            assert_eq!(numbers(command), expected.map(Some), "{command}, {shards} shards");
        }
        assert_eq!(numbers("del"), [None; 3], "only what was called is shown");
        assert_eq!(field(&mut client, "errorstat_WRONGTYPE").as_deref(), Some("count=21"));
        // GET without a key, an unknown command, the cursor, EXEC without MULTI.
        assert_eq!(field(&mut client, "errorstat_ERR").as_deref(), Some("count=4"));
        assert_eq!(field(&mut client, "total_error_replies").as_deref(), Some("25"));
        let latency = field(&mut client, "latency_percentiles_usec_set").expect("the first run is timed");
        let micros: Vec<f64> = latency.split(',').map(|one| one.split_once('=').unwrap().1.parse().unwrap()).collect();
        assert!(micros.len() == 3 && micros[0] > 0.0 && micros.is_sorted(), "{latency}");
        call(&mut client, "config resetstat");
        assert_eq!(number(&mut client, "set", "calls"), None);
        assert_eq!(field(&mut client, "total_error_replies").as_deref(), Some("0"));
        call(&mut client, "set key:0 x");
        assert_eq!(number(&mut client, "set", "calls"), Some(1));
    }
}

#[test]
fn the_sections_of_redis_are_shown_when_redis_shows_them() {
    let server = Server::small();
    let mut client = server.client();
    let mut sections = |words: &[&str]| {
        let text = client.call(&[&["info"], words].concat()).text();
        text.lines().filter_map(|line| line.strip_prefix("# ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let default = sections(&[]);
    assert_eq!(default, sections(&["default"]));
    assert!(default.contains(&"Errorstats".to_owned()) && !default.contains(&"Commandstats".to_owned()));
    let all = sections(&["all"]);
    assert!(["Commandstats", "Latencystats", "Errorstats"].iter().all(|name| all.contains(&(*name).to_owned())));
    assert_eq!(sections(&["commandstats", "latencystats"]), ["Commandstats", "Latencystats"]);
}

#[test]
fn the_commands_of_the_last_second_are_shown() {
    let server = Server::start(&["--shards", "2", "--ring-bytes", "1m"]);
    let mut client = server.client();
    eventually("some commands ran in the second before", || {
        (0..100).for_each(|n| call(&mut client, &format!("get key:{n}")));
        field(&mut client, "instantaneous_ops_per_sec").expect("it is there").parse::<u64>().unwrap() > 100
    });
}

#[test]
fn the_figures_can_be_asked_for_in_a_transaction() {
    let server = Server::start(&["--shards", "2", "--ring-bytes", "1m"]);
    let mut client = server.client();
    call(&mut client, "set a x");
    call(&mut client, "multi");
    call(&mut client, "get a");
    assert_eq!(client.call(&["info", "keyspace"]).text(), "QUEUED");
    assert_eq!(client.call(&["info", "cdc"]).text(), "QUEUED");
    let replies = client.call(&["exec"]);
    let [value, keyspace, cdc] = replies.values() else { panic!("{replies:?}") };
    assert_eq!(value.text(), "x");
    assert!(keyspace.text().contains("db0:keys=1,"), "{keyspace:?}");
    assert!(cdc.text().contains("cdc_next_position:"), "{cdc:?}");
}
