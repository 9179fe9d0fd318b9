//! Clients that exist: redis-cli, redis-py, redis-rs, redis-benchmark; passwords, limits, and who is connected.

mod common;

use common::{Server, Value, eventually, python};
use std::process::Command;

fn server() -> Server {
    Server::start(&["--ring-bytes", "1m"])
}

#[test]
fn redis_cli_speaks_both_versions_of_the_protocol() {
    let server = server();
    assert_eq!(server.cli(&["set", "k", "v"]), "OK");
    assert_eq!(server.cli(&["get", "k"]), "v");
    assert_eq!(server.cli(&["-3", "get", "k"]), "v");
    assert_eq!(server.cli(&["-3", "hello"]).lines().next(), Some("server redis"));
    assert!(server.cli(&["info", "keyspace"]).contains("db0:keys=1,expires=0,avg_ttl=0"));
    assert!(server.cli(&["-3", "info", "server"]).contains("redis_version:7."));
    let listed = server.cli(&["command", "list"]);
    let commands = listed.lines().filter(|name| !name.contains('|'));
    assert_eq!(server.cli(&["command", "count"]), commands.count().to_string());
    assert_eq!(server.cli(&["-3", "command", "getkeys", "mset", "a", "1", "b", "2"]), "a\nb");
    assert_eq!(server.cli(&["config", "set", "port", "1"]).trim(), IMMUTABLE_PORT);
}

const IMMUTABLE_PORT: &str = "ERR CONFIG SET failed (possibly related to argument 'port') - can't set immutable config";

#[test]
fn redis_py_works_where_it_is_installed() {
    let server = server();
    let script = format!(
        r#"
import redis
for protocol in (2, 3):
    r = redis.Redis(port={}, protocol=protocol, decode_responses=True, client_name='tester')
    assert r.ping() and r.set('k', 'v') and r.get('k') == 'v'
    with r.pipeline(transaction=True) as p:
        assert p.set('{{t}}a', 1).incr('{{t}}a').execute() == [True, 2]
    assert r.client_getname() == 'tester'
    assert [c for c in r.client_list() if c['name'] == 'tester' and c['lib-name'] == 'redis-py']
    assert r.info('keyspace')['db0']['keys'] >= 1
    assert r.config_get('maxclients')['maxclients'] == '10000'
    assert r.config_set('maxclients', 10000)
    assert r.command_count() == len(r.command())
    assert len(r.time()) == 2
    assert r.client_kill_filter(_id=r.client_id(), skipme=True) == 0
    r.close()
"#,
        server.address.port()
    );
    let Some(output) = python(&script) else { return };
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn redis_rs_works() {
    let server = server();
    let url = |version: &str| format!("redis://{}/{version}", server.address);
    for version in ["", "?protocol=resp3"] {
        let client = redis::Client::open(url(version)).expect("it is a URL");
        let mut connection = client.get_connection().expect("the server listens");
        let (first, second): (i64, String) = redis::pipe()
            .cmd("SET")
            .arg("n")
            .arg(41)
            .ignore()
            .cmd("INCR")
            .arg("n")
            .cmd("GET")
            .arg("n")
            .query(&mut connection)
            .expect("all of them are answered");
        assert_eq!((first, second.as_str()), (42, "42"));
        let (sum,): (i64,) = redis::pipe()
            .atomic()
            .cmd("DEL")
            .arg("n")
            .ignore()
            .cmd("INCRBY")
            .arg("n")
            .arg(5)
            .query(&mut connection)
            .expect("a transaction on one key");
        assert_eq!(sum, 5);
    }
}

#[test]
fn clients_wait_for_elements_of_lists() {
    for shards in ["1", "2", "3", "8"] {
        let server = Server::start(&["--shards", shards, "--ring-bytes", "1m"]);
        let mut pusher = server.client();
        for version in ["", "?protocol=resp3"] {
            let client = redis::Client::open(format!("redis://{}/{version}", server.address)).expect("it is a URL");
            std::thread::scope(|scope| {
                let waits = scope.spawn(|| {
                    let mut connection = client.get_connection().expect("the server listens");
                    let popped: (String, String) = redis::cmd("BLPOP")
                        .arg(&["a", "b", "c", "d"])
                        .arg(0)
                        .query(&mut connection)
                        .expect("an element comes");
                    let moved: Option<String> = redis::cmd("BLMOVE")
                        .arg(&["a", "b", "LEFT", "RIGHT", "0.01"])
                        .query(&mut connection)
                        .expect("the time ends");
                    (popped, moved)
                });
                // Whether it waits already or not.
                pusher.call(&["rpush", "c", "x"]);
                let (popped, moved) = waits.join().expect("the client does not fail");
                assert_eq!((popped, moved), (("c".to_owned(), "x".to_owned()), None), "{shards} shards");
            });
        }
        pusher.call(&["rpush", "b", "y"]);
        assert_eq!(server.cli(&["blpop", "a", "b", "0"]), "b\ny");
        assert_eq!(server.cli(&["blmpop", "0.01", "2", "a", "b", "left"]), "");
        let script = format!(
            "import redis, threading\nr = redis.Redis(port={})\n\
             threading.Timer(0.05, lambda: r.rpush('d', 'z')).start()\n\
             assert r.blpop(['a', 'd', 'e'], 0) == (b'd', b'z')\n\
             assert r.blmove('a', 'b', 0.01) is None\n",
            server.address.port()
        );
        if let Some(output) = python(&script) {
            assert!(output.status.success(), "{output:?}");
        }
    }
}

#[test]
fn redis_benchmark_meets_no_error() {
    let server = server();
    let known = server.cli(&["command", "list"]);
    let is_known = |name: &&str| known.lines().any(|line| line == *name);
    // What is not there would be an error: this list is of what the tests need, command beside test.
    let tests: Vec<&str> =
        ["set", "get", "incr", "mset", "lpush", "rpush", "lpop", "rpop", "sadd", "hset", "spop", "lrange"]
            .into_iter()
            .filter(is_known)
            .collect();
    for pipeline in ["1", "16"] {
        let port = server.address.port().to_string();
        let names = tests.join(",");
        let args = ["-p", &port, "-t", &names, "-n", "2000", "-P", pipeline, "-r", "1000", "-q"];
        let output = Command::new("redis-benchmark").args(args).output().expect("redis-tools is installed");
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !text.to_lowercase().contains("error"), "{text}");
        for name in &tests {
            assert!(text.to_lowercase().contains(*name), "{name} did not run: {text}");
        }
    }
}

