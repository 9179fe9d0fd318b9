//! What ends a run before its end.

use crate::scan::ScanError;
use keytide_net::net_ring::NetRingError;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why there is no result. The text is one line, for whoever ran it.
#[derive(Debug, Error)]
pub enum BenchError {
    /// No server there.
    #[error("{addr}: {source}")]
    Connect {
        /// Where.
        addr: String,
        /// Why not.
        source: io::Error,
    },
    /// The kernel gives no ring.
    #[error("{source}. {}", .source.remedy())]
    Ring {
        /// Why not.
        #[from]
        source: NetRingError,
    },
    /// The ring has failed while it ran.
    #[error("the ring: {0}")]
    RingFailed(io::Error),
    /// A reply was an error, or was none.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A reply of another type than the command has.
    #[error("{command} was answered with {reply}")]
    Unexpected {
        /// The command.
        command: &'static str,
        /// What came.
        reply: String,
    },
    /// More replies than commands.
    #[error("the server sent a reply that no command asked for")]
    Unasked,
    /// The server has closed the connection, or it broke.
    #[error("the connection ended during the run: {0}")]
    Gone(String),
    /// No reply for long.
    #[error("no reply for {seconds} s")]
    Silent {
        /// How long.
        seconds: u64,
    },
    /// `--slots` has too few keys.
    #[error("only {found} of {asked} keys lie in these --slots; give fewer --keys")]
    TooFewKeysInSlots {
        /// How many do.
        found: usize,
        /// How many were asked for.
        asked: u32,
    },
    /// Options that don't go together, or are out of bounds.
    #[error("{0}")]
    Options(String),
    /// The events to be read are not there.
    #[error("{0}")]
    History(String),
    /// The server's process cannot be looked at.
    #[error("/proc/{pid}: {source}; is --server-pid right?")]
    Process {
        /// Its number.
        pid: u32,
        /// Why not.
        source: io::Error,
    },
    /// A file cannot be written or read.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is not a result.
    #[error("{}: {source}", .path.display())]
    Json {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: serde_json::Error,
    },
    /// A plot cannot be drawn.
    #[error("plot: {0}")]
    Plot(String),
    /// A core cannot be used.
    #[error("core {0} cannot be used; see --cores")]
    Core(usize),
    /// Nothing was measured.
    #[error("no command was answered in the measured time")]
    Nothing,
}
