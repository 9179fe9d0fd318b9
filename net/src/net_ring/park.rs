//! Parking: a core without work sleeps in its net ring until a completion, another core, or a time-out.

use std::{io, os::fd::RawFd, time::Duration};

use super::NetRing;

/// How parking ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parked {
    /// There was work; the core did not sleep.
    Busy,
    /// A completion: a socket, another core, or a watched descriptor. Or a signal.
    Woken,
    /// The time-out.
    TimedOut,
}

impl NetRing {
    /// Sleeps until there is work, at most for `timeout` (`None`: forever). Queued operations are submitted.
    ///
    /// `nothing_to_do` must check everything that other cores publish for this one (lanes, the frontier): it is called
    /// after this core has announced that it parks, so a core that publishes later wakes it through [`NetRing::waker`].
    /// See [`crate::wake`] for why no publication is missed.
    ///
    /// Completions and deferred task work need no such check: the kernel runs deferred work before it sleeps and does
    /// not sleep with a completion pending, so blocking in the ring itself has no such window. They are checked anyway,
    /// because that saves the system call.
    ///
    /// # Errors
    /// Permanent errors of `io_uring_enter`: the ring is unusable.
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
/// The difference before and after the start of an executor is that executor's own rings, which its net ring should
/// [`NetRing::watch`]. Start executors one after another, or the difference includes several.
///
/// # Errors
/// If `/proc/self/fd` cannot be read, because `/proc` is not mounted or descriptors are exhausted.
pub fn executor_rings() -> io::Result<Vec<RawFd>> {
    let mut rings = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        // A descriptor may be closed between the two steps; then it is not the one that is searched for.
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
