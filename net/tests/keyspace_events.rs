//! Keyspace notifications: the messages that redis-server publishes, for each command that changes keys.

mod common;

use common::redis::Redis;
use common::{Client, Server, Value, eventually, numbers_of_shards};

/// Sends a command of words without spaces.
fn line(client: &mut Client, text: &str) -> Value {
    client.call(&text.split(' ').collect::<Vec<_>>())
}

/// Commands, each of which finds what those before it have left.
const COMMANDS: &[&str] = &[
    "set k a",
    "set k a",
    "set k a ex 100",
    "set k a keepttl",
    "set k a px 100000 get",
    "set k a nx",
    "set none a xx",
    "set none a get xx",
    "get none",
    "exists none k",
    "touch none",
    "type none",
    "ttl none",
    "strlen none",
    "object encoding none",
    "getex k persist",
    "getex k persist",
    "getex k ex 100",
    "getex k",
    "getex none ex 100",
    "persist k",
    "persist k",
    "getset k b",
    "getset g b",
    "getdel g",
    "getdel g",
    "setnx k b",
    "setnx g b",
    "setex k 100 b",
    "psetex k 100000 b",
    "setex new 100 b",
    "mset k 1 m 2 k 3",
    "msetnx k 1 mm 2",
    "msetnx m1 1 m2 2",
    "incr k",
    "incrby k 5",
    "decr k",
    "decrby k 5",
    "incr counter",
    "incrbyfloat k 1.5",
    "incrbyfloat float 1.5",
    "append k x",
    "append app x",
    "append app x",
    "setrange k 0 x",
    "setrange range 2 x",
    "setrange nothing 0 ",
    "incr k",
    "expire k 100",
    "expire k 100 nx",
    "pexpire k 100000",
    "expireat k 99999999999",
    "pexpireat k 99999999999000",
    "expire k -1",
    "expire none 100",
    "expireat m 1",
    "del m1 none m2",
    "unlink counter none float",
    "del none",
    "set a 1 ex 100",
    "rename a b",
    "set c 1",
    "rename b c",
    "rename c c",
    "rename none c",
    "renamenx c d",
    "set e 1",
    "renamenx d e",
    "lpush l a b c",
    "rpush l d e",
    "lpushx l z",
    "rpushx l z",
    "lpushx none z",
    "rpush new2 a",
    "lpop l",
    "rpop l",
    "lpop l 2",
    "lpop l 0",
    "lpop none",
    "lset l 0 q",
    "linsert l before q p",
    "linsert l before nothing p",
    "lrem l 1 nothing",
    "lrem l 0 p",
    "rpush l q q q",
    "ltrim l 0 2",
    "lmove l l2 left right",
    "rpoplpush l l2",
    "lmove l2 l2 left right",
    "lmove none l2 left right",
    "lmpop 2 none l2 left",
    "blmove l2 l3 left right 0",
    "brpoplpush l3 l4 0",
    "blpop none l4 0",
    "rpush l4 a b",
    "brpop l4 0",
    "blmpop 0 2 none l4 left count 5",
    "rpush l4 a b",
    "ltrim l4 5 6",
    "rpush l4 a a",
    "lrem l4 0 a",
    "rpush l4 a",
    "rpop l4",
    "hset h f 1 g 2",
    "hset h f 1",
    "hmset h f 1 i 2",
    "hsetnx h f 1",
    "hsetnx h j 1",
    "hincrby h f 5",
    "hincrby h2 f 5",
    "hincrbyfloat h f 1.5",
    "hdel h nothing",
    "hdel h f g",
    "hdel h i j",
    "sadd s a b c",
    "sadd s a",
    "srem s nothing",
    "srem s a b",
    "srem s c",
    "sadd s a b",
    "smove s t a",
    "smove s t nothing",
    "smove s t b",
    "sadd s a",
    "smove s t a",
    "spop t 0",
    "spop t 1",
    "spop t 10",
    "sadd s a",
    "spop s",
    "spop s",
    "zadd z 1 a 2 b 3 c",
    "zadd z 1 a",
    "zadd z 5 a",
    "zadd z xx 5 nothing",
    "zadd z incr 1 a",
    "zincrby z 1 a",
    "zincrby z 0 a",
    "zincrby z2 1 a",
    "zrem z nothing",
    "zrem z a",
    "zpopmin z",
    "zpopmax z",
    "zpopmax z",
    "zadd z 1 a 2 b 3 c 4 d",
    "zpopmin z 2",
    "zpopmin z 0",
    "zmpop 2 none z max",
    "bzpopmin none z 0",
    "zadd z 1 a 2 b 3 c 4 d",
    "bzpopmax z 0",
    "bzmpop 0 1 z min count 2",
    "zremrangebyscore z 50 60",
    "zremrangebyrank z 0 -1",
    "zadd z 1 a 2 b",
    "zremrangebyscore z 1 1",
    "zremrangebyscore z 0 5",
    "zadd z 0 a 0 b",
    "zremrangebylex z [a [a",
    "zremrangebylex z - +",
    "zadd z 1 a 2 b",
    "zunionstore u 1 z",
    "zunionstore u 2 z u",
    "zinterstore i 2 z u",
    "zdiffstore d 2 z u",
    "zdiffstore i 2 z u",
    "zrangestore r z 0 -1",
    "zrangestore r z 5 6",
    "zrangestore r z 5 6",
    "xadd x 1-1 f v",
    "xadd x 1-2 f v g w",
    "xadd x nomkstream 1-3 f v",
    "xadd none nomkstream 1-3 f v",
    "xadd x maxlen 2 1-4 f v",
    "xadd x maxlen 100 1-5 f v",
    "xtrim x maxlen 2",
    "xtrim x maxlen 2",
    "xdel x 1-4 9-9",
    "xdel x 9-9",
    "xsetid x 5-5",
    "xgroup create x g $",
    "xgroup create x g $",
    "xgroup create made g $ mkstream",
    "xgroup setid x g 0",
    "xgroup createconsumer x g one",
    "xgroup createconsumer x g one",
    "xreadgroup group g one count 1 streams x >",
    "xreadgroup group g two streams x >",
    "xreadgroup group g three streams x >",
    "xreadgroup group g three streams x 0",
    "xadd x 6-1 f v",
    "xadd x 6-2 f v",
    "xreadgroup group g two noack streams x >",
    "xack x g 1-5 6-1",
    "xadd x 7-1 f v",
    "xreadgroup group g two streams x >",
    "xclaim x g four 0 7-1 9-9",
    "xclaim x g five 0 9-9",
    "xautoclaim x g six 0 0",
    "xautoclaim x g six 0 9",
    "xack x g 7-1",
    "xgroup delconsumer x g one",
    "xgroup delconsumer x g one",
    "xgroup destroy x g",
    "xgroup destroy x g",
    "setbit bits 7 1",
    "setbit bits 7 1",
    "setbit bits 100 0",
    "bitop not other bits",
    "bitop and nothing none none",
    "bitop and other none none",
    "bitfield bits set u8 0 5 incrby u8 8 1",
    "bitfield bits get u8 0",
    "bitfield bits2 set u8 0 0",
    "pfadd hll a b c",
    "pfadd hll a",
    "pfadd hll2",
    "pfadd hll2 z",
    "pfmerge hll hll2",
    "del sa sb sc",
    "sadd sa a b c",
    "sadd sb b c d",
    "sinterstore sc sa sb",
    "sinterstore sc sa none",
    "sinterstore sc sa none",
    "sunionstore sc sa sb",
    "sdiffstore sc sa sb",
    "sdiffstore sc sa sa",
    "set from x ex 100",
    "copy from to",
    "copy from to",
    "copy from to replace",
    "copy none to",
    "rpush tosort 3 1 2",
    "sort tosort",
    "sort tosort store sorted",
    "sort tosort desc store sorted",
    "sort none store sorted",
    "sort none store sorted",
    "geoadd geo 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
    "geoadd geo 13.361389 38.115556 Palermo",
    "geosearchstore found geo frommember Palermo byradius 300 km",
    "geosearchstore found geo frommember Palermo byradius 100 km storedist",
    "georadius geo 15 37 200 km store found",
    "georadius geo 1 1 1 km store found",
    "georadiusbymember geo Palermo 200 km store found",
    "restore none 0 x",
    "set list x",
    "zunionstore list 1 z",
    "lpush list x",
    "eval return{redis.call('set',KEYS[1],'x'),redis.call('lpush',KEYS[2],'a','b'),redis.call('lpush',KEYS[2],'a')} 2 {e}1 {e}2",
    "multi",
    "set k x",
    "lpush l x",
    "lpush l x",
    "del k",
    "incr k",
    "exec",
    "set mv x ex 100",
    "move mv 1",
    "set mv x",
    "move mv 1",
    "move none 1",
    "flushdb",
    "set k x",
    "flushall",
];

