//! Where users come from: flags, variables and files; refusals to start; the file of users while the server runs; and
//! redis-py as a user.

mod common;

use common::{BINARY, Client, Server, Value, eventually, python, run, scratch};
use std::io::Write;
use std::process::{Command, Stdio};

fn call(client: &mut Client, line: &str) -> Value {
    client.call(&line.split(' ').collect::<Vec<_>>())
}

fn lines(client: &mut Client) -> Vec<String> {
    call(client, "acl list").values().iter().map(Value::text).collect()
}

/// The rule for the password `pw`.
const HASH: &str = "#30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4";

#[test]
fn users_are_given_by_flags_and_requirepass_is_the_default_users_password() {
    let anna = format!("anna on {HASH} ~app:* +@read (+set ~own)");
    let server = Server::start(&["--ring-bytes", "1m", "--user", &anna, "--user", "off +@all", "--requirepass", "pw"]);
    let mut client = server.client();
    assert!(call(&mut client, "ping").error().starts_with("NOAUTH"));
    assert_eq!(call(&mut client, "auth pw").text(), "OK");
    let expected = [
        format!("user anna on {HASH} ~app:* resetchannels -@all +@read (~own resetchannels -@all +set)"),
        format!("user default on {HASH} ~* &* +@all"),
        "user off off resetchannels +@all".to_owned(),
    ];
    assert_eq!(lines(&mut client), expected);
    assert_eq!(call(&mut client, "auth anna pw").text(), "OK");
    assert_eq!(call(&mut client, "set own x").text(), "OK");
    assert!(call(&mut client, "set app:1 x").error().starts_with("NOPERM"));
    assert!(call(&mut server.client(), "auth off pw").error().starts_with("WRONGPASS"));
}

