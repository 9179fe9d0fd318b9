//! Databases: SELECT, MOVE, and what commands on all keys of one see; beside redis-server.

mod common;

use common::redis::Redis;
use common::{Client, Server, Value, numbers_of_shards, scratch};

/// Sends a command of words without spaces.
fn line(client: &mut Client, text: &str) -> Value {
    client.call(&text.split(' ').collect::<Vec<_>>())
}

/// Commands of one connection, each of which finds what those before it have left.
const TALK: &[&str] = &[
    "select 16",
    "select -1",
    "select x",
    "select 99999999999999999999",
    "select 4294967296",
    "set k zero",
    "set {tag}a zero",
    "select 1",
    "get k",
    "set k one",
    "get k",
    "mset a 1 b 2 c 3 {tag}a one",
    "mget a b c k none",
    "dbsize",
    "keys *",
    "keys a",
    "keys db1*",
    "scan 0 count 1000",
    "scan 0 match a* count 1000",
    "exists a b c none",
    "rename a d",
    "randomkey_of_one",
    "type k",
    "ttl k",
    "object encoding k",
    "rpush l x y z",
    "blpop none l 0",
    "lmpop 2 none l left",
    "blmpop 0 2 none l left",
    "zadd z 1 a 2 b 3 c",
    "bzpopmin none z 0",
    "zmpop 1 z min",
    "bzmpop 0 1 z max",
    "zadd z 1 a 2 b",
    "zunionstore z2 2 z none",
    "hset h f v",
    "hscan h 0",
    "eval return{KEYS[1],redis.call('get',KEYS[1]),redis.call('dbsize')} 1 k",
    "eval return{redis.call('select',2),redis.call('set',KEYS[1],'two'),redis.call('keys','*')} 1 k",
    "get k",
    "eval return(redis.call('select',99)) 0",
    "eval return(redis.call('select','x')) 0",
    "client_db",
    "select 2",
    "get k",
    "dbsize",
    "select 0",
    "get k",
    "dbsize",
    "keys *",
    "copy k copied db 1",
    "copy k copied db 1",
    "copy {tag}a {tag}b db 2 replace",
    "copy none other db 2",
    "copy k k",
    "copy k k db 0",
    "copy k k db 8",
    "copy k k2 db 8 db 0",
    "copy k k3 db 0 replace db 8",
    "copy k k db 16",
    "copy k k db x",
    "copy k k db -1",
    "copy k k db 99999999999",
    "copy k k db",
    "copy k",
    "del k2",
    "multi",
    "copy k queued db 1",
    "select 8",
    "copy k3 k4 db 0",
    "get k3",
    "exec",
    "keys *",
    "copy k3 k3 db 1 replace",
    "eval return{redis.call('copy',KEYS[1],KEYS[2],'db','1'),redis.call('dbsize')} 2 k k5",
    "flushdb",
    "select 1",
    "get copied",
    "get queued",
    "get k3",
    "get k5",
    "copy copied copied db 0",
    "del copied queued k3 k5",
    "select 0",
    "get copied",
    "get k4",
    "del copied k4",
    "move k 1",
    "move {tag}a 3",
    "move none 3",
    "move k 0",
    "move k 16",
    "move k x",
    "dbsize",
    "select 3",
    "get {tag}a",
    "expire {tag}a 1000",
    "move {tag}a 4",
    "select 4",
    "get {tag}a",
    "persist {tag}a",
    "select 0",
    "multi",
    "set k 0",
    "select 5",
    "set k 5",
    "dbsize",
    "keys *",
    "select 99",
    "get k",
    "select 6",
    "move k 7",
    "exec",
    "client_db",
    "select 5",
    "get k",
    "multi",
    "select 0",
    "discard",
    "get k",
    "multi",
    "select 0",
    "nosuch",
    "exec",
    "get k",
    "watch k",
    "set k changed",
    "multi",
    "select 0",
    "exec",
    "get k",
    "select 0",
    "watch k",
    "select 1",
    "set k x",
    "multi",
    "exec",
    "flushdb",
    "dbsize",
    "select 5",
    "dbsize",
    "select 0",
    "dbsize",
    "keyspace",
    "select 2",
    "reset",
    "get k",
    "hello 3",
    "select 2",
    "hello 2",
    "client_db",
    "flushall",
    "dbsize",
    "select 0",
    "keyspace",
];

