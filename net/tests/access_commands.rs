//! ACL, AUTH, HELLO and RESET beside redis-server 7.0: the same replies and errors.

mod common;

use common::redis::Redis;
use common::{Client, Server, Value};

/// The words of a line; those in double quotes may have spaces.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (n, part) in line.split('"').enumerate() {
        if n % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

fn call(client: &mut Client, line: &str) -> Value {
    client.call(&words(line))
}

/// Sends each line to both, and expects the same replies.
fn alike(theirs: &mut Client, ours: &mut Client, lines: &[&str]) {
    for line in lines {
        assert_eq!(call(ours, line), call(theirs, line), "{line}");
    }
}

#[test]
fn rules_and_their_errors_are_those_of_redis() {
    let (redis, server) = (Redis::start(&[]), Server::small());
    alike(
        &mut redis.client(),
        &mut server.client(),
        &[
            "acl list",
            "acl users",
            "acl whoami",
            "acl getuser default",
            "acl getuser nosuch",
            "acl setuser a",
            "acl getuser a",
            "acl setuser a on >pw ~app:* %R~ro:* %W~wo:* %RW~rw:* +get &ch1",
            "acl getuser a",
            "acl setuser a (+set ~x:*) (%R~y:* +get)",
            "acl setuser a ( +mget ~z )",
            "acl getuser a",
            "acl list",
            "acl setuser a clearselectors resetkeys resetchannels !30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4",
            "acl getuser a",
            "acl setuser a >one >two <one nopass",
            "acl getuser a",
            "acl setuser a #30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4",
            "acl getuser a",
            "acl setuser a reset",
            "acl getuser a",
            "acl setuser b allcommands allkeys -@admin -get",
            "acl getuser b",
            "acl setuser c +@all -@all +SET",
            "acl getuser c",
            "acl setuser d +config -config|set",
            "acl getuser d",
            "acl setuser e +select|0 +select|1",
            "acl getuser e",
            "acl setuser f skip-sanitize-payload allchannels",
            "acl getuser f",
            "acl setuser f sanitize-payload",
            "acl getuser f",
            "acl list",
            "acl users",
            "acl setuser g +config|set|x",
            "acl setuser g +nosuch",
            "acl setuser g -nosuch",
            "acl setuser g +@nosuch",
            "acl setuser g ~* ~x",
            "acl setuser g \"~a b\"",
            "acl setuser g foo",
            "acl setuser g #abc",
            "acl setuser g !abc",
            "acl setuser g &* &x",
            "acl cat x y",
            "acl genpass 1 2",
            "acl log reset x",
            "acl setuser g (+get",
            "acl setuser g (+get ~x",
            "acl setuser g (+nosuch)",
            "acl setuser g %X~a",
            "acl setuser \"g h\" on",
            "acl setuser g +get|",
            "acl setuser g -select|0",
            "acl setuser g +config|nosuch",
            "acl getuser g",
            "acl setuser g \"\"",
            "acl getuser g",
            "acl setuser",
            "acl deluser default",
            "acl deluser a default",
            "acl getuser a",
            "acl deluser a nosuch a",
            "acl deluser",
            "acl users",
            "acl cat nosuch",
            "acl genpass 0",
            "acl genpass -1",
            "acl genpass 4097",
            "acl genpass x",
            "acl log x",
            "acl log -1",
            "acl log",
            "acl log reset",
            "acl load",
            "acl save",
            "acl nosuch",
            "acl",
            "acl dryrun nosuch get a",
            "acl dryrun b nosuch",
            "acl dryrun b get",
            "acl dryrun b get x",
            "acl dryrun b config",
            "acl dryrun b config nosuch",
            "acl dryrun b config get",
            "acl dryrun b config get x",
            "acl dryrun default set",
            "acl dryrun default set a b",
            "acl dryrun e select 0",
            "acl dryrun e select 2",
            "acl dryrun g auth x",
            "config get requirepass",
            "config get acl-pubsub-default",
            "config get acllog-max-len",
            "config set acllog-max-len -1",
            "config set acllog-max-len x",
            "config set acllog-max-len 5",
            "config get acllog-max-len",
        ],
    );
}

