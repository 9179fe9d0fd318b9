//! What all cores know of snapshots: the latest request for one of every shard, and what each shard has come to.
//!
//! Requests are numbered. One is under way until every shard has dealt with it; until then there is no other.

use crossbeam_utils::CachePadded;
use keytide_engine::position::ShardId;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Who asks for snapshots of all shards, and what they tell.
pub struct Board {
    /// The number of the latest request; 0 before the first.
    requested: AtomicU64,
    shards: Vec<CachePadded<OfShard>>,
    /// Why a snapshot has failed last.
    failure: Mutex<Option<String>>,
}

/// What one shard tells.
#[derive(Default)]
struct OfShard {
    /// The latest request that it has dealt with, and the latest for which it has a snapshot.
    done: AtomicU64,
    saved: AtomicU64,
    is_running: AtomicBool,
    has_failed: AtomicBool,
    /// When its newest snapshot was complete, Unix seconds; before the first, when the server started.
    saved_s: AtomicU64,
    /// How many events it had recorded when that one began.
    saved_recorded: AtomicU64,
    snapshots: AtomicU64,
    failures: AtomicU64,
    bytes: AtomicU64,
}

/// What a request has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not all shards are done.
    Running,
    /// Every shard has a snapshot.
    Saved,
    /// A shard has none: why.
    Failed(String),
}

/// Figures of all shards together, since the server started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many shards are taking a snapshot.
    pub running: u64,
    /// How many snapshots are complete.
    pub snapshots: u64,
    /// How many have failed.
    pub failures: u64,
    /// The bytes of those that are complete.
    pub bytes: u64,
    /// How many events each shard had recorded when its newest snapshot began, summed.
    pub saved_recorded: u64,
    /// Whether a shard's last attempt has failed.
    pub has_failed: bool,
}

impl Board {
    /// The board of a server with so many shards that starts now, Unix milliseconds.
    pub fn new(shards: u16, now_ms: u64) -> Board {
        let of_shard = || OfShard { saved_s: AtomicU64::new(now_ms / 1000), ..OfShard::default() };
        Board {
            requested: AtomicU64::new(0),
            shards: (0..shards).map(|_| CachePadded::new(of_shard())).collect(),
            failure: Mutex::default(),
        }
    }

    /// Asks every shard for a snapshot; answers the request's number. The cores have to be woken. None where a request
    /// is under way.
    pub fn request(&self) -> Option<u64> {
        let latest = self.requested();
        if !self.is_done(latest) {
            return None;
        }
        // AcqRel: of two who ask at once the second finds the first one's number, and fails.
        let asked = self.requested.compare_exchange(latest, latest + 1, Ordering::AcqRel, Ordering::Acquire);
        asked.is_ok().then_some(latest + 1)
    }

    /// The number of the latest request.
    #[inline]
    pub fn requested(&self) -> u64 {
        // Acquire, paired with the exchange in `request`; waking orders it before a sleeping core's next look.
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

    /// What a request has come to.
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

    /// Why a snapshot has failed last.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When the oldest of the shards' newest snapshots was complete, Unix seconds.
    pub fn last_save_s(&self) -> u64 {
        // Relaxed: a figure by itself.
        self.shards.iter().map(|shard| shard.saved_s.load(Ordering::Relaxed)).min().unwrap_or(0)
    }

    /// A shard begins a snapshot.
    pub fn begin(&self, shard: ShardId) {
        // Relaxed: a figure.
        self.of(shard).is_running.store(true, Ordering::Relaxed);
    }

    /// A shard's snapshot is complete. It had recorded so many events when it began.
    pub fn succeed(&self, shard: ShardId, request: Option<u64>, recorded: u64, now_ms: u64) {
        let told = self.of(shard);
        // Relaxed, all: figures, and `end` publishes them with the request.
        told.saved_s.store(now_ms / 1000, Ordering::Relaxed);
        told.saved_recorded.store(recorded, Ordering::Relaxed);
        told.snapshots.fetch_add(1, Ordering::Relaxed);
        told.has_failed.store(false, Ordering::Relaxed);
        if let Some(request) = request {
            told.saved.store(request, Ordering::Relaxed);
        }
        self.end(shard, request);
    }

    /// A shard has no snapshot.
    pub fn fail(&self, shard: ShardId, request: Option<u64>, reason: &str) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        let told = self.of(shard);
        // Relaxed, both: as above.
        told.failures.fetch_add(1, Ordering::Relaxed);
        told.has_failed.store(true, Ordering::Relaxed);
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

    fn of(&self, shard: ShardId) -> &OfShard {
        &self.shards[shard.0 as usize]
    }

    fn end(&self, shard: ShardId, request: Option<u64>) {
        let told = self.of(shard);
        // Relaxed: a figure.
        told.is_running.store(false, Ordering::Relaxed);
        if let Some(request) = request {
            // Release, paired with the acquire in `is_done`.
            told.done.store(request, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_under_way_until_every_shard_has_dealt_with_it() {
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
    fn a_request_has_failed_where_one_shard_has_no_snapshot() {
        let board = Board::new(2, 5_000);
        let request = board.request().expect("none is under way");
        board.fail(ShardId(1), Some(request), "no room");
        // One that nobody asked for comes to its end meanwhile.
        board.succeed(ShardId(0), None, 0, 9_000);
        assert_eq!(board.outcome(request), Outcome::Running);
        board.succeed(ShardId(0), Some(request), 0, 9_000);
        assert_eq!(board.outcome(request), Outcome::Failed("no room".to_owned()));
        assert!(board.totals().has_failed && board.last_save_s() == 5);
    }
}
