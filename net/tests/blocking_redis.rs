//! Commands that wait for an element, beside redis-server: the same clients wait, the same are served, with the same bytes.

mod common;

use common::redis::Redis;
use common::{Client, Server, encode, eventually};
use std::collections::BTreeSet;
use std::io::Read;

/// How many clients wait at the most.
const WAITERS: usize = 6;

/// The bytes of one reply.
fn reply(client: &Client) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut missing = 1;
    while missing > 0 {
        missing -= 1;
        let start = bytes.len();
        while !bytes[start..].ends_with(b"\r\n") {
            let mut byte = [0];
            client.stream().read_exact(&mut byte).expect("a reply comes");
            bytes.extend(byte);
        }
        let number = || std::str::from_utf8(&bytes[start + 1..bytes.len() - 2]).ok()?.parse::<usize>().ok();
        match bytes[start] {
            b'*' => missing += number().unwrap_or(0),
            b'$' => {
                if let Some(length) = number() {
                    let mut text = vec![0; length + 2];
                    client.stream().read_exact(&mut text).expect("the rest comes");
                    bytes.extend(text);
                }
            }
            _ => {}
        }
    }
    bytes
}

/// Whether a reply, or a part of one, has come.
fn has_reply(client: &Client) -> bool {
    client.stream().set_nonblocking(true).expect("it is a socket");
    let has_come = client.stream().peek(&mut [0]).is_ok();
    client.stream().set_nonblocking(false).expect("it is a socket");
    has_come
}

/// One server's clients: one that acts, one that looks, and those that wait, by their numbers.
struct Side {
    actor: Client,
    observer: Client,
    waiters: Vec<Client>,
}

impl Side {
    fn new(connect: impl Fn() -> Client) -> Side {
        let waiters = (0..WAITERS).map(|n| {
            let mut client = connect();
            client.call(&["client", "setname", &format!("waiter{n}")]);
            client
        });
        Side { waiters: waiters.collect(), actor: connect(), observer: connect() }
    }

    fn act(&mut self, command: &str) -> Vec<u8> {
        self.actor.send_raw(&encode(&command.split(' ').collect::<Vec<_>>()));
        reply(&self.actor)
    }

    /// The waiters that wait now.
    fn waiting(&mut self) -> BTreeSet<usize> {
        let text = self.observer.call(&["client", "list"]).text();
        let number = |line: &str| line.split(' ').find_map(|field| field.strip_prefix("name=waiter"))?.parse().ok();
        text.lines().filter(|line| line.contains(" flags=b ")).filter_map(number).collect()
    }
}

fn waiting_command(rng: &mut fastrand::Rng) -> String {
    let keys: Vec<String> = (0..rng.usize(1..4)).map(|_| key(rng)).collect();
    let (count, keys) = (keys.len(), keys.join(" "));
    let (source, target) = (key(rng), key(rng));
    let ends = ["LEFT", "right"];
    let (from, to) = (ends[rng.usize(0..2)], ends[rng.usize(0..2)]);
    match rng.u8(0..12) {
        0..=2 => format!("BLPOP {keys} 0"),
        3..=4 => format!("brpop {keys} 0"),
        5 => format!("BLMPOP 0 {count} {keys} {from}"),
        6 => format!("BLMPOP 0 {count} {keys} {from} COUNT 3"),
        7..=8 => format!("BLMOVE {source} {target} {from} {to} 0"),
        9 => format!("BRPOPLPUSH {source} {target} 0"),
        // What is wrong with these is told at once.
        10 => [
            format!("BLPOP {keys} x"),
            format!("BLPOP {keys} -1"),
            format!("BRPOP {keys} 1e3x"),
            format!("BLPOP {keys} nan"),
            format!("BLMOVE {source} {target} up {to} x"),
            format!("BLMOVE {source} {target} {from} {to} x"),
            format!("BLMPOP x {count} {keys} {from}"),
            format!("BLMPOP 0 0 {keys} {from}"),
            format!("BLMPOP 0 9 {keys} {from}"),
            format!("BLMPOP 0 {count} {keys} {from} COUNT 0"),
            format!("BLMPOP 0 {count} {keys} {from} COUNT 1 COUNT 1"),
            format!("BLMPOP 0 {count} {keys} {from} COUNT"),
            format!("BLPOP string {keys} 0"),
            format!("BLMOVE string {target} {from} {to} 0"),
        ][rng.usize(0..14)]
        .clone(),
        _ => format!("BLPOP {keys} 0.02"),
    }
}

fn key(rng: &mut fastrand::Rng) -> String {
    // Of one shard, or of any.
    if rng.u8(0..3) == 0 { format!("{{l}}{}", rng.u8(0..3)) } else { format!("list{}", rng.u8(0..5)) }
}

