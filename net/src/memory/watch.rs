//! Whether commands that may use more memory are still taken. A thread looks at what the process uses, a few times a
//! second and more often close to the limit, and raises a flag that the cores look at: no command asks the system.

use super::MemoryLimit;
use crate::limits::{MEMORY_CLOSE_PART, MEMORY_LEFT_PART, MEMORY_LOOK_CLOSE_MS, MEMORY_LOOK_MS, MEMORY_SHARE_PERCENT};
use crate::paced::Paced;
use crate::process::ProcessMemory;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// What the cores and the thread that looks share.
#[derive(Debug, Default)]
pub struct MemoryWatch {
    /// Whether commands that may use more memory are refused.
    is_short: AtomicBool,
    /// Bytes that may still be claimed until the next look.
    left_bytes: AtomicU64,
    used_bytes: AtomicU64,
    limit_bytes: AtomicU64,
    refused: AtomicU64,
}

/// What is used of a limit, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Used {
    bytes: u64,
    limit: u64,
}

impl Used {
    /// The bytes from which on writes are refused.
    fn bound(self) -> u64 {
        bound(self.limit)
    }

    fn left(self) -> u64 {
        (self.limit - self.limit / MEMORY_LEFT_PART).saturating_sub(self.bytes)
    }
}

/// Of a limit of so many bytes, those from which on writes are refused.
pub fn bound(limit: u64) -> u64 {
    limit / 100 * MEMORY_SHARE_PERCENT
}

impl MemoryWatch {
    /// Whether commands that may use more memory are refused now.
    #[inline]
    pub fn is_short(&self) -> bool {
        // Relaxed: it says only how much memory there was a moment ago.
        self.is_short.load(Ordering::Relaxed)
    }

    /// Claims so many bytes, which are about to be used in one piece. Where they are not left, commands that may use
    /// more memory are refused until the next look.
    pub fn claim(&self, bytes: u64) -> bool {
        // Relaxed, all three: numbers by themselves, and each claim is one step.
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

    /// How many commands were refused.
    pub fn refused(&self) -> u64 {
        // Relaxed: a counter.
        self.refused.load(Ordering::Relaxed)
    }

    /// The bytes used and the bytes of the limit that is nearest, at the last look.
    pub fn usage(&self) -> (u64, u64) {
        // Relaxed, both: figures to be shown.
        (self.used_bytes.load(Ordering::Relaxed), self.limit_bytes.load(Ordering::Relaxed))
    }

    /// Looks at what is used. Answers the limit that is nearest, and whether writes are refused now.
    fn look(&self, limit: MemoryLimit, pages: ProcessMemory) -> (Used, bool) {
        let nearest = nearest(limit, pages);
        let is_short = nearest.bytes >= nearest.bound();
        // Relaxed, all four: numbers by themselves; a claim between two of them is forgotten, as at each look.
        self.used_bytes.store(nearest.bytes, Ordering::Relaxed);
        self.limit_bytes.store(nearest.limit, Ordering::Relaxed);
        self.left_bytes.store(nearest.left(), Ordering::Relaxed);
        self.is_short.store(is_short, Ordering::Relaxed);
        (nearest, is_short)
    }
}

/// The limit of which the greatest part is used.
fn nearest(limit: MemoryLimit, pages: ProcessMemory) -> Used {
    let resident = Used { bytes: pages.anonymous(), limit: limit.resident_bytes };
    let Some(mapped_limit) = limit.address_space_bytes else { return resident };
    // The allocator maps memory long before it hands it out, so what was never written is still to be had, as long as the
    // allocator can map a little for its own tables.
    let is_mapped_out = pages.size > mapped_limit - mapped_limit / MEMORY_LEFT_PART;
    let unwritten = if is_mapped_out { 0 } else { pages.data.saturating_sub(pages.anonymous()) };
    let mapped = Used { bytes: pages.size - unwritten, limit: mapped_limit };
    let part = |used: Used| u128::from(used.bytes) * u128::from(u64::MAX) / u128::from(used.limit.max(1));
    if part(mapped) > part(resident) { mapped } else { resident }
}

/// The thread that looks. It ends when this is dropped.
pub struct Watcher {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Looks once, and then lets a thread do so.
    ///
    /// # Errors
    /// Where the system has no thread left, or does not say what memory is used.
    pub fn start(watch: Arc<MemoryWatch>) -> io::Result<Watcher> {
        watch.look(MemoryLimit::read(), ProcessMemory::now()?);
        let (end, ended) = channel();
        let look = move || {
            let (mut was_short, warning) = (false, Paced::new());
            let mut pause = Duration::from_millis(MEMORY_LOOK_MS);
            while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let Ok(pages) = ProcessMemory::now() else { continue };
                // Anew each time: limits can be changed while the process runs.
                let (used, is_short) = watch.look(MemoryLimit::read(), pages);
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
                pause = Duration::from_millis(if is_close { MEMORY_LOOK_CLOSE_MS } else { MEMORY_LOOK_MS });
            }
        };
        let thread = std::thread::Builder::new().name("keytide-memory".to_owned()).spawn(look)?;
        Ok(Watcher { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.end = None;
        // A panic was told where it happened.
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
    fn writes_are_refused_from_a_share_of_the_limit_on_and_taken_below() {
        let watch = MemoryWatch::default();
        for (used, is_short) in [(100, false), (899, false), (900, true), (2000, true), (899, false)] {
            watch.look(LIMIT, pages(used));
            assert_eq!((watch.is_short(), watch.usage()), (is_short, (used << 20, 1000 << 20)));
        }
    }

    #[test]
    fn what_is_claimed_is_not_left_for_others_until_the_next_look() {
        let watch = MemoryWatch::default();
        watch.look(LIMIT, pages(800));
        assert!(watch.claim(100 << 20) && !watch.is_short());
        assert!(!watch.claim(100 << 20) && watch.is_short());
        watch.look(LIMIT, pages(800));
        assert!(!watch.is_short() && watch.claim(100 << 20));
    }

    #[test]
    fn of_the_address_space_what_is_mapped_and_was_never_written_is_still_to_be_had() {
        // 1,000 MiB that are no data, and what is written of the data.
        let limit = MemoryLimit { address_space_bytes: Some(5000 << 20), ..LIMIT };
        assert_eq!(nearest(limit, pages(100)), Used { bytes: 1100 << 20, limit: 5000 << 20 });
        // Unless nothing more can be mapped.
        let limit = MemoryLimit { address_space_bytes: Some(3900 << 20), ..LIMIT };
        assert_eq!(nearest(limit, pages(100)), Used { bytes: 4000 << 20, limit: 3900 << 20 });
        // The other limit is nearer.
        let limit = MemoryLimit { address_space_bytes: Some(100_000 << 20), ..LIMIT };
        assert_eq!(nearest(limit, pages(100)), Used { bytes: 100 << 20, limit: 1000 << 20 });
    }
}
