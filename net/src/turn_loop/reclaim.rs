//! When a core lets the allocator give freed memory back to the system. The allocator does so by itself only while it is
//! used: an idle server would keep what its clients' output and subscriptions have taken.

use crate::connection::{InputMemory, Pages};
use crate::heap;
use crate::limits::{INPUT_FREED_PER_TURN_BYTES, INPUT_MAPPED_BYTES};
use crate::server::Server;
use std::time::{Duration, Instant};

impl Server {
    /// Has the allocator give memory back to the system that this thread has freed, or the thread that makes regexes and
    /// frees them.
    pub fn give_memory_back(&self) {
        heap::give_back();
        if let Some(builder) = &self.builder {
            // If that thread has ended, the allocator has its memory already.
            let _ = builder.run(heap::give_back);
        }
    }
}

/// A core that has freed less large memory than this, in bytes, has nothing worth giving back.
const FREED_BYTES_MIN: u64 = 1 << 20;

/// A busy core gives memory back too, once what it holds for its clients has fallen by this, or it has freed as much, in
/// bytes.
const FALL_BYTES_MIN: u64 = 32 << 20;

/// How long a core does nothing before it gives memory back, and how long after one round comes the next: what one has
/// freed the allocator gives back a second later.
const ROUND_EVERY: Duration = Duration::from_millis(1_100);

/// How many rounds there are.
const ROUNDS: u8 = 3;

/// What one core has freed and not given back.
pub(super) struct Reclaim {
    freed_bytes: u64,
    /// The most that was held for clients since memory was given back, bytes.
    peak_bytes: u64,
    rounds: u8,
    next: Instant,
    /// Pages of clients' input that the turns give back.
    pages: Vec<Pages>,
}

impl Reclaim {
    pub fn new() -> Reclaim {
        Reclaim { freed_bytes: 0, peak_bytes: 0, rounds: 0, next: Instant::now(), pages: Vec::new() }
    }

    /// Counts large memory that was freed.
    #[inline]
    pub fn note_freed(&mut self, bytes: usize) {
        self.freed_bytes += bytes as u64;
    }

    /// Frees memory that a client's input had: on the heap at once, pages of its own in the next turns.
    pub fn free(&mut self, memory: InputMemory) {
        match memory {
            InputMemory::Heap(bytes) => self.note_freed(bytes.capacity()),
            InputMemory::Pages(pages) => {
                // On the heap it was before it grew so large.
                self.note_freed(INPUT_MAPPED_BYTES);
                self.pages.push(pages);
            }
        }
    }

    /// Gives a turn's part of such pages back to the system. Returns whether there are more.
    #[inline]
    pub fn free_some(&mut self) -> bool {
        if let Some(pages) = self.pages.last_mut()
            && !pages.give_back(INPUT_FREED_PER_TURN_BYTES)
        {
            self.pages.pop();
        }
        !self.pages.is_empty()
    }

    /// Whether it is time, at the end of a turn that has begun at `now` and in which there was work or not. For its
    /// clients the core holds `held_bytes`: unread output, and the filters of subscriptions.
    #[inline]
    pub fn is_due(&mut self, now: Instant, work: bool, held_bytes: u64) -> bool {
        self.peak_bytes = self.peak_bytes.max(held_bytes);
        let fallen_bytes = self.peak_bytes - held_bytes;
        if work && fallen_bytes.max(self.freed_bytes) < FALL_BYTES_MIN && self.rounds == 0 {
            self.next = now + ROUND_EVERY;
            return false;
        }
        self.is_due_then(now, fallen_bytes, held_bytes)
    }

    #[cold]
    fn is_due_then(&mut self, now: Instant, fallen_bytes: u64, held_bytes: u64) -> bool {
        if now < self.next {
            return false;
        }
        if fallen_bytes.max(self.freed_bytes) >= FREED_BYTES_MIN {
            (self.rounds, self.freed_bytes, self.peak_bytes) = (ROUNDS, 0, held_bytes);
        }
        self.next = now + ROUND_EVERY;
        let is_due = self.rounds > 0;
        self.rounds = self.rounds.saturating_sub(1);
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_core_gives_back_what_it_has_freed_and_then_rests() {
        let (start, mut reclaim) = (Instant::now(), Reclaim::new());
        let after = |rounds: u32| start + ROUND_EVERY * rounds;
        assert!(!reclaim.is_due(start, true, 0));
        assert!(!reclaim.is_due(after(1), false, 0), "nothing was freed");
        reclaim.note_freed(2 << 20);
        assert!(!reclaim.is_due(after(2), true, 0), "it is busy");
        assert!(!reclaim.is_due(after(2), false, 0), "it was busy a moment ago");
        let due: Vec<bool> = (3..8).map(|round| reclaim.is_due(after(round), false, 0)).collect();
        assert_eq!(due, [true, true, true, false, false]);
    }

    #[test]
    fn an_idle_core_gives_back_what_was_held_for_clients() {
        let (start, mut reclaim) = (Instant::now(), Reclaim::new());
        let after = |rounds: u32| start + ROUND_EVERY * rounds;
        assert!(!reclaim.is_due(after(1), true, FREED_BYTES_MIN));
        let due: Vec<bool> = (2..7).map(|round| reclaim.is_due(after(round), false, 0)).collect();
        assert_eq!(due, [true, true, true, false, false]);
    }

    #[test]
    fn a_busy_core_gives_back_much_that_was_held_for_clients() {
        let (start, mut reclaim) = (Instant::now(), Reclaim::new());
        let after = |rounds: u32| start + ROUND_EVERY * rounds;
        assert!(!reclaim.is_due(after(1), true, FALL_BYTES_MIN));
        assert!(!reclaim.is_due(after(2), true, 1));
        let due: Vec<bool> = (3..8).map(|round| reclaim.is_due(after(round), true, 0)).collect();
        assert_eq!(due, [true, true, true, false, false]);
        reclaim.note_freed(FALL_BYTES_MIN as usize);
        let due: Vec<bool> = (8..13).map(|round| reclaim.is_due(after(round), true, 0)).collect();
        assert_eq!(due, [true, true, true, false, false], "and that keys have had");
    }
}