/// Those whose sources are not there, for which Redis has a `keymiss`: here commands that write have none.
const WITHOUT_SOURCES: &[&str] = &[
    "bitop and nothing none none",
    "bitop and other none none",
    "sinterstore sc sa none",
    "copy none to",
    "sort none store sorted",
];

/// A connection that gets all keyspace notifications.
struct Listener(Client);

impl Listener {
    fn new(mut client: Client) -> Listener {
        client.send(&["psubscribe", "__key*"]);
        client.read();
        Listener(client)
    }

    /// The next message: its channel and payload.
    fn next(&mut self) -> (String, String) {
        match self.0.read() {
            Value::Array(parts) => (parts[2].text(), parts[3].text()),
            other => panic!("not a message: {other:?}"),
        }
    }
}

/// The key of a message.
fn key((channel, payload): &(String, String)) -> String {
    let is_keys = channel.starts_with("__keyspace@");
    channel.split_once("__:").filter(|_| is_keys).map_or(payload.as_str(), |(_, key)| key).to_owned()
}

/// What is to be in the same order: all messages of one core, those of each key of several.
fn in_order(mut messages: Vec<(String, String)>, shards: u16) -> Vec<(String, String)> {
    if shards > 1 {
        let database = |(channel, _): &(String, String)| channel.split("__:").next().map(|kind| kind[10..].to_owned());
        messages.sort_by_key(|message| (key(message), database(message)));
    }
    messages
}

