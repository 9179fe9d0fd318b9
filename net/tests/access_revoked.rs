//! Rights that change act at once: on commands, transactions, live subscriptions, commands that wait, and connections.

mod common;

use common::subscriber::{Subscriber, Told};
use common::{Client, Server, Value, eventually};

fn server() -> Server {
    Server::start(&["--ring-bytes", "1m"])
}

fn call(client: &mut Client, line: &str) -> Value {
    client.call(&line.split(' ').collect::<Vec<_>>())
}

fn ok(client: &mut Client, line: &str) {
    assert_eq!(call(client, line).text_or_error(), "OK", "{line}");
}

fn log_in(server: &Server, user: &str) -> Client {
    let mut client = server.client();
    ok(&mut client, &format!("auth {user} any"));
    client
}

fn subscriber(server: &Server, user: &str, version: u8) -> Subscriber {
    let mut subscriber = Subscriber::connect(server, version);
    ok(subscriber.client(), &format!("auth {user} any"));
    subscriber
}

/// Reads messages until the one that says that a subscription is dropped; its number and the reason.
fn dropped(subscriber: &mut Subscriber) -> (u64, String) {
    loop {
        if let (id, Told::Dropped(reason, _)) = subscriber.next() {
            return (id, reason);
        }
    }
}

#[test]
fn the_next_command_is_under_the_new_rights_on_every_core() {
    let server = server();
    let mut admin = server.client();
    ok(&mut admin, "acl setuser a on nopass ~* +@all");
    // With so many, some are on each core.
    let mut clients: Vec<Client> = (0..8).map(|_| log_in(&server, "a")).collect();
    for round in 0..20 {
        ok(&mut admin, "acl setuser a -set");
        for client in &mut clients {
            let text = "NOPERM this user has no permissions to run the 'set' command";
            assert_eq!(call(client, "set k v").error(), text, "round {round}");
        }
        ok(&mut admin, "acl setuser a +set");
        for client in &mut clients {
            ok(client, "set k v");
        }
    }
    // One's own rights, within one pipeline and on one connection.
    let mut own = log_in(&server, "a");
    own.send_raw(b"acl setuser a -get\r\nget k\r\nacl setuser a +get\r\nget k\r\n");
    assert_eq!(own.read().text(), "OK");
    assert!(own.read().error().starts_with("NOPERM"));
    assert_eq!((own.read().text(), own.read().text()), ("OK".to_owned(), "v".to_owned()));
}

#[test]
fn exec_looks_at_each_command_again() {
    for shards in ["1", "2"] {
        let server = Server::start(&["--ring-bytes", "1m", "--shards", shards]);
        let mut admin = server.client();
        ok(&mut admin, "acl setuser a on nopass ~a ~b +@all");
        let mut client = log_in(&server, "a");
        ok(&mut client, "multi");
        for line in ["set a 1", "set b 1", "get a"] {
            assert_eq!(call(&mut client, line).text(), "QUEUED");
        }
        ok(&mut admin, "acl setuser a resetkeys ~a -get");
        let reply = call(&mut client, "exec");
        let text = |reason: &str| {
            Value::Error(format!(
                "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This \
                 command is no longer allowed for the following reason: {reason}"
            ))
        };
        let expected = [
            Value::Simple("OK".into()),
            text("no permission to touch the specified keys"),
            text("no permission to execute the command or subcommand"),
        ];
        assert_eq!(reply.values(), expected, "{shards} shards");
        assert_eq!(call(&mut admin, "mget a b").values(), [Value::Bulk(b"1".to_vec()), Value::Nil]);
        let log = call(&mut admin, "acl log");
        let contexts: Vec<String> = log.values().iter().map(|entry| entry.values()[5].text()).collect();
        assert_eq!(contexts, ["multi", "multi"]);
        // What is refused at queueing lets EXEC fail.
        ok(&mut client, "multi");
        assert!(call(&mut client, "set b 1").error().starts_with("NOPERM"));
        assert!(call(&mut client, "exec").error().starts_with("EXECABORT"));
    }
}

