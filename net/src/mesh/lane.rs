//! One lane: a bounded queue with one sender and one receiver, each on its own core.
//!
//! Both ends count up forever, wrapping; a count's low bits are its place in the lane.
//!
//! ```text
//!            head (receiver)      tail (sender)
//!              v                    v
//!   ... taken | waiting . . . . . | free ...        tail - head <= capacity
//! ```
//!
//! Each end writes only its own count, keeps a private copy of it, and caches the other end's count: while that still
//! leaves room (or values), the other core's cache line is not touched. A lane does not wake its receiver:
//! [`crate::wake`] does.

use std::{fmt, mem::MaybeUninit};

use crate::sync::{Arc, AtomicUsize, CachePadded, Ordering, UnsafeCell};

struct LaneMemory<T> {
    /// Values taken so far; written by the receiver.
    head: CachePadded<AtomicUsize>,
    /// Values pushed so far; written by the sender.
    tail: CachePadded<AtomicUsize>,
    /// A power of two of places; those in `head..tail` hold a value.
    places: Box<[UnsafeCell<MaybeUninit<T>>]>,
}

// SAFETY: the sender touches a place only while it is free and the receiver only while it holds a value; the counts
// hand it over with Release and Acquire. So values move between threads (`T: Send`) and are never shared.
unsafe impl<T: Send> Sync for LaneMemory<T> {}
// SAFETY: as above; the values inside may be dropped by whichever thread owns the last end.
unsafe impl<T: Send> Send for LaneMemory<T> {}

impl<T> LaneMemory<T> {
    #[inline(always)]
    fn slot(&self, count: usize) -> &UnsafeCell<MaybeUninit<T>> {
        // The length is a power of two, so this is the count modulo the capacity, also when the count wraps.
        &self.places[count & (self.places.len() - 1)]
    }

    fn len(&self) -> usize {
        // Acquire pairs with the Release stores of both ends. The head is read first: it never passes the tail, so the
        // difference cannot be negative, and it is capped because the tail may have moved meanwhile.
        let head = self.head.load(Ordering::Acquire);
        let tail = self.tail.load(Ordering::Acquire);
        tail.wrapping_sub(head).min(self.places.len())
    }
}

impl<T> Drop for LaneMemory<T> {
    fn drop(&mut self) {
        // Relaxed: both ends are gone, and the `Arc` orders their last stores before this.
        let tail = self.tail.load(Ordering::Relaxed);
        let mut head = self.head.load(Ordering::Relaxed);
        while head != tail {
            self.slot(head).with_mut(|place| {
                // SAFETY: places in `head..tail` hold a value, and no end is left to take it.
                unsafe { (*place).assume_init_drop() }
            });
            head = head.wrapping_add(1);
        }
    }
}

/// Creates a lane for at least `capacity` values; the capacity is rounded up to a power of two (and to 1).
pub fn lane<T: Send>(capacity: usize) -> (LaneSender<T>, LaneReceiver<T>) {
    let capacity = capacity.max(1).next_power_of_two();
    let shared = Arc::new(LaneMemory {
        head: CachePadded::new(AtomicUsize::new(0)),
        tail: CachePadded::new(AtomicUsize::new(0)),
        places: (0..capacity).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect(),
    });
    (
        LaneSender { shared: shared.clone(), capacity, tail: 0, head_seen: 0 },
        LaneReceiver { shared, head: 0, tail_seen: 0 },
    )
}

/// The sending end of a lane; belongs to one core.
pub struct LaneSender<T> {
    shared: Arc<LaneMemory<T>>,
    capacity: usize,
    tail: usize,
    head_seen: usize,
}

impl<T: Send> LaneSender<T> {
    /// Appends a value, or returns it if the lane is full.
    ///
    /// The receiver may be parked: wake it after the last push of a turn.
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), T> {
        if self.tail.wrapping_sub(self.head_seen) == self.capacity {
            // Acquire pairs with the Release in `pop`: the receiver has moved the value out before it is overwritten.
            self.head_seen = self.shared.head.load(Ordering::Acquire);
            if self.tail.wrapping_sub(self.head_seen) == self.capacity {
                return Err(value);
            }
        }
        self.shared.slot(self.tail).with_mut(|place| {
            // SAFETY: the place is free (the check above), and only this end writes to free places.
            unsafe { (*place).write(value) };
        });
        self.tail = self.tail.wrapping_add(1);
        // Release pairs with the Acquire in `pop` and `len`: a reader that sees the count sees the value.
        self.shared.tail.store(self.tail, Ordering::Release);
        Ok(())
    }

    /// The number of waiting values; exact if the receiver is idle, else it may already be less.
    pub fn len(&self) -> usize {
        self.shared.len()
    }

    /// Whether everything was taken.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of values that fit.
    pub fn capacity(&self) -> usize {
        self.capacity
    }
}

