//! For tests over the real binary: a server that lives as long as the test, redis-cli, and a small client.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code)]

pub mod beside;
pub mod local;
pub mod page;
pub mod redis;
pub mod subscriber;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The longest that a test waits for anything: far more than it takes, for machines that are busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How many shards a server of the tests has unless the test says so: two, or what `KEYTIDE_TEST_SHARDS` says.
pub fn shards() -> String {
    std::env::var("KEYTIDE_TEST_SHARDS").unwrap_or_else(|_| "2".to_owned())
}

/// The numbers of shards for tests that try several: one and two, or what `KEYTIDE_TEST_SHARDS` says.
pub fn numbers_of_shards() -> Vec<String> {
    std::env::var("KEYTIDE_TEST_SHARDS").map_or(vec!["1".to_owned(), "2".to_owned()], |shards| vec![shards])
}

/// Flags for tests that try how cores sleep too: those of [`numbers_of_shards`], and the last once more with cores that
/// sleep at once.
pub fn placements() -> Vec<Vec<String>> {
    let flags = |shards| vec!["--shards".to_owned(), shards];
    let sleeping = [flags(shards()), vec!["--spin-us".to_owned(), "0".to_owned()]].concat();
    numbers_of_shards().into_iter().map(flags).chain([sleeping]).collect()
}

/// The binary.
pub const BINARY: &str = env!("CARGO_BIN_EXE_keytide");

/// A running server; dropping it kills it.
pub struct Server {
    child: Child,
    /// Where it listens; for TLS where it listens for nothing else.
    pub address: SocketAddr,
    /// Where it listens for TLS, if it does.
    pub tls: Option<SocketAddr>,
    /// Where it serves gRPC, if it does.
    pub grpc: Option<SocketAddr>,
    /// How many shards it says that it has.
    pub shards: u16,
}

impl Server {
    /// Starts a server with these flags, on a free port unless they name one, and waits until it is ready. Unless they
    /// say otherwise it has [`shards`].
    pub fn start(flags: &[&str]) -> Server {
        let mut command = Command::new(BINARY);
        let port: &[&str] = if flags.contains(&"--port") { &[] } else { &["--port", "0"] };
        let shards = shards();
        let is_placed = flags.contains(&"--shards") || flags.contains(&"--config");
        let shards: &[&str] = if is_placed { &[] } else { &["--shards", &shards] };
        command.args(port).args(shards).args(flags).stdin(Stdio::null()).stdout(Stdio::piped());
        Server::spawn(&mut command)
    }

    /// The same, with what it logs going to a file.
    pub fn start_logging(flags: &[&str], log: &Path) -> Server {
        let mut command = Command::new(BINARY);
        let log = File::create(log).expect("the test's directory can be written");
        command.args(["--port", "0"]).args(flags).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        Server::spawn(&mut command)
    }

    /// Starts a server by this command, which writes to a pipe, and waits until it is ready.
    pub fn spawn(command: &mut Command) -> Server {
        Server::try_spawn(command).unwrap_or_else(|text| panic!("{text}"))
    }

    /// The same with a plain port beside the one for TLS, which the command's further flags are about: with that, port 0
    /// would be none at all.
    pub fn spawn_with_port(command: impl Fn() -> Command) -> Server {
        // A free port may have become another server's before it is this one's.
        for _ in 0..10 {
            let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            let port = free.expect("there is a free port").port().to_string();
            if let Ok(server) = Server::try_spawn(command().args(["--port", &port])) {
                return server;
            }
        }
        panic!("the server finds no port")
    }

    fn try_spawn(command: &mut Command) -> Result<Server, String> {
        // Tests start many servers, and measure none.
        command.env("KEYTIDE_HEAP_BYTES", "0");
        // Many run at a time: only a test of that port has it, and says so.
        command.env("KEYTIDE_GRPC_PORT", "0");
        let mut child = command.spawn().expect("the binary was built for this test");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its standard output is a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("the pipe is read");
        let field = |name: &str| line.split(' ').find_map(|word| word.strip_prefix(name)).map(str::trim);
        let (Some(address), Some(shards)) = (field("resp="), field("shards=")) else {
            let status = child.wait().expect("it is our child");
            return Err(format!("not ready but {line:?}, {status}"));
        };
        let tls = field("tls=").map(|address| address.parse().expect("an address is printed"));
        let address = match (address, tls) {
            ("off", Some(tls)) => tls,
            (address, _) => address.parse().expect("an address is printed"),
        };
        let grpc = field("grpc=").and_then(|grpc| grpc.parse().ok());
        Ok(Server { child, address, tls, grpc, shards: shards.parse().expect("a number is printed") })
    }

