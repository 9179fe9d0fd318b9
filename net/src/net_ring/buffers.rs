//! The receive buffers that the kernel selects from, and the ring that returns them to it.
//!
//! One anonymous mapping contains the ring's entries (16 bytes each, page-aligned as the kernel requires) followed by
//! the buffers. The kernel uses buffers in the ring's order, so it cycles through every buffer that it has, however few
//! are needed. So it gets few at first: those stay in a cache near the core.

use std::{
    io, ptr,
    sync::atomic::{AtomicU16, Ordering},
};

use io_uring::{Submitter, types::BufRingEntry};

use super::error::{NetRingError, Refusal};

/// The only group of provided buffers on a net ring.
pub(super) const GROUP: u16 = 0;

/// The distance between two buffers: without it all of them would begin in the same few sets of the cache.
const STAGGER_BYTES: usize = 64;

const PAGE_BYTES: usize = 4096;

/// The number of buffers that the kernel gets at first, 1 MiB by default. Cycling through 16 MiB cost up to 4 % of a
/// SET.
const FIRST_COUNT: u16 = 64;

#[derive(Debug)]
pub(super) struct ReceiveBuffers {
    memory: *mut u8,
    memory_bytes: usize,
    /// The offset of the first buffer in the mapping.
    first: usize,
    count: u16,
    buffer_bytes: u32,
    /// The number of buffers in circulation: those from 0 on.
    used: u16,
    /// The number of buffers given to the kernel so far, modulo 2^16, including unpublished ones.
    tail: u16,
}

impl ReceiveBuffers {
    /// Maps the memory; `count` is a power of two up to 32,768.
    pub(super) fn new(count: u16, buffer_bytes: u32) -> Result<ReceiveBuffers, NetRingError> {
        let entries_bytes = usize::from(count) * size_of::<BufRingEntry>();
        let first = entries_bytes.next_multiple_of(PAGE_BYTES);
        let memory_bytes = first + usize::from(count) * (buffer_bytes as usize + STAGGER_BYTES);
        // SAFETY: a new anonymous mapping overlaps nothing.
        let memory = unsafe {
            libc::mmap(
                ptr::null_mut(),
                memory_bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(NetRingError::BufferMemory { bytes: memory_bytes, source: io::Error::last_os_error() });
        }
        Ok(ReceiveBuffers { memory: memory.cast(), memory_bytes, first, count, buffer_bytes, used: 0, tail: 0 })
    }

    /// Registers the ring with the kernel and gives it the first buffers.
    pub(super) fn register(&mut self, submitter: &Submitter<'_>) -> Result<(), NetRingError> {
        // SAFETY: the mapping begins with room for `count` entries, is page-aligned, and is unmapped only after the
        // net ring is gone (`NetRing` drops it last).
        unsafe { submitter.register_buf_ring_with_flags(self.memory as u64, self.count, GROUP, 0) }
            .map_err(|source| NetRingError::BufferRing { cause: Refusal::of(source) })?;
        self.add(FIRST_COUNT);
        Ok(())
    }

    /// Doubles the number of buffers in circulation, up to all: for when there were too few.
    pub(super) fn double(&mut self) {
        self.add(self.used);
    }

    fn add(&mut self, count: u16) {
        let end = self.used.saturating_add(count).min(self.count);
        (self.used..end).for_each(|id| self.recycle(id));
        self.used = end;
        self.publish();
    }

    fn offset(&self, id: u16) -> usize {
        self.first + usize::from(id) * (self.buffer_bytes as usize + STAGGER_BYTES)
    }

    /// The bytes that the kernel wrote to the buffer of a completion.
    #[inline]
    pub(super) fn bytes(&self, id: u16, length: usize) -> &[u8] {
        assert!(id < self.count && length <= self.buffer_bytes as usize);
        // SAFETY: within the mapping by the assertion; the kernel has filled these bytes and does not touch the buffer
        // again until it is returned, which needs `&mut self`.
        unsafe { std::slice::from_raw_parts(self.memory.add(self.offset(id)), length) }
    }

    /// Queues a buffer for the kernel, which sees it with the next [`ReceiveBuffers::publish`].
    #[inline]
    pub(super) fn recycle(&mut self, id: u16) {
        assert!(id < self.count);
        let at = usize::from(self.tail & (self.count - 1));
        // SAFETY: `at` is below `count`, the entries are within the mapping, and the kernel reads only entries below
        // the published tail. Zeroed memory is a valid entry, and the setters leave alone the field of entry 0 that
        // doubles as the ring's tail.
        let entry = unsafe { &mut *self.memory.cast::<BufRingEntry>().add(at) };
        entry.set_addr(self.memory as u64 + self.offset(id) as u64);
        entry.set_len(self.buffer_bytes);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Publishes the returned buffers to the kernel.
    #[inline]
    pub(super) fn publish(&self) {
        // SAFETY: the mapping begins with the ring's entries, of which the first one holds the tail; it is aligned, and
        // apart from the kernel only this thread accesses it.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.memory.cast()).cast_mut()) };
        // Release: pairs with the kernel's acquiring load, so it sees the entries written before.
        tail.store(self.tail, Ordering::Release);
    }

    /// Leaves the memory mapped forever.
    pub(super) fn leak(&mut self) {
        self.memory_bytes = 0;
    }
}

impl Drop for ReceiveBuffers {
    fn drop(&mut self) {
        if self.memory_bytes == 0 {
            return;
        }
        // SAFETY: this mapping is owned here and nothing borrows from it any more; the net ring has ended its receives.
        unsafe { libc::munmap(self.memory.cast(), self.memory_bytes) };
    }
}
