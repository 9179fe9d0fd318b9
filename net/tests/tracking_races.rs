//! Client-side caching while others write: no change of a key that a client has cached is lost, whichever cores client, key and
//! writer are on; and what is remembered is bounded.

mod common;

use common::{Client, PATIENCE, Server, Stop, Value, eventually};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const SHARDS: [&str; 4] = ["1", "2", "3", "8"];

fn start(shards: &str) -> Server {
    Server::start(&["--shards", shards, "--ring-bytes", "1m"])
}

/// A line of INFO.
fn figure(client: &mut Client, name: &str) -> u64 {
    let info = client.call(&["info"]).text();
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn the_table_is_bounded_and_forgets_who_has_gone() {
    for shards in SHARDS {
        let server = start(shards);
        let (mut reader, mut other) = (server.client(), server.client());
        other.call(&["config", "set", "tracking-table-max-keys", "16"]);
        reader.call(&["hello", "3"]);
        reader.call(&["client", "tracking", "on"]);
        let mut known = BTreeSet::new();
        let take = |known: &mut BTreeSet<String>, value: Value| match value {
            Value::Push(values) => values[1].values().iter().for_each(|key| assert!(known.remove(&key.text()))),
            _ => panic!("not a push: {value:?}"),
        };
        for number in 0..300 {
            let key = format!("k{number}");
            reader.send(&["get", &key]);
            loop {
                match reader.read() {
                    Value::Nil => break,
                    told => take(&mut known, told),
                }
            }
            known.insert(key);
        }
        // One more for each shard, where the number is no multiple of theirs.
        while known.len() > 16 + 8 {
            let told = reader.read();
            take(&mut known, told);
        }
        let tracked = figure(&mut other, "tracking_total_keys");
        assert!((1..=24).contains(&tracked), "{tracked} keys on {shards} shards");
        assert_eq!(figure(&mut other, "tracking_total_items"), tracked);
        assert_eq!(figure(&mut other, "tracking_clients"), 1);
        let mut all = server.client();
        all.call(&["client", "tracking", "on", "bcast", "prefix", "a", "prefix", "b"]);
        assert_eq!([figure(&mut other, "tracking_clients"), figure(&mut other, "tracking_total_prefixes")], [2, 2]);
        all.call(&["reset"]);
        assert_eq!([figure(&mut other, "tracking_clients"), figure(&mut other, "tracking_total_prefixes")], [1, 0]);
        drop(reader);
        eventually("it is gone", || figure(&mut other, "tracking_clients") == 0);
    }
}

/// How a reader of the race tracks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Reads,
    OptIn,
    Broadcast,
}

/// A client that caches.
struct Cache {
    client: Client,
    way: Way,
    values: BTreeMap<String, Value>,
    hits: u64,
}

const KEYS: u64 = 24;

impl Cache {
    fn new(server: &Server, way: Way) -> Cache {
        let mut client = server.client();
        client.call(&["hello", "3"]);
        client.call(match way {
            Way::Reads => &["client", "tracking", "on"][..],
            Way::OptIn => &["client", "tracking", "on", "optin"],
            Way::Broadcast => &["client", "tracking", "on", "bcast", "prefix", "k"],
        });
        Cache { client, way, values: BTreeMap::new(), hits: 0 }
    }

    /// Reads a reply, and does before what messages say.
    fn reply(&mut self) -> Value {
        loop {
            match self.client.read() {
                Value::Push(values) => match &values[1] {
                    Value::Nil => self.values.clear(),
                    keys => keys.values().iter().for_each(|key| _ = self.values.remove(&key.text())),
                },
                reply => return reply,
            }
        }
    }

    /// Reads these keys, several in a row before the first reply.
    fn get(&mut self, keys: &[String]) {
        let missing: Vec<String> = keys.iter().filter(|key| !self.values.contains_key(*key)).cloned().collect();
        self.hits += (keys.len() - missing.len()) as u64;
        let mut bytes = Vec::new();
        for key in &missing {
            match self.way {
                Way::OptIn => {
                    for command in
                        [&["client", "caching", "yes"][..], &["multi"], &["pttl", key], &["get", key], &["exec"]]
                    {
                        bytes.extend(common::encode(command));
                    }
                }
                Way::Reads | Way::Broadcast => bytes.extend(common::encode(&["get", key])),
            }
        }
        self.client.send_raw(&bytes);
        for key in missing {
            if self.way == Way::OptIn {
                (0..4).for_each(|_| _ = self.reply());
            }
            let value = match self.reply() {
                Value::Array(values) => values[1].clone(),
                value => value,
            };
            self.values.insert(key, value);
        }
    }
}

