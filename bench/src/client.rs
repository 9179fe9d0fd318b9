//! The connections of one thread, on a ring of its own.

use crate::commands::push_command;
use crate::error::BenchError;
use crate::scan::Scanner;
use keytide_net::net_ring::{ConnectionId, EndReason, NetRing, NetRingOptions};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The time without any reply after which a run fails, in nanoseconds.
pub const SILENCE_NS_MAX: u64 = 30_000_000_000;

/// The approximate total size of a thread's receive buffers, in bytes: more would only evict the rest from the cache.
const BUFFER_BYTES: usize = 1 << 20;

/// A ring with this many connections to the server. `burst_bytes` is the usual size of one receive on a connection.
///
/// # Errors
/// If there is no ring or no server.
pub fn connect(addr: &str, connections: usize, burst_bytes: usize) -> Result<(NetRing, Vec<ConnectionId>), BenchError> {
    let buffer_bytes = burst_bytes.next_power_of_two().clamp(2 << 10, 64 << 10);
    let buffers = (BUFFER_BYTES / buffer_bytes).max(connections).next_power_of_two().min(4096);
    let submissions = connections.next_power_of_two().clamp(64, 4096) as u32;
    let mut ring = NetRing::new(NetRingOptions {
        submissions,
        completions: submissions * 4,
        receive_buffers: buffers as u16,
        receive_buffer_bytes: buffer_bytes as u32,
        connections_max: connections,
        shared_files_max: 0,
    })?;
    let failed = |source| BenchError::Connect { addr: addr.to_owned(), source };
    let mut ids = Vec::with_capacity(connections);
    for _ in 0..connections {
        let stream = TcpStream::connect(addr).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let refused = |_| failed(io::Error::other("the ring takes no more connections"));
        ids.push(ring.ops().adopt(stream).map_err(refused)?);
    }
    Ok((ring, ids))
}

/// The error for a connection that ends during a run.
pub fn gone(reason: &EndReason) -> BenchError {
    BenchError::Gone(match reason {
        EndReason::EndOfStream => "the server has closed it".to_owned(),
        EndReason::Error(error) => error.to_string(),
    })
}

/// Sends one command on a connection of its own and returns its reply.
///
/// # Errors
/// If there is no server, or it returns an error.
pub fn ask(addr: &str, words: &[&[u8]]) -> Result<Vec<u8>, BenchError> {
    let failed = |source| BenchError::Connect { addr: addr.to_owned(), source };
    let mut stream = TcpStream::connect(addr).map_err(failed)?;
    stream.set_read_timeout(Some(Duration::from_nanos(SILENCE_NS_MAX))).map_err(failed)?;
    let mut command = Vec::new();
    push_command(&mut command, words);
    stream.write_all(&command).map_err(failed)?;
    let (mut scanner, mut is_whole, mut reply) = (Scanner::default(), false, Vec::new());
    let mut piece = [0; 4096];
    while !is_whole {
        let count = stream.read(&mut piece).map_err(failed)?;
        if count == 0 {
            return Err(gone(&EndReason::EndOfStream));
        }
        scanner.feed(&piece[..count], |_| is_whole = true)?;
        reply.extend_from_slice(&piece[..count]);
    }
    Ok(reply)
}
