//! The state of snapshots that all cores share: the latest request for a snapshot of every shard, and the progress of each
//! shard.
//!
//! Requests are numbered. A request is under way until every shard has completed it; there is one at a time.

use crossbeam_utils::CachePadded;
use keytide_engine::position::ShardId;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The latest request for snapshots of all shards, and the state of each shard.
pub struct Board {
    /// The number of the latest request; 0 before the first.
    requested: AtomicU64,
    shards: Vec<CachePadded<ShardState>>,
    /// The error of the last failed snapshot.
    failure: Mutex<Option<String>>,
}

/// The state of one shard.
#[derive(Default)]
struct ShardState {
    /// The latest request that it has completed, and the latest that gave a snapshot.
    done: AtomicU64,
    saved: AtomicU64,
    is_running: AtomicBool,
    has_failed: AtomicBool,
    /// When its newest snapshot was completed, Unix seconds; before the first, when the server started.
    saved_s: AtomicU64,
    /// The number of events recorded when its newest snapshot began.
    saved_recorded: AtomicU64,
    snapshots: AtomicU64,
    failures: AtomicU64,
    bytes: AtomicU64,
}

/// The outcome of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not all shards have completed it.
    Running,
    /// Every shard has a snapshot.
    Saved,
    /// A shard has failed, with this error.
    Failed(String),
}

/// Figures of all shards together, since the server started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The number of shards that are taking a snapshot.
    pub running: u64,
    /// The number of complete snapshots.
    pub snapshots: u64,
    /// The number of failed snapshots.
    pub failures: u64,
    /// The total length of the complete snapshots, in bytes.
    pub bytes: u64,
    /// The sum over all shards of the events recorded when the newest snapshot began.
    pub saved_recorded: u64,
    /// Whether a shard's last attempt has failed.
    pub has_failed: bool,
}

impl Board {
    /// The board of a server with this number of shards that starts at `now_ms`, Unix milliseconds.
    pub fn new(shards: u16, now_ms: u64) -> Board {
        let state = || ShardState { saved_s: AtomicU64::new(now_ms / 1000), ..ShardState::default() };
        Board {
            requested: AtomicU64::new(0),
            shards: (0..shards).map(|_| CachePadded::new(state())).collect(),
            failure: Mutex::default(),
        }
    }

    /// Requests a snapshot of every shard. Returns the number of the request; none where one is under way. The caller must
    /// wake the cores.
    pub fn request(&self) -> Option<u64> {
        let latest = self.requested();
        if !self.is_done(latest) {
            return None;
        }
        // AcqRel: of two simultaneous requests, the second finds the number of the first, and fails.
        let asked = self.requested.compare_exchange(latest, latest + 1, Ordering::AcqRel, Ordering::Acquire);
        asked.is_ok().then_some(latest + 1)
    }

    /// The number of the latest request.
    #[inline]
    pub fn requested(&self) -> u64 {
        // Acquire, paired with the exchange in `request`. Waking a sleeping core orders the exchange before its next load.
        self.requested.load(Ordering::Acquire)
    }

    /// Whether a request is under way.
    pub fn is_requested(&self) -> bool {
        !self.is_done(self.requested())
    }

    fn is_done(&self, request: u64) -> bool {
        // Acquire, paired with the release in `end`.
        self.shards.iter().all(|shard| shard.done.load(Ordering::Acquire) >= request)
    }

    /// The outcome of a request.
    pub fn outcome(&self, request: u64) -> Outcome {
        if !self.is_done(request) {
            return Outcome::Running;
        }
        // Relaxed: stored before `done`, which was read with acquire.
        if self.shards.iter().all(|shard| shard.saved.load(Ordering::Relaxed) >= request) {
            return Outcome::Saved;
        }
        Outcome::Failed(self.failure().unwrap_or_default())
    }