/// The reply to one of these, as far as it is determined.
fn ask(client: &mut Client, command: &str) -> String {
    let part = |text: String, wanted: fn(&str) -> bool| {
        text.split([' ', '\r', '\n']).filter(|word| wanted(word)).collect::<Vec<_>>().join(" ")
    };
    match command {
        "client_db" => part(line(client, "client info").text(), |word| word.starts_with("db=")),
        "randomkey_of_one" => {
            let keys = line(client, "keys *");
            let key = line(client, "randomkey");
            format!("{}", keys.values().contains(&key))
        }
        "keyspace" => part(line(client, "info keyspace").text(), |word| word.starts_with("db")),
        // An array in the one, a map in the other, of what the server is.
        "hello 2" | "hello 3" => format!("{}", line(client, command).values().len() >= 14),
        _ => {
            let mut reply = line(client, command);
            sort(&mut reply, command.starts_with("keys") || command.starts_with("scan") || command == "exec");
            format!("{reply:?}")
        }
    }
}

/// Puts names into order where their order is open, those within arrays too.
fn sort(value: &mut Value, is_open: bool) {
    if let Value::Array(values) = value
        && is_open
    {
        let all_text = values.iter().all(|value| matches!(value, Value::Bulk(_)));
        values.iter_mut().for_each(|value| sort(value, is_open));
        if all_text {
            values.sort_by_key(|value| value.text());
        }
    }
}

#[test]
fn databases_are_those_of_redis() {
    let redis = Redis::start(&[]);
    for shards in numbers_of_shards() {
        for ring in ["1m", "0"] {
            let server = Server::start(&["--shards", &shards, "--ring-bytes", ring]);
            let (mut own, mut other) = (server.client(), redis.client());
            for command in TALK {
                let wanted = ask(&mut other, command);
                let wanted = wanted.replace(",avg_ttl=0", "");
                let reply = ask(&mut own, command).replace(",avg_ttl=0", "");
                assert_eq!(reply, wanted, "{command}, {shards} shards, ring of {ring}");
            }
        }
    }
}

#[test]
fn a_key_of_another_database_is_a_stream_with_its_name_and_none_of_the_first() {
    let server = Server::start(&["--ring-bytes", "1m"]);
    let mut client = server.client();
    line(&mut client, "select 3");
    line(&mut client, "set k v");
    line(&mut client, "cdc.append k Mine data");
    line(&mut client, "cdc.append db3/k Mine data");
    line(&mut client, "select 0");
    let text = "ERR 'db3/k' is key 'k' of database 3: SELECT it first";
    for command in ["get db3/k", "set db3/k x", "mget a db3/k", "watch db3/k", "del db3/k", "rename a db3/k"] {
        assert_eq!(line(&mut client, command).error(), text, "{command}");
    }
    assert_eq!(
        line(&mut client, "eval return(redis.call('get','db3/k')) 0").error().split(" script").next(),
        Some(text)
    );
    for command in ["set db0/k v", "set db01/k v", "set db/k v", "set db12345/k v", "set db3 v"] {
        assert_eq!(line(&mut client, command).text(), "OK", "{command}");
    }
    let rows = line(&mut client, "cdcpoll 0 10");
    let streams: Vec<String> = rows.values().iter().map(|row| row.values()[1].text()).collect();
    let wanted = ["db3/k", "k", "db3/k", "db0/k", "db01/k", "db/k", "db12345/k", "db3"];
    let sorted = |names: &[&str]| {
        let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        names.sort();
        names
    };
    let names: Vec<&str> = streams.iter().map(String::as_str).collect();
    assert_eq!(sorted(&names), sorted(&wanted));
    assert!(line(&mut client, "swapdb 0 1").error().starts_with("ERR SWAPDB is not possible here"));
}

#[test]
fn a_flush_of_one_database_leaves_the_others_and_is_recorded_key_by_key() {
    for shards in numbers_of_shards() {
        let server = Server::start(&["--shards", &shards, "--ring-bytes", "1m"]);
        let mut client = server.client();
        const KEYS: usize = 3_000;
        for database in [0, 1] {
            line(&mut client, &format!("select {database}"));
            for key in 0..KEYS {
                client.send(&["set", &format!("k{key}"), "x"]);
            }
            (0..KEYS).for_each(|_| _ = client.read());
        }
        assert_eq!(line(&mut client, "flushdb").text(), "OK");
        assert_eq!(line(&mut client, "dbsize"), Value::Integer(0));
        line(&mut client, "select 0");
        assert_eq!(line(&mut client, "dbsize"), Value::Integer(KEYS as i64));
        assert_eq!(line(&mut client, "get k17").text(), "x");
        // With no other database, it is one event.
        line(&mut client, "flushdb");
        let rows = line(&mut client, "cdcpoll 0 10000");
        let count = |op: &str| rows.values().iter().filter(|row| row.values()[2].text() == op).count();
        assert_eq!((count("DEL"), count("FLUSHDB")), (KEYS, 1), "{shards} shards");
    }
}

