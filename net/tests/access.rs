//! Who may run what: every command, for several users, with keys inside and outside of their patterns, alone and in a
//! transaction; beside redis-server for the commands that it has too.

mod common;

use common::redis::Redis;
use common::{Client, Server, Value};

/// The users of both servers. Whoever has not logged in is nobody: the default user is off.
const USERS: &[(&str, &str)] = &[
    ("reader", "on nopass %R~app:* resetchannels -@all +@read +@connection +@transaction"),
    ("writer", "on nopass ~app:* resetchannels -@all +@read +@write +@connection +@transaction -@dangerous"),
    ("admin", "on nopass ~* &* +@all"),
];

/// The keys of a command: all within the patterns of reader and writer, all outside, or only the first within.
const KEYS: &[(&str, &str)] = &[("app:1", "app:2"), ("x:1", "x:2"), ("app:1", "x:2")];

/// Commands that are not run where they are permitted: they would end the server, the connection, the login or the
/// transaction of the test, or all users; or bring lines between its replies.
const NOT_RUN: &[&str] = &[
    "acl",
    "auth",
    "bgsave",
    "client",
    "cluster",
    "config",
    "debug",
    "discard",
    "exec",
    "flushall",
    "flushdb",
    "hello",
    "host:",
    "module",
    "monitor",
    "multi",
    "post",
    "psubscribe",
    "quit",
    "reset",
    "save",
    "shutdown",
    "ssubscribe",
    "subscribe",
];

fn set_users(client: &mut Client) {
    for (name, rules) in USERS {
        let words: Vec<&str> = ["acl", "setuser", name].into_iter().chain(rules.split(' ')).collect();
        assert_eq!(client.call(&words).text(), "OK", "{name}");
    }
}

fn log_in(mut client: Client, user: &str) -> Client {
    assert_eq!(client.call(&["auth", user, "any"]).text(), "OK");
    client
}

/// The error's text, if it is one about rights.
fn refusal(reply: &Value) -> Option<&str> {
    match reply {
        Value::Error(text) if text.starts_with("NOPERM") || text.starts_with("NOAUTH") => Some(text),
        _ => None,
    }
}

/// A command of the table, with the fewest arguments.
struct Sample {
    name: String,
    words: Vec<String>,
    /// The places of keys among the words.
    keys: Vec<usize>,
}

impl Sample {
    fn with_keys(&self, (first, second): (&str, &str)) -> Vec<String> {
        let mut words = self.words.clone();
        for (n, place) in self.keys.iter().enumerate() {
            words[*place] = if n == 0 { first } else { second }.to_owned();
        }
        words
    }

    fn is_run(&self) -> bool {
        !NOT_RUN.contains(&&*self.words[0])
    }
}

/// All commands but those of change capture, which have a table of their own.
fn samples(client: &mut Client) -> Vec<Sample> {
    fn add(commands: &Value, samples: &mut Vec<Sample>) {
        for command in commands.values() {
            let fields = command.values();
            let number = |place: usize| match &fields[place] {
                Value::Integer(number) => *number,
                other => panic!("{other:?}"),
            };
            let (name, subcommands) = (fields[0].text(), &fields[9]);
            add(subcommands, samples);
            if name.starts_with("cdc") || !subcommands.values().is_empty() && name != "command" {
                continue;
            }
            let mut words: Vec<String> = name.split('|').map(str::to_owned).collect();
            let (first, last, step) = (number(3), number(4), number(5));
            words.resize(number(1).unsigned_abs() as usize, "1".to_owned());
            // At least two keys, where there may be several.
            if last < 0 {
                words.resize(words.len().max(1 + 2 * step as usize), "1".to_owned());
            }
            let end = if last < 0 { words.len() as i64 + last } else { last };
            let mut keys: Vec<usize> =
                if first > 0 { (first..=end).step_by(step as usize).map(|n| n as usize).collect() } else { vec![] };
            match &*name {
                "sintercard" => {
                    words = ["sintercard", "2", "a", "b"].map(str::to_owned).to_vec();
                    keys = vec![2, 3];
                }
                name if name.starts_with("eval") || name.starts_with("fcall") => words[2] = "0".to_owned(),
                _ => {}
            }
            samples.push(Sample { name, words, keys });
        }
    }
    let mut all = Vec::new();
    add(&client.call(&["command"]), &mut all);
    all
}

/// Whether redis-server has a command, and has subcommands of it only where this server has.
fn is_theirs(redis: &mut Client, sample: &Sample) -> bool {
    match redis.call(&["command", "info", &sample.name]).values() {
        [Value::Array(fields)] => sample.name == "command" || fields[9].values().is_empty(),
        _ => false,
    }
}