#[test]
fn each_command_has_the_events_that_it_has_in_redis() {
    let redis = Redis::start(&[]);
    for shards in numbers_of_shards() {
        for flags in ["KEA", "Kg$x", "Elshzxe", "KEAnm"] {
            let server = Server::start(&["--shards", &shards, "--ring-bytes", "1m"]);
            let (mut own, mut other) = (server.client(), redis.client());
            for client in [&mut own, &mut other] {
                line(client, "flushall");
                assert_eq!(line(client, &format!("config set notify-keyspace-events {flags}")).text(), "OK");
            }
            let mut publisher = redis.client();
            let (mut heard, mut wanted) = (Listener::new(server.client()), Listener::new(redis.client()));
            for command in COMMANDS {
                if flags.contains('m') && WITHOUT_SOURCES.contains(command) {
                    continue;
                }
                println!("{command} {flags} {shards}");
                let (reply, expected) = (line(&mut own, command), line(&mut other, command));
                // Scores and members are compared elsewhere, and SPOP takes what it likes.
                assert_eq!(
                    matches!(reply, Value::Error(_)),
                    matches!(expected, Value::Error(_)),
                    "{command}: {reply:?}"
                );
                // Another client: this one may have begun a transaction.
                line(&mut publisher, "publish __key end");
                let mut messages = Vec::new();
                loop {
                    match wanted.next() {
                        (_, payload) if payload == "end" => break,
                        message => messages.push(message),
                    }
                }
                let got = messages.iter().map(|_| heard.next()).collect();
                let (got, messages) = (in_order(got, server.shards), in_order(messages, server.shards));
                assert_eq!(got, messages, "{command}, {flags}, {shards} shards");
            }
            line(&mut own, "publish __key end");
            assert_eq!(heard.next().1, "end", "{flags}, {shards} shards");
        }
    }
}

#[test]
fn every_command_that_changes_keys_was_tried() {
    let server = Server::start(&["--shards", "1", "--ring-bytes", "1m"]);
    let mut client = server.client();
    let all = line(&mut client, "command list filterby aclcat write");
    let tried = |name: &str| COMMANDS.iter().any(|command| command.split(' ').next() == Some(name));
    // EVALSHA and its kin run what they are given.
    let others = ["evalsha", "fcall", "swapdb"];
    let untried: Vec<String> = all.values().iter().map(Value::text).filter(|name| !tried(name)).collect();
    let untried: Vec<&String> =
        untried.iter().filter(|name| !name.starts_with("cdc") && !others.contains(&name.as_str())).collect();
    assert!(untried.is_empty(), "{untried:?}");
}

#[test]
fn the_classes_are_set_and_shown_as_in_redis() {
    let redis = Redis::start(&[]);
    let server = Server::start(&["--ring-bytes", "1m", "--notify-keyspace-events", "Ex"]);
    let (mut own, mut other) = (server.client(), redis.client());
    line(&mut other, "config set notify-keyspace-events Ex");
    for letters in ["", "KEA", "AKE", "KEQ", "g$lshzxetdK", "Kg", "nKEA", "mEx", "zK", "x", "Kn"] {
        let [own, other] = [&mut own, &mut other].map(|client| {
            let shown = client.call(&["config", "get", "notify-keyspace-events"]);
            (shown, client.call(&["config", "set", "notify-keyspace-events", letters]))
        });
        assert_eq!(own, other, "{letters}");
    }
}