    /// The error of the last failed snapshot.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The completion time of the shards' newest snapshots, the oldest of these times, Unix seconds.
    pub fn last_save_s(&self) -> u64 {
        // Relaxed: a figure by itself.
        self.shards.iter().map(|shard| shard.saved_s.load(Ordering::Relaxed)).min().unwrap_or(0)
    }

    /// Notes that a shard begins a snapshot.
    pub fn begin(&self, shard: ShardId) {
        // Relaxed: a figure.
        self.of(shard).is_running.store(true, Ordering::Relaxed);
    }

    /// Notes that a shard's snapshot is complete. When it began, the shard had recorded `recorded` events.
    pub fn succeed(&self, shard: ShardId, request: Option<u64>, recorded: u64, now_ms: u64) {
        let state = self.of(shard);
        // Relaxed, all: figures, and `end` publishes them with the request.
        state.saved_s.store(now_ms / 1000, Ordering::Relaxed);
        state.saved_recorded.store(recorded, Ordering::Relaxed);
        state.snapshots.fetch_add(1, Ordering::Relaxed);
        state.has_failed.store(false, Ordering::Relaxed);
        if let Some(request) = request {
            state.saved.store(request, Ordering::Relaxed);
        }
        self.end(shard, request);
    }

    /// Notes that a shard's snapshot has failed.
    pub fn fail(&self, shard: ShardId, request: Option<u64>, reason: &str) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        let state = self.of(shard);
        // Relaxed, both: as above.
        state.failures.fetch_add(1, Ordering::Relaxed);
        state.has_failed.store(true, Ordering::Relaxed);
        self.end(shard, request);
    }

    /// Counts the bytes of a complete snapshot.
    pub fn count_bytes(&self, shard: ShardId, bytes: u64) {
        // Relaxed: a figure.
        self.of(shard).bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The figures.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for shard in &self.shards {
            // Relaxed, all: figures.
            let of = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
            totals.running += u64::from(shard.is_running.load(Ordering::Relaxed));
            totals.has_failed |= shard.has_failed.load(Ordering::Relaxed);
            totals.snapshots += of(&shard.snapshots);
            totals.failures += of(&shard.failures);
            totals.bytes += of(&shard.bytes);
            totals.saved_recorded += of(&shard.saved_recorded);
        }
        totals
    }

    fn of(&self, shard: ShardId) -> &ShardState {
        &self.shards[shard.0 as usize]
    }

    fn end(&self, shard: ShardId, request: Option<u64>) {
        let state = self.of(shard);
        // Relaxed: a figure.
        state.is_running.store(false, Ordering::Relaxed);
        if let Some(request) = request {
            // Release, paired with the acquire in `is_done`.
            state.done.store(request, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_under_way_until_every_shard_has_completed_it() {
        let board = Board::new(2, 5_000);
        assert!(!board.is_requested());
        let request = board.request().expect("none is under way");
        assert_eq!((board.request(), board.outcome(request)), (None, Outcome::Running));
        board.begin(ShardId(0));
        board.succeed(ShardId(0), Some(request), 3, 9_000);
        assert_eq!((board.outcome(request), board.last_save_s()), (Outcome::Running, 5));
        board.succeed(ShardId(1), Some(request), 4, 8_000);
        assert_eq!((board.outcome(request), board.last_save_s()), (Outcome::Saved, 8));
        assert_eq!(board.totals(), Totals { snapshots: 2, saved_recorded: 7, ..Totals::default() });
        assert!(board.request() > Some(request));
    }

    #[test]
    fn a_request_fails_if_one_shard_fails() {
        let board = Board::new(2, 5_000);
        let request = board.request().expect("none is under way");
        board.fail(ShardId(1), Some(request), "no room");
        // An automatic snapshot is completed meanwhile.
        board.succeed(ShardId(0), None, 0, 9_000);
        assert_eq!(board.outcome(request), Outcome::Running);
        board.succeed(ShardId(0), Some(request), 0, 9_000);
        assert_eq!(board.outcome(request), Outcome::Failed("no room".to_owned()));
        assert!(board.totals().has_failed && board.last_save_s() == 5);
    }
}
