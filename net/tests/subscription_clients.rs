//! Subscriptions with the clients that people have: redis-rs, redis-py, redis-cli. More of the last two is in
//! `subscription_examples.rs`.

mod common;

use common::{Server, python};
use redis::{FromRedisValue, PushInfo, PushKind, Value};
use std::sync::mpsc::{Receiver, channel};

fn server() -> Server {
    Server::start(&["--ring-bytes", "1m"])
}

/// A connection of redis-rs, and the pushes that it is sent.
fn connect(server: &Server) -> (redis::Connection, Receiver<PushInfo>) {
    let client = redis::Client::open(format!("redis://{}/?protocol=resp3", server.address)).expect("it is a URL");
    let mut connection = client.get_connection().expect("the server listens");
    connection.set_read_timeout(Some(common::PATIENCE)).expect("a timeout above 0");
    let (sender, pushes) = channel();
    connection.set_push_sender(sender);
    (connection, pushes)
}

/// Stream, revision, type and data of an event's push; none for other pushes.
fn event(push: &PushInfo) -> Option<(String, u64, String, String)> {
    let PushKind::Other(name) = &push.kind else { panic!("not ours: {push:?}") };
    let [_, _, stream, revision, kind, _, data, _, ..] = &push.data[..] else { return None };
    assert_eq!(name, "cdc.event");
    let text = |value: &Value| String::from_redis_value(value.clone()).expect("a string");
    let revision = u64::from_redis_value(revision.clone()).expect("a number");
    Some((text(stream), revision, text(kind), text(data)))
}

#[test]
fn redis_rs_takes_pushes_beside_its_replies() {
    let server = server();
    let (mut connection, pushes) = connect(&server);
    let ask = |connection: &mut redis::Connection, line: &str| -> Value {
        let mut words = line.split(' ');
        let mut command = redis::cmd(words.next().expect("a name"));
        words.for_each(|word| {
            command.arg(word);
        });
        command.query(connection).unwrap_or_else(|error| panic!("{line}: {error}"))
    };
    ask(&mut connection, "SET user:1 anna");
    assert_eq!(ask(&mut connection, "CDC.SUBSCRIBE $all PREFIX 1 user: CHECKPOINT 100"), Value::Int(1));
    // The same connection writes and reads; what it is pushed meanwhile goes to the channel.
    for n in 0..100 {
        ask(&mut connection, &format!("SET user:2 {n}"));
        ask(&mut connection, &format!("SET order:2 {n}"));
        assert_eq!(ask(&mut connection, "GET user:2"), Value::BulkString(n.to_string().into_bytes()));
    }
    assert_eq!(ask(&mut connection, "CDC.SUBSCRIBE user:1 FROM END"), Value::Int(2));
    ask(&mut connection, "SET user:1 last");
    let mut told = Vec::new();
    while told.len() < 103 {
        while let Ok(push) = pushes.try_recv() {
            told.extend(event(&push));
        }
        // Reads until there is something: a push is a response by itself here.
        if told.len() < 103 {
            let value = connection.recv_response().expect("another push comes");
            assert!(matches!(value, Value::Push { .. }), "{value:?}");
        }
    }
    let row = |stream: &str, revision: u64, data: String| (stream.to_owned(), revision, "Set".to_owned(), data);
    let mut wanted = vec![row("user:1", 0, "anna".to_owned())];
    wanted.extend((0..100).map(|n| row("user:2", n, n.to_string())));
    // To both subscriptions.
    wanted.extend([row("user:1", 1, "last".to_owned()), row("user:1", 1, "last".to_owned())]);
    assert_eq!(told, wanted);
    assert_eq!(ask(&mut connection, "CDC.UNSUBSCRIBE 1"), Value::Okay);
    assert_eq!(ask(&mut connection, "GET user:1"), Value::BulkString(b"last".to_vec()));
    let dropped = |push: &PushInfo| push.kind == PushKind::Other("cdc.dropped".to_owned());
    assert_eq!(pushes.try_iter().filter(dropped).count(), 1);
}

