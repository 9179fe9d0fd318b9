//! Parking: a core without work sleeps in its net ring until a completion, another core, or a time-out.

use std::{io, os::fd::RawFd, time::Duration};

use super::NetRing;

/// How parking ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parked {
    /// There was something to do; the core didn't sleep.
    Busy,
    /// A completion: a socket, another core, or a watched descriptor. Or a signal.
    Woken,
    /// The time was over.
    TimedOut,
}

impl NetRing {
    /// Sleeps until there is something to do, at most for `timeout` (`None`: for ever). Queued operations are submitted.
    ///
    /// `nothing_to_do` must look at everything other cores publish for this one (lanes, the frontier): it is called
    /// after the announcement that this core parks, so whoever publishes later wakes it through
    /// [`NetRing::waker`]. See [`crate::wake`] for why nothing falls in between.
    ///
    /// Completions and deferred task work need no look of their own for that: the kernel runs deferred work before it
    /// sleeps and doesn't sleep with a completion waiting, so blocking in the ring itself has no such window. They
    /// are looked at anyway, because it saves the system call.
    ///
    /// # Errors
    /// Those of `io_uring_enter` that don't pass by themselves: the ring is unusable.
    pub fn park(&mut self, timeout: Option<Duration>, nothing_to_do: impl FnOnce() -> bool) -> io::Result<Parked> {
        self.waker.flag().announce();
        let parked = if self.has_left() || self.ops.has_events() || !nothing_to_do() {
            Ok(Parked::Busy)
        } else {
            self.ops.counters.parks += 1;
            self.ops.enter_wait(timeout).map(|timed_out| if timed_out { Parked::TimedOut } else { Parked::Woken })
        };
        self.waker.flag().withdraw();
        parked
    }
}

/// The descriptors of this process that are io_uring rings, in ascending order.
///
/// Asked before and after an executor starts, the difference is that executor's own rings, which its net ring should
/// [`NetRing::watch`]. Start executors one after the other, or the difference is that of several.
///
/// # Errors
/// If `/proc/self/fd` can't be read, for want of a mounted `/proc` or of descriptors.
pub fn executor_rings() -> io::Result<Vec<RawFd>> {
    let mut rings = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        // A descriptor may be closed between the two steps; then it isn't one we look for.
        let Ok(target) = std::fs::read_link(entry.path()) else { continue };
        if target.as_os_str() == "anon_inode:[io_uring]"
            && let Some(descriptor) = entry.file_name().to_str().and_then(|name| name.parse().ok())
        {
            rings.push(descriptor);
        }
    }
    rings.sort_unstable();
    Ok(rings)
}