#[test]
fn live_subscriptions_end_where_the_right_to_them_does() {
    for version in [2, 3] {
        let server = server();
        let mut admin = server.client();
        ok(&mut admin, "acl setuser a on nopass %R~app:* %R~own +@read +@connection");
        ok(&mut admin, "acl setuser b on nopass %R~* +@read +@connection");
        // On all cores.
        let mut readers: Vec<Subscriber> = (0..6).map(|_| subscriber(&server, "a", version)).collect();
        let mut watchers: Vec<Subscriber> = (0..6).map(|_| subscriber(&server, "b", version)).collect();
        for reader in &mut readers {
            assert_eq!(reader.call("cdc.subscribe app:1 FROM END"), Value::Integer(1));
            assert_eq!(reader.call("cdc.subscribe own FROM END"), Value::Integer(2));
        }
        for watcher in &mut watchers {
            assert_eq!(watcher.call("cdc.subscribe $all FROM END PREFIX 1 app:"), Value::Integer(1));
            assert_eq!(watcher.call("cdc.subscribe app:1 FROM END"), Value::Integer(2));
        }
        ok(&mut admin, "set app:1 before");
        ok(&mut admin, "acl setuser a resetkeys %R~own");
        ok(&mut admin, "acl setuser b resetkeys %R~app:*");
        for subscriber in readers.iter_mut().chain(&mut watchers) {
            assert_eq!(dropped(subscriber), (1, "access-revoked".to_owned()), "RESP{version}");
        }
        ok(&mut admin, "mset app:1 after own after");
        let next = |subscriber: &mut Subscriber| loop {
            if let (id, Told::Event(event)) = subscriber.next()
                && event.data == Value::Bulk(b"after".to_vec())
            {
                return (id, event.stream);
            }
        };
        for reader in &mut readers {
            assert_eq!(next(reader), (2, "own".to_owned()));
        }
        for watcher in &mut watchers {
            assert_eq!(next(watcher), (2, "app:1".to_owned()));
        }
        // Without the command nothing is left.
        ok(&mut admin, "acl setuser a -cdc.subscribe");
        for reader in &mut readers {
            assert_eq!(dropped(reader), (2, "access-revoked".to_owned()));
        }
    }
}

#[test]
fn a_flush_reaches_subscribers_who_may_read_one_key_only() {
    let server = server();
    let mut admin = server.client();
    ok(&mut admin, "acl setuser a on nopass %R~own +@read +@connection");
    let mut reader = subscriber(&server, "a", 3);
    assert_eq!(reader.call("cdc.subscribe own FROM END"), Value::Integer(1));
    for line in ["set other x", "set own x", "flushall"] {
        ok(&mut admin, line);
    }
    let told =
        std::iter::repeat_with(|| reader.next().1).filter_map(|told| told.event().map(|event| event.kind.clone()));
    assert_eq!(told.take(2).collect::<Vec<_>>(), ["Set", "FlushDb"]);
}

#[test]
fn a_login_as_another_user_ends_what_that_one_may_not_have() {
    let server = server();
    let mut admin = server.client();
    ok(&mut admin, "acl setuser a on nopass %R~app:* +@read +@connection");
    let mut subscriber = Subscriber::connect(&server, 3);
    assert_eq!(subscriber.call("cdc.subscribe $all FROM END"), Value::Integer(1));
    assert_eq!(subscriber.call("cdc.subscribe app:1 FROM END"), Value::Integer(2));
    assert_eq!(subscriber.call("auth a any").text(), "OK");
    assert_eq!(dropped(&mut subscriber), (1, "access-revoked".to_owned()));
    ok(&mut admin, "set app:1 x");
    let is_event = |told: &(u64, Told)| told.1.event().is_some();
    let event = std::iter::repeat_with(|| subscriber.next()).find(is_event).expect("it comes");
    assert_eq!(event.0, 2);
}

#[test]
fn commands_that_wait_end_where_the_right_to_them_does() {
    let server = server();
    let mut admin = server.client();
    ok(&mut admin, "acl setuser a on nopass ~* +@all");
    // Groups are kept on different cores, and readers are on all.
    let groups: Vec<String> = (0..6).map(|n| format!("app:{n}")).collect();
    let mut waiting = Vec::new();
    for group in &groups {
        ok(&mut admin, &format!("cdc.group create {group} g $"));
        for _ in 0..2 {
            let mut client = log_in(&server, "a");
            client.send(&["cdc.group", "read", group, "g", "c", "10", "BLOCK", "0"]);
            waiting.push(client);
        }
    }
    for _ in 0..4 {
        let mut client = log_in(&server, "a");
        client.send(&["cdc.read", "END", "BLOCK", "0"]);
        waiting.push(client);
    }
    let blocked = |admin: &mut Client, count: usize| {
        call(admin, "info clients").text().contains(&format!("blocked_clients:{count}\r\n"))
    };
    eventually("all of them wait", || blocked(&mut admin, 16));
    // What is still permitted goes on.
    ok(&mut admin, "acl setuser a resetkeys ~app:0 %R~*");
    ok(&mut admin, "acl setuser a -flushall");
    assert!(blocked(&mut admin, 16));
    ok(&mut admin, "acl setuser a resetkeys ~app:0");
    for (n, client) in waiting.iter_mut().enumerate() {
        if n >= 2 {
            let text = client.read().error().to_owned();
            assert!(text.starts_with("NOPERM access-revoked: this user has no permissions to "), "{n}: {text}");
        }
    }
    eventually("only those on the permitted stream wait", || blocked(&mut admin, 2));
    for still in [1, 0] {
        ok(&mut admin, "set app:0 x");
        eventually("one of them has got the event", || blocked(&mut admin, still));
    }
    assert!(waiting[..2].iter_mut().all(|client| client.read().values().len() == 1));
}

