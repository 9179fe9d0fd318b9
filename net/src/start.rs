//! From a configuration to a serving process: sockets, rings, cores, signals; and the end.

use crate::config::Config;
use crate::group_store::GroupStoreError;
use crate::heap;
use crate::keep::{self, Begun};
use crate::server::Server;
use crate::turn_loop::{self, CoreError};
use keytide_engine::log::store::StoreError;
use socket2::{Domain, Socket, Type};
use std::collections::HashSet;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};
use thiserror::Error;

/// Why the server does not serve.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("{address}: {source}{}", in_use_remedy(.source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// There is no memory for the rings.
    #[error("--ring-bytes {bytes}: {source}; give fewer bytes or fewer --shards")]
    Ring {
        /// What was asked for each shard.
        bytes: u64,
        /// Why not.
        source: io::Error,
    },
    /// The consumer groups of an earlier run cannot be had.
    #[error("consumer groups: {0}")]
    Groups(#[from] GroupStoreError),
    /// The system's signals cannot be had.
    #[error("signals: {0}")]
    Signals(io::Error),
    /// The directory of `--dir`.
    #[error("--dir: {0}")]
    Store(StoreError),
    /// A core.
    #[error(transparent)]
    Core(#[from] CoreError),
}

fn in_use_remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => "; another server listens there: stop it, or give another --port",
        io::ErrorKind::PermissionDenied => "; give a --port from 1024 on",
        _ => "",
    }
}

/// How long a port that is in use is waited for.
const PORT_PATIENCE: Duration = Duration::from_millis(500);

/// How many connections may wait to be accepted on each core.
pub const BACKLOG: i32 = 1024;

/// Serves until a signal or SHUTDOWN ends it. `ready` is told what is served once it is.
///
/// # Errors
/// Why it could not start, or had to stop.
pub fn serve(config: Config, ready: impl FnOnce(&Server)) -> Result<(), StartError> {
    let (address, listeners) = listen(&config)?;
    if let Err(error) = heap::populate(config.heap_bytes) {
        tracing::warn!(%error, bytes = config.heap_bytes, "turns will wait for the heap's first memory");
    }
    if config.shares_cores() {
        let cores = config.cores.iter().collect::<HashSet<_>>().len();
        tracing::warn!(
            shards = config.shards,
            cores,
            "several shards share a core, which costs time: give as many --shards as there are cores, or fewer"
        );
    }
    let Begun { kept, shards, groups, store } = keep::begin(&config)?;
    let server = Arc::new(Server::new(config, kept, address));
    stop_on_signal(server.clone()).map_err(StartError::Signals)?;
    turn_loop::run(&server, shards, groups, listeners, || ready(&server))?;
    // The cores have ended, and with them the logs: everything is on the disk that could be.
    store.map_or(Ok(()), |store| store.close(&server.sequencer)).map_err(StartError::Store)
}

/// A listener for each core on one address. A plain bind comes first: sharing the port would succeed beside another
/// server that shares it too, and each would get some of the clients.
fn listen(config: &Config) -> Result<(SocketAddr, Vec<TcpListener>), StartError> {
    let mut address = SocketAddr::new(config.bind, config.port);
    let refused = |address, source| StartError::Listen { address, source };
    let open = |address: SocketAddr, shared: bool| -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(shared)?;
        socket.bind(&address.into())?;
        Ok(socket)
    };
    // Of a process that was killed the kernel takes the rings apart in the background, and they hold its listener: who
    // restarts it at once would find the port busy.
    let patience = Instant::now() + PORT_PATIENCE;
    let probe = loop {
        match open(address, false) {
            Err(source) if source.kind() == io::ErrorKind::AddrInUse && Instant::now() < patience => {
                std::thread::sleep(PORT_PATIENCE / 20);
            }
            opened => break opened.map_err(|source| refused(address, source))?,
        }
    };
    // With port 0 the system has chosen one.
    address = probe.local_addr().map_err(|source| refused(address, source))?.as_socket().unwrap_or(address);
    drop(probe);
    let mut listeners = Vec::new();
    for _ in 0..config.shards {
        let socket = open(address, true).map_err(|source| refused(address, source))?;
        socket.listen(BACKLOG).map_err(|source| refused(address, source))?;
        listeners.push(socket.into());
    }
    Ok((address, listeners))
}

/// Stops the server on SIGTERM and SIGINT; a second one ends the process at once. SIGPIPE is ignored.
fn stop_on_signal(server: Arc<Server>) -> io::Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT])?;
    std::thread::Builder::new().name("keytide-signals".to_owned()).spawn(move || {
        for (count, signal) in signals.forever().enumerate() {
            if count > 0 {
                std::process::exit(128 + signal);
            }
            tracing::info!(signal, "stopping");
            server.stop();
        }
    })?;
    Ok(())
}