#[test]
fn a_password_is_asked_for_and_taken() {
    let server = Server::start(&["--shards", "1", "--ring-bytes", "1m", "--requirepass", "secret"]);
    let mut client = server.client();
    assert_eq!(client.call(&["get", "k"]).error(), "NOAUTH Authentication required.");
    assert!(client.call(&["hello", "3"]).error().starts_with("NOAUTH HELLO must be called"));
    let wrong = "WRONGPASS invalid username-password pair or user is disabled.";
    assert_eq!(client.call(&["auth", "wrong"]).error(), wrong);
    assert_eq!(client.call(&["auth", "somebody", "secret"]).error(), wrong);
    assert_eq!(client.call(&["get", "k"]).error(), "NOAUTH Authentication required.");
    assert_eq!(client.call(&["auth", "secret"]).text(), "OK");
    assert_eq!(client.call(&["get", "k"]), Value::Nil);
    assert_eq!(client.call(&["reset"]).text(), "RESET");
    assert_eq!(client.call(&["get", "k"]).error(), "NOAUTH Authentication required.");
    assert!(matches!(client.call(&["hello", "3", "auth", "default", "secret"]), Value::Array(_)));
    assert_eq!(client.call(&["set", "k", "v"]).text(), "OK");
    assert_eq!(server.cli(&["-a", "secret", "--no-auth-warning", "get", "k"]), "v");
}