    /// A server of one shard.
    pub fn small() -> Server {
        Server::start(&["--shards", "1", "--ring-bytes", "1m"])
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Runs redis-cli with these arguments; panics where it fails.
    pub fn cli(&self, args: &[&str]) -> String {
        let port = self.address.port().to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(args).output();
        let output = output.expect("redis-cli is installed (Debian: redis-tools)");
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        // SAFETY: it takes no pointer, and the process is our child, which was not waited for.
        assert_eq!(unsafe { libc::kill(self.pid() as i32, signal) }, 0);
    }

    /// Gives it another soft limit; none with none.
    pub fn limit(&self, resource: Resource, current: Option<u64>) {
        let pid = Pid::from_raw(self.pid() as i32).expect("a process has a number");
        let Rlimit { maximum, .. } = getrlimit(resource);
        prlimit(Some(pid), resource, Rlimit { current, maximum }).expect("it is within the hard limit");
    }

    /// Waits for its end.
    pub fn wait(mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait().expect("it is our child") {
                Some(status) => return status,
                None if Instant::now() > end => panic!("it does not end"),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("it runs").count()
    }

    /// Its resident memory, bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.memory_bytes("VmRSS:")
    }

    /// Its memory by a name of `/proc/<pid>/status`, bytes.
    pub fn memory_bytes(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux writes this line");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB") << 10
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the binary to its end.
pub fn run(args: &[&str]) -> Output {
    Command::new(BINARY)
        .args(args)
        .env("KEYTIDE_GRPC_PORT", "0")
        .stdin(Stdio::null())
        .output()
        .expect("the binary was built for this test")
}

/// Runs a script with redis-py; none where that is not installed. `KEYTIDE_TEST_PYTHON` names an interpreter that has
/// it.
pub fn python(script: &str) -> Option<Output> {
    let in_project = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.venv/bin/python3");
    let named = std::env::var_os("KEYTIDE_TEST_PYTHON").map(PathBuf::from);
    let candidates = named.into_iter().chain([in_project, PathBuf::from("python3")]);
    let run = |python: &PathBuf, script: &str| Command::new(python).args(["-c", script]).output().ok();
    let is_there = |output: &Output| output.status.success();
    let python = candidates.into_iter().find(|python| run(python, "import redis").as_ref().is_some_and(is_there))?;
    run(&python, script)
}

/// Whether those who work in the background are to stop: when the test says so, and when it fails.
#[derive(Default)]
pub struct Stop(AtomicBool);

impl Stop {
    /// Whether they are.
    pub fn is_asked(&self) -> bool {
        // Relaxed: it says only when to stop.
        self.0.load(Ordering::Relaxed)
    }

    /// Asks them to when this is dropped.
    pub fn at_end(&self) -> impl Drop + '_ {
        struct AtEnd<'a>(&'a Stop);
        impl Drop for AtEnd<'_> {
            fn drop(&mut self) {
                // Relaxed: as above.
                self.0.0.store(true, Ordering::Relaxed);
            }
        }
        AtEnd(self)
    }
}

/// Waits until something is so.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "it never came true that {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A place for a test's files, of its own.
pub fn scratch(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("keytide-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).expect("the temporary directory can be written");
    path
}

/// A value that the server has sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing, whichever way it is sent.
    Nil,
    /// A simple string.
    Simple(String),
    /// An error.
    Error(String),
    /// An integer.
    Integer(i64),
    /// A string, verbatim ones without their kind.
    Bulk(Vec<u8>),
    /// A push.
    Push(Vec<Value>),
    /// An array or set; of a map the keys and values in turn.
    Array(Vec<Value>),
}

