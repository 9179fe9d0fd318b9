//! Why a server does not serve, each with its remedy.

use super::users::UsersError;
use crate::descriptors::TooFew;
use crate::groups::store::GroupStoreError;
use crate::memory::MemoryLimit;
use crate::tls::TlsError;
use crate::turn_loop::CoreError;
use keytide_engine::store::StoreError;
use std::io;
use std::net::{IpAddr, SocketAddr};
use thiserror::Error;

/// Why the server does not serve.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("{address}: {source}{}", in_use_remedy(.source, .flag))]
    Listen {
        /// The flag of its port.
        flag: &'static str,
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
    /// The memory that is taken at the start is more than there is.
    #[error(
        "the rings of {shards} shards with --ring-bytes {ring_bytes} and --heap-bytes {heap_bytes} take more than \
         {limit}; give fewer bytes or fewer --shards"
    )]
    Memory {
        /// How many shards there are.
        shards: u16,
        /// Bytes of each one's ring.
        ring_bytes: u64,
        /// Bytes of heap to prefault.
        heap_bytes: u64,
        /// How much there is.
        limit: MemoryLimit,
    },
    /// The system does not say how much memory is in use, or has no thread for looking at it.
    #[error("memory in use: {0}")]
    Watch(io::Error),
    /// Users, or their rules.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// Other machines could write without a password, whatever users there are.
    #[error(
        "--bind {bind} serves other machines, and the default user needs no password: give it one (--requirepass, or its \
         rules), turn it off, or give --insecure if that is meant"
    )]
    Unprotected {
        /// The address.
        bind: IpAddr,
    },
    /// There are too few descriptors.
    #[error(transparent)]
    Descriptors(#[from] TooFew),
    /// TLS cannot be served.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// The consumer groups of an earlier run cannot be read.
    #[error("consumer groups: {0}")]
    Groups(#[from] GroupStoreError),
    /// The system's signals cannot be received.
    #[error("signals: {0}")]
    Signals(io::Error),
    /// The directory of `--dir`.
    #[error("--dir: {0}")]
    Store(StoreError),
    /// A core.
    #[error(transparent)]
    Core(#[from] CoreError),
}

fn in_use_remedy(source: &io::Error, flag: &str) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => format!("; another server listens there: stop it, or give another --{flag}"),
        io::ErrorKind::PermissionDenied => format!("; give a --{flag} from 1024 on"),
        _ => String::new(),
    }
}
