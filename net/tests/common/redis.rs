//! redis-server beside this server, to compare replies.

use super::Client;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

/// A running redis-server; dropping it kills it.
pub struct Redis {
    child: Child,
    address: SocketAddr,
}

impl Redis {
    /// Starts one with these further flags, that keeps nothing on disk, and waits until it is ready.
    pub fn start(flags: &[&str]) -> Redis {
        // A free port may have become another server's before it is this one's: then this one ends, and is started anew.
        for _ in 0..10 {
            if let Some(redis) = Redis::try_start(flags) {
                return redis;
            }
        }
        panic!("redis-server finds no port");
    }

    /// Starts one on a port that was free when it was looked for; none where it was not any more.
    fn try_start(flags: &[&str]) -> Option<Redis> {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("there is a free port");
        let port = address.port().to_string();
        let mut command = Command::new("redis-server");
        // SORT would go by the rules of another language.
        command.env("LC_ALL", "C");
        command
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--enable-debug-command", "yes"])
            .args(flags);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("redis-server is installed (Debian: redis-server)");
        let mut lines = BufReader::new(child.stdout.take().expect("its standard output is a pipe")).lines();
        let is_ready = lines.any(|line| line.is_ok_and(|line| line.contains("Ready to accept connections")));
        // What it says later goes nowhere, but must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let mut redis = Redis { child, address };
        (is_ready && redis.child.try_wait().is_ok_and(|ended| ended.is_none())).then_some(redis)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