#[test]
fn commands_that_have_waited_have_events_behind_those_that_they_have_waited_for() {
    let redis = Redis::start(&[]);
    for shards in numbers_of_shards() {
        let server = Server::start(&["--shards", &shards, "--ring-bytes", "1m", "--notify-keyspace-events", "KEAn"]);
        line(&mut redis.client(), "config set notify-keyspace-events KEAn");
        let talks = [
            ("blpop {w}k 0", "rpush {w}k a"),
            ("brpop {w}k 0", "rpush {w}k a b"),
            ("blmove {w}k {w}other left right 0", "rpush {w}k a"),
            ("blmpop 0 1 {w}k left count 5", "rpush {w}k c d"),
            ("bzpopmin {w}z 0", "zadd {w}z 1 a 2 b"),
            ("bzmpop 0 1 {w}z max count 5", "zadd {w}z 1 a 2 b"),
        ];
        for (waits, change) in talks {
            let run = |mut waiter: Client, mut writer: Client, mut listener: Listener| {
                let blocked = |client: &mut Client| line(client, "info clients").text().contains("blocked_clients:1");
                waiter.send(&waits.split(' ').collect::<Vec<_>>());
                eventually("it waits", || blocked(&mut writer));
                line(&mut writer, change);
                waiter.read();
                line(&mut writer, "set {w}end x");
                let mut messages = Vec::new();
                while messages.last().is_none_or(|message| key(message) != "{w}end") {
                    messages.push(listener.next());
                }
                line(&mut writer, "flushall");
                messages
            };
            let own = run(server.client(), server.client(), Listener::new(server.client()));
            let wanted = run(redis.client(), redis.client(), Listener::new(redis.client()));
            assert_eq!(own, wanted, "{waits}, {shards} shards");
        }
    }
}

#[test]
fn keys_whose_ttl_is_over_are_told_of_with_and_without_a_record() {
    for shards in numbers_of_shards() {
        for ring in ["1m", "0"] {
            let server = Server::start(&["--shards", &shards, "--ring-bytes", ring, "--notify-keyspace-events", "Ex"]);
            let mut listener = Listener::new(server.client());
            let mut client = server.client();
            let keys: Vec<String> = (0..20).map(|n| format!("k{n}")).collect();
            for key in &keys {
                client.call(&["set", key, "x", "px", "5"]);
            }
            let mut heard: Vec<(String, String)> = keys.iter().map(|_| listener.next()).collect();
            heard.sort();
            let mut wanted: Vec<_> = keys.into_iter().map(|key| ("__keyevent@0__:expired".to_owned(), key)).collect();
            wanted.sort();
            assert_eq!(heard, wanted);
        }
    }
}

#[test]
fn evicted_keys_are_told_of() {
    let flags = ["--ring-bytes", "1m", "--maxmemory", "2m", "--maxmemory-policy", "allkeys-lru"];
    let server = Server::start(&[&flags[..], &["--notify-keyspace-events", "Ee"]].concat());
    let mut listener = Listener::new(server.client());
    let mut client = server.client();
    let value = "x".repeat(1_000);
    for n in 0..5_000 {
        client.call(&["set", &format!("k{n}"), &value]);
    }
    let (channel, key) = listener.next();
    assert_eq!(channel, "__keyevent@0__:evicted");
    assert!(key.starts_with('k'), "{key}");
}

#[test]
fn the_events_of_one_key_come_in_order_whoever_changes_it() {
    for shards in numbers_of_shards() {
        let server = Server::start(&["--shards", &shards, "--ring-bytes", "1m", "--notify-keyspace-events", "K$gl"]);
        let mut listener = Listener::new(server.client());
        std::thread::scope(|scope| {
            for number in 0..4 {
                let mut client = server.client();
                scope.spawn(move || {
                    for step in 0..50 {
                        // Alternately on the key's shard, and on several that are lent to the client's core.
                        line(&mut client, "multi");
                        line(&mut client, "set shared x");
                        if (step + number) % 2 == 0 {
                            line(&mut client, &format!("set own:{number}:{step} x"));
                        }
                        line(&mut client, "append shared y");
                        line(&mut client, "del shared");
                        line(&mut client, "exec");
                    }
                });
            }
        });
        let mut events = Vec::new();
        while events.len() < 4 * 50 * 3 {
            let (channel, event) = listener.next();
            if channel == "__keyspace@0__:shared" {
                events.push(event);
            }
        }
        for three in events.chunks(3) {
            assert_eq!(three, ["set", "append", "del"], "{shards} shards");
        }
    }
}

#[test]
fn a_listener_that_is_slow_makes_writers_wait_and_loses_nothing() {
    let flags = ["--ring-bytes", "1m", "--notify-keyspace-events", "K$", "--pubsub-output-bytes", "0"];
    let server = Server::start(&[&flags[..], &["--pubsub-output-soft-bytes", "0"]].concat());
    let mut listener = Listener::new(server.client());
    let mut client = server.client();
    const WRITES: usize = 50_000;
    let mut commands = Vec::new();
    for n in 0..WRITES {
        commands.extend(common::encode(&["set", &format!("k{}", n % 100), "x"]));
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            client.send_raw(&commands);
            (0..WRITES).for_each(|_| _ = client.read());
        });
        for _ in 0..WRITES {
            assert_eq!(listener.next().1, "set");
        }
    });
}