impl<T> fmt::Debug for LaneSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneSender").field("capacity", &self.capacity).field("tail", &self.tail).finish_non_exhaustive()
    }
}

/// The receiving end of a lane; belongs to one core.
pub struct LaneReceiver<T> {
    shared: Arc<LaneMemory<T>>,
    head: usize,
    tail_seen: usize,
}

impl<T: Send> LaneReceiver<T> {
    /// Takes the oldest value, if any.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        if self.head == self.tail_seen {
            // Acquire pairs with the Release in `push`: the values below the count are written.
            self.tail_seen = self.shared.tail.load(Ordering::Acquire);
            if self.head == self.tail_seen {
                return None;
            }
        }
        let value = self.shared.slot(self.head).with_mut(|place| {
            // SAFETY: the place holds a value (the check above), and only this end takes values; the count advances
            // below, so it is taken once.
            unsafe { (*place).assume_init_read() }
        });
        self.head = self.head.wrapping_add(1);
        // Release pairs with the Acquire in `push` and `len`: the value is moved out before the place counts as free.
        self.shared.head.store(self.head, Ordering::Release);
        Some(value)
    }

    /// The number of waiting values; exact if the sender is idle, else it may already be more.
    pub fn len(&self) -> usize {
        self.shared.len()
    }

    /// Whether no value waits. A core that parks checks this after it has announced that it parks.
    #[inline]
    pub fn is_empty(&self) -> bool {
        // Acquire as in `pop`; only the count is compared, so the order relative to this end's own head does not
        // matter.
        self.shared.tail.load(Ordering::Acquire) == self.head
    }
}

impl<T> fmt::Debug for LaneReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneReceiver").field("head", &self.head).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;

    #[test]
    fn values_come_out_in_order_and_a_full_lane_gives_the_value_back() {
        let (mut sender, mut receiver) = lane::<u32>(3);
        assert_eq!(sender.capacity(), 4);
        assert_eq!(receiver.pop(), None);
        for round in 0..10 {
            for n in 0..4 {
                sender.push(round * 4 + n).unwrap();
            }
            assert_eq!(sender.push(99), Err(99));
            assert_eq!((sender.len(), receiver.len()), (4, 4));
            assert!(!receiver.is_empty());
            for n in 0..4 {
                assert_eq!(receiver.pop(), Some(round * 4 + n));
            }
            assert!(sender.is_empty() && receiver.is_empty());
        }
    }

    #[test]
    fn untaken_values_are_dropped_with_the_lane() {
        let value = std::sync::Arc::new(());
        let (mut sender, mut receiver) = lane(8);
        for _ in 0..8 {
            sender.push(value.clone()).unwrap();
        }
        drop(receiver.pop());
        sender.push(value.clone()).unwrap();
        assert_eq!(std::sync::Arc::strong_count(&value), 9);
        drop(sender);
        assert_eq!(std::sync::Arc::strong_count(&value), 9);
        drop(receiver);
        assert_eq!(std::sync::Arc::strong_count(&value), 1);
    }

    #[test]
    fn two_threads_pass_every_value_once_and_in_order() {
        const VALUES: u64 = 300_000;
        let (mut sender, mut receiver) = lane::<Box<u64>>(16);
        let pusher = std::thread::spawn(move || {
            for n in 0..VALUES {
                let mut value = Box::new(n);
                while let Err(back) = sender.push(value) {
                    value = back;
                    std::thread::yield_now();
                }
            }
        });
        let mut next = 0;
        while next < VALUES {
            match receiver.pop() {
                Some(value) => {
                    assert_eq!(*value, next);
                    next += 1;
                }
                None => std::thread::yield_now(),
            }
        }
        pusher.join().unwrap();
        assert!(receiver.pop().is_none());
    }
}
