//! `keytide import`: RDB files and running servers; what redis-server has is in Keytide afterwards, or the report says what
//! is not.

#[path = "common/authority.rs"]
mod authority;
mod common;

use authority::Authority;
use common::beside::words;
use common::redis::Redis;
use common::{BINARY, Client, Server, Stop, Value, eventually, run, scratch};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn line(client: &mut Client, text: &str) -> Value {
    client.call(&words(text))
}

fn all(client: &mut Client, lines: &[String]) {
    for text in lines {
        let reply = line(client, text);
        assert!(!matches!(reply, Value::Error(_)), "{text:.80}: {reply:?}");
    }
}

/// Commands that make keys of every type, small and large, in the selected database.
fn keys() -> Vec<String> {
    let many = |head: &str, each: &dyn Fn(usize) -> String, count: usize| {
        let words: Vec<String> = (0..count).map(each).collect();
        format!("{head} {}", words.join(" "))
    };
    let mut lines: Vec<String> = ["7", "-300", "2000000000", "9223372036854775807", "text", "_"]
        .iter()
        .enumerate()
        .map(|(n, value)| format!("set string:{n} {value}"))
        .collect();
    lines.push(format!("set string:compressed {}", "abcdefgh".repeat(40)));
    lines.push(format!("set {} long-key", "key".repeat(100)));
    lines.push(format!("set string:large {}", "x".repeat(300_000)));
    lines.push("set with:ttl v px 100000000".to_owned());
    lines.push("set \\x00\\xff\\x0d\\x0a binary".to_owned());
    for (size, count) in [("small", 5), ("large", 700)] {
        lines.push(many(&format!("rpush list:{size}"), &|n| format!("element:{n}"), count));
        lines.push(many(&format!("hset hash:{size}"), &|n| format!("field:{n} {n}"), count));
        lines.push(many(&format!("sadd set:{size}"), &|n| format!("member:{n}"), count));
        lines.push(many(&format!("sadd numbers:{size}"), &|n| (n * n).to_string(), count));
        lines.push(many(&format!("zadd sorted:{size}"), &|n| format!("{} member:{n}", n as f64 / 8.0), count));
        lines.extend((0..count).map(|n| format!("xadd stream:{size} {}-{} field {n}", 1000 + n / 3, n % 3)));
        lines.push(format!("xgroup create stream:{size} group 0"));
        lines.push(format!("xreadgroup group group anna count 90 streams stream:{size} >"));
        lines.push(format!("xack stream:{size} group 1000-0"));
        lines.push(format!("xdel stream:{size} 1000-1"));
    }
    lines.push("pexpire hash:large 100000000".to_owned());
    lines.push("xgroup create stream:empty group 0 mkstream".to_owned());
    lines.push("pfadd sketch a b c".to_owned());
    lines.push("geoadd places 13.361389 38.115556 Palermo".to_owned());
    lines
}

/// A redis-server whose snapshots are in a directory of a test.
fn redis_at(name: &str) -> (Redis, PathBuf) {
    let directory = scratch(name);
    let redis = Redis::start(&["--dir", directory.to_str().expect("a path of this test")]);
    (redis, directory.join("dump.rdb"))
}

fn url(server: &Server) -> String {
    format!("redis://{}", server.address)
}

fn import(source: &str, server: &Server, more: &[&str]) -> Output {
    run(&[&["import", source, "--to", &url(server)], more].concat())
}

