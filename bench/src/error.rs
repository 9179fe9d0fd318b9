//! Errors that end a run early.

use crate::scan::ScanError;
use keytide_net::net_ring::NetRingError;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why there is no result. The text is one line, for the user.
#[derive(Debug, Error)]
pub enum BenchError {
    /// The server does not accept connections.
    #[error("{addr}: {source}")]
    Connect {
        /// Its address.
        addr: String,
        /// The cause.
        source: io::Error,
    },
    /// The kernel refuses a ring.
    #[error("{source}. {}", .source.remedy())]
    Ring {
        /// The cause.
        #[from]
        source: NetRingError,
    },
    /// The ring failed during the run.
    #[error("the ring: {0}")]
    RingFailed(io::Error),
    /// A reply was an error, or malformed.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A reply of a type that the command does not have.
    #[error("{command} was answered with {reply}")]
    Unexpected {
        /// The command.
        command: &'static str,
        /// The reply.
        reply: String,
    },
    /// More replies than commands.
    #[error("the server sent a reply that no command asked for")]
    Unasked,
    /// The server closed the connection, or it broke.
    #[error("the connection ended during the run: {0}")]
    Gone(String),
    /// No reply for too long.
    #[error("no reply for {seconds} s")]
    Silent {
        /// How long, in seconds.
        seconds: u64,
    },
    /// `--slots` has too few keys.
    #[error("only {found} of {asked} keys lie in these --slots; give fewer --keys")]
    TooFewKeysInSlots {
        /// The number of matching keys.
        found: usize,
        /// The requested number.
        asked: u32,
    },
    /// Options that exclude each other or are out of bounds.
    #[error("{0}")]
    Options(String),
    /// The events to read are missing.
    #[error("{0}")]
    History(String),
    /// The server's process cannot be examined.
    #[error("/proc/{pid}: {source}; is --server-pid right?")]
    Process {
        /// Its id.
        pid: u32,
        /// The cause.
        source: io::Error,
    },
    /// A file cannot be written or read.
    #[error("{}: {source}", .path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file is not a result.
    #[error("{}: {source}", .path.display())]
    Json {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: serde_json::Error,
    },
    /// A plot cannot be drawn.
    #[error("plot: {0}")]
    Plot(String),
    /// A core cannot be used.
    #[error("core {0} cannot be used; see --cores")]
    Core(usize),
    /// There was nothing to measure.
    #[error("no command was answered in the measured time")]
    Nothing,
}
