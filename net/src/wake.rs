//! How one core wakes another.
//!
//! A core sleeps in its net ring, which watches an eventfd. Writing to that eventfd costs a system call, so it is done
//! only if the core has announced that it parks. Two threads each write something and then read what the other one
//! wrote:
//!
//! ```text
//!   sender                              core that parks
//!   1. push to the lane                 1. parked = true          (announce)
//!   2. full fence                       2. full fence
//!   3. if parked: take it, signal       3. look at lanes and completions; sleep if there is nothing
//! ```
//!
//! The two fences are totally ordered. If the sender's is first, the core's check sees the push. If the core's is
//! first, the sender sees `parked` and signals. So at least one of them notices; without both fences neither might, and
//! the core would sleep with a full lane.
//!
//! Of several senders only the one that takes `parked` signals. A sender that finds it taken relies on that signal: its
//! fence precedes the core's *next* announcement (else it would have seen that one), so the core sees its push by then
//! at the latest.

use std::{
    fmt, io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

use crate::sync::{Arc, AtomicBool, CachePadded, Ordering, fence};

/// The announcement of one core that it parks. Separate from the eventfd so that the model checker can run it.
#[derive(Debug)]
pub struct ParkFlag {
    // On its own cache line: senders read it every turn.
    parked: CachePadded<AtomicBool>,
}

impl Default for ParkFlag {
    fn default() -> ParkFlag {
        ParkFlag { parked: CachePadded::new(AtomicBool::new(false)) }
    }
}

impl ParkFlag {
    /// Announces that this core is about to sleep. Before it sleeps it must check once more everything that could need
    /// it, and afterwards [`ParkFlag::withdraw`].
    pub fn announce(&self) {
        // Relaxed: the fence below orders it; it is read by `claim`.
        self.parked.store(true, Ordering::Relaxed);
        // Pairs with the fence in `claim`; see the module's argument.
        fence(Ordering::SeqCst);
    }

    /// This core is awake: senders need not signal.
    pub fn withdraw(&self) {
        // Relaxed: it orders nothing else. A sender that still sees `true` signals for nothing. A swap and not a store,
        // so that it is ordered after a sender's claim in every model: the checker knows only a partial order of blind
        // stores, and would let a later sender read that old claim.
        self.parked.swap(false, Ordering::Relaxed);
    }

    /// To be called after publishing something for that core: returns whether the caller has to signal it.
    #[inline]
    pub fn claim(&self) -> bool {
        // Pairs with the fence in `announce`; see the module's argument.
        fence(Ordering::SeqCst);
        // Relaxed, all: the fence orders the load after the push, and the exchange only elects one of several senders.
        // The load first: while the core is awake, its cache line stays shared.
        self.parked.load(Ordering::Relaxed)
            && self.parked.compare_exchange(true, false, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

struct WakeTarget {
    flag: ParkFlag,
    event: OwnedFd,
}

/// Wakes one core; any thread may hold a clone.
#[derive(Clone)]
pub struct Waker {
    shared: Arc<WakeTarget>,
}

impl Waker {
    /// Creates a waker with its own eventfd.
    ///
    /// # Errors
    /// The error of `eventfd(2)`, usually that the process has no descriptors left.
    pub fn new() -> io::Result<Waker> {
        // SAFETY: no pointers are passed.
        let event = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if event < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made and has no other owner.
        let event = unsafe { OwnedFd::from_raw_fd(event) };
        Ok(Waker { shared: Arc::new(WakeTarget { flag: ParkFlag::default(), event }) })
    }

    /// Wakes the core if it is parked or about to park. To be called after publishing what the core should see.
    ///
    /// While the core is awake this costs a fence and a load.
    #[inline]
    pub fn wake(&self) {
        if self.shared.flag.claim() {
            self.signal();
        }
    }

    #[cold]
    fn signal(&self) {
        let one = 1_u64;
        // SAFETY: the pointer and length describe `one`, and the descriptor is open while `self` lives.
        let written = unsafe { libc::write(self.shared.event.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
        // It can only fail if the counter is full, after 2^64 signals without a read; then the event is ready anyway.
        debug_assert_eq!(written, 8);
    }

    /// The flag with which this waker's core announces that it parks.
    pub fn flag(&self) -> &ParkFlag {
        &self.shared.flag
    }

    /// The eventfd that the core's net ring watches. It is never read: each write is a new edge.
    pub(crate) fn event(&self) -> RawFd {
        self.shared.event.as_raw_fd()
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waker").field("event", &self.event()).finish_non_exhaustive()
    }
}
