//! The list of a shard's segments that its readers share. It changes when a segment is begun, sealed or dropped by
//! retention. A reader keeps its copy of the list and checks with one load whether there is a newer one; only then does it
//! take the lock.

use super::index::{Sealed, SparseIndex};
use super::segment::{self, SegmentHeader};
use crate::position::{Position, RingOffset};
use crate::ring::Checksum;
use crate::sync::{AtomicU64, Ordering};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

/// One segment of a log.
pub struct Segment {
    /// The number in the name of the file.
    pub number: u64,
    /// The path of the file.
    pub path: PathBuf,
    /// The offset of the first record.
    pub base: RingOffset,
    /// The position of the last record of the previous segment; 0 where there is none.
    pub after: Position,
    /// The length of the file in bytes.
    pub file_bytes: u64,
    /// What the checksums of the records cover.
    pub checksum: Checksum,
    /// Where the segment ends, once no more records are appended to it.
    sealed: OnceLock<Sealed>,
    index: Mutex<Weak<SparseIndex>>,
}

/// The segments of a shard, oldest first; the last one is active. Empty only for a shard of an older generation, to which
/// nothing is appended.
pub type SegmentList = Arc<[Arc<Segment>]>;

/// The segments of one shard. Clones share the list and are cheap.
#[derive(Clone)]
pub struct Segments(Arc<SharedList>);

struct SharedList {
    version: AtomicU64,
    list: Mutex<SegmentList>,
    /// The offset of the oldest record.
    head: AtomicU64,
    /// The position of the newest record that retention has dropped; 0 where it has dropped none.
    evicted_through: AtomicU64,
}

impl Segment {
    /// The segment in a file of `file_bytes` bytes with this header.
    pub fn new(header: &SegmentHeader, path: PathBuf, file_bytes: u64) -> Segment {
        let &SegmentHeader { number, base, after, .. } = header;
        let checksum = header.checksum();
        Segment { number, path, base, after, file_bytes, checksum, sealed: OnceLock::new(), index: Mutex::default() }
    }

    /// Lends `index` to readers for as long as its owner keeps it.
    pub fn set_index(&self, index: &Arc<SparseIndex>) {
        *lock(&self.index) = Arc::downgrade(index);
    }

    /// The offset at which the file ends.
    pub fn limit(&self) -> RingOffset {
        segment::limit(self.base, self.file_bytes)
    }

    /// The byte of the file that corresponds to `offset`.
    pub fn file_at(&self, offset: RingOffset) -> u64 {
        segment::file_at(self.base, offset)
    }

    /// Marks the segment as sealed: no more records are appended to it. Later calls have no effect.
    pub fn seal(&self, sealed: Sealed) {
        // Only the core that writes the segment seals it, and only once.
        let _ = self.sealed.set(sealed);
    }

    /// Where the segment ends; none while it is active.
    pub fn as_sealed(&self) -> Option<&Sealed> {
        self.sealed.get()
    }

    /// The offset behind the last published record, where everything before `tail` is published.
    pub fn end(&self, tail: RingOffset) -> RingOffset {
        self.sealed.get().map_or(tail, |sealed| sealed.end.min(tail))
    }

    /// The index of the segment: the writer's, one that another reader has loaded, or the file beside the segment. None where
    /// that file is missing or invalid.
    pub fn index(&self) -> Option<Arc<SparseIndex>> {
        let mut known = lock(&self.index);
        if let Some(index) = known.upgrade() {
            return Some(index);
        }
        let (index, _) = SparseIndex::load(&self.path, self.base)?;
        let index = Arc::new(index);
        *known = Arc::downgrade(&index);
        Some(index)
    }
}

/// Locks a mutex, poisoned or not: a value behind one is replaced in one step, so a panic cannot leave half of it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Segments {
    /// A list of these segments, oldest first.
    pub fn new(list: Vec<Arc<Segment>>) -> Segments {
        let (base, after) = list.first().map_or((0, 0), |first| (first.base.0, first.after.0));
        let (head, evicted_through) = (AtomicU64::new(base), AtomicU64::new(after));
        Segments(Arc::new(SharedList {
            version: AtomicU64::new(1),
            list: Mutex::new(list.into()),
            head,
            evicted_through,
        }))
    }

    /// The version of the list, and the list.
    pub fn list(&self) -> (u64, SegmentList) {
        let list = lock(&self.0.list);
        // Relaxed: stored under the lock.
        (self.0.version.load(Ordering::Relaxed), list.clone())
    }

    /// Whether the list has changed since `version`.
    #[inline]
    pub fn is_newer_than(&self, version: u64) -> bool {
        // Acquire, paired with the release in `change`. A reader that misses a change uses its old list: the files that it
        // holds open stay readable, and opening one that is gone is an error that it handles.
        self.0.version.load(Ordering::Acquire) != version
    }

    /// The position of the newest record that retention has dropped; none where it has dropped none.
    pub fn evicted_through(&self) -> Option<Position> {
        // Acquire, paired with the release in `drop_before`.
        let position = self.0.evicted_through.load(Ordering::Acquire);
        (position != 0).then_some(Position(position))
    }

    /// The offset of the oldest record.
    pub fn head(&self) -> RingOffset {
        // Acquire, paired with the release in `drop_before`: `evicted_through` is then at least as new.
        RingOffset(self.0.head.load(Ordering::Acquire))
    }

    fn change(&self, change: impl FnOnce(&[Arc<Segment>]) -> Vec<Arc<Segment>>) {
        let mut list = lock(&self.0.list);
        *list = change(&list).into();
        // Release, paired with the acquire in `is_newer_than`.
        self.0.version.fetch_add(1, Ordering::Release);
    }

    /// Appends the segment that is active from now on.
    pub fn push(&self, segment: Arc<Segment>) {
        self.change(|list| list.iter().cloned().chain([segment]).collect());
    }

    /// Drops the segments with numbers below `first` from the list. A reader that has one open may read it to its end.
    pub fn drop_before(&self, first: u64) {
        let kept_from = |list: &[Arc<Segment>]| list.iter().position(|segment| segment.number >= first);
        let (_, list) = self.list();
        let Some(oldest) = kept_from(&list).map(|index| &list[index]) else { return };
        // Release, paired with the acquire in `evicted_through`. Before the list: a reader that
        // misses a segment finds out why.
        self.0.evicted_through.fetch_max(oldest.after.0, Ordering::Release);
        // Release, paired with the acquire in `head`.
        self.0.head.fetch_max(oldest.base.0, Ordering::Release);
        self.change(|list| kept_from(list).map_or_else(|| list.to_vec(), |index| list[index..].to_vec()));
    }

    /// Drops all segments from the list, of a shard of an older generation: everything up to position `through` is gone.
    pub fn drop_all(&self, through: Position) {
        // Release, paired with the acquire in `evicted_through`. Before the list, as in `drop_before`.
        self.0.evicted_through.fetch_max(through.0, Ordering::Release);
        self.change(|_| Vec::new());
    }
}