fn of_path(path: &Path) -> &str {
    path.to_str().expect("a path of this test")
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// The names of all keys of a database, in order.
fn names(client: &mut Client, db: u64) -> Vec<Vec<u8>> {
    line(client, &format!("select {db}"));
    let keys = line(client, "keys *");
    let bytes = |key: &Value| if let Value::Bulk(key) = key { key.clone() } else { panic!("{key:?}") };
    let mut names: Vec<Vec<u8>> = keys.values().iter().map(bytes).collect();
    names.sort_unstable();
    names
}

/// Whether Keytide has what redis-server has in a database, to the value and the TTL: it is dumped there, restored in a second
/// redis-server, and that says what it has.
fn assert_equal(theirs: &mut Client, ours: &mut Client, db: u64) {
    let second = Redis::start(&[]);
    let mut second = second.client();
    let expected = names(theirs, db);
    assert!(names(ours, db) == expected, "db{db} has other keys");
    line(&mut second, &format!("select {db}"));
    for key in &expected {
        let shown = key.escape_ascii();
        let ends = ours.call(&[&b"pexpiretime"[..], key]);
        assert_eq!(ends, theirs.call(&[&b"pexpiretime"[..], key]), "{shown}");
        // The digest says whether there is a TTL.
        let ttl: &[u8] = if ends == Value::Integer(-1) { b"0" } else { b"100000" };
        let Value::Bulk(payload) = ours.call(&[&b"dump"[..], key]) else { panic!("{shown} is gone") };
        assert_eq!(second.call(&[b"restore", &key[..], ttl, &payload]), Value::Simple("OK".into()), "{shown}");
        let digest = [&b"debug"[..], b"digest-value", key];
        assert_eq!(second.call(&digest), theirs.call(&digest), "{shown}");
    }
}

#[test]
fn an_rdb_file_of_every_type_is_imported_as_it_is() {
    let (redis, file) = redis_at("import-file");
    let mut theirs = redis.client();
    for bounds in ["512", "0"] {
        for name in ["hash-max-listpack-entries", "zset-max-listpack-entries", "set-max-intset-entries"] {
            line(&mut theirs, &format!("config set {name} {bounds}"));
        }
        line(&mut theirs, &format!("select {}", if bounds == "0" { 9 } else { 0 }));
        all(&mut theirs, &keys());
    }
    let library = "#!lua name=mylib\nredis.register_function('f', function() return 1 end)";
    theirs.call(&["function", "load", library]);
    // A snapshot has keys whose TTL is over, if nobody has looked at them.
    line(&mut theirs, "debug set-active-expire 0");
    line(&mut theirs, "set gone v px 1");
    line(&mut theirs, "save");
    let server = Server::start(&["--shards", "3", "--ring-bytes", "4m"]);
    let mut ours = server.client();
    let output = import(of_path(&file), &server, &[]);
    let (summary, said) = texts(&output);
    assert!(output.status.success(), "{summary}{said}");
    assert!(summary.contains("1 had expired; 1 skipped that are no keys") && !summary.contains("failed"), "{summary}");
    assert_eq!(said, "keytide: skipped: a library of functions (#!lua name=mylib)\n");
    line(&mut theirs, "debug set-active-expire 1");
    line(&mut theirs, "del gone");
    for db in [0, 9] {
        assert_equal(&mut theirs, &mut ours, db);
    }
    let checked = line(&mut ours, "memory check");
    assert!(!matches!(checked, Value::Error(_)), "{checked:?}");
    // Each key is an event, as of any client.
    line(&mut ours, "select 0");
    let event = ours.event_lines().into_iter().find(|line| line.contains(" string:4 "));
    assert_eq!(event.as_deref(), Some("RESTORE string:4 string text"));
}

#[test]
fn options_say_which_keys_and_what_of_those_that_exist() {
    let (redis, file) = redis_at("import-options");
    let mut theirs = redis.client();
    for text in ["set a:1 x", "set a:2 x", "set b x", "select 3", "set a:1 y", "select 5", "set other z", "save"] {
        line(&mut theirs, text);
    }
    let server = Server::start(&["--databases", "4"]);
    let (mut ours, file) = (server.client(), of_path(&file));
    line(&mut ours, "set a:1 mine");
    let output = import(file, &server, &["--match", "a:*"]);
    let (summary, said) = texts(&output);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(said, "keytide: not imported: db0 \"a:1\": BUSYKEY Target key name already exists.\n");
    assert!(summary.starts_with("imported: 2 keys, ") && summary.contains("; 1 failed\n"), "{summary}");
    assert!(summary.ends_with("  1 failed: BUSYKEY Target key name already exists.\n"), "{summary}");
    assert_eq!((line(&mut ours, "get a:1").text(), names(&mut ours, 0).len()), ("mine".into(), 2));
    assert_eq!(names(&mut ours, 3), [b"a:1"]);
    let output = import(file, &server, &["--db", "0", "--replace"]);
    assert!(output.status.success(), "{output:?}");
    line(&mut ours, "select 0");
    assert_eq!((line(&mut ours, "get a:1").text(), names(&mut ours, 0).len()), ("x".into(), 3));
    // A database that the target has not, and the same keys in another one.
    let output = import(file, &server, &["--db", "5"]);
    let expected = "keytide: not imported: db5 \"other\": database 5 at the target: ERR DB index is out of range\n";
    assert_eq!((output.status.code(), texts(&output).1.as_str()), (Some(1), expected));
    let into = format!("{}/2", url(&server));
    assert!(run(&["import", file, "--to", &into, "--db", "5"]).status.success());
    assert_eq!(names(&mut ours, 2), [b"other"]);
    for (args, expected) in [
        (vec!["import", file, "--to", &into], "--to names a database: say with --db which one goes there"),
        (vec!["import", file, "--to", "there"], "--to: redis://host:port is expected"),
        (vec!["import", file, "--follow"], "--follow: a file does not change; give a server"),
        (vec!["import", "http://there"], "URLs begin with redis:// or rediss://, not with http://"),
        (vec!["import", "redis://127.0.0.1"], "--to is where the keys are: give another server, or another database"),
        (vec!["import", "redis://there/1", "--db", "2"], "--db 2 is not the database 1 of the source"),
    ] {
        let output = run(&args);
        let of_this = (output.status.code(), texts(&output).1);
        assert_eq!(of_this, (Some(2), format!("keytide: {expected}\n")));
    }
    let output = run(&["import", "/nowhere/dump.rdb", "--to", &url(&server)]);
    let expected = "keytide: /nowhere/dump.rdb: No such file or directory (os error 2)\n";
    assert_eq!((output.status.code(), texts(&output).1.as_str()), (Some(1), expected));
}

#[test]
fn a_damaged_file_is_refused_and_nothing_of_it_is_imported() {
    let (redis, file) = redis_at("import-damaged");
    let mut theirs = redis.client();
    for text in [
        "set text value",
        "set number 300 px 100000000",
        "rpush list a b 3",
        "hset hash f v",
        "zadd sorted 1.5 m",
        "sadd set 1 2",
        "xadd stream 1-1 f v",
        "xgroup create stream g 0",
        "xreadgroup group g c streams stream >",
        "save",
    ] {
        line(&mut theirs, text);
    }
    let whole = std::fs::read(&file).expect("it was saved");
    let server = Server::small();
    let mut ours = server.client();
    let mut rng = fastrand::Rng::with_seed(3);
    let mut attempt = |bytes: &[u8]| {
        std::fs::write(&file, bytes).expect("the test's directory can be written");
        let output = import(of_path(&file), &server, &["--replace"]);
        let code = output.status.code().unwrap_or_else(|| panic!("it was ended: {output:?}"));
        let (_, said) = texts(&output);
        assert!(code <= 1 && !said.contains("panicked"), "{code}: {said}");
        let size = line(&mut ours, "dbsize").integer();
        line(&mut ours, "flushall");
        (code, size, said)
    };
    assert_eq!(attempt(&whole), (0, 7, String::new()));
    for _ in 0..60 {
        let cut = rng.usize(..whole.len());
        let (code, size, said) = attempt(&whole[..cut]);
        assert_eq!((code, size), (1, 0));
        assert!(said.ends_with(&format!("it ends at offset {cut}, within a row: it was cut\n")), "{said}");
    }
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1 << rng.u8(..8);
        // Another version may be one without a checksum, and the keys are right then.
        if at < 9 {
            attempt(&changed);
        } else if at % 3 == 0 {
            let (code, size, said) = attempt(&changed);
            assert_eq!((code, size), (1, 0), "{at}: {said}");
        }
    }
    // Without the checksum what is wrong is found by what it is, or is a value.
    for _ in 0..80 {
        let mut changed = whole.clone();
        let end = changed.len() - 8;
        changed[end..].fill(0);
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(9..end);
            changed[at] = rng.u8(..);
        }
        attempt(&changed);
    }
    assert_eq!(line(&mut ours, "ping").text(), "PONG");
}