/// Sends a command alone, and in a transaction that is discarded then.
fn run_both_ways(client: &mut Client, words: &[String]) -> [Value; 2] {
    let alone = client.call(words);
    assert_eq!(client.call(&["multi"]).text(), "OK", "{words:?}");
    let queued = client.call(words);
    client.call(&["discard"]);
    [alone, queued]
}

#[test]
fn each_command_is_for_the_users_and_keys_that_redis_has_it_for() {
    let (redis, server) = (Redis::start(&[]), Server::start(&["--ring-bytes", "1m"]));
    let (mut their_admin, mut our_admin) = (redis.client(), server.client());
    set_users(&mut their_admin);
    set_users(&mut our_admin);
    let (mut compared, mut denied) = (0, 0);
    for (user, _) in USERS {
        let (mut theirs, mut ours) = (log_in(redis.client(), user), log_in(server.client(), user));
        for sample in samples(&mut our_admin) {
            let variants = if sample.keys.is_empty() { &KEYS[..1] } else { KEYS };
            for keys in variants {
                let words = sample.with_keys(*keys);
                let shown = format!("{user}: {}", words.join(" "));
                let dry: Vec<String> =
                    ["acl", "dryrun", user].into_iter().map(str::to_owned).chain(words.clone()).collect();
                let our_dry = our_admin.call(&dry);
                let is_permitted = our_dry.text_or_error() == "OK";
                let is_theirs = is_theirs(&mut their_admin, &sample);
                if is_theirs {
                    assert_eq!(our_dry, their_admin.call(&dry), "{shown}");
                    compared += 1;
                }
                if !is_permitted {
                    denied += 1;
                    let found = run_both_ways(&mut ours, &words);
                    // In a transaction some are refused for that, whoever sends them.
                    assert!(refusal(&found[0]).is_some(), "{shown}: {found:?}");
                    assert!(matches!(found[1], Value::Error(_)), "{shown}: {found:?}");
                    if is_theirs {
                        let expected = run_both_ways(&mut theirs, &words);
                        assert_eq!(found[0], expected[0], "{shown}");
                        // More commands than there cannot be in a transaction here.
                        let is_barred = found[1].text_or_error() == "ERR Command not allowed inside a transaction";
                        assert!(is_barred || found[1] == expected[1], "{shown}: {found:?}, not {expected:?}");
                    }
                } else if sample.is_run() {
                    let found = run_both_ways(&mut ours, &words);
                    assert!(found.iter().all(|reply| refusal(reply).is_none()), "{shown}: {found:?}");
                }
            }
        }
    }
    assert!(compared > 600 && denied > 200, "{compared} compared, {denied} denied");
}

#[test]
fn nobody_may_only_log_in() {
    let (redis, server) = (Redis::start(&[]), Server::start(&["--ring-bytes", "1m"]));
    let (mut their_admin, mut our_admin) = (redis.client(), server.client());
    for admin in [&mut their_admin, &mut our_admin] {
        set_users(admin);
        assert_eq!(admin.call(&["acl", "setuser", "default", "resetpass", "off"]).text(), "OK");
    }
    let (mut theirs, mut ours) = (redis.client(), server.client());
    for sample in samples(&mut our_admin) {
        let words = sample.with_keys(KEYS[0]);
        if ["auth", "hello", "quit", "reset", "host:", "post"].contains(&&*sample.name) {
            continue;
        }
        let found = ours.call(&words);
        assert!(refusal(&found).is_some() || sample.name == "exec", "{words:?}: {found:?}");
        if is_theirs(&mut their_admin, &sample) {
            assert_eq!(found, theirs.call(&words), "{words:?}");
        }
    }
    for client in [&mut theirs, &mut ours] {
        assert!(client.call(&["auth", "default", "x"]).error().starts_with("WRONGPASS"));
        assert_eq!(client.call(&["reset"]).text(), "RESET");
        assert!(client.call(&["hello", "3"]).error().starts_with("NOAUTH HELLO must be called"));
        assert_eq!(client.call(&["quit"]).text(), "OK");
    }
}

/// Who may run a command of change capture.
#[derive(Clone, Copy, PartialEq)]
enum For {
    /// Those who may read the key.
    ReadersOfKey,
    /// Those who may write the key.
    WritersOfKey,
    /// The same for groups: reading the key is enough, but delivering changes the group, which needs `@write`.
    WritersReadingKey,
    /// Those who may read all keys.
    Admins,
    /// All who may run the command.
    All,
}

