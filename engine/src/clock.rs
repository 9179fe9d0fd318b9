//! Time. The only file of the engine that asks the operating system; everything else is told the time.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

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
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_nanos() as u64
}

/// Nanoseconds for which this thread has run; the time during which others had its core is not among them. A call of
/// the kernel: some ten times as dear as [`monotonic_ns`].
pub fn thread_cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for what the call writes.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) } != 0;
    if failed { 0 } else { time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64 }
}
