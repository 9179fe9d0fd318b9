//! Refuses commands that may use more memory when the process is short of it. A thread samples the memory in use a few times
//! a second, and more often close to the limit, and sets a flag that the cores read. So no command makes a system call.

use super::MemoryLimit;
use crate::limits::{
    MEMORY_CLOSE_PART, MEMORY_LEFT_PART, MEMORY_SAMPLE_CLOSE_MS, MEMORY_SAMPLE_MS, MEMORY_SHARE_PERCENT,
};
use crate::paced::Paced;
use crate::process::ProcessMemory;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// The state that the sampling thread shares with the cores.
#[derive(Debug, Default)]
pub struct MemoryWatch {
    /// Whether commands that may use more memory are refused.
    is_short: AtomicBool,
    /// The bytes that may still be claimed before the next sample.
    left_bytes: AtomicU64,
    used_bytes: AtomicU64,
    limit_bytes: AtomicU64,
    refused: AtomicU64,
}

/// The memory in use of a limit, both in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Used {
    bytes: u64,
    limit: u64,
}

impl Used {
    /// The use at which commands are refused, in bytes.
    fn bound(self) -> u64 {
        bound(self.limit)
    }

    fn left(self) -> u64 {
        (self.limit - self.limit / MEMORY_LEFT_PART).saturating_sub(self.bytes)
    }
}

/// The use at which commands are refused under a limit, both in bytes.
pub fn bound(limit: u64) -> u64 {
    limit / 100 * MEMORY_SHARE_PERCENT
}

impl MemoryWatch {
    /// Whether commands that may use more memory are refused now.
    #[inline]
    pub fn is_short(&self) -> bool {
        // Relaxed: the flag only describes the last sample.
        self.is_short.load(Ordering::Relaxed)
    }

    /// Claims memory that is about to be used in one piece. False where less is left: then commands that may use more memory
    /// are refused until the next sample.
    pub fn claim(&self, bytes: u64) -> bool {
        // Relaxed, both: the number orders nothing else, and each claim is atomic.
        let claimed =
            self.left_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok();
        if !claimed {
            // Relaxed: as above.
            self.is_short.store(true, Ordering::Relaxed);
        }
        claimed
    }

