//! Passwords and keys are shown nowhere: not in arguments, logs, figures, lists, settings or errors.

#[path = "common/authority.rs"]
mod authority;
mod common;

use authority::Authority;
use common::{BINARY, Client, Server, Value, run, scratch, shards};
use std::fs::File;
use std::process::{Command, Stdio};

/// What is in every secret of this test, and in nothing else.
const MARK: &str = "zq7x";

fn call(client: &mut Client, line: &str) -> Value {
    client.call(&line.split(' ').collect::<Vec<_>>())
}

/// A reply with everything in it as text.
fn all_of(value: &Value) -> String {
    match value {
        Value::Array(values) | Value::Push(values) => values.iter().map(all_of).collect::<Vec<_>>().join(" "),
        Value::Nil => "nil".to_owned(),
        Value::Integer(number) => number.to_string(),
        other => other.text_or_error(),
    }
}

#[test]
fn no_secret_is_shown_anywhere() {
    let authority = Authority::new("secrets");
    authority.sign("server");
    let scratch = scratch("secrets");
    let (settings, log) = (scratch.join("keytide.toml"), scratch.join("log"));
    let text = format!("requirepass = \"{MARK}-default\"\nuser = [\"anna on >{MARK}-anna ~* &* +@all\"]\n");
    std::fs::write(&settings, text).expect("it can be written");
    let (certificate, key) = (authority.path("server.crt"), authority.path("server.key"));
    let server = Server::spawn_with_port(|| {
        let mut command = Command::new(BINARY);
        command.args(["--shards", &shards(), "--ring-bytes", "1m", "--log-level", "trace", "--config"]).arg(&settings);
        command.args(["--tls-port", "0", "--tls-cert", &certificate, "--tls-key", &key]);
        let log = File::create(&log).expect("the test's directory can be written");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        command
    });
    let (mut admin, mut other) = (server.client(), server.client());
    // Whatever takes a password gets one, right and wrong, alone and in transactions; what it answers is looked at too.
    let mut shown = Vec::new();
    for line in [
        "auth MARK-wrong",
        "auth anna MARK-wrong",
        "auth anna MARK-anna too-much",
        "hello 3 auth anna MARK-wrong",
        "hello 3 auth nobody MARK-nobody",
        "auth MARK-default",
        "config set requirepass MARK-second",
        "config set requirepass MARK-third port 1",
        "config set requirepass MARK-third nosuch 1",
        "acl setuser bert on >MARK-bert ~b:* +@read (~c:* +get)",
        "acl setuser bert <MARK-nosuch",
        "acl setuser bert >MARK-more +nosuch",
        "acl setuser bert (>MARK-inner)",
        "acl setuser bert (~a >MARK-inner",
        "acl dryrun bert auth bert MARK-bert",
        "acl dryrun bert acl setuser x >MARK-x",
        "multi",
        "auth anna MARK-wrong",
        "acl setuser carl on >MARK-carl",
        "config set requirepass MARK-fourth",
        "hello 2 auth anna MARK-wrong",
        "exec",
        "acl setuser anna <MARK-anna >MARK-new",
    ] {
        shown.push(all_of(&call(&mut admin, &line.replace("MARK", MARK))));
    }
    assert!(call(&mut other, &format!("auth {MARK}-third")).error().starts_with("WRONGPASS"), "the third was refused");
    assert_eq!(call(&mut other, &format!("auth {MARK}-fourth")).text(), "OK");
    let mut tls = authority.client(server.tls.expect("it serves TLS"), None);
    tls.ask(format!("AUTH anna {MARK}-new\r\nACL WHOAMI\r\n").as_bytes(), b"+OK\r\n$4\r\nanna\r\n");
    for line in [
        "config get *",
        "client list",
        "client info",
        "info everything",
        "acl list",
        "acl getuser anna",
        "acl getuser bert",
        "acl getuser default",
        "acl users",
        "acl log",
        "command docs",
        "slowlog get 128",
        "monitor",
        "latency latest",
        "memory doctor",
        "debug object x",
        "cdc.info",
        "cdcpoll 0 1000",
        "config rewrite",
    ] {
        shown.push(all_of(&call(&mut admin, line)));
    }
    let certificate_key = std::fs::read_to_string(&key).expect("it was written");
    let line_of_key = certificate_key.lines().nth(1).expect("a key has lines").to_owned();
    let of_process = |file: &str| {
        let bytes = std::fs::read(format!("/proc/{}/{file}", server.pid())).expect("it runs");
        String::from_utf8_lossy(&bytes).into_owned()
    };
    shown.push(of_process("cmdline"));
    shown.push(of_process("comm"));
    shown.push(std::fs::read_to_string(&log).expect("it was written"));
    assert!(shown.iter().any(|text| text.contains("users changed")), "the log was looked at");
    assert!(shown.iter().any(|text| text.contains("requirepass (redacted)")), "the settings were looked at");
    for text in &shown {
        assert!(!text.contains(MARK), "a password is shown: {text}");
        assert!(!text.contains(&line_of_key), "the key is shown: {text}");
    }
    std::fs::remove_dir_all(scratch).expect("it is there");
}

#[test]
fn a_password_on_the_command_line_is_warned_of_once() {
    let scratch = scratch("exposed");
    let log = scratch.join("log");
    let hash = "#30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4";
    for (flags, warned) in [
        (vec!["--requirepass", "secret"], Some("--requirepass on the command line")),
        (vec!["--user", "anna on >secret"], Some("--user on the command line")),
        (vec!["--requirepass", "secret", "--user", "a on", "--user", "b >x"], Some("--requirepass and --user on")),
        (vec!["--user", &format!("anna on {hash}")], None),
        (vec!["--requirepass", ""], None),
    ] {
        let server = Server::start_logging(&[&["--shards", "1", "--ring-bytes", "1m"], &flags[..]].concat(), &log);
        drop(server);
        let text = std::fs::read_to_string(&log).expect("it was written");
        let lines = text.lines().filter(|line| line.contains("on the command line")).count();
        assert_eq!(lines, usize::from(warned.is_some()), "{flags:?}: {text}");
        assert!(warned.is_none_or(|part| text.contains(part)) && !text.contains("secret"), "{flags:?}: {text}");
    }
    // A start that fails does not show it either.
    let output = run(&["--port", "0", "--user", "anna on (+get >secret"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("no end") && !text.contains("secret"), "{text}");
    // From elsewhere there is nothing to warn of.
    let mut command = Command::new(BINARY);
    let file = File::create(&log).expect("it can be written");
    command.args(["--port", "0", "--shards", "1", "--ring-bytes", "1m"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let server = Server::spawn(command.stderr(file).env("KEYTIDE_REQUIREPASS", "secret"));
    assert_eq!(call(&mut server.client(), "auth secret").text(), "OK");
    assert_eq!(std::fs::read_to_string(&log).expect("it was written"), "");
    std::fs::remove_dir_all(scratch).expect("it is there");
}