#[test]
fn a_password_is_not_shown_in_an_error() {
    let server = Server::small();
    let text = "ERR Error in ACL SETUSER modifier '<(redacted)': The password you are trying to remove from the user does \
                not exist";
    assert_eq!(call(&mut server.client(), "acl setuser a <secret").error(), text);
}

#[test]
fn generated_passwords_have_as_many_digits_as_asked_for() {
    let server = Server::small();
    let mut client = server.client();
    for (line, digits) in [("acl genpass", 64), ("acl genpass 5", 2), ("acl genpass 1", 1), ("acl genpass 4096", 1024)]
    {
        let (first, second) = (call(&mut client, line).text(), call(&mut client, line).text());
        assert!(first.len() == digits && first.bytes().all(|digit| digit.is_ascii_hexdigit()), "{line}: {first}");
        assert!(digits < 64 || first != second);
    }
}

#[test]
fn who_is_logged_in_is_as_in_redis() {
    let (redis, server) = (Redis::start(&[]), Server::start(&["--ring-bytes", "1m"]));
    let (mut their_admin, mut our_admin) = (redis.client(), server.client());
    let both = |theirs: &mut Client, ours: &mut Client, lines: &[&str]| alike(theirs, ours, lines);
    both(
        &mut their_admin,
        &mut our_admin,
        &["acl setuser a on >pw ~app:* +@all", "acl setuser off off >pw +@all", "config set requirepass \"\""],
    );
    let (mut theirs, mut ours) = (redis.client(), server.client());
    both(
        &mut theirs,
        &mut ours,
        &[
            "auth x",
            "auth a bad",
            "auth nosuch pw",
            "auth off pw",
            "acl whoami",
            "auth a pw",
            "acl whoami",
            "auth a b c",
            "auth",
            "get x",
            "get app:1",
            "auth default anything",
            "acl whoami",
            "auth a pw",
            "reset",
            "acl whoami",
            "auth a pw",
            "hello 2 auth a bad",
            "hello 2 auth default",
            "acl whoami",
        ],
    );
    // A password for the default user: who is connected stays, who connects has to log in.
    both(&mut their_admin, &mut our_admin, &["config set requirepass pp", "ping"]);
    let (mut their_new, mut our_new) = (redis.client(), server.client());
    both(
        &mut their_new,
        &mut our_new,
        &[
            "ping",
            "acl whoami",
            "multi",
            "exec",
            "get",
            "nosuch",
            "client",
            "hello 3",
            "auth bad",
            "auth pp",
            "ping",
            "reset",
            "ping",
            "hello 3 auth a pw setname x",
            "acl whoami",
            "reset",
            "client help",
            "auth default pp",
            "ping",
        ]
        .into_iter()
        .filter(|line| !line.starts_with("hello 3 auth"))
        .collect::<Vec<_>>(),
    );
    // CONFIG GET says only that there is a password; its rules win.
    let shown = |client: &mut Client| call(client, "config get requirepass").values()[1].text();
    assert_eq!((shown(&mut their_admin), shown(&mut our_admin)), ("pp".to_owned(), "(redacted)".to_owned()));
    both(
        &mut their_admin,
        &mut our_admin,
        &["acl setuser default nopass", "acl list", "config set requirepass \"\"", "acl list"],
    );
    let (mut theirs, mut ours) = (redis.client(), server.client());
    both(&mut theirs, &mut ours, &["ping", "acl whoami"]);
    both(&mut their_admin, &mut our_admin, &["acl setuser default off", "ping"]);
    both(&mut redis.client(), &mut server.client(), &["ping", "auth default x", "auth a pw", "ping"]);
}

#[test]
fn a_write_only_user_reads_nothing_as_in_redis() {
    let (redis, server) = (Redis::start(&[]), Server::small());
    let (mut theirs, mut ours) = (redis.client(), server.client());
    alike(
        &mut theirs,
        &mut ours,
        &[
            "acl setuser w on nopass %W~app:* +@all",
            "auth w x",
            "set app:1 1",
            "set app:1 1 get",
            "get app:1",
            "exists app:1",
            "incr app:1",
            "expire app:1 10",
            "rename app:1 app:2",
            "getset app:1 x",
            "append app:1 x",
            "setrange app:1 0 x",
            "getdel app:1",
            "mset app:1 1 app:2 2",
            "mset app:1 1 x 2",
            "type app:1",
            "strlen app:1",
            "lpush app:3 a",
            "lpop app:3",
            "lmove app:3 app:4 left right",
            "llen app:3",
            "del app:1 app:2 app:3",
            "exists x",
        ],
    );
}

