//! A server in the test's own process, with consumer groups in a directory.

use super::{Client, PATIENCE};
use clap::Parser;
use keytide_engine::history::ShardHistory;
use keytide_engine::log::Fsync;
use keytide_engine::position::{Position, ShardId};
use keytide_engine::ring;
use keytide_engine::sequencer::Sequencer;
use keytide_engine::shard::{LentShard, Shard};
use keytide_net::access::Users;
use keytide_net::command::access::CATALOGUE;
use keytide_net::config::Flags;
use keytide_net::groups::store::{self as group_store, GroupStoreOptions};
use keytide_net::port::{Port, ProtocolKind, TransportKind};
use keytide_net::server::{Kept, Server};
use keytide_net::turn_loop;
use socket2::{Domain, Socket, Type};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;

/// A running server; dropping it stops it.
pub struct Local {
    server: Arc<Server>,
    thread: Option<JoinHandle<()>>,
}

impl Local {
    /// Starts one with so many shards, whose first event gets this position.
    pub fn start(dir: &Path, shards: u16, fsync: Fsync, next: u64) -> Local {
        let words =
            ["keytide", "--port", "0", "--shards", &shards.to_string(), "--ring-bytes", "16m"].map(String::from);
        let config = Flags::parse_from(words).decide().expect("flags that there are");
        let sequencer = Arc::new(Sequencer::new(Position(next), shards.into()));
        let shard = |shard: u16| {
            let (writer, ring) = ring::create(config.ring_bytes).expect("memory for a small ring");
            let shard = Shard::new(ShardId(shard), sequencer.clone(), Some(writer), config.absent_streams);
            (LentShard(Box::new(shard)), ShardHistory::from(ring))
        };
        let (lent, histories): (Vec<_>, Vec<_>) = (0..shards).map(shard).unzip();
        let mut address = SocketAddr::new(config.bind, 0);
        let mut listeners = Vec::new();
        for _ in 0..shards {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
            socket.set_reuse_port(true).expect("Linux has it");
            socket.bind(&address.into()).expect("a free port");
            socket.listen(16).expect("it is bound");
            let listener = TcpListener::from(socket);
            address = listener.local_addr().expect("it is bound");
            listeners.push(vec![listener]);
        }
        let trust = keytide_engine::store::recovery::Trust::Written;
        let options =
            GroupStoreOptions { dir, fsync, history_id: "history", next: Position(next), cores: shards, trust };
        let groups = group_store::open(&options).expect("groups that can be read");
        let kept = Kept {
            sequencer,
            histories,
            older: Vec::new(),
            log_failure: None,
            on_disk: None,
            history_id: "history".into(),
        };
        let port = Port { address, transport: TransportKind::Plain, protocol: ProtocolKind::Resp };
        let server = Arc::new(Server::new(config, Users::new(&CATALOGUE, None, 128), kept, vec![port]));
        let (ready, is_ready) = channel();
        let thread = std::thread::spawn({
            let server = server.clone();
            move || {
                let ready = || ready.send(()).expect("the test waits for it");
                turn_loop::run(&server, lent, groups, listeners, ready).expect("it serves until it is stopped");
            }
        });
        is_ready.recv_timeout(PATIENCE).expect("it starts");
        Local { server, thread: Some(thread) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        Client::connect(self.server.address())
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.server.stop();
        // Where it panicked the test fails for another reason already.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Copies a directory: what a process that is killed now leaves behind.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a place for the test's files");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let path = entry.expect("its entry").path();
        let target = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("a file that can be copied");
        }
    }
}
