//! CPU time of processes, from `/proc`, and pinning of threads.

use crate::error::BenchError;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::time::Instant;

/// The unit of `/proc/<pid>/stat` on every Linux: USER_HZ is part of its interface.
const TICK_NS: u64 = 10_000_000;

/// The CPU time of a number of operations.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Spent {
    /// The server's per operation, in microseconds.
    pub server_cpu_us_per_op: Option<f64>,
    /// The number of cores that the server kept busy.
    pub server_cpu_share: Option<f64>,
    /// This program's per operation, in microseconds.
    pub load_cpu_us_per_op: f64,
    /// The number of cores that this program kept busy.
    pub load_cpu_share: f64,
}

/// CPU times of the server, if known, and of this process, at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    at: Instant,
    server_ns: Option<u64>,
    own_ns: u64,
}

impl Sample {
    /// Takes a sample.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn take(server_pid: Option<u32>) -> Result<Sample, BenchError> {
        let server_ns = server_pid.map(of_process).transpose()?;
        Ok(Sample { at: Instant::now(), server_ns, own_ns: of_process(std::process::id())? })
    }

    /// The CPU time since an earlier sample, for this many operations in between.
    pub fn since(&self, before: &Sample, operations: u64) -> Spent {
        let (wall_ns, operations) = ((self.at - before.at).as_nanos() as f64, operations as f64);
        let spent = |after: u64, before: u64| after.saturating_sub(before) as f64;
        let server_ns = self.server_ns.zip(before.server_ns).map(|(after, before)| spent(after, before));
        let own_ns = spent(self.own_ns, before.own_ns);
        Spent {
            server_cpu_us_per_op: server_ns.map(|ns| ns / operations / 1e3),
            server_cpu_share: server_ns.map(|ns| ns / wall_ns),
            load_cpu_us_per_op: own_ns / operations / 1e3,
            load_cpu_share: own_ns / wall_ns,
        }
    }
}

/// Pins the calling thread to a core.
///
/// # Errors
/// If this process may not use the core.
pub fn pin(core: usize) -> Result<(), BenchError> {
    if core_affinity::set_for_current(core_affinity::CoreId { id: core }) {
        Ok(())
    } else {
        Err(BenchError::Core(core))
    }
}

/// The CPU time, user and system, that a process has used so far, in nanoseconds.
///
/// Sums the scheduler's statistics of each thread, exact except for a running thread's current tick. If the kernel has
/// no such statistics, reads the process's `stat`, with a resolution of 10 ms. Only `stat` includes ended threads.
///
/// # Errors
/// If there is no such process.
pub fn of_process(pid: u32) -> Result<u64, BenchError> {
    let refused = |source| BenchError::Process { pid, source };
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).map_err(refused)? {
        let path = task.map_err(refused)?.path().join("schedstat");
        match fs::read_to_string(path).map(|text| schedstat_ns(&text)) {
            Ok(Some(ns)) => sum += ns,
            Ok(None) => return of_stat(pid).map_err(refused),
            // Either the kernel has no schedstat, or the thread has just ended.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(refused(error)),
        }
    }
    if sum == 0 { of_stat(pid).map_err(refused) } else { Ok(sum) }
}

fn of_stat(pid: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    stat_ns(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The first number: time on a CPU.
fn schedstat_ns(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

/// `utime` and `stime`, fields 14 and 15. The second field is the name, which may contain anything.
fn stat_ns(text: &str) -> Option<u64> {
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? + ticks()?) * TICK_NS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sources_are_read_as_the_kernel_writes_them() {
        assert_eq!(schedstat_ns("274713 3779378 3\n"), Some(274_713));
        assert_eq!(schedstat_ns(""), None);
        let stat = "42 (a) b ) S 1 42 42 0 -1 4194560 118 0 0 0 7 5 0 0 20 0 1 0 1234 0 0";
        assert_eq!(stat_ns(stat), Some(120_000_000));
        assert_eq!(stat_ns("42 (a"), None);
    }

    #[test]
    fn a_process_has_a_cpu_time_that_grows_and_one_that_is_not_there_has_none() {
        let own = std::process::id();
        let before = of_process(own).unwrap();
        let mut sum = 0_u64;
        // Until the scheduler has counted a tick.
        while of_process(own).unwrap() <= before {
            sum = (0..100_000).fold(sum, |sum: u64, n| sum.wrapping_mul(31).wrapping_add(n));
        }
        assert_ne!(sum, 1);
        assert!(matches!(of_process(u32::MAX), Err(BenchError::Process { .. })));
    }
}