#[test]
fn redis_rs_hears_that_the_server_stops() {
    let server = server();
    let (mut connection, pushes) = connect(&server);
    let id: u64 = redis::cmd("CDC.SUBSCRIBE").arg("$all").query(&mut connection).expect("it is answered");
    assert_eq!(id, 1);
    server.signal(libc::SIGTERM);
    while connection.recv_response().is_ok() {}
    let kinds: Vec<PushKind> = pushes.try_iter().map(|push| push.kind).collect();
    let other = |name: &str| PushKind::Other(name.to_owned());
    assert_eq!(kinds[kinds.len() - 2..], [other("cdc.dropped"), PushKind::Disconnection]);
    assert!(server.wait().success());
}

/// With a handler, redis-py takes pushes whenever it reads a reply, so that one connection does all.
#[test]
fn redis_py_hands_pushes_to_a_handler_while_commands_are_answered() {
    let server = server();
    let script = format!(
        r#"
import redis
r = redis.Redis(port={}, protocol=3, decode_responses=True, single_connection_client=True)
pushes = []
r.connection._parser.set_pubsub_push_handler(pushes.append)
assert r.execute_command('CDC.SUBSCRIBE', '$all', 'PREFIX', 1, 'user:') == 1
for n in range(100):
    assert r.set(f'user:{{n}}', n) and r.set(f'order:{{n}}', n) and r.get(f'user:{{n}}') == str(n)
with r.pipeline(transaction=False) as p:
    for n in range(100):
        p.incr('user:visits')
    assert p.execute() == list(range(1, 101))
assert r.execute_command('CDC.UNSUBSCRIBE', 1) == 'OK'
events = [(push[3], push[5], push[7]) for push in pushes if push[0] == 'cdc.event']
wanted = [(f'user:{{n}}', 'Set', str(n)) for n in range(100)]
wanted += [('user:visits', 'Set', str(n)) for n in range(1, 101)]
# The last ones may be told after the reply: then the subscription had ended.
assert events == wanted[:len(events)] and len(events) >= 100, events
assert pushes[-1][:3] == ['cdc.dropped', 1, 'unsubscribed']
assert r.ping()
"#,
        server.address.port()
    );
    let Some(output) = python(&script) else { return };
    assert!(output.status.success(), "{output:?}");
}

/// As a client library for pub/sub would: RESP2, the connection is for messages only.
#[test]
fn redis_py_takes_messages_as_arrays_in_resp2() {
    let server = server();
    let script = format!(
        r#"
import redis
writer = redis.Redis(port={0}, decode_responses=True)
reader = redis.Redis(port={0}, protocol=2, decode_responses=True)
connection = reader.connection_pool.get_connection()
connection.send_command('CDC.SUBSCRIBE', '$all', 'FROM', 'END', 'ON', 'TYPE', 'MATCH', 'H*')
assert connection.read_response() == 1
for n in range(200):
    writer.hset(f'h{{n}}', 'field', n)
    writer.set(f's{{n}}', n)
seen = 0
while seen < 200:
    message = connection.read_response()
    if message[0] == 'cdc.event':
        assert message[3] == f'h{{seen}}' and message[5] == 'HSet' and message[7] == ['field', str(seen)], message
        seen += 1
connection.send_command('CDC.UNSUBSCRIBE', 1)
while (message := connection.read_response())[0] != 'cdc.dropped':
    assert message[0] == 'cdc.checkpoint', message
assert message[2] == 'unsubscribed'
assert connection.read_response() == 'OK'
connection.send_command('GET', 's1')
assert connection.read_response() == '1'
"#,
        server.address.port()
    );
    let Some(output) = python(&script) else { return };
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn redis_cli_subscribes_in_both_versions_of_the_protocol() {
    let server = server();
    for version in ["-2", "-3"] {
        assert_eq!(server.cli(&[version, "cdc.subscribe", "$all"]), "1");
        let refused = server.cli(&[version, "cdc.subscribe", "$all", "from", "nowhere"]);
        assert!(refused.starts_with("ERR FROM takes START"), "{refused}");
    }
    assert!(server.cli(&["command", "info", "cdc.subscribe"]).contains("cdc.subscribe"));
}
