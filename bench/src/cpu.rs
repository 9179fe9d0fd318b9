//! CPU time of processes, from `/proc`, and pinning.

use crate::error::BenchError;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::time::Instant;

/// `/proc/<pid>/stat` counts in these on every Linux: USER_HZ is part of its interface.
const TICK_NS: u64 = 10_000_000;

/// CPU time that was spent on some operations.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Spent {
    /// By the server for each operation, microseconds.
    pub server_cpu_us_per_op: Option<f64>,
    /// Cores that the server kept busy.
    pub server_cpu_share: Option<f64>,
    /// By this program for each operation, microseconds.
    pub load_cpu_us_per_op: f64,
    /// Cores that this program kept busy.
    pub load_cpu_share: f64,
}

/// CPU times of the server, if it is known, and of this process, at one time.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    at: Instant,
    server_ns: Option<u64>,
    own_ns: u64,
}

impl Sample {
    /// Now.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn take(server_pid: Option<u32>) -> Result<Sample, BenchError> {
        let server_ns = server_pid.map(of_process).transpose()?;
        Ok(Sample { at: Instant::now(), server_ns, own_ns: of_process(std::process::id())? })
    }

    /// What was spent since an earlier one, in which there were so many operations.
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
/// If this process may not use it.
pub fn pin(core: usize) -> Result<(), BenchError> {
    if core_affinity::set_for_current(core_affinity::CoreId { id: core }) {
        Ok(())
    } else {
        Err(BenchError::Core(core))
    }
}

/// The CPU time, user and system, that a process has used so far, in nanoseconds.
///
/// Sums up what the scheduler says of each of its threads, exact but for a running thread's current tick. Where the
/// kernel keeps no such statistics, takes the process's `stat`, in steps of 10 ms. Threads that have ended count only
/// there.
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
            // Without schedstat no thread has one; or the thread has just ended.
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

/// The first of its numbers: time on a CPU.
fn schedstat_ns(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

/// `utime` and `stime`, the 14th and 15th field. The second is the name, which may contain anything.
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
