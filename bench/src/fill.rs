//! Writes the data that a run needs, before the run and without measuring it.

use crate::commands::Commands;
use crate::error::BenchError;
use crate::keys::KeySequence;
use crate::load::worker::{DRAIN_NS, Pace, Plan, Worker};
use crate::options::Wait;
use std::time::Instant;

/// The number of writing connections.
const CONNECTIONS: usize = 8;

/// The most commands in flight on each.
const PIPELINE_MAX: usize = 128;

/// The bytes in flight on each, if a command is shorter.
const IN_FLIGHT_BYTES: usize = 1 << 20;

/// Sends `count` of these commands, or one for each key.
///
/// # Errors
/// Anything that ends a run early.
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