fn acting_command(rng: &mut fastrand::Rng, elements_max: usize) -> Vec<String> {
    let (key, other) = (key(rng), key(rng));
    let elements = (0..rng.usize(1..=elements_max)).map(|_| rng.u16(..).to_string()).collect::<Vec<_>>().join(" ");
    match rng.u8(0..20) {
        0..=6 => vec![format!("RPUSH {key} {elements}")],
        7..=8 => vec![format!("LPUSH {key} {elements}")],
        9 => vec![format!("RPUSH source {elements}"), format!("RENAME source {key}")],
        10 => {
            vec![format!("RPUSH source {elements}"), format!("LMOVE source {key} LEFT LEFT"), "DEL source".to_owned()]
        }
        11 => vec![format!("LMPOP 2 {key} {other} LEFT COUNT 2")],
        12 => vec![format!("LPOP {key}")],
        13 => vec![format!("DEL {key} {other}")],
        14 => ["MULTI", &format!("RPUSH {key} {elements}"), &format!("LPOP {key}"), "EXEC"].map(str::to_owned).to_vec(),
        15 => ["MULTI", &format!("RPUSH {key} {elements}"), &format!("BLPOP {key} {other} 0"), "EXEC"]
            .map(str::to_owned)
            .to_vec(),
        16 => ["MULTI", "BLPOP none 0", "BLMOVE none none LEFT LEFT 0", "BLMPOP 0 1 none LEFT", "EXEC"]
            .map(str::to_owned)
            .to_vec(),
        17 => vec!["FLUSHALL".to_owned(), "SET string x".to_owned()],
        18 => vec!["CLIENT UNBLOCK 999999".to_owned(), "CLIENT UNBLOCK x".to_owned(), "CLIENT UNBLOCK 1 x".to_owned()],
        _ => vec![format!("EXISTS {key} {other}"), format!("LRANGE {key} 0 -1")],
    }
}

/// Reads the replies of those that wait no more at either server, and compares them.
fn settle(redis: &mut Side, keytide: &mut Side, asked: &mut BTreeSet<usize>, log: &[String]) {
    let left = redis.waiting();
    let what = format!("clients {left:?} of {asked:?} wait, as at redis-server, after {log:#?}");
    eventually(&what, || keytide.waiting() == left);
    for n in asked.difference(&left).copied().collect::<Vec<_>>() {
        asked.remove(&n);
        let (theirs, ours) = (reply(&redis.waiters[n]), reply(&keytide.waiters[n]));
        assert_eq!(ours.escape_ascii().to_string(), theirs.escape_ascii().to_string(), "waiter {n} after {log:#?}");
    }
}

fn compare(shards: &str, resp3: bool, seed: u64) {
    let (redis, server) = (Redis::start(&[]), Server::start(&["--shards", shards, "--ring-bytes", "1m"]));
    let (mut redis, mut keytide) = (Side::new(|| redis.client()), Side::new(|| server.client()));
    let mut rng = fastrand::Rng::with_seed(seed);
    // With several elements at once, two lists may be ready together: where one client moves an element on to a list that
    // another one waits for too. From 7.2 on redis-server then takes the first of a client's keys, as this server does,
    // and before the first that was ready. And clients that wait for keys of several shards may move elements on later.
    let is_old = redis.actor.call(&["info", "server"]).text().contains("redis_version:7.0.");
    let elements_max = if shards == "1" && !is_old { 4 } else { 1 };
    if resp3 {
        for side in [&mut redis, &mut keytide] {
            for client in &mut side.waiters {
                client.send(&["hello", "3"]);
                // A map of different values.
                let _ = client.read();
            }
        }
    }
    let (mut asked, mut log) = (BTreeSet::new(), Vec::new());
    assert_eq!(redis.act("SET string x"), keytide.act("SET string x"));
    for _ in 0..400 {
        let free: Vec<usize> = (0..WAITERS).filter(|n| !asked.contains(n)).collect();
        let commands = if !free.is_empty() && rng.bool() {
            let (n, command) = (free[rng.usize(0..free.len())], waiting_command(&mut rng));
            log.push(format!("{n}: {command}"));
            for side in [&mut redis, &mut keytide] {
                side.waiters[n].send(&command.split(' ').collect::<Vec<_>>());
            }
            asked.insert(n);
            for side in [&mut redis, &mut keytide] {
                eventually("it waits, or has a reply", || has_reply(&side.waiters[n]) || side.waiting().contains(&n));
            }
            if command.ends_with("0.02") || has_reply(&redis.waiters[n]) {
                asked.remove(&n);
                let (theirs, ours) = (reply(&redis.waiters[n]), reply(&keytide.waiters[n]));
                assert_eq!(ours.escape_ascii().to_string(), theirs.escape_ascii().to_string(), "{log:#?}");
            }
            Vec::new()
        } else {
            acting_command(&mut rng, elements_max)
        };
        for command in commands {
            log.push(command.clone());
            let (theirs, ours) = (redis.act(&command), keytide.act(&command));
            assert_eq!(ours.escape_ascii().to_string(), theirs.escape_ascii().to_string(), "{shards} shards: {log:#?}");
            settle(&mut redis, &mut keytide, &mut asked, &log);
        }
        settle(&mut redis, &mut keytide, &mut asked, &log);
        log = log.split_off(log.len().saturating_sub(100));
    }
}

#[test]
fn clients_that_wait_are_answered_as_redis_answers_them() {
    for (round, shards) in ["1", "2", "3", "8"].into_iter().enumerate() {
        compare(shards, false, round as u64);
        compare(shards, true, 100 + round as u64);
    }
}
