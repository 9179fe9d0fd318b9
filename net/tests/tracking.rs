//! Client-side caching: replies and messages are those of redis-server, whichever cores client, key and writer are on.

mod common;

use common::redis::Redis;
use common::{Client, Server, Value, eventually};

const SHARDS: [&str; 4] = ["1", "2", "3", "8"];

fn start(shards: &str) -> Server {
    Server::start(&["--shards", shards, "--ring-bytes", "1m"])
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// A client of each server, which are compared.
struct Both {
    redis: Client,
    own: Client,
}

impl Both {
    fn new(redis: &Redis, own: &Server) -> Both {
        Both { redis: redis.client(), own: own.client() }
    }

    /// A client of RESP3 of each.
    fn resp3(redis: &Redis, own: &Server) -> Both {
        let mut both = Both::new(redis, own);
        both.redis.call(&["hello", "3"]);
        both.own.call(&["hello", "3"]);
        both
    }

    /// The numbers of both clients.
    fn ids(&mut self) -> [String; 2] {
        [&mut self.redis, &mut self.own].map(|client| client.call(&["client", "id"]).integer().to_string())
    }

    /// Sends a command to both, whose replies are the same.
    fn step(&mut self, line: &str) -> Value {
        let wanted = self.redis.call(&words(line));
        let reply = self.own.call(&words(line));
        assert_eq!(reply, wanted, "{line}");
        reply
    }

    /// The same with the numbers of two clients in the place of `ID`.
    fn step_with(&mut self, line: &str, ids: &[String; 2]) {
        let wanted = self.redis.call(&words(&line.replace("ID", &ids[0])));
        let reply = self.own.call(&words(&line.replace("ID", &ids[1])));
        let shown = |reply: &Value, id: &str| format!("{reply:?}").replace(&format!("Integer({id})"), "Integer(ID)");
        assert_eq!(shown(&reply, &ids[1]), shown(&wanted, &ids[0]), "{line}");
    }

    /// What both were told since the last reply, which is the same.
    fn told(&mut self, ids: &[String; 2]) -> usize {
        let ping = |client: &mut Client| {
            client.send(&["ping"]);
            let mut told = Vec::new();
            loop {
                match client.read() {
                    Value::Simple(pong) if pong == "PONG" => return told,
                    Value::Array(values) if values[0] == Value::Bulk(b"pong".to_vec()) => return told,
                    message => told.push(message),
                }
            }
        };
        let wanted = ping(&mut self.redis);
        let mut told: Vec<Value> = wanted.iter().map(|_| self.own.read()).collect();
        told.extend(ping(&mut self.own));
        let shown = |told: &[Value], id: &str| {
            let mut shown: Vec<String> = told.iter().map(|one| format!("{one:?}")).collect();
            shown.iter_mut().for_each(|one| *one = one.replace(&format!("Integer({id})"), "Integer(ID)"));
            // Keys of several shards come in any order.
            shown.sort();
            shown
        };
        assert_eq!(shown(&told, &ids[1]), shown(&wanted, &ids[0]));
        told.len()
    }

    /// That both were told so many messages, the same.
    fn told_count(&mut self, count: usize) {
        assert_eq!(self.told(&[String::new(), String::new()]), count);
    }
}

#[test]
fn options_are_checked_in_the_order_of_redis() {
    let (redis, server) = (Redis::start(&[]), start("2"));
    let mut both = Both::new(&redis, &server);
    for line in [
        "client tracking",
        "client tracking maybe",
        "client tracking on foo redirect 999",
        "client tracking on redirect 999 foo",
        "client tracking on redirect 0",
        "client tracking on redirect -1",
        "client tracking on redirect",
        "client tracking on redirect x",
        "client tracking off redirect 999",
        "client tracking on prefix x",
        "client tracking on prefix",
        "client tracking on bcast optin",
        "client tracking on optin optout",
        "client tracking on bcast prefix a prefix ab",
        "client caching yes",
        "client caching",
        "client getredir",
        "client getredir x",
        "client trackinginfo",
        "client trackinginfo x",
        "client tracking on bcast prefix foo prefix bar noloop",
        "client trackinginfo",
        "client tracking on bcast prefix foobar",
        "client tracking on bcast prefix f",
        "client tracking on",
        "client tracking on optin",
        "client caching yes",
        "client caching no",
        "client caching perhaps",
        "client tracking on bcast",
        "client trackinginfo",
        "client tracking off",
        "client trackinginfo",
        "client tracking off",
        "client tracking on optin",
        "client tracking on optout",
        "client tracking on bcast",
        "client caching no",
        "client caching yes",
        "client trackinginfo",
        "client getredir",
        "client trackinginfo",
        "ping",
        "client trackinginfo",
        "client tracking on",
        "client trackinginfo",
        "client tracking on optout",
        "client caching no",
        "client trackinginfo",
        "nosuch",
        "client trackinginfo",
        "multi",
        "client tracking off",
        "client tracking on optin",
        "client caching yes",
        "client trackinginfo",
        "exec",
        "client trackinginfo",
        "reset",
        "client trackinginfo",
        "config get tracking-table-max-keys",
        "config set tracking-table-max-keys -1",
        "config set tracking-table-max-keys x",
        "config set tracking-table-max-keys 7",
        "config get tracking-table-max-keys",
    ] {
        both.step(line);
    }
    let mut other = Both::resp3(&redis, &server);
    let ids = both.ids();
    other.step_with("client tracking on redirect ID", &ids);
    other.step_with("client tracking on redirect ID redirect ID", &ids);
    other.step_with("client trackinginfo", &ids);
    other.step_with("client getredir", &ids);
}

#[test]
fn what_a_client_has_read_is_told_once_when_it_changes() {
    let redis = Redis::start(&[]);
    for shards in SHARDS {
        let server = start(shards);
        let (mut reader, mut writer) = (Both::resp3(&redis, &server), Both::new(&redis, &server));
        reader.step("flushall");
        reader.step("client tracking on");
        for key in 0..20 {
            println!("{key} on {shards}");
            let set = format!("set k{key} 1");
            // Keys that do not exist too, and once only.
            reader.step(&format!("get k{key}"));
            for count in [1, 0] {
                writer.step(&set);
                reader.told_count(count);
            }
            // Its own changes too, behind the reply.
            reader.step(&format!("get k{key}"));
            reader.step(&format!("append k{key} x"));
            reader.told_count(1);
        }
        reader.step("mget k1 k2 k3 k4 k5 k6 none");
        writer.step("mset k1 1 k2 2 k3 3 k9 9");
        reader.told_count(3);
        writer.step("del k4 k5 k9 none");
        reader.told_count(2);
        writer.step("rename k6 none");
        reader.told_count(2);
        reader.step("type none");
        writer.step("expire none 1000");
        reader.told_count(1);
        reader.step("get none");
        writer.step("copy k1 none replace");
        reader.told_count(1);
        // Transactions and scripts, those of the client behind the reply.
        reader.step("multi");
        ["get k1", "set k1 2", "get k1", "set k2 2"].iter().for_each(|line| _ = reader.step(line));
        reader.step("exec");
        reader.told_count(1);
        reader.step("mget k1 k2 k3");
        writer.step("multi");
        ["set k1 2", "set k2 2", "set k1 3"].iter().for_each(|line| _ = writer.step(line));
        writer.step("exec");
        reader.told_count(2);
        for (text, told) in [("return redis.call('get',KEYS[1])", 0), ("return redis.call('set',KEYS[1],ARGV[1])", 1)] {
            let call = ["eval", text, "1", "k7", "1"];
            assert_eq!(reader.redis.call(&call), reader.own.call(&call));
            reader.told_count(told);
        }
        // What reads and writes no key.
        ["dbsize", "exists k8", "keys k8", "scan 0 count 1000 match no"].iter().for_each(|line| _ = reader.step(line));
        writer.step("set k8 2");
        reader.told_count(1);
        reader.step("get k8");
        reader.step("client tracking off");
        writer.step("set k8 3");
        reader.told_count(0);
    }
}

#[test]
fn ends_of_keys_are_told_too() {
    let redis = Redis::start(&[]);
    for shards in SHARDS {
        let server = start(shards);
        let (mut reader, mut writer) = (Both::resp3(&redis, &server), Both::new(&redis, &server));
        writer.step("flushall");
        writer.step("mset a 1 b 2 c 3 d 4");
        reader.step("client tracking on");
        reader.step("get b");
        for flush in ["flushdb", "flushall"] {
            writer.step(flush);
            reader.told_count(1);
        }
        writer.step("set b 1");
        reader.told_count(0);
        reader.step("flushall");
        reader.told_count(1);
        // Another database has keys, which makes it a deletion of each key; Redis tells of a flush all the same.
        reader.step("set b 1");
        writer.step("select 1");
        writer.step("set other 1");
        reader.step("get b");
        reader.step("flushdb");
        reader.told_count(1);
        // A key of another database goes by the client's name for it.
        reader.step("select 1");
        reader.step("get other");
        writer.step("set other 2");
        reader.told_count(1);
        reader.step("get other");
        writer.step("move other 0");
        reader.told_count(1);
    }
}

#[test]
fn keys_whose_time_is_over_are_told() {
    for shards in SHARDS {
        let server = start(shards);
        let (mut reader, mut writer) = (server.client(), server.client());
        reader.call(&["hello", "3"]);
        reader.call(&["client", "tracking", "on"]);
        // As long as it takes to read it before.
        let mut millis = 20;
        loop {
            writer.call(&["set", "a", "1", "px", &millis.to_string()]);
            let is_told = |value: &Value| matches!(value, Value::Push(_));
            let mut value = reader.call(&["get", "a"]);
            while is_told(&value) {
                value = reader.read();
            }
            let told = reader.read();
            assert!(is_told(&told), "{told:?}");
            if value != Value::Nil {
                break;
            }
            millis *= 2;
        }
        assert_eq!(writer.call(&["get", "a"]), Value::Nil);
    }
}

#[test]
fn keys_that_memory_has_no_room_for_are_told() {
    let server = Server::start(&[
        "--shards",
        "1",
        "--ring-bytes",
        "1m",
        "--maxmemory",
        "64m",
        "--maxmemory-policy",
        "allkeys-random",
    ]);
    let (mut reader, mut writer) = (server.client(), server.client());
    reader.call(&["hello", "3"]);
    let cached: Vec<String> = (0..64).map(|key| format!("c{key}")).collect();
    cached.iter().for_each(|key| drop(writer.call(&["set", key, "1"])));
    reader.call(&["client", "tracking", "on"]);
    cached.iter().for_each(|key| drop(reader.call(&["get", key])));
    let value = "x".repeat(128 << 10);
    for key in 0..1024 {
        assert_eq!(writer.call(&["set", &format!("k{key}"), &value]).text(), "OK");
    }
    let Value::Push(told) = reader.read() else { panic!("not a push") };
    assert_eq!(writer.call(&["exists", &told[1].values()[0].text()]), Value::Integer(0));
}

#[test]
fn with_optin_and_optout_the_client_says_what_it_caches() {
    let redis = Redis::start(&[]);
    for shards in SHARDS {
        let server = start(shards);
        let (mut reader, mut writer) = (Both::resp3(&redis, &server), Both::new(&redis, &server));
        writer.step("flushall");
        let change = |writer: &mut Both| ["a", "b", "c", "d"].map(|key| writer.step(&format!("set {key} 1")));
        reader.step("client tracking on optin");
        reader.step("get a");
        reader.step("client caching yes");
        reader.step("client getname");
        reader.step("get b");
        reader.step("get c");
        change(&mut writer);
        reader.told_count(1);
        // As rueidis does it.
        for line in ["client caching yes", "multi", "pttl a", "get a", "mget b c", "exec", "get d"] {
            reader.step(line);
        }
        change(&mut writer);
        reader.told_count(3);
        for line in ["client caching yes", "nosuch", "get a", "client caching yes", "multi", "discard", "get a"] {
            reader.step(line);
        }
        for line in ["multi", "client caching yes", "get b", "exec", "get c"] {
            reader.step(line);
        }
        change(&mut writer);
        reader.told_count(1);
        reader.step("client tracking off");
        reader.step("client tracking on optout");
        for line in ["get a", "client caching no", "get b", "get c"] {
            reader.step(line);
        }
        change(&mut writer);
        reader.told_count(2);
    }
}

#[test]
fn broadcasts_are_of_all_keys_with_a_prefix() {
    let redis = Redis::start(&[]);
    for shards in SHARDS {
        let server = start(shards);
        let (mut own, mut writer) = (Both::resp3(&redis, &server), Both::new(&redis, &server));
        let mut all = Both::resp3(&redis, &server);
        writer.step("flushall");
        own.step("client tracking on bcast prefix a prefix b noloop");
        all.step("client tracking on bcast");
        own.step("set a1 1");
        all.told_count(1);
        writer.step("set a1 2");
        own.told_count(1);
        all.told_count(1);
        writer.step("set c 1");
        own.told_count(0);
        all.told_count(1);
        writer.step("select 1");
        writer.step("set b1 1");
        own.told_count(1);
        all.told_count(1);
        writer.step("del b1");
        all.told_count(1);
        all.step("set b2 1");
        own.told_count(2);
        all.told_count(1);
        all.step("client tracking off");
        writer.step("flushall");
        own.told_count(1);
        if shards == "1" {
            // Sorted, each once, a message for each prefix.
            writer.step("mset a3 1 b2 1 a1 1 a3 2 c 1");
            own.told_count(2);
        }
    }
}

#[test]
fn noloop_is_not_told_of_its_own_changes() {
    let redis = Redis::start(&[]);
    for shards in SHARDS {
        let server = start(shards);
        let (mut reader, mut writer) = (Both::resp3(&redis, &server), Both::new(&redis, &server));
        let mut second = Both::resp3(&redis, &server);
        writer.step("flushall");
        reader.step("client tracking on noloop");
        second.step("client tracking on");
        for key in ["a", "b", "c", "d", "e"] {
            let (get, set) = (format!("get {key}"), format!("set {key} 1"));
            reader.step(&get);
            second.step(&get);
            reader.step(&set);
            second.told_count(1);
            reader.told_count(0);
            reader.step(&get);
            writer.step(&set);
            reader.told_count(1);
            reader.step(&get);
            ["multi", &set, "exec"].iter().for_each(|line| _ = reader.step(line));
            reader.told_count(0);
        }
    }
}

#[test]
fn another_connection_gets_the_messages_until_it_is_gone() {
    let redis = Redis::start(&[]);
    for shards in SHARDS {
        let server = start(shards);
        // Whichever cores they are on.
        for _ in 0..6 {
            let (mut reader, mut writer) = (Both::new(&redis, &server), Both::new(&redis, &server));
            let mut listener = Both::new(&redis, &server);
            let ids = listener.ids();
            writer.step("flushall");
            reader.step_with("client tracking on redirect ID", &ids);
            reader.step("get a");
            writer.step("set a 1");
            reader.told_count(0);
            listener.step("subscribe __redis__:invalidate");
            reader.step("mget a b");
            writer.step("set a 1");
            writer.step("set b 1");
            listener.told_count(2);
            writer.step("flushall");
            listener.told_count(1);
            reader.step_with("client trackinginfo", &ids);
            let info = reader.own.call(&["client", "info"]).text();
            assert!(info.contains(" flags=t ") && info.contains(&format!(" redir={} ", ids[1])), "{info}");
            let mut third = Both::resp3(&redis, &server);
            third.step_with("client tracking on redirect ID", &ids);
            third.step("get a");
            drop(listener);
            eventually("it is gone", || {
                let list = writer.own.call(&["client", "list", "id", &ids[1]]).text();
                list.is_empty()
            });
            writer.step("set a 2");
            assert_eq!(third.told(&ids), 1, "that it is gone");
            third.step_with("client trackinginfo", &ids);
            let info = third.own.call(&["client", "info"]).text();
            assert!(info.contains(" flags=tR "), "{info}");
            third.step("client tracking on");
            third.step("client trackinginfo");
        }
    }
}

#[test]
fn hello_introduces_a_redis_of_a_release_that_clients_take() {
    let server = start("1");
    let mut client = server.client();
    let hello: Vec<Value> = client.call(&["hello", "3"]).values()[..4].to_vec();
    let text = |value: &Value| value.text();
    assert_eq!(hello.iter().map(text).collect::<Vec<_>>(), ["server", "redis", "version", "7.4.0"]);
    let info = client.call(&["info", "server"]).text();
    assert!(
        info.contains("redis_version:7.4.0\r\n")
            && info.contains(concat!("keytide_version:", env!("CARGO_PKG_VERSION")))
    );
}