/// Changes keys as long as it may, with what no notification tells among them.
fn write_until(client: &mut Client, stop: &Stop, seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    while !stop.is_asked() {
        let (key, other) = (rng.u32(..300), rng.u32(..300));
        let text = match rng.u8(..10) {
            0 => format!("del key:{key}"),
            1 => format!("rename key:{key} key:{other}"),
            2 => "xadd log * field value".to_owned(),
            3 => "xreadgroup group group anna count 3 streams log >".to_owned(),
            4 => format!("pexpire key:{key} 100000000"),
            5 => format!("lpush list:{} {key}", key % 9),
            6 => format!("select {}", 4 * (key % 2)),
            _ => format!("set key:{key} {other}"),
        };
        line(client, &text);
    }
}

#[test]
fn what_a_server_has_and_what_changes_meanwhile_is_copied() {
    let redis = Redis::start(&[]);
    let mut theirs = redis.client();
    for db in [0, 4] {
        line(&mut theirs, &format!("select {db}"));
        all(&mut theirs, &keys());
        line(&mut theirs, "xgroup create log group 0 mkstream");
    }
    line(&mut theirs, "config set notify-keyspace-events gE");
    let server = Server::start(&["--shards", "3", "--ring-bytes", "4m"]);
    let mut ours = server.client();
    line(&mut ours, "set key:7 mine");
    let source = format!("redis://{}", redis.address());
    let (stop, mut writer) = (Stop::default(), redis.client());
    std::thread::scope(|scope| {
        let _at_end = stop.at_end();
        let writing = scope.spawn(|| write_until(&mut writer, &stop, 1));
        let mut command = Command::new(BINARY);
        command.args(["import", &source, "--to", &url(&server), "--follow"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary is there");
        let said = BufReader::new(child.stderr.take().expect("it is a pipe"));
        let mut said = said.lines().map_while(Result::ok).filter(|line| !line.contains("not imported"));
        assert_eq!(said.next().as_deref(), Some("keytide: all keys are copied; changes follow until Ctrl-C"));
        // Some of what is written now, so that it has to follow.
        line(&mut theirs, "select 4");
        line(&mut theirs, "set late value");
        line(&mut ours, "select 4");
        eventually("a later key comes", || line(&mut ours, "get late") == Value::Bulk(b"value".to_vec()));
        drop(stop.at_end());
        writing.join().expect("the writer ends");
        // A change that nothing follows comes too.
        line(&mut theirs, "set last value");
        eventually("the last key comes", || line(&mut ours, "get last") == Value::Bulk(b"value".to_vec()));
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
        let output = child.wait_with_output().expect("it ends");
        let (summary, _) = texts(&output);
        // The key that was there before has stayed, and is named if the source has had it.
        let has_failed = summary.contains("BUSYKEY");
        assert_eq!(output.status.code(), Some(i32::from(has_failed)), "{summary}");
    });
    line(&mut ours, "select 0");
    assert_eq!(line(&mut ours, "get key:7").text(), "mine");
    for client in [&mut theirs, &mut ours] {
        line(client, "select 0");
        line(client, "del key:7");
    }
    for db in [0, 4] {
        assert_equal(&mut theirs, &mut ours, db);
    }
    let mut setting: Vec<u8> = line(&mut theirs, "config get notify-keyspace-events").values()[1].text().into_bytes();
    setting.sort_unstable();
    assert_eq!(setting, b"Eg");
}

#[test]
fn a_server_is_copied_until_nothing_is_left_and_by_users_of_few_rights() {
    let redis = Redis::start(&[]);
    let mut theirs = redis.client();
    all(&mut theirs, &keys());
    line(&mut theirs, "acl setuser anna on >secret-zq7x ~* &* +@all -config");
    let (server, address) = (Server::start(&[]), redis.address());
    let mut ours = server.client();
    let output = import(&format!("redis://{address}"), &server, &[]);
    assert!(output.status.success(), "{output:?}");
    assert_equal(&mut theirs, &mut ours, 0);
    // The same with a password of a file, and without the right to have notifications.
    line(&mut ours, "flushall");
    let file = scratch("import-password").join("password");
    std::fs::write(&file, "secret-zq7x\n").expect("the test's directory can be written");
    let more = ["--from-password-file", of_path(&file), "--match", "s*"];
    let output = import(&format!("redis://anna@{address}"), &server, &more);
    let (summary, said) = texts(&output);
    assert!(output.status.success() && summary.contains("keys"), "{output:?}");
    assert!(said.starts_with("keytide: no keyspace notifications (NOPERM ") && said.lines().count() == 1, "{said}");
    assert!(names(&mut ours, 0).iter().all(|key| key.starts_with(b"s")));
    let follow = import(&format!("redis://anna:secret-zq7x@{address}"), &server, &["--follow", "--replace"]);
    assert_eq!(follow.status.code(), Some(1));
    assert!(texts(&follow).1.contains("--follow needs keyspace notifications: NOPERM "), "{follow:?}");
    // Passwords are in nothing that it writes.
    let wrong = import(&format!("redis://anna:wrong-zq7x@{address}"), &server, &[]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(texts(&wrong).1.starts_with("keytide: others on this machine see the password of a URL;"), "{wrong:?}");
    for output in [output, follow, wrong] {
        let (summary, said) = texts(&output);
        assert!(!summary.contains("zq7x") && !said.contains("zq7x"), "{summary}{said}");
    }
}

#[test]
fn a_server_is_reached_over_tls() {
    let authority = Authority::new("import");
    authority.sign("server");
    let (target, address) = authority.serve(&[]);
    let source = Server::start(&[]);
    let mut client = source.client();
    line(&mut client, &format!("set large {}", "v".repeat(300_000)));
    for n in 0..2_000 {
        line(&mut client, &format!("set key:{n} value"));
    }
    let to = format!("rediss://localhost:{}", address.port());
    let output = run(&["import", &url(&source), "--to", &to, "--tls-ca", &authority.path("ca.crt")]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(target.cli(&["dbsize"]), "2001");
    // And back, where notifications come over TLS too.
    line(&mut client, "flushall");
    let output = run(&["import", &to, "--to", &url(&source), "--tls-ca", &authority.path("ca.crt")]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!((line(&mut client, "dbsize").integer(), line(&mut client, "strlen large").integer()), (2001, 300_000));
    let output = run(&["import", &to, "--to", &url(&source)]);
    assert!(texts(&output).1.contains("rediss:// needs --tls-ca"), "{output:?}");
}