#[test]
fn users_are_given_by_variables_and_the_default_user_can_be_turned_off() {
    let mut command = Command::new(BINARY);
    command.args(["--port", "0", "--shards", "1", "--ring-bytes", "1m"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let server = Server::spawn(command.env("KEYTIDE_USER", format!("default off\nanna on {HASH} ~* &* +@all")));
    let mut client = server.client();
    assert!(call(&mut client, "auth default x").error().starts_with("WRONGPASS"));
    assert_eq!(call(&mut client, "auth anna pw").text(), "OK");
    assert_eq!(lines(&mut client)[1], "user default off sanitize-payload resetchannels -@all");
}

#[test]
fn a_start_with_wrong_users_says_what_is_wrong() {
    let scratch = scratch("users");
    let (file, missing) = (scratch.join("wrong.acl"), scratch.join("missing.acl"));
    std::fs::write(&file, "user a on +get\nuser b on >secret +nosuch\n").expect("it can be written");
    let (file, missing) = (file.to_string_lossy().into_owned(), missing.to_string_lossy().into_owned());
    for (flags, part) in [
        (&["--user", "a on +nosuch"][..], "--user a: rule '+nosuch': Unknown command or category name in ACL"),
        (&["--user", "a on <secret"], "--user a: rule '<(redacted)': The password"),
        (&["--user", "a on (+get"], "--user a: rule '(+get': the selector has no end"),
        (&["--user", "a on", "--user", "a off"], "--user a: given twice"),
        (&["--user", "a on", "--acl-file", &file], "not both"),
        (&["--acl-file", &file], "wrong.acl:2: Unknown command or category name in ACL"),
        (&["--acl-file", &missing], "missing.acl"),
        (&["--bind", "0.0.0.0", "--user", "a on >secret"], "the default user needs no password"),
    ] {
        let output = run(&[&["--port", "0", "--shards", "1", "--ring-bytes", "1m"], flags].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(part), "{flags:?}: {text}");
        assert!(!text.contains("secret"), "{text}");
    }
    let guarded = Server::start(&["--bind", "0.0.0.0", "--user", "default off", "--user", "a on >pw +@all"]);
    drop(guarded);
    std::fs::remove_dir_all(scratch).expect("it is there");
}

#[test]
fn a_file_of_users_is_loaded_and_saved_while_clients_are_connected() {
    let scratch = scratch("acl-file");
    let path = scratch.join("users.acl");
    std::fs::write(&path, "user anna on nopass ~* +@all\nuser bert on nopass ~* +@all\n").expect("it can be written");
    let name = path.to_string_lossy().into_owned();
    let server = Server::start(&["--ring-bytes", "1m", "--acl-file", &name]);
    let mut admin = server.client();
    assert_eq!(lines(&mut admin).len(), 3);
    assert_eq!(call(&mut admin, "config get aclfile").values()[1].text(), name);
    let log_in = |user: &str| {
        let mut client = server.client();
        assert_eq!(call(&mut client, &format!("auth {user} x")).text(), "OK");
        client
    };
    let (mut anna, mut bert) = (log_in("anna"), log_in("bert"));
    assert_eq!(call(&mut admin, &format!("acl setuser carl on {HASH} ~c +get")).text(), "OK");
    assert_eq!(call(&mut admin, "acl save").text(), "OK");
    let saved = std::fs::read_to_string(&path).expect("it was written");
    assert_eq!(saved, lines(&mut admin).join("\n") + "\n");
    // Who is as before stays connected; who is another one now, or gone, does not.
    let changed = saved.replace("user bert on nopass ~*", "user bert on nopass ~b*");
    std::fs::write(&path, changed).expect("it can be written");
    assert_eq!(call(&mut admin, "acl load").text(), "OK");
    assert!(bert.is_closed());
    assert_eq!(call(&mut anna, "set k v").text(), "OK");
    std::fs::write(&path, "user anna on +nosuch\n").expect("it can be written");
    let error = call(&mut admin, "acl load").error().to_owned();
    assert!(error.starts_with("ERR ") && error.contains("users.acl:1: Unknown command"), "{error}");
    assert_eq!(lines(&mut admin).len(), 4, "an error changes nothing");
    std::fs::remove_dir_all(&scratch).expect("it is there");
    let error = call(&mut admin, "acl save").error().to_owned();
    assert!(error.starts_with("ERR There was an error trying to save the ACLs."), "{error}");
}

#[test]
fn refusals_and_changes_of_users_are_logged_without_passwords() {
    let scratch = scratch("audit");
    let log = scratch.join("log");
    let server = Server::start_logging(&["--ring-bytes", "1m", "--log-level", "info"], &log);
    let mut admin = server.client();
    assert_eq!(call(&mut admin, "acl setuser anna on >hidden ~a +get").text(), "OK");
    let mut anna = server.client();
    assert!(call(&mut anna, "auth anna hiddn").error().starts_with("WRONGPASS"));
    assert_eq!(call(&mut anna, "auth anna hidden").text(), "OK");
    assert!(call(&mut anna, "get b").error().starts_with("NOPERM"));
    assert_eq!(call(&mut admin, "acl deluser anna"), Value::Integer(1));
    let text = || std::fs::read_to_string(&log).expect("it is there");
    eventually("the last change is logged", || text().contains("deluser"));
    let text = text();
    for part in ["setuser", "access denied", "reason=\"key\"", "reason=\"auth\"", "user=anna", "object=b"] {
        // Colours may stand between a field's name and its value.
        let plain: String = strip_colours(&text);
        assert!(plain.contains(part), "{part} in {plain}");
    }
    assert!(!text.contains("hidd"), "{text}");
    std::fs::remove_dir_all(&scratch).expect("it is there");
}

fn strip_colours(text: &str) -> String {
    let mut plain = String::new();
    for (n, part) in text.split('\u{1b}').enumerate() {
        plain += if n == 0 { part } else { part.split_once('m').map_or("", |(_, rest)| rest) };
    }
    plain
}

#[test]
fn a_password_is_hashed_on_the_command_line() {
    let mut child = Command::new(BINARY)
        .arg("hash-password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary was built for this test");
    child.stdin.take().expect("it is a pipe").write_all(b"pw\n").expect("it is read");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((String::from_utf8_lossy(&output.stdout).trim_end(), output.status.success()), (HASH, true));
    assert!(!run(&["hash-password"]).status.success(), "an empty password is none");
}

#[test]
fn redis_py_works_as_a_user() {
    let anna = format!("anna on {HASH} ~app:* +@all -@dangerous +info");
    let server = Server::start(&["--ring-bytes", "1m", "--user", &anna, "--requirepass", "secret"]);
    let script = format!(
        r#"
import redis
port = {port}
admin = redis.Redis(port=port, password='secret')
assert admin.acl_whoami() in ('default', b'default')
for protocol in (2, 3):
    user = redis.Redis(port=port, username='anna', password='pw', protocol=protocol)
    assert user.acl_whoami() in ('anna', b'anna')
    assert user.set('app:1', 'x') and user.get('app:1') == b'x'
    for denied in (lambda: user.get('other'), lambda: user.keys('*'), lambda: user.flushall()):
        try:
            denied()
            raise SystemExit('not denied')
        except redis.exceptions.NoPermissionError:
            pass
    try:
        redis.Redis(port=port, username='anna', password='wrong', protocol=protocol).ping()
        raise SystemExit('logged in with a wrong password')
    except redis.exceptions.AuthenticationError:
        pass
    with user.pipeline(transaction=True) as pipe:
        assert pipe.set('app:2', 'y').get('app:2').execute() == [True, b'y']
assert admin.acl_setuser('bert', enabled=True, passwords=['+bp'], keys=['b*'], commands=['+get', '+@write'], reset=True)
bert = admin.acl_getuser('bert')
assert 'on' in bert['flags'] and '+get' in bert['commands'] and '+@write' in bert['categories'], bert
assert redis.Redis(port=port, username='bert', password='bp').set('b1', 1)
assert set(admin.acl_users()) == {{'anna', 'bert', 'default'}}
assert 'cdc' in admin.acl_cat() and 'cdc.read' in admin.acl_cat('cdc')
assert admin.acl_log(1)[0]['username'] in ('anna', 'bert')
assert admin.acl_log_reset() and admin.acl_log() == []
assert len(admin.acl_genpass()) == 64
assert admin.acl_dryrun('bert', 'get', 'b1') in ('OK', b'OK', True)
assert admin.acl_deluser('bert') == 1
"#,
        port = server.address.port()
    );
    match python(&script) {
        Some(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        None => eprintln!("skipped: redis-py is not installed; scripts/test installs it"),
    }
}

#[test]
fn a_file_of_users_that_was_written_for_redis_is_taken() {
    let scratch = scratch("redis-acl");
    let path = scratch.join("users.acl");
    // Names of commands, subcommands and categories that this server does not have.
    let lines = [
        "user default off sanitize-payload resetchannels -@all",
        "user queue on nopass ~q:* resetchannels -@all +@stream +@list +xadd +xreadgroup +xinfo|stream +client|no-evict",
        "user metrics on nopass resetchannels -@all +info +latency|latest +slowlog|get +memory|usage +client|list +role",
        "user search on nopass ~doc:* resetchannels -@all +ft.search +json.get +@json +@search +vsim +ts.add",
        "user replica on nopass resetchannels -@all +psync +replconf +ping",
        "user app on nopass ~app:* &chat:* -@all +@all -@dangerous -@admin -@scripting -eval -debug -failover +hexpire",
    ];
    std::fs::write(&path, lines.join("\n") + "\n").expect("it can be written");
    let server = Server::start(&["--ring-bytes", "1m", "--acl-file", &path.to_string_lossy()]);
    let mut client = server.client();
    assert_eq!(call(&mut client, "auth app x").text(), "OK");
    assert_eq!(call(&mut client, "set app:1 x").text(), "OK");
    assert!(call(&mut client, "acl list").error().starts_with("NOPERM"));
    assert!(call(&mut client, "ft.search x y").error().starts_with("ERR unknown command"));
    let mut admin = server.client();
    assert_eq!(call(&mut admin, "auth metrics x").text(), "OK");
    assert!(call(&mut admin, "info").text().contains("redis_version"));
    assert!(call(&mut admin, "client kill id 1").error().starts_with("NOPERM"));
    std::fs::remove_dir_all(scratch).expect("it is there");
}