impl Value {
    /// A string or a simple string as text; panics at anything else.
    pub fn text(&self) -> String {
        match self {
            Value::Simple(text) => text.clone(),
            Value::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => panic!("not a text: {other:?}"),
        }
    }

    /// The same; of an error its text.
    pub fn text_or_error(&self) -> String {
        if let Value::Error(text) = self { text.clone() } else { self.text() }
    }

    /// An integer; panics at anything else.
    pub fn integer(&self) -> u64 {
        match self {
            Value::Integer(number) => u64::try_from(*number).expect("a number from 0"),
            other => panic!("not an integer: {other:?}"),
        }
    }

    /// An array's values; panics at anything else.
    pub fn values(&self) -> &[Value] {
        match self {
            Value::Array(values) => values,
            other => panic!("not an array: {other:?}"),
        }
    }

    /// An error's text; panics at anything else.
    pub fn error(&self) -> &str {
        match self {
            Value::Error(text) => text,
            other => panic!("not an error: {other:?}"),
        }
    }
}

/// A connection that sends commands and reads replies, and waits for neither too long.
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout above 0");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout above 0");
        stream.set_nodelay(true).expect("it is a TCP socket");
        Client { stream: BufReader::new(stream) }
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("the server reads");
    }

    /// Sends a command.
    pub fn send<A: AsRef<[u8]>>(&mut self, words: &[A]) {
        self.send_raw(&encode(words));
    }

    /// Sends a command and reads its reply.
    pub fn call<A: AsRef<[u8]>>(&mut self, words: &[A]) -> Value {
        self.send(words);
        self.read()
    }

    /// Reads one reply; panics where there is none.
    pub fn read(&mut self) -> Value {
        self.try_read().expect("a reply comes in time")
    }

    /// Reads one reply.
    pub fn try_read(&mut self) -> std::io::Result<Value> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let (kind, rest) = line.trim_end_matches("\r\n").split_at(1);
        let number = || rest.parse::<i64>().unwrap_or_else(|_| panic!("not a number: {line:?}"));
        Ok(match kind {
            "+" | "," | "(" => Value::Simple(rest.to_owned()),
            "-" => Value::Error(rest.to_owned()),
            ":" => Value::Integer(number()),
            "#" => Value::Integer(i64::from(rest == "t")),
            "_" => Value::Nil,
            "$" | "*" if number() < 0 => Value::Nil,
            "$" | "=" => {
                let mut bytes = vec![0; number() as usize + 2];
                self.stream.read_exact(&mut bytes)?;
                bytes.truncate(bytes.len() - 2);
                Value::Bulk(if kind == "=" { bytes.split_off(4) } else { bytes })
            }
            "*" | "~" => Value::Array(self.read_many(number() as usize)?),
            ">" => Value::Push(self.read_many(number() as usize)?),
            "%" => Value::Array(self.read_many(number() as usize * 2)?),
            _ => panic!("not RESP: {line:?}"),
        })
    }

    fn read_many(&mut self, count: usize) -> std::io::Result<Vec<Value>> {
        (0..count).map(|_| self.try_read()).collect()
    }

    /// The first hundred events since the server's start, a line each: type, key, data.
    pub fn event_lines(&mut self) -> Vec<String> {
        let line = |row: &Value| {
            let row = row.values();
            let data = match &row[3] {
                Value::Nil => String::new(),
                Value::Array(parts) => parts.iter().map(Value::text).collect::<Vec<_>>().join(" "),
                one => one.text(),
            };
            format!("{} {} {data}", row[2].text(), row[1].text()).trim_end().to_owned()
        };
        self.call(&["cdcpoll", "0", "100"]).values().iter().map(line).collect()
    }

    /// Whether the server has closed the connection, now or before patience ends; what it still sends is dropped.
    pub fn is_closed(&mut self) -> bool {
        let mut sink = [0; 4096];
        loop {
            match self.stream.read(&mut sink) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    }
}

/// A command's bytes.
pub fn encode<A: AsRef<[u8]>>(words: &[A]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        let word = word.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