    /// Counts a command that was refused.
    pub fn note_refused(&self) {
        // Relaxed: a counter.
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of commands refused.
    pub fn refused(&self) -> u64 {
        // Relaxed: a counter.
        self.refused.load(Ordering::Relaxed)
    }

    /// The memory in use and the nearest limit at the last sample, in bytes.
    pub fn usage(&self) -> (u64, u64) {
        // Relaxed, both: figures for INFO.
        (self.used_bytes.load(Ordering::Relaxed), self.limit_bytes.load(Ordering::Relaxed))
    }

    /// Takes a sample. Returns the use of the nearest limit, and whether commands are now refused.
    fn sample(&self, limit: MemoryLimit, pages: ProcessMemory) -> (Used, bool) {
        let nearest = nearest(limit, pages);
        let is_short = nearest.bytes >= nearest.bound();
        // Relaxed, all four: they order nothing else. A claim between the stores is forgotten, as every claim is at the
        // next sample.
        self.used_bytes.store(nearest.bytes, Ordering::Relaxed);
        self.limit_bytes.store(nearest.limit, Ordering::Relaxed);
        self.left_bytes.store(nearest.left(), Ordering::Relaxed);
        self.is_short.store(is_short, Ordering::Relaxed);
        (nearest, is_short)
    }
}

/// The limit of which the largest share is used.
fn nearest(limit: MemoryLimit, pages: ProcessMemory) -> Used {
    let resident = Used { bytes: pages.anonymous(), limit: limit.resident_bytes };
    let Some(mapped_limit) = limit.address_space_bytes else { return resident };
    // The allocator maps memory long before it hands it out, so mapped memory that was never written is still available, as
    // long as the allocator can map a little more for its own tables.
    let is_mapped_out = pages.size > mapped_limit - mapped_limit / MEMORY_LEFT_PART;
    let unwritten = if is_mapped_out { 0 } else { pages.data.saturating_sub(pages.anonymous()) };
    let mapped = Used { bytes: pages.size - unwritten, limit: mapped_limit };
    let part = |used: Used| u128::from(used.bytes) * u128::from(u64::MAX) / u128::from(used.limit.max(1));
    if part(mapped) > part(resident) { mapped } else { resident }
}

/// The sampling thread. It ends when this is dropped.
pub struct Watcher {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Takes a first sample, and starts the thread.
    ///
    /// # Errors
    /// Where the system refuses a thread, or the memory in use cannot be read.
    pub fn start(watch: Arc<MemoryWatch>) -> io::Result<Watcher> {
        watch.sample(MemoryLimit::read(), ProcessMemory::now()?);
        let (end, ended) = channel();
        let sample = move || {
            let (mut was_short, warning) = (false, Paced::new());
            let mut pause = Duration::from_millis(MEMORY_SAMPLE_MS);
            while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let Ok(pages) = ProcessMemory::now() else { continue };
                // The limits are read each time, since they can change while the process runs.
                let (used, is_short) = watch.sample(MemoryLimit::read(), pages);
                if is_short && !was_short && warning.is_due() {
                    tracing::warn!(
                        used_bytes = used.bytes,
                        limit_bytes = used.limit,
                        "memory is short: commands that may use more are refused; delete keys, or give the server more"
                    );
                }
                was_short = is_short;
                let left = used.bound().saturating_sub(used.bytes);
                let is_close = left < used.limit / MEMORY_CLOSE_PART;
                pause = Duration::from_millis(if is_close { MEMORY_SAMPLE_CLOSE_MS } else { MEMORY_SAMPLE_MS });
            }
        };
        let thread = std::thread::Builder::new().name("keytide-memory".to_owned()).spawn(sample)?;
        Ok(Watcher { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.end = None;
        // A panic was reported where it happened.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::limit::Source;

    const LIMIT: MemoryLimit =
        MemoryLimit { resident_bytes: 1000 << 20, source: Source::Machine, address_space_bytes: None };

    fn pages(anonymous_mib: u64) -> ProcessMemory {
        let resident = (anonymous_mib + 10) << 20;
        ProcessMemory { size: 4000 << 20, resident, shared: 10 << 20, data: 3000 << 20 }
    }

    #[test]
    fn commands_are_refused_from_a_share_of_the_limit_on() {
        let watch = MemoryWatch::default();
        for (used, is_short) in [(100, false), (899, false), (900, true), (2000, true), (899, false)] {
            watch.sample(LIMIT, pages(used));
            assert_eq!((watch.is_short(), watch.usage()), (is_short, (used << 20, 1000 << 20)));
        }
    }

    #[test]
    fn claimed_memory_is_not_available_until_the_next_sample() {
        let watch = MemoryWatch::default();
        watch.sample(LIMIT, pages(800));
        assert!(watch.claim(100 << 20) && !watch.is_short());
        assert!(!watch.claim(100 << 20) && watch.is_short());
        watch.sample(LIMIT, pages(800));
        assert!(!watch.is_short() && watch.claim(100 << 20));
    }

    #[test]
    fn mapped_memory_that_was_never_written_counts_as_available() {
        // 1,000 MiB outside the data segment, and 100 MiB of written data.
        let limit = MemoryLimit { address_space_bytes: Some(5000 << 20), ..LIMIT };
        assert_eq!(nearest(limit, pages(100)), Used { bytes: 1100 << 20, limit: 5000 << 20 });
        // Almost nothing more can be mapped, so unwritten memory counts as used.
        let limit = MemoryLimit { address_space_bytes: Some(3900 << 20), ..LIMIT };
        assert_eq!(nearest(limit, pages(100)), Used { bytes: 4000 << 20, limit: 3900 << 20 });
        // The other limit is nearer.
        let limit = MemoryLimit { address_space_bytes: Some(100_000 << 20), ..LIMIT };
        assert_eq!(nearest(limit, pages(100)), Used { bytes: 100 << 20, limit: 1000 << 20 });
    }
}