#[test]
fn connections_of_a_deleted_user_are_closed() {
    let server = server();
    let mut admin = server.client();
    for user in ["a", "b", "self"] {
        ok(&mut admin, &format!("acl setuser {user} on nopass ~* +@all"));
    }
    let mut gone: Vec<Client> = (0..6).map(|_| log_in(&server, "a")).collect();
    let mut subscriber = subscriber(&server, "a", 3);
    assert_eq!(subscriber.call("cdc.subscribe app:1 FROM END"), Value::Integer(1));
    let mut stays = log_in(&server, "b");
    gone[0].send(&["cdc.read", "END", "BLOCK", "0"]);
    assert_eq!(call(&mut admin, "acl deluser a nosuch"), Value::Integer(1));
    assert!(gone.iter_mut().all(Client::is_closed) && subscriber.client().is_closed());
    ok(&mut stays, "set k v");
    // Created again it is another user.
    let mut own = log_in(&server, "self");
    own.send_raw(b"acl deluser self\r\nset k w\r\n");
    assert_eq!(own.read(), Value::Integer(1), "the reply still comes");
    assert!(own.is_closed());
    assert_eq!(call(&mut admin, "get k").text(), "v", "what follows it is not run");
    assert_eq!(call(&mut admin, "acl deluser default").error(), "ERR The 'default' user cannot be removed");
}

#[test]
fn clients_are_killed_by_their_user_and_listed_with_it() {
    let server = server();
    let mut admin = server.client();
    ok(&mut admin, "acl setuser a on nopass ~* +@all");
    let mut clients: Vec<Client> = (0..5).map(|_| log_in(&server, "a")).collect();
    let list = call(&mut admin, "client list").text();
    assert_eq!((list.matches(" user=a ").count(), list.matches(" user=default ").count()), (5, 1));
    assert!(call(&mut clients[0], "client info").text().contains(" user=a "));
    assert_eq!(call(&mut admin, "client kill user nosuch").error(), "ERR No such user 'nosuch'");
    assert_eq!(call(&mut admin, "client kill user a"), Value::Integer(5));
    assert!(clients.iter_mut().all(Client::is_closed));
}

#[test]
fn a_transaction_of_a_deleted_user_does_not_run_later() {
    let server = Server::start(&["--shards", "2", "--ring-bytes", "1m"]);
    let mut admin = server.client();
    for base in (0..200_000).step_by(5_000) {
        let pairs: Vec<String> = (base..base + 5_000).flat_map(|n| [format!("many-{n}"), "x".to_owned()]).collect();
        let words: Vec<&str> = ["mset"].into_iter().chain(pairs.iter().map(String::as_str)).collect();
        assert_eq!(admin.call(&words).text_or_error(), "OK");
    }
    for round in 0..5 {
        ok(&mut admin, "acl setuser w on nopass ~* +@all");
        ok(&mut admin, "mset a{1} 0 b{2} 0 c{3} 0 d{4} 0");
        let mut writers: Vec<Client> = (0..4).map(|_| log_in(&server, "w")).collect();
        for (number, writer) in writers.iter_mut().enumerate() {
            ok(writer, "multi");
            for key in ["a{1}", "b{2}", "c{3}", "d{4}"] {
                assert_eq!(call(writer, &format!("set {key} w{number}")).text_or_error(), "QUEUED");
            }
        }
        // The cores have long commands to run, for which the shards of a transaction wait.
        let mut busy: Vec<Client> = (0..4).map(|_| server.client()).collect();
        for client in &mut busy {
            client.send_raw(&b"KEYS *x*x*x*y\r\n".repeat(3));
        }
        for writer in &mut writers {
            writer.send_raw(b"EXEC\r\n");
        }
        assert_eq!(call(&mut admin, "acl deluser w").integer(), 1);
        let values = |admin: &mut Client| format!("{:?}", call(admin, "mget a{1} b{2} c{3} d{4}"));
        let at_once = values(&mut admin);
        for client in &mut busy {
            (0..3).for_each(|_| drop(client.read()));
        }
        eventually("the connections of the user are closed", || {
            !call(&mut admin, "client list").text_or_error().contains("user=w")
        });
        assert_eq!(values(&mut admin), at_once, "round {round}: nothing of the user ran after the reply");
    }
}
