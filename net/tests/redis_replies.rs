//! Replies and errors that clients of Redis rely on, where redis-server 7.0 answers them: to the byte.

mod common;

use common::{Client, Server, Value};

/// Sends an inline command.
fn line(client: &mut Client, text: &str) -> Value {
    client.call(&text.split(' ').collect::<Vec<_>>())
}

fn error(client: &mut Client, text: &str) -> String {
    line(client, text).error().to_owned()
}

#[test]
fn exec_leaves_the_transaction_whatever_is_wrong_with_it() {
    let server = Server::start(&["--shards", "2", "--ring-bytes", "1m"]);
    let mut client = server.client();
    let refused = "EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command";
    for before in [&["set a 1"][..], &[], &["nosuch"], &["set a"]] {
        line(&mut client, "multi");
        before.iter().for_each(|command| _ = line(&mut client, command));
        assert_eq!(error(&mut client, "exec x"), refused);
        assert_eq!(line(&mut client, "ping").text(), "PONG", "no longer queued after {before:?}");
        assert_eq!(error(&mut client, "exec"), "ERR EXEC without MULTI");
    }
    assert_eq!(error(&mut client, "EXEC x"), refused, "without a transaction too");
    // DISCARD is refused like any other command: the transaction stays, and fails.
    line(&mut client, "multi");
    assert_eq!(error(&mut client, "discard x"), "ERR wrong number of arguments for 'discard' command");
    assert_eq!(error(&mut client, "exec"), "EXECABORT Transaction discarded because of previous errors.");
    let locked = Server::start(&["--shards", "1", "--ring-bytes", "1m", "--requirepass", "secret"]);
    let text = "EXECABORT Transaction discarded because of: NOAUTH Authentication required.";
    assert_eq!(error(&mut locked.client(), "exec"), text);
}

#[test]
fn a_transaction_runs_what_asks_every_shard() {
    for shards in ["1", "2", "3", "8"] {
        let server = Server::start(&["--shards", shards, "--ring-bytes", "1m"]);
        let mut client = server.client();
        let run = |client: &mut Client, command: &str| {
            line(client, "multi");
            assert_eq!(line(client, command).text(), "QUEUED");
            line(client, "exec").values()[0].clone()
        };
        assert_eq!(run(&mut client, "randomkey"), Value::Nil);
        line(&mut client, "set only x");
        assert_eq!(run(&mut client, "randomkey").text(), "only", "{shards} shards");
        assert_eq!(run(&mut client, "dbsize"), Value::Integer(1));
        assert_eq!(run(&mut client, "keys *").values(), [Value::Bulk(b"only".to_vec())]);
    }
}

#[test]
fn parts_of_several_shards_make_the_reply_that_one_shard_makes() {
    let replies = |shards: &str, version: &str| {
        let server = Server::start(&["--shards", shards, "--ring-bytes", "1m"]);
        let mut client = server.client();
        line(&mut client, &format!("hello {version}"));
        client.call(&["set", "large", &"x".repeat(100_000)]);
        let commands = [
            "mset k0 v0 k1 v1 k2 v2 k3 v3 k4 v4 k5 v5 k6 v6 k7 v7 k8 v8 k9 v9",
            "rpush list x",
            "mget k3 none k1 list k3 large k2 k9 large",
            "exists k0 k0 none list large",
            "touch k1 none k2",
            "del k0 none k3 k3 list",
            "unlink k4 k5",
            "dbsize",
            "keys none*",
            "keys k1",
            "mset a 1 b",
            "client list id 9999",
            "client kill id 9999",
            "client kill 127.0.0.1:1",
            "del k1 k2 k6 k7 k8 k9 large",
            "randomkey",
            "quit",
        ];
        commands.iter().for_each(|command| client.send(&command.split(' ').collect::<Vec<_>>()));
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut client.stream(), &mut bytes).expect("it closes after QUIT");
        bytes
    };
    for version in ["2", "3"] {
        let one = replies("1", version);
        assert!(one.starts_with(b"+OK\r\n:1\r\n*9\r\n$2\r\nv3\r\n") && one.ends_with(b"+OK\r\n"));
        for shards in ["2", "3", "8"] {
            assert!(replies(shards, version) == one, "{shards} shards, version {version}");
        }
    }
}

#[test]
fn hello_within_a_transaction_changes_what_follows_it() {
    let server = Server::start(&["--shards", "2", "--ring-bytes", "1m"]);
    let mut client = server.client();
    line(&mut client, "hset h f v");
    ["multi", "hgetall h", "hello 3", "hgetall h"].iter().for_each(|command| _ = line(&mut client, command));
    client.send(&["exec"]);
    let mut bytes = Vec::new();
    let map = b"%1\r\n$1\r\nf\r\n$1\r\nv\r\n";
    while !bytes.ends_with(map) {
        let mut byte = [0];
        std::io::Read::read_exact(&mut client.stream(), &mut byte).expect("more of the reply comes");
        bytes.extend(byte);
    }
    assert!(bytes.starts_with(b"*3\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n%7\r\n"), "{}", bytes.escape_ascii());
}

