//! The segments of one shard's log, as everybody holds them who reads it: a list that changes when a segment is sealed,
//! begun or taken away by retention. Readers keep the list that they have seen and ask, with one load, whether there is
//! a newer one; only then do they take the lock.

use super::index::{Sealed, SparseIndex};
use super::segment::{self, SegmentHeader};
use crate::position::{Position, RingOffset};
use crate::ring::Checksum;
use crate::sync::{AtomicU64, Ordering};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

/// One segment.
pub struct Segment {
    /// The number in its name.
    pub number: u64,
    /// Its file.
    pub path: PathBuf,
    /// The offset of its first record.
    pub base: RingOffset,
    /// The position of the last record before it; 0 where there is none.
    pub after: Position,
    /// What its file takes, in bytes.
    pub file_bytes: u64,
    /// What the checksums of its records are made of.
    pub checksum: Checksum,
    /// What is known of it once it gets no more records.
    sealed: OnceLock<Sealed>,
    index: Mutex<Weak<SparseIndex>>,
}

/// A list of segments, the oldest first; the last one is active. Empty only where the shard is one that was before
/// `--shards` was changed, which gets no more records.
pub type SegmentList = Arc<[Arc<Segment>]>;

/// The segments of one shard. Cheap to clone.
#[derive(Clone)]
pub struct Segments(Arc<Shared>);

struct Shared {
    version: AtomicU64,
    list: Mutex<SegmentList>,
    /// The offset of the oldest record.
    head: AtomicU64,
    /// The position of the newest record that retention has taken; 0 where it has taken none.
    evicted_through: AtomicU64,
}

impl Segment {
    /// The segment of a file of `file_bytes` bytes with this header.
    pub fn new(header: &SegmentHeader, path: PathBuf, file_bytes: u64) -> Segment {
        let &SegmentHeader { number, base, after, .. } = header;
        let checksum = header.checksum();
        Segment { number, path, base, after, file_bytes, checksum, sealed: OnceLock::new(), index: Mutex::default() }
    }

    /// Lets readers use the index that somebody keeps.
    pub fn set_index(&self, index: &Arc<SparseIndex>) {
        *lock(&self.index) = Arc::downgrade(index);
    }

    /// The offset at which its file ends.
    pub fn limit(&self) -> RingOffset {
        segment::limit(self.base, self.file_bytes)
    }

    /// The byte of its file at which what is at `offset` stands.
    pub fn file_at(&self, offset: RingOffset) -> u64 {
        segment::file_at(self.base, offset)
    }

    /// Says, once, that it gets no more records.
    pub fn seal(&self, sealed: Sealed) {
        // A segment is sealed once, by the core that writes it.
        let _ = self.sealed.set(sealed);
    }

    /// What is known of it once it is sealed.
    pub fn as_sealed(&self) -> Option<&Sealed> {
        self.sealed.get()
    }

    /// The offset behind its last record, as far as `tail` is published.
    pub fn end(&self, tail: RingOffset) -> RingOffset {
        self.sealed.get().map_or(tail, |sealed| sealed.end.min(tail))
    }

    /// Its index: the writer's, one that another reader has loaded, or the one beside the segment. None where there is
    /// none that can be used.
    pub fn index(&self) -> Option<Arc<SparseIndex>> {
        let mut known = lock(&self.index);
        if let Some(index) = known.upgrade() {
            return Some(index);
        }
        let (index, _) = SparseIndex::beside(&self.path, self.base)?;
        let index = Arc::new(index);
        *known = Arc::downgrade(&index);
        Some(index)
    }
}

/// Whoever panicked with the lock has left a whole value: each is replaced in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Segments {
    /// These segments.
    pub fn new(list: Vec<Arc<Segment>>) -> Segments {
        let (base, after) = list.first().map_or((0, 0), |first| (first.base.0, first.after.0));
        let (head, evicted_through) = (AtomicU64::new(base), AtomicU64::new(after));
        Segments(Arc::new(Shared { version: AtomicU64::new(1), list: Mutex::new(list.into()), head, evicted_through }))
    }

    /// The list, and its version.
    pub fn list(&self) -> (u64, SegmentList) {
        let list = lock(&self.0.list);
        // Relaxed: stored under the lock.
        (self.0.version.load(Ordering::Relaxed), list.clone())
    }

    /// Whether there is a newer list than the one with this version.
    #[inline]
    pub fn is_newer_than(&self, version: u64) -> bool {
        // Acquire, paired with the release in `change`. Who misses it takes an old list, whose files are still there as
        // long as it holds them, or finds that they are not.
        self.0.version.load(Ordering::Acquire) != version
    }

    /// The position of the newest record that retention has taken; none where it has taken none.
    pub fn evicted_through(&self) -> Option<Position> {
        // Acquire, paired with the release in `drop_before`.
        let position = self.0.evicted_through.load(Ordering::Acquire);
        (position != 0).then_some(Position(position))
    }

    /// The offset of the oldest record.
    pub fn head(&self) -> RingOffset {
        // Acquire, paired with the release in `drop_before`: what was evicted is at least as new.
        RingOffset(self.0.head.load(Ordering::Acquire))
    }

    fn change(&self, change: impl FnOnce(&[Arc<Segment>]) -> Vec<Arc<Segment>>) {
        let mut list = lock(&self.0.list);
        *list = change(&list).into();
        // Release, paired with the acquire in `is_newer_than`.
        self.0.version.fetch_add(1, Ordering::Release);
    }

    /// Adds the segment that is active from now on.
    pub fn push(&self, segment: Arc<Segment>) {
        self.change(|list| list.iter().cloned().chain([segment]).collect());
    }

    /// Takes the segments before number `first` away from readers that come from now on. Those who hold one may read
    /// it to its end.
    pub fn drop_before(&self, first: u64) {
        let kept_from = |list: &[Arc<Segment>]| list.iter().position(|segment| segment.number >= first);
        let (_, list) = self.list();
        let Some(oldest) = kept_from(&list).map(|index| &list[index]) else { return };
        // Release, paired with the acquire in `evicted_through`. Before the list: who does not find a segment learns why.
        self.0.evicted_through.fetch_max(oldest.after.0, Ordering::Release);
        // Release, paired with the acquire in `head`.
        self.0.head.fetch_max(oldest.base.0, Ordering::Release);
        self.change(|list| kept_from(list).map_or_else(|| list.to_vec(), |index| list[index..].to_vec()));
    }

    /// Takes all segments away from readers that come from now on, of a shard that gets no more records: everything up
    /// to position `through` is gone.
    pub fn drop_all(&self, through: Position) {
        // Release, paired with the acquire in `evicted_through`. Before the list, as in `drop_before`.
        self.0.evicted_through.fetch_max(through.0, Ordering::Release);
        self.change(|_| Vec::new());
    }
}