#[test]
fn databases_survive_the_server() {
    let directory = scratch("databases");
    let directory_text = directory.to_str().expect("a path of ASCII");
    let flags = ["--ring-bytes", "1m", "--dir", directory_text];
    {
        let server = Server::start(&flags);
        let mut client = server.client();
        for database in 0..3 {
            line(&mut client, &format!("select {database}"));
            line(&mut client, &format!("set k {database}"));
            line(&mut client, "set e x ex 1000");
        }
        line(&mut client, "save");
        line(&mut client, "set later x");
        line(&mut client, "select 1");
        line(&mut client, "flushdb");
        drop(client);
        server.signal(15);
        assert!(server.wait().success());
    }
    let server = Server::start(&flags);
    let mut client = server.client();
    let sizes: Vec<Value> = (0..4)
        .map(|database| {
            line(&mut client, &format!("select {database}"));
            line(&mut client, "dbsize")
        })
        .collect();
    assert_eq!(sizes, [2, 0, 3, 0].map(Value::Integer));
    let text = line(&mut client, "info keyspace").text();
    assert!(text.contains("db0:keys=2,expires=1") && text.contains("db2:keys=3,expires=1"), "{text}");
    assert!(!text.contains("db1"), "{text}");
    drop(server);
    std::fs::remove_dir_all(directory).expect("it is ours");
}

#[test]
fn patterns_of_users_are_patterns_of_keys_in_every_database() {
    let server = Server::start(&["--ring-bytes", "1m"]);
    let mut admin = server.client();
    let rules = ["acl", "setuser", "u", "on", "nopass", "~own:*", "+@all"];
    assert_eq!(admin.call(&rules).text(), "OK");
    let mut client = server.client();
    assert_eq!(line(&mut client, "auth u x").text(), "OK");
    line(&mut client, "select 2");
    assert_eq!(line(&mut client, "set own:k v").text(), "OK");
    assert_eq!(line(&mut client, "mset own:k v own:l w").text(), "OK");
    assert!(line(&mut client, "get other").error().starts_with("NOPERM"));
    line(&mut client, "multi");
    line(&mut client, "get own:k");
    assert_eq!(line(&mut client, "exec").values()[0].text(), "v");
    assert_eq!(line(&mut client, "eval return(redis.call('get',KEYS[1])) 1 own:k").text(), "v");
}

#[test]
fn events_name_the_database_of_their_key() {
    let redis = Redis::start(&[]);
    line(&mut redis.client(), "config set notify-keyspace-events KEAn");
    let server = Server::start(&["--shards", "1", "--ring-bytes", "1m", "--notify-keyspace-events", "KEAn"]);
    let run = |mut client: Client, mut listener: Client| {
        listener.send(&["psubscribe", "__key*"]);
        listener.read();
        let commands = ["select 3", "set k v ex 100", "rename k l", "move l 4", "select 4", "set k v", "del k l"];
        for command in commands.into_iter().chain(["publish __key end"]) {
            line(&mut client, command);
        }
        let mut messages = Vec::new();
        loop {
            let message = listener.read();
            let [channel, payload] = [2, 3].map(|part: usize| message.values()[part].text());
            if payload == "end" {
                return messages;
            }
            messages.push((channel, payload));
        }
    };
    let wanted = run(redis.client(), redis.client());
    let own = run(server.client(), server.client());
    assert_eq!(own, wanted);
}

#[test]
fn fewer_databases_may_be_had() {
    let server = Server::start(&["--ring-bytes", "1m", "--databases", "2"]);
    let mut client = server.client();
    assert_eq!(line(&mut client, "select 1").text(), "OK");
    assert_eq!(line(&mut client, "select 2").error(), "ERR DB index is out of range");
    assert_eq!(line(&mut client, "config get databases").values()[1].text(), "2");
}

#[test]
fn keys_go_to_the_first_database_under_names_that_keys_may_have_there() {
    for shards in numbers_of_shards() {
        let server = Server::start(&["--ring-bytes", "1m", "--shards", &shards]);
        let mut client = server.client();
        for text in ["select 3", "set $et-x 1", "set db5/x 1", "set $other 1"] {
            assert_eq!(line(&mut client, text).text(), "OK");
        }
        let expected = [("$et-x", "is a system stream"), ("db5/x", "is key 'x' of database 5: SELECT it first")];
        for (key, why) in expected {
            for text in [format!("move {key} 0"), format!("copy {key} {key} db 0"), format!("copy $other {key} db 0")] {
                assert_eq!(line(&mut client, &text).error(), format!("ERR '{key}' {why}"), "{text}");
            }
            assert_eq!(line(&mut client, &format!("copy {key} {key} db 4")).integer(), 1);
        }
        assert_eq!(line(&mut client, "copy $other $other db 0").integer(), 1);
        line(&mut client, "select 0");
        assert_eq!(line(&mut client, "keys *").values()[0].text(), "$other");
        // The same name of another database is another key.
        assert_eq!(line(&mut client, "copy $other $et-y db 7").integer(), 1);
        let events = client.event_lines();
        assert_eq!(events.last().map(String::as_str), Some("COPY db7/$et-y $other string 1"));
    }
}
