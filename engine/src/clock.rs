//! Time. The only file of the engine that asks the operating system; everything else is told the time.
//!
//! The wall clock is for what has a date: TTLs, the timestamps of events, TIME. It may be set, back and forth. What is to
//! happen after a while, and how long ago something was, goes by [`steady_millis`].

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use thiserror::Error;

/// The moment from which this process counts, with what the wall clock said then, Unix milliseconds.
static START: LazyLock<(Instant, u64)> = LazyLock::new(|| (Instant::now(), unix_millis()));

/// Milliseconds since the Unix epoch, by the system's wall clock.
pub fn unix_millis() -> u64 {
    unix_micros() / 1000
}

/// Microseconds since the Unix epoch, by the system's wall clock; 0 when that clock stands before 1970.
pub fn unix_micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// Nanoseconds on a clock that never goes back, since some moment of this process.
pub fn monotonic_ns() -> u64 {
    START.0.elapsed().as_nanos() as u64
}

/// Milliseconds on a clock that never goes back, nor jumps: Unix milliseconds as long as the wall clock was right when
/// the process began to ask, and is not set. For deadlines and durations.
pub fn steady_millis() -> u64 {
    steady_millis_at(Instant::now())
}

/// What [`steady_millis`] said at a moment.
pub fn steady_millis_at(moment: Instant) -> u64 {
    let (start, unix_millis) = *START;
    unix_millis + moment.saturating_duration_since(start).as_millis() as u64
}

/// What the system's clocks say.
pub fn now() -> Clocks {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for what the call writes.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut time) } != 0;
    let boot_micros = if failed { 0 } else { time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000 };
    Clocks { unix_micros: unix_micros(), boot_micros }
}

/// The system's clocks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// Microseconds since the Unix epoch, by the wall clock.
    pub unix_micros: u64,
    /// Microseconds since the system was started.
    pub boot_micros: u64,
}

/// Why the wall clock cannot be right. The text says what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ClockDoubt {
    /// It stands before this version was written.
    #[error(
        "the system's clock stands before this version of keytide was made: set it (timedatectl, chronyd) and restart; \
         until then a cursor from another run in memory may be taken for one of this run"
    )]
    Before,
    /// It stands in or after 2042.
    #[error(
        "the system's clock stands in or after 2042, beyond what positions are made for: set it (timedatectl, chronyd) \
         and restart; until then a cursor from another run in memory may be taken for one of this run"
    )]
    Beyond,
}

/// Nanoseconds for which this thread has run; the time during which others had its core is not among them. A call of
/// the kernel: some ten times as dear as [`monotonic_ns`].
pub fn thread_cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for what the call writes.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) } != 0;
    if failed { 0 } else { time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64 }
}