#[test]
fn one_client_too_many_is_told_so_and_closed() {
    let server = Server::start(&["--ring-bytes", "1m", "--maxclients", "2"]);
    let (mut first, mut second) = (server.client(), server.client());
    assert_eq!(first.call(&["ping"]).text(), "PONG");
    assert_eq!(second.call(&["ping"]).text(), "PONG");
    let mut third = server.client();
    assert_eq!(third.read().error(), "ERR max number of clients reached");
    assert!(third.is_closed());
    assert_eq!(first.call(&["config", "set", "maxclients", "3"]).text(), "OK");
    let mut third = server.client();
    assert_eq!(third.call(&["ping"]).text(), "PONG");
    drop(second);
    eventually("a place is free again", || server.client().call(&["ping"]) == Value::Simple("PONG".to_owned()));
}

/// Connections land on either core: with so many, some are on each.
#[test]
fn clients_of_all_cores_are_listed_and_killed() {
    let server = server();
    let mut clients: Vec<_> = (0..12).map(|_| server.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.call(&["client", "setname", &format!("c{number}")]).text(), "OK");
    }
    let mut asker = server.client();
    let lines = |asker: &mut common::Client| asker.call(&["client", "list"]).text().lines().count();
    assert_eq!(lines(&mut asker), 13);
    let Value::Integer(id) = clients[3].call(&["client", "id"]) else { panic!("an id is a number") };
    assert_eq!(asker.call(&["client", "list", "id", &id.to_string()]).text().matches(" name=c3 ").count(), 1);
    assert_eq!(asker.call(&["client", "kill", "id", &id.to_string()]), Value::Integer(1));
    assert!(clients[3].is_closed());
    let address = clients[4].stream().local_addr().expect("it is connected").to_string();
    assert_eq!(asker.call(&["client", "kill", &address]).text(), "OK");
    assert!(clients[4].is_closed());
    assert_eq!(asker.call(&["client", "kill", &address]).error(), "ERR No such client");
    eventually("the killed ones are off the list", || lines(&mut asker) == 11);
    assert_eq!(asker.call(&["client", "kill", "type", "normal"]), Value::Integer(10));
    assert!(clients[0].is_closed() && clients[11].is_closed());
    assert_eq!(asker.call(&["client", "kill", "type", "normal", "skipme", "no"]), Value::Integer(1));
    assert!(asker.is_closed());
}

#[test]
fn debug_sleep_delays_nobody_else() {
    let server = Server::small();
    let (mut sleeper, mut other) = (server.client(), server.client());
    sleeper.send(&["debug", "sleep", "3600"]);
    assert_eq!(other.call(&["set", "k", "v"]).text(), "OK");
    let mut short = server.client();
    assert_eq!(short.call(&["debug", "sleep", "0.05"]).text(), "OK");
}

#[test]
fn figures_count_what_was_answered_before_them() {
    let server = server();
    let mut client = server.client();
    let mut batch = Vec::new();
    for number in 0..100 {
        batch.extend(common::encode(&["set", &format!("k{number}"), "v"]));
    }
    batch.extend(common::encode(&["info", "keyspace"]));
    client.send_raw(&batch);
    (0..100).for_each(|_| assert_eq!(client.read().text(), "OK"));
    assert_eq!(client.read().text(), "# Keyspace\r\ndb0:keys=100,expires=0,avg_ttl=0\r\n");
    assert_eq!(client.call(&["config", "resetstat"]).text(), "OK");
    assert!(client.call(&["info", "stats"]).text().contains("total_connections_received:0\r\n"));
}

#[test]
fn nobody_writes_to_a_computed_stream_and_other_names_with_a_dollar_are_keys() {
    let server = Server::start(&["--ring-bytes", "1m"]);
    let mut client = server.client();
    for words in [&["SET", "$all", "x"][..], &["MSET", "a", "1", "$db", "2"], &["LPUSH", "$ce-user", "x"]] {
        let name = words.iter().find(|word| word.starts_with('$')).expect("each names one");
        assert_eq!(client.call(words).error(), format!("ERR '{name}' is a system stream"));
    }
    assert_eq!(client.call(&["EXISTS", "a"]), Value::Integer(0));
    assert_eq!(client.call(&["SET", "$mine", "x"]).text(), "OK");
    assert_eq!(client.call(&["GET", "$all"]), Value::Nil);
}
