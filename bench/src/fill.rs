//! Writing what a run needs, before it and not measured.

use crate::commands::Commands;
use crate::error::BenchError;
use crate::keys::KeySequence;
use crate::load::worker::{DRAIN_NS, Pace, Plan, Worker};
use crate::options::Wait;
use std::time::Instant;

/// Connections that write.
const CONNECTIONS: usize = 8;

/// Commands in flight on each at most.
const PIPELINE_MAX: usize = 128;

/// Bytes in flight on each, if a command is shorter.
const IN_FLIGHT_BYTES: usize = 1 << 20;

/// Sends `count` of these commands, or one for each key.
///
/// # Errors
/// Whatever ends a run early.
pub fn write(addr: &str, commands: Commands, keys: KeySequence, count: Option<u64>) -> Result<(), BenchError> {
    let mut worker = Worker::connect(Plan {
        addr: addr.to_owned(),
        connections: CONNECTIONS,
        pipeline: (IN_FLIGHT_BYTES / commands.command_bytes()).clamp(1, PIPELINE_MAX) as u32,
        pace: Pace::ClosedCount(count.unwrap_or(keys.len() as u64)),
        wait: Wait::Sleep,
        warmup_ns: 0,
        commands,
        keys,
        is_filled: false,
        drain_ns: DRAIN_NS,
    })?;
    worker.run(Instant::now(), |_, _| {}).map(drop)
}