#[test]
fn the_key_is_looked_at_before_the_argument_where_redis_does_so() {
    let server = Server::small();
    let mut client = server.client();
    line(&mut client, "rpush list a");
    line(&mut client, "set string x");
    let wrong_type = "WRONGTYPE Operation against a key holding the wrong kind of value";
    for time in ["EX abc", "PX 0", "EXAT -1"] {
        assert_eq!(line(&mut client, &format!("getex none {time}")), Value::Nil);
        assert_eq!(error(&mut client, &format!("getex list {time}")), wrong_type);
    }
    assert_eq!(error(&mut client, "getex string EX abc"), "ERR value is not an integer or out of range");
    assert_eq!(error(&mut client, "getex string EX 0"), "ERR invalid expire time in 'getex' command");
    assert_eq!(error(&mut client, "getex list foo"), "ERR syntax error");
    assert_eq!(error(&mut client, "setrange list 536870912 x"), wrong_type);
    let too_long = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    assert_eq!(error(&mut client, "setrange none 536870912 x"), too_long);
    assert_eq!(error(&mut client, "setrange list -1 x"), "ERR offset is out of range");
}

#[test]
fn config_get_answers_a_name_as_it_was_asked_for() {
    let server = Server::small();
    let mut client = server.client();
    let names = |client: &mut Client, command: &str| {
        let reply = line(client, command);
        reply.values().iter().step_by(2).map(Value::text).collect::<Vec<_>>()
    };
    assert_eq!(names(&mut client, "config get MAXMEMORY"), ["MAXMEMORY"]);
    assert_eq!(names(&mut client, "config get MAXMEMORY-P*"), ["maxmemory-policy"]);
    assert_eq!(names(&mut client, "config get port Port port nosuch"), ["port", "Port"]);
}

#[test]
fn what_this_server_is_not_it_says_as_redis_does() {
    let server = Server::small();
    let mut client = server.client();
    let disabled = "ERR This instance has cluster support disabled";
    for command in ["cluster info", "cluster nodes", "cluster slots", "CLUSTER KEYSLOT a", "readonly", "readwrite"] {
        assert_eq!(error(&mut client, command), disabled, "{command}");
    }
    assert_eq!(error(&mut client, "cluster nosuch"), "ERR unknown subcommand 'nosuch'. Try CLUSTER HELP.");
    assert_eq!(error(&mut client, "readonly x"), "ERR wrong number of arguments for 'readonly' command");
    for command in ["function list", "fcall f 0", "fcall_ro f 0"] {
        assert_eq!(error(&mut client, command), "ERR functions are not supported by this server");
    }
}

#[test]
fn each_command_with_subcommands_has_a_help() {
    let server = Server::small();
    let mut client = server.client();
    for command in ["cdc.group", "client", "config", "debug", "command", "module"] {
        let reply = line(&mut client, &format!("{command} help"));
        assert_eq!(reply.values()[0].text(), format!("{} and one of:", command.to_uppercase()));
    }
}

#[test]
fn a_client_is_described_with_the_fields_of_redis() {
    let server = Server::small();
    let mut client = server.client();
    ["multi", "set a 1", "set b 2"].iter().for_each(|command| _ = line(&mut client, command));
    let text = server.cli(&["client", "list"]);
    let own = text.lines().find(|line| line.contains("multi=2")).expect("the client is in the list");
    let names: Vec<&str> = own.split(' ').map(|field| field.split_once('=').expect("a field has a value").0).collect();
    // redis-server 7.0.15 has these, in this order; 7.2 added the last two, and 8 `watch`.
    let fields = "id addr laddr fd name age idle flags db sub psub ssub multi watch qbuf qbuf-free argv-mem multi-mem rbs \
                  rbp obl oll omem tot-mem events cmd user redir resp lib-name lib-ver";
    assert_eq!(names, fields.split(' ').collect::<Vec<_>>());
    let field = |name: &str| own.split(' ').find_map(|field| field.strip_prefix(name)).expect("it is there");
    assert_eq!(field("multi-mem="), "10", "the bytes of both commands' words");
    assert!(field("fd=").parse::<u32>().is_ok_and(|descriptor| descriptor > 2));
}

#[test]
fn a_web_page_cannot_write() {
    let server = Server::start(&["--shards", "2", "--ring-bytes", "1m"]);
    let body = "SET pwned by-a-page\r\n";
    let request =
        |first: &str| format!("{first} / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    for first in ["POST", "post", "PUT", "GET", "DELETE"] {
        let mut client = server.client();
        client.send_raw(request(first).as_bytes());
        assert!(client.is_closed(), "{first}");
    }
    // In every state of the connection: within a transaction, and as arguments of the binary form.
    let mut client = server.client();
    line(&mut client, "multi");
    client.send_raw(b"HOST: x\r\nEXEC\r\n");
    assert!(client.is_closed());
    let mut client = server.client();
    client.send(&["Host:", "x"]);
    client.send_raw(body.as_bytes());
    assert!(client.is_closed());
    assert_eq!(line(&mut server.client(), "exists pwned"), Value::Integer(0));
    let locked = Server::start(&["--shards", "1", "--ring-bytes", "1m", "--requirepass", "secret"]);
    let mut client = locked.client();
    client.send_raw(request("POST").as_bytes());
    assert!(client.is_closed(), "before AUTH too");
}