fn key(number: u64) -> String {
    // Some on the same shard, whichever number there is.
    if number.is_multiple_of(3) { format!("k{{tag}}{number}") } else { format!("k{number}") }
}

/// Changes keys in all kinds of ways.
fn write(client: &mut Client, rng: &mut fastrand::Rng) {
    let keys: Vec<String> = (0..3).map(|_| key(rng.u64(..KEYS))).collect();
    let value = rng.u32(..).to_string();
    match rng.u8(..12) {
        0..=3 => drop(client.call(&["set", &keys[0], &value])),
        4 => drop(client.call(&["mset", &keys[0], &value, &keys[1], &value, &keys[2], &value])),
        5 => drop(client.call(&["del", &keys[0], &keys[1]])),
        6 => drop(client.call(&["set", &keys[0], &value, "px", "3"])),
        7 => drop(client.call(&["rename", &keys[0], &keys[1]])),
        8 => drop(client.call(&["eval", "return redis.call('set',KEYS[1],ARGV[1])", "1", &keys[0], &value])),
        9 => {
            let commands = [vec!["multi"], vec!["set", &keys[0], &value], vec!["append", &keys[1], "x"], vec!["exec"]];
            commands.iter().for_each(|command| drop(client.call(command)));
        }
        10 => {
            let commands: Vec<u8> = keys.iter().flat_map(|key| common::encode(&["set", key, &value])).collect();
            client.send_raw(&commands);
            keys.iter().for_each(|_| drop(client.read()));
        }
        _ if rng.u8(..20) == 0 => drop(client.call(&["flushall"])),
        _ => drop(client.call(&["append", &keys[2], "y"])),
    }
}

#[test]
fn no_change_of_what_is_cached_is_lost() {
    for shards in SHARDS {
        let server = start(shards);
        let writers_stop = Stop::default();
        std::thread::scope(|scope| {
            let _stops = writers_stop.at_end();
            let writers: Vec<_> = (0..3)
                .map(|_| {
                    let (mut client, mut rng, stop) = (server.client(), fastrand::Rng::new(), &writers_stop);
                    scope.spawn(move || {
                        while !stop.is_asked() {
                            write(&mut client, &mut rng);
                        }
                    })
                })
                .collect();
            let mut caches = [Way::Reads, Way::Reads, Way::OptIn, Way::Broadcast].map(|way| Cache::new(&server, way));
            let mut rng = fastrand::Rng::new();
            for _ in 0..400 {
                for cache in &mut caches {
                    let keys: Vec<String> = (0..6).map(|_| key(rng.u64(..KEYS))).collect();
                    cache.get(&keys);
                }
            }
            drop(writers_stop.at_end());
            writers.into_iter().for_each(|writer| writer.join().expect("a writer"));
            let mut asker = server.client();
            let all: Vec<String> = (0..KEYS).map(key).collect();
            for cache in &mut caches {
                assert!(cache.hits > 0, "{:?} has cached nothing", cache.way);
                let end = Instant::now() + PATIENCE;
                loop {
                    // What is on its way comes with this reply or a later one.
                    cache.client.send(&["ping"]);
                    cache.reply();
                    let wrong = all
                        .iter()
                        .filter(|key| cache.values.get(*key).is_some_and(|value| *value != asker.call(&["get", key])));
                    let wrong: Vec<&String> = wrong.collect();
                    if wrong.is_empty() {
                        break;
                    }
                    assert!(Instant::now() < end, "{:?} on {shards} shards was not told of {wrong:?}", cache.way);
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
    }
}

#[test]
fn a_client_that_waits_for_a_key_is_told_meanwhile() {
    for shards in SHARDS {
        let server = start(shards);
        for number in 0..8 {
            let (mut reader, mut writer) = (server.client(), server.client());
            reader.call(&["hello", "3"]);
            reader.call(&["client", "tracking", "on"]);
            let (cached, list) = (format!("c{number}"), format!("l{number}"));
            reader.call(&["get", &cached]);
            reader.send(&["blpop", &list, "0"]);
            eventually("it waits", || figure(&mut writer, "blocked_clients") == 1);
            writer.call(&["set", &cached, "1"]);
            assert!(matches!(reader.read(), Value::Push(_)));
            writer.call(&["rpush", &list, "1"]);
            assert_eq!(reader.read().values().len(), 2);
        }
    }
}
