//! The words shared by one writer and any number of readers, without a lock and without the readers ever making the
//! writer wait. This module knows nothing about records except that they are whole words, so that loom can check it
//! with tiny ones.
//!
//! Offsets never wrap; the word of an offset is `(offset / 8) & mask`. Three numbers are shared beside the words, each
//! of the writer's ends on its own cache line:
//!
//! ```text
//!      overwritten            published: may be read          written, not yet published
//!  ├────────────────────┼────────────────────────────────┼──────────────────────────────┤
//!                      head                             tail                     end (writer's own)
//!                                         end - head <= capacity
//! ```
//!
//! # Why a reader never takes torn or overwritten data for a record
//!
//! The writer, to write over old words: (W1) stores `evicted_through`, then the new `head`; (W2) a release fence;
//! (W3) relaxed stores of the new words; later, (W4) stores `tail` with release.
//!
//! A reader: (R1) loads `tail` with acquire; (R2) loads words below that tail, relaxed, into its own memory; (R3) an
//! acquire fence; (R4) loads `head`. It uses the copy only if that head is not beyond the first copied word.
//!
//! * *It sees what was published.* The words below the tail it loaded were stored before that tail was: W4 and R1 pair
//!   up, so R2 sees those stores or later ones to the same words.
//! * *It notices what came later.* If R2 read a word from a store W3 that belongs to a later lap, then the fences W2 and
//!   R3 pair up through that word: W1 happened before R4, which therefore loads the head that made room for that
//!   store, or a later one. That head is beyond the copied word's offset, so beyond the offset of a record that holds
//!   it; heads are record boundaries, and a run that begins at a boundary below the head is refused as a whole.
//! * *Nothing is parsed before R4.* A torn length never leads anywhere.
//!
//! All accesses are atomic, so there is no data race and no undefined behaviour. Nothing is sequentially consistent: no
//! code here compares the order of two writers' stores. On x86 the fences only restrict the compiler.
//!
//! A reader that comes too late gets an error ([`Lapped`]); it can always continue from the head in it. It makes
//! progress unless it is lapped while it copies one run, for which the writer must write most of a ring.

use crate::position::{Position, RingOffset};
use crate::prefetch::{LINE_BYTES, prefetch_line};
use crate::sync::{AtomicU64, CachePadded, Ordering, fence};
use std::io;

/// Bytes in a word.
pub const WORD_BYTES: u64 = 8;

/// The wanted records were overwritten before they could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("lapped: everything before ring offset {head} (through position {evicted_through}) was overwritten")]
pub struct Lapped {
    /// The oldest record that was still there: a good place to continue from.
    pub head: RingOffset,
    /// Every record up to this position is gone from this ring. May be newer than `head`, never older.
    pub evicted_through: Position,
}

/// The extent of a ring at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingBounds {
    /// The start of the oldest record.
    pub head: RingOffset,
    /// The end of the published records, which is the start of the next one; never before `head`.
    pub tail: RingOffset,
    /// The position of the newest record that was overwritten or is about to be: at least that of the record before
    /// `head`. `None` while there is none.
    pub evicted_through: Option<Position>,
}

/// The writer's stores on eviction. On one cache line, because they change together.
struct RingHead {
    offset: AtomicU64,
    /// 0 while nothing was overwritten, since no record has position 0.
    evicted_through: AtomicU64,
}

/// The shared words. Only the one writer may call the methods that store; two concurrent calls would mix up records
/// (but never corrupt memory, since everything is atomic).
pub struct Words {
    words: WordStorage,
    mask: u64,
    head: CachePadded<RingHead>,
    tail: CachePadded<AtomicU64>,
}

