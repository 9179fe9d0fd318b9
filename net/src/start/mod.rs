//! From a configuration to a serving process: sockets, rings, cores, signals; and the end.
//!
//! | module | what is in it |
//! |---|---|
//! | [`error`] | why a server does not serve |
//! | `users` | the users that there are at first |
//! | `open_state` | where the state is loaded from: nowhere, or the directory of `--dir` |

pub mod error;
mod open_state;
mod users;

pub use error::StartError;
pub use users::UsersError;

use crate::config::Config;
use crate::descriptors::{Descriptors, TooFew, Wanted};
use crate::heap;
use crate::memory::MemoryLimit;
use crate::memory::watch::{self, Watcher};
use crate::port::{Port, ProtocolKind, TransportKind};
use crate::server::Server;
use crate::tls::TlsIdentity;
use crate::turn_loop;
use open_state::OpenState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use socket2::{Domain, Socket, Type};
use std::collections::HashSet;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a port that is in use is waited for.
const PORT_PATIENCE: Duration = Duration::from_millis(500);

/// Serves until a signal or SHUTDOWN ends it. `ready` is told what is served once it is.
///
/// # Errors
/// Why it could not start, or had to stop.
pub fn serve(mut config: Config, ready: impl FnOnce(&Server)) -> Result<(), StartError> {
    // From the first moment on: a terminal that is closed ends no server.
    let signals = Signals::new([SIGHUP]).map_err(StartError::Signals)?;
    let limit = MemoryLimit::read();
    tell_what_starts(&config, limit);
    check_memory(&config, limit)?;
    let descriptors = divide_descriptors(&config)?;
    let tls = config.tls.as_ref().map(|tls| TlsIdentity::load(tls.files.clone())).transpose()?.map(Arc::new);
    let (ports, listeners) = open_ports(&config, descriptors.backlog)?;
    if let Err(error) = heap::populate(config.heap_bytes) {
        tracing::warn!(%error, bytes = config.heap_bytes, "the heap is not prefaulted: turns wait for its first pages");
    }
    let users = users::load(&config)?;
    config.forget_passwords();
    let OpenState { kept, shards, groups, store } = open_state::open(&config)?;
    let server = Arc::new(Server::new(config, users, kept, ports).with_descriptors(descriptors).with_tls(tls));
    let watcher = Watcher::start(server.memory.clone()).map_err(StartError::Watch)?;
    heed_signals(signals, server.clone()).map_err(StartError::Signals)?;
    turn_loop::run(&server, shards, groups, listeners, || {
        tracing::info!(address = %server.address(), shards = server.shards(), "ready");
        ready(&server);
    })?;
    drop(watcher);
    // The cores have ended, and with them the logs: everything is on the disk that could be.
    store.map_or(Ok(()), |store| store.close(&server.sequencer)).map_err(StartError::Store)
}

/// Logs what is about to start.
fn tell_what_starts(config: &Config, limit: MemoryLimit) {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        pid = std::process::id(),
        bind = %config.bind,
        port = config.port.map_or("off".to_owned(), |port| port.to_string()),
        shards = config.shards,
        cores = ?config.cores,
        dir = %config.durability.as_ref().map_or("none, in memory".into(), |kept| kept.dir.display().to_string()),
        "keytide starts"
    );
    tracing::info!(
        %limit,
        ring_bytes = config.ring_bytes,
        rings_bytes_total = config.ring_bytes * u64::from(config.shards),
        heap_bytes = config.heap_bytes,
        "memory"
    );
    if !config.exposed.is_empty() {
        tracing::warn!(
            "{} on the command line: other users of this machine can see the password there; give it in the file of \
             --config, in a variable (KEYTIDE_REQUIREPASS, KEYTIDE_USER), or as its hash (keytide hash-password)",
            config.exposed.join(" and ")
        );
    }
    if config.shares_cores() {
        let cores = config.cores.iter().collect::<HashSet<_>>().len();
        tracing::warn!(
            shards = config.shards,
            cores,
            "several shards share a core, which costs time: give as many --shards as there are cores, or fewer"
        );
    }
}

/// Divides the open files that the process may have, and says where fewer clients find one than were asked for.
fn divide_descriptors(config: &Config) -> Result<Descriptors, TooFew> {
    let Config { shards, maxclients, .. } = *config;
    let wanted = Wanted { shards, has_log: config.durability.is_some(), maxclients };
    let descriptors = Descriptors::of_this_process(wanted)?;
    if descriptors.maxclients < maxclients {
        tracing::warn!(
            "--maxclients is reduced from {maxclients} to {}: the limit of open files is {}, and {} would be needed \
             (ulimit -n, LimitNOFILE= of the unit)",
            descriptors.maxclients,
            descriptors.limit,
            Descriptors::limit_for(wanted)
        );
    }
    Ok(descriptors)
}