/// An entry of ACL LOG without what depends on time and machine: its first five fields.
fn entries(client: &mut Client) -> Vec<Vec<Value>> {
    let log = call(client, "acl log");
    log.values().iter().map(|entry| entry.values()[..10].to_vec()).collect()
}

#[test]
fn what_is_denied_is_logged_as_in_redis() {
    let (redis, server) = (Redis::start(&[]), Server::start(&["--ring-bytes", "1m"]));
    let (mut their_admin, mut our_admin) = (redis.client(), server.client());
    let rules = ["acl setuser r on >pw %R~app:* +@read +multi +exec"];
    alike(&mut their_admin, &mut our_admin, &rules);
    let (mut theirs, mut ours) = (redis.client(), server.client());
    let lines = [
        "auth r bad",
        "auth nosuch bad",
        "auth r pw",
        "acl whoami",
        "get x",
        "get x",
        "set app:1 x",
        "mget app:1 x",
        "client list",
        "get y",
        "multi",
        "get x",
        "get app:1",
        "exec",
        "get x",
        "hello 3 auth r bad",
        "config get x",
    ];
    alike(&mut theirs, &mut ours, &lines);
    assert_eq!(entries(&mut our_admin), entries(&mut their_admin));
    let log = call(&mut our_admin, "acl log 1");
    let entry = log.values()[0].values().to_vec();
    let names: Vec<String> = entry.iter().step_by(2).map(Value::text).collect();
    let fields = "count reason context object username age-seconds client-info entry-id timestamp-created \
                  timestamp-last-updated";
    assert_eq!(names, fields.split_whitespace().collect::<Vec<_>>());
    let (age, info) = (entry[11].text(), entry[13].text());
    assert!(age.parse::<f64>().is_ok_and(|seconds| seconds < 60.0), "{age}");
    assert!(info.starts_with("id=") && info.contains(" addr=127.0.0.1:") && info.contains(" user=r "), "{info}");
    assert!(entry[17].integer() <= entry[19].integer() && entry[17].integer() > 1_700_000_000_000);
    // Equal ones are one entry, which is the newest then and keeps its number.
    let found = |client: &mut Client| {
        let log = call(client, "acl log");
        let id = |entry: &Value| (entry.values()[15].integer(), entry.values()[1].integer(), entry.values()[7].text());
        log.values().iter().map(id).find(|(_, _, object)| object == "x").expect("it is there")
    };
    let before = found(&mut our_admin);
    assert!(call(&mut ours, "get x").error().starts_with("NOPERM"));
    let after = found(&mut our_admin);
    assert_eq!((after.0, after.1), (before.0, before.1 + 1));
    let info = call(&mut our_admin, "info stats").text();
    for (name, count) in [("auth", 3), ("cmd", 4), ("key", 7), ("channel", 0)] {
        assert!(info.contains(&format!("acl_access_denied_{name}:{count}\r\n")), "{name}: {info}");
    }
    alike(&mut their_admin, &mut our_admin, &["acl log reset", "acl log", "config resetstat"]);
    assert!(call(&mut our_admin, "info stats").text().contains("acl_access_denied_key:0\r\n"));
    // The log has a bound.
    alike(&mut their_admin, &mut our_admin, &["config set acllog-max-len 2"]);
    alike(&mut theirs, &mut ours, &["get a", "get b", "get c"]);
    assert_eq!(entries(&mut our_admin), entries(&mut their_admin));
}

#[test]
fn help_is_that_of_redis() {
    let (redis, server) = (Redis::start(&[]), Server::small());
    let lines =
        |client: &mut Client| -> Vec<String> { call(client, "acl help").values().iter().map(Value::text).collect() };
    // The last line has lost a letter since 7.0.
    let theirs: Vec<String> =
        lines(&mut redis.client()).iter().map(|line| line.replace("Prints this help.", "Print this help.")).collect();
    assert_eq!(lines(&mut server.client()), theirs);
}