impl Words {
    /// Zeroed words for `capacity_bytes`. Fails if that is not a power of two of at least one word, or if the system
    /// has no memory for it.
    pub fn new(capacity_bytes: u64) -> io::Result<Words> {
        if !capacity_bytes.is_power_of_two() || capacity_bytes < WORD_BYTES {
            let text =
                format!("a ring's capacity is a power of two of at least {WORD_BYTES} bytes, not {capacity_bytes}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let count = usize::try_from(capacity_bytes / WORD_BYTES).map_err(io::Error::other)?;
        let head = RingHead { offset: AtomicU64::new(0), evicted_through: AtomicU64::new(0) };
        Ok(Words {
            words: WordStorage::new(count)?,
            mask: count as u64 - 1,
            head: CachePadded::new(head),
            tail: CachePadded::new(AtomicU64::new(0)),
        })
    }

    /// Prefaults all the memory, near the calling core, so that no later store waits for a page.
    pub fn prefault(&self) -> io::Result<()> {
        self.words.prefault()
    }

    /// The capacity in bytes.
    pub fn capacity(&self) -> u64 {
        (self.mask + 1) * WORD_BYTES
    }

    /// Head, tail and eviction mark. The head is loaded first and the tail last, so the tail is not before the head.
    pub fn bounds(&self) -> RingBounds {
        // Acquire, paired with the release store of the head in `evict`: the writer published a tail at or beyond this
        // head, and stored an `evicted_through` at least as new, before it stored the head; the loads below see both.
        let head = self.head.offset.load(Ordering::Acquire);
        // Relaxed: ordered by the acquire above; only its own value is used.
        let evicted_through = self.head.evicted_through.load(Ordering::Relaxed);
        let evicted_through = (evicted_through != 0).then_some(Position(evicted_through));
        RingBounds { head: RingOffset(head), tail: self.tail(), evicted_through }
    }

    /// The end of the published words; the thread that loaded it here may read everything before it.
    pub fn tail(&self) -> RingOffset {
        // Acquire, paired with the release store in `publish` (R1).
        RingOffset(self.tail.load(Ordering::Acquire))
    }

    /// Copies the words starting at `from` into `out`, little endian. `from` is a record boundary, and the end of the
    /// copy is at or before a [`Words::tail`] that this thread loaded earlier. `out` is a multiple of 8 bytes long.
    /// After an error the contents of `out` are meaningless.
    pub fn copy(&self, from: RingOffset, out: &mut [u8]) -> Result<(), Lapped> {
        let capacity = self.capacity();
        if out.len() as u64 > capacity {
            // The tail that allows this much was stored after a head beyond `from`, and is acquired.
            return Err(self.lapped());
        }
        let (first, second) = self.run(from, out.len() as u64 / WORD_BYTES);
        let (out_first, out_second) = out.split_at_mut(first.len() * WORD_BYTES as usize);
        for (run, out) in [(first, out_first), (second, out_second)] {
            for (word, bytes) in run.iter().zip(out.chunks_exact_mut(WORD_BYTES as usize)) {
                // Relaxed (R2): the check below decides whether it may be used.
                bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
            }
        }
        self.check(from)
    }

    /// One word, to be trusted only after [`Words::check`] has succeeded.
    #[inline]
    pub(crate) fn load(&self, offset: RingOffset) -> u64 {
        // Relaxed (R2), as in `copy`.
        self.words.get()[self.place(offset)].load(Ordering::Relaxed)
    }

    /// Whether everything from `from` on that was loaded before this call is still intact.
    pub(crate) fn check(&self, from: RingOffset) -> Result<(), Lapped> {
        // R3, paired with the release fence in `evict` through any word that was loaded from a later lap.
        fence(Ordering::Acquire);
        // Relaxed (R4): the fence makes it new enough, and the value only refuses.
        if self.head.offset.load(Ordering::Relaxed) > from.0 { Err(self.lapped()) } else { Ok(()) }
    }

    /// The present head and eviction mark, for a reader that is behind the head.
    pub(crate) fn lapped(&self) -> Lapped {
        let bounds = self.bounds();
        Lapped { head: bounds.head, evicted_through: bounds.evicted_through.unwrap_or_default() }
    }

    /// For the writer: gives up everything before `head`, whose newest record has position `through`, so that the words
    /// may be overwritten. To be called before the first store to any of them.
    pub fn evict(&self, head: RingOffset, through: Position) {
        // Relaxed (W1): ordered before the head by the release below.
        self.head.evicted_through.store(through.0, Ordering::Relaxed);
        // Release (W1), paired with the acquire in `bounds`: see there.
        self.head.offset.store(head.0, Ordering::Release);
        // W2, paired with the acquire fence in `check`: the stores that follow are not seen without this head.
        fence(Ordering::Release);
    }

    /// For the writer: stores words starting at `offset`. They are between the tail and `head + capacity`.
    pub fn store(&self, offset: RingOffset, values: &[u64]) {
        let (first, second) = self.run(offset, values.len() as u64);
        for (word, value) in first.iter().chain(second).zip(values) {
            // Relaxed (W3): published by `publish`, and visible earlier only together with the head.
            word.store(*value, Ordering::Relaxed);
        }
    }

    /// For the writer: stores one word, as [`Words::store`] does.
    #[inline]
    pub(crate) fn store_one(&self, offset: RingOffset, value: u64) {
        // Relaxed (W3), as in `store`.
        self.words.get()[self.place(offset)].store(value, Ordering::Relaxed);
    }

    /// For the writer: allows reading everything before `tail`.
    pub fn publish(&self, tail: RingOffset) {
        // Release (W4), paired with the acquire in `tail`: all words before it, and the index, are stored.
        self.tail.store(tail.0, Ordering::Release);
    }

    /// The `count` words from `offset` on, at most the capacity: one run, or two if they wrap around.
    #[inline]
    pub(crate) fn run(&self, offset: RingOffset, count: u64) -> (&[AtomicU64], &[AtomicU64]) {
        let words = self.words.get();
        let (start, count) = (self.place(offset), count as usize);
        match words.get(start..start + count) {
            Some(run) => (run, &[]),
            None => (&words[start..], &words[..start + count - words.len()]),
        }
    }

    /// Fetches the words of `bytes` bytes from `offset` on into this core's cache, for later stores; at most a page.
    #[inline]
    pub(crate) fn prefetch(&self, offset: RingOffset, bytes: u64) {
        const BYTES_MAX: u64 = 4 << 10;
        let first = self.words.get().as_ptr();
        let mut ahead = offset.0;
        let end = ahead + bytes.min(BYTES_MAX);
        while ahead < end {
            prefetch_line(first.wrapping_add(self.place(RingOffset(ahead))));
            ahead += LINE_BYTES as u64;
        }
    }

    #[inline]
    fn place(&self, offset: RingOffset) -> usize {
        ((offset.0 / WORD_BYTES) & self.mask) as usize
    }
}

/// Words that loom observes.
#[cfg(loom)]
struct WordStorage(Box<[AtomicU64]>);

#[cfg(loom)]
impl WordStorage {
    fn new(count: usize) -> io::Result<WordStorage> {
        Ok(WordStorage((0..count).map(|_| AtomicU64::new(0)).collect()))
    }

    fn prefault(&self) -> io::Result<()> {
        Ok(())
    }

    fn get(&self) -> &[AtomicU64] {
        &self.0
    }
}

/// Anonymous pages: zeroed by the system, and without memory until they are first written.
#[cfg(not(loom))]
struct WordStorage {
    map: memmap2::MmapRaw,
    count: usize,
}

#[cfg(not(loom))]
impl WordStorage {
    fn new(count: usize) -> io::Result<WordStorage> {
        let bytes = count.checked_mul(WORD_BYTES as usize).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(WordStorage { map: memmap2::MmapMut::map_anon(bytes)?.into(), count })
    }

    fn prefault(&self) -> io::Result<()> {
        // A hint: fewer TLB misses if the system has large pages.
        let _ = self.map.advise(memmap2::Advice::HugePage);
        self.map.advise(memmap2::Advice::PopulateWrite)
    }

    fn get(&self) -> &[AtomicU64] {
        // SAFETY: the map is `count * 8` bytes long, writable, zeroed (a valid `AtomicU64`), aligned to a page, and
        // lives as long as `self`. It is private to this value, and is only accessed through this function or through
        // `frozen`, whose contract excludes stores while its plain view lives.
        unsafe { std::slice::from_raw_parts(self.map.as_mut_ptr().cast::<AtomicU64>(), self.count) }
    }
}

#[cfg(not(loom))]
impl Words {
    /// The plain bytes of a run that does not wrap around, without a copy; `None` if it wraps.
    ///
    /// # Safety
    /// No thread stores to any of these words while the result lives. Readers that load them do no harm.
    pub(crate) unsafe fn frozen(&self, offset: RingOffset, count: u64) -> Option<&[u8]> {
        let (run, []) = self.run(offset, count) else { return None };
        // SAFETY: the run is `count * 8` initialized bytes of the map; the caller promises that they do not change.
        Some(unsafe { std::slice::from_raw_parts(run.as_ptr().cast::<u8>(), run.len() * WORD_BYTES as usize) })
    }
}