/// Refuses what does not fit into memory, and warns of what leaves too little for keys.
fn check_memory(config: &Config, limit: MemoryLimit) -> Result<(), StartError> {
    let &Config { shards, ring_bytes, heap_bytes, .. } = config;
    let bytes = ring_bytes.saturating_mul(shards.into()).saturating_add(heap_bytes);
    if bytes > limit.bytes() {
        return Err(StartError::Memory { shards, ring_bytes, heap_bytes, limit });
    }
    let wanted = bytes.saturating_add(config.maxmemory.bytes);
    if config.maxmemory.bytes > 0 && wanted > watch::bound(limit.bytes()) {
        tracing::warn!(
            %limit,
            maxmemory = config.maxmemory.bytes,
            rings_and_heap = bytes,
            "--maxmemory, rings and heap are more than nine tenths of the memory that there is: writes will be refused before keys are evicted"
        );
    }
    if bytes > watch::bound(limit.bytes()) {
        tracing::warn!(
            %limit,
            bytes,
            "rings and heap leave no memory for keys, writes will be refused: give fewer --ring-bytes, --heap-bytes or --shards"
        );
    }
    Ok(())
}

/// The ports, and for each core its listener on each of them.
fn open_ports(config: &Config, backlog: u64) -> Result<(Vec<Port>, Vec<Vec<TcpListener>>), StartError> {
    let plain = config.port.map(|port| (port, TransportKind::Plain, ProtocolKind::Resp));
    let tls = config.tls.as_ref().map(|tls| (tls.port, TransportKind::Tls, ProtocolKind::Resp));
    let is_web_tls = config.tls.as_ref().is_some_and(|tls| tls.grpc);
    let web_transport = if is_web_tls { TransportKind::Tls } else { TransportKind::Plain };
    let web = config.grpc_port.map(|port| (port, web_transport, ProtocolKind::Web));
    let mut ports = Vec::new();
    let mut of_cores: Vec<Vec<TcpListener>> = (0..config.shards).map(|_| Vec::new()).collect();
    for (number, transport, protocol) in plain.into_iter().chain(tls).chain(web) {
        let flag = match (transport, protocol) {
            (_, ProtocolKind::Web) => "grpc-port",
            (TransportKind::Tls, ProtocolKind::Resp) => "tls-port",
            (TransportKind::Plain, ProtocolKind::Resp) => "port",
        };
        let listening = listen(SocketAddr::new(config.bind, number), config.shards, backlog);
        let (address, listeners) =
            listening.map_err(|(address, source)| StartError::Listen { flag, address, source })?;
        ports.push(Port { address, transport, protocol });
        of_cores.iter_mut().zip(listeners).for_each(|(core, listener)| core.push(listener));
    }
    Ok((ports, of_cores))
}

/// Listeners on an address, and the address with the number that the system has chosen for port 0. A plain bind comes first:
/// sharing the port would succeed beside another server that shares it too, and each would get some of the clients.
fn listen(
    mut address: SocketAddr,
    count: u16,
    backlog: u64,
) -> Result<(SocketAddr, Vec<TcpListener>), (SocketAddr, io::Error)> {
    let refused = |address, source| (address, source);
    let open = |address: SocketAddr, shared: bool| -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(shared)?;
        // Accepted sockets have it from their listener. A client can connect as soon as this listens, before the net ring
        // has it: set later, the connection would be without, and a reply in two parts would wait 40 ms for the client.
        socket.set_tcp_nodelay(true)?;
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
    for _ in 0..count {
        let socket = open(address, true).map_err(|source| refused(address, source))?;
        socket.listen(backlog as i32).map_err(|source| refused(address, source))?;
        listeners.push(socket.into());
    }
    Ok((address, listeners))
}

/// Stops the server on SIGTERM and SIGINT; a second one ends the process at once. SIGHUP has the files of TLS read again.
/// SIGPIPE is ignored.
fn heed_signals(mut signals: Signals, server: Arc<Server>) -> io::Result<()> {
    signals.add_signal(SIGTERM)?;
    signals.add_signal(SIGINT)?;
    std::thread::Builder::new().name("keytide-signals".to_owned()).spawn(move || {
        let mut was_asked = false;
        for signal in signals.forever() {
            if signal == SIGHUP {
                reload(&server);
            } else if was_asked {
                std::process::exit(128 + signal);
            } else {
                was_asked = true;
                tracing::info!(signal, "stopping");
                server.stop();
            }
        }
    })?;
    Ok(())
}

/// Reads the files again that may change while the server runs.
fn reload(server: &Server) {
    let Some(tls) = &server.tls else {
        tracing::warn!("SIGHUP: only the files of TLS are read again, and there are none; restart to change settings");
        return;
    };
    match tls.reload() {
        Ok(()) => tracing::info!("SIGHUP: new connections get the certificate as it is now"),
        Err(error) => {
            tracing::warn!(%error, "SIGHUP: the files of TLS cannot be used, and so those before stay in use")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn clients_that_connect_before_the_server_is_ready_get_their_replies_without_delay() {
        let (address, listeners) = listen(SocketAddr::from(([127, 0, 0, 1], 0)), 2, 16).unwrap();
        let clients = [(); 8].map(|()| TcpStream::connect(address).unwrap());
        // The kernel gives each client to one of the listeners.
        listeners.iter().for_each(|listener| listener.set_nonblocking(true).unwrap());
        let accepted: Vec<_> =
            listeners.iter().flat_map(|listener| std::iter::from_fn(|| listener.accept().ok())).collect();
        assert_eq!(accepted.len(), clients.len());
        assert!(accepted.iter().all(|(stream, _)| stream.nodelay().unwrap()));
    }
}