#[test]
fn streams_are_for_those_who_may_read_their_keys_and_the_rest_for_those_who_may_read_all() {
    use For::{Admins, All, ReadersOfKey, WritersOfKey, WritersReadingKey};
    let server = Server::start(&["--ring-bytes", "1m"]);
    let mut admin = server.client();
    set_users(&mut admin);
    // KEY is the key. What fails for another reason was permitted.
    let commands: &[(&str, For)] = &[
        ("cdcpoll 0 1", Admins),
        ("cdc.read 0", Admins),
        ("cdc.read 0 PREFIX 1 app:", Admins),
        ("cdc.append KEY T d", WritersOfKey),
        ("cdc.info", All),
        ("cdc.subscribe KEY", ReadersOfKey),
        ("cdc.subscribe KEY FROM END NOSYSTEM", ReadersOfKey),
        ("cdc.subscribe KEY ON TYPE MATCH Set", Admins),
        ("cdc.subscribe KEY MATCH *", Admins),
        ("cdc.subscribe $all", Admins),
        ("cdc.subscribe $shard-0", Admins),
        ("cdc.subscribe $ce-app", Admins),
        ("cdc.subscribe $et-Set", Admins),
        ("cdc.subscribe $streams", Admins),
        ("cdc.subscribe $db", Admins),
        ("cdc.subscribe $$KEY", Admins),
        ("cdc.unsubscribe 99", All),
        ("cdc.credit 99 1", All),
        ("cdc.group create KEY g 0", WritersReadingKey),
        ("cdc.group create KEY* g 0", Admins),
        ("cdc.group create stream:mutations g 0", Admins),
        ("cdc.group create shard:0:KEY g 0", Admins),
        ("cdc.group read KEY g c 1", WritersReadingKey),
        ("cdc.group read KEY* g c 1", Admins),
        ("cdc.group info KEY g", ReadersOfKey),
        ("cdc.group info KEY* g", Admins),
        ("cdc.group list", Admins),
        ("cdc.group parked KEY g", ReadersOfKey),
        ("cdc.group setid KEY g 0", WritersReadingKey),
        ("cdc.group delconsumer KEY g c", WritersReadingKey),
        ("cdc.group replay KEY g", WritersReadingKey),
        ("cdc.ack KEY g 1", WritersReadingKey),
        ("cdc.nack KEY g RETRY 1", WritersReadingKey),
        ("cdc.claim KEY g c 0 1", WritersReadingKey),
        ("cdc.pending KEY g", ReadersOfKey),
        ("cdc.pending KEY* g", Admins),
        ("cdc.group destroy KEY g", WritersReadingKey),
    ];
    for (user, _) in USERS {
        for key in ["app:1", "x:1"] {
            // Each on a connection of its own: a subscriber may send little else.
            for (line, of) in commands {
                let line = line.replace("KEY", key);
                let words: Vec<&str> = line.split(' ').collect();
                let (is_inside, is_admin) = (key == "app:1", *user == "admin");
                let is_permitted = is_admin
                    || match of {
                        Admins => false,
                        All => true,
                        ReadersOfKey => is_inside,
                        WritersOfKey | WritersReadingKey => is_inside && *user == "writer",
                    };
                let reply = log_in(server.client(), user).call(&words);
                assert_eq!(refusal(&reply).is_none(), is_permitted, "{user}: {line}: {reply:?}");
                let dry = [&["acl", "dryrun", user], &words[..]].concat();
                assert_eq!(admin.call(&dry).text_or_error() == "OK", is_permitted, "{user}: {line}");
                let mut client = log_in(server.client(), user);
                assert_eq!(client.call(&["multi"]).text(), "OK");
                let reply = client.call(&words);
                let is_queued = is_permitted && line.starts_with("cdc.append");
                let text = if is_queued { "QUEUED" } else { "ERR Command not allowed inside a transaction" };
                let denied = line.starts_with("cdc.append") && !is_permitted;
                assert!(
                    reply.text_or_error() == text || denied && refusal(&reply).is_some(),
                    "{user}: {line}: {reply:?}"
                );
            }
        }
    }
    let mut reader = log_in(server.client(), "reader");
    let text = "NOPERM this user has no permissions to read all keys, as this command does with these arguments";
    assert_eq!(reader.call(&["cdc.subscribe", "$all"]).error(), text);
    let text = "NOPERM this user has no permissions to access one of the keys used as arguments";
    assert_eq!(reader.call(&["cdc.subscribe", "x:1"]).error(), text);
    // The category of all of them, for a user who may do little else.
    let rules = ["acl", "setuser", "watcher", "on", "nopass", "%R~*", "+@cdc", "-cdc.append"];
    assert_eq!(admin.call(&rules).text(), "OK");
    let mut watcher = log_in(server.client(), "watcher");
    assert_eq!(watcher.call(&["cdc.subscribe", "$all", "FROM", "END"]), Value::Integer(1));
    let mut watcher = log_in(server.client(), "watcher");
    assert_eq!(watcher.call(&["cdc.unsubscribe", "99"]).error(), "ERR no such subscription");
    assert!(refusal(&log_in(server.client(), "watcher").call(&["get", "k"])).is_some());
}
