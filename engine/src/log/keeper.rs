//! What the disk is asked for beside the path of a write, by two threads for each shard. One makes the next segment
//! before it is needed. The other may take its time: sealed segments are synced and get their index; with `everysec` the
//! active one is synced; what retention no longer keeps is removed.

use super::failure::LogFailure;
use super::index::{Sealed, SparseIndex};
use super::options::{Fsync, LogIdentity, LogOptions};
use super::removal::Removal;
use super::scan::SegmentFile;
use super::segment::{index_path, segment_path};
use super::segments::{Segment, Segments};
use super::storage::{LogFile, Prepare, Storage};
use super::streams::{StreamBlocks, streams_path};
use super::synced::{self, Mark};
use crate::clock;
use crate::position::RingOffset;
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often what was written is synced with [`Fsync::EverySecond`], and retention by age is looked at.
const TICK: Duration = Duration::from_secs(1);

/// What a core asks of its keeper.
pub enum Request {
    /// A segment is full.
    Seal {
        /// It.
        segment: Arc<Segment>,
        /// Its index.
        index: Arc<SparseIndex>,
        /// What is known of it.
        sealed: Sealed,
        /// Its file.
        old: Arc<dyn LogFile>,
        /// The file of the segment that is active now.
        file: Arc<dyn LogFile>,
    },
    /// Sync what was written so far, and say so when it is done.
    Sync(Sender<Result<RingOffset, String>>),
    /// Look at what retention keeps.
    Retain,
    /// The first requests are answered; the log is in use.
    Begin {
        /// Its segments.
        segments: Segments,
        /// The file of the active one.
        file: Arc<dyn LogFile>,
    },
}

/// The file of a segment that nothing was written to.
pub struct Prepared {
    /// Its number.
    pub number: u64,
    /// It.
    pub file: Arc<dyn LogFile>,
}

/// What a keeper and its core tell each other.
struct Shared {
    /// The offset behind what was written.
    written: AtomicU64,
    /// The offset behind what is surely on the disk.
    synced: AtomicU64,
    /// Recovery needs everything from this offset on.
    floor: AtomicU64,
    failure: LogFailure,
}

/// The core's end of a keeper. When it is dropped the keeper ends, after it has done what it was asked.
pub struct Keeper {
    requests: Option<Sender<Request>>,
    numbers: Option<Sender<u64>>,
    prepared: Receiver<io::Result<Prepared>>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What others may know of a log, and how they tell how much of it recovery needs.
#[derive(Clone)]
pub struct LogStatus(Arc<Shared>);

impl LogStatus {
    /// The offset behind what was written.
    pub fn written(&self) -> RingOffset {
        // Acquire, paired with the release in `note_written`: the write is over.
        RingOffset(self.0.written.load(Ordering::Acquire))
    }

    /// The offset behind what is surely on the disk.
    pub fn synced(&self) -> RingOffset {
        // Acquire, paired with the release in `note_synced`.
        RingOffset(self.0.synced.load(Ordering::Acquire))
    }

    /// Lets retention take what lies before `floor`, which no snapshot that is kept needs any more.
    pub fn raise_floor(&self, floor: RingOffset) {
        // Relaxed: a number by itself; the files before it are whole either way.
        self.0.floor.fetch_max(floor.0, Ordering::Relaxed);
    }

    /// What has failed for good.
    pub fn failure(&self) -> Option<String> {
        self.0.failure.reason()
    }

    fn note_synced(&self, offset: RingOffset) {
        // Release, paired with the acquire in `synced`.
        self.0.synced.fetch_max(offset.0, Ordering::Release);
    }
}

impl Keeper {
    /// Starts the thread that keeps a log. Before `floor` recovery needs nothing; up to `synced` the disk has all.
    ///
    /// # Errors
    /// Where the system has no thread left.
    pub fn start(
        storage: Arc<dyn Storage>,
        identity: LogIdentity,
        options: LogOptions,
        (floor, synced): (RingOffset, RingOffset),
        failure: LogFailure,
    ) -> io::Result<Keeper> {
        let shared = Arc::new(Shared {
            written: AtomicU64::new(synced.0),
            synced: AtomicU64::new(synced.0),
            floor: AtomicU64::new(floor.0),
            failure,
        });
        let (requests, received) = channel();
        let (numbers, wanted) = channel();
        let (answers, prepared) = channel();
        let name = |what: &str| format!("log-{}{what}", identity.shard);
        let mut threads = Vec::new();
        let (directory, files) = (identity.directory.clone(), storage.clone());
        threads.push(spawn(name("-next"), move || {
            // Until the core is gone, or nobody listens.
            while let Ok(number) = wanted.recv()
                && answers.send(prepare(&*files, &directory, number, &options)).is_ok()
            {}
        })?);
        let name = name("");
        let work = Work {
            requests: received,
            storage,
            identity,
            options,
            status: LogStatus(shared.clone()),
            segments: None,
            file: None,
            marked: Mark { synced, segments: None },
            unnoted: VecDeque::new(),
            sealed: 0,
            removal: Removal::default(),
        };
        threads.push(spawn(name, move || work.run())?);
        Ok(Keeper { requests: Some(requests), numbers: Some(numbers), prepared, shared, threads })
    }

    /// Asks for the file of the segment with this number.
    pub(super) fn prepare(&self, number: u64) {
        if self.numbers.as_ref().is_some_and(|numbers| numbers.send(number).is_err()) {
            self.fail("the thread that makes segments has ended");
        }
    }

    /// What others may know of the log.
    pub fn status(&self) -> LogStatus {
        LogStatus(self.shared.clone())
    }

    /// Asks for something.
    pub fn ask(&self, request: Request) {
        if let Some(requests) = &self.requests
            && requests.send(request).is_err()
        {
            self.fail("the thread that keeps the log has ended");
        }
    }

    /// Waits for the segment that was asked for; none where it takes too long.
    pub(super) fn wait(&self, patience: Duration) -> Option<io::Result<Prepared>> {
        self.prepared.recv_timeout(patience).ok()
    }

    pub(super) fn begin(&self, segments: &Segments, file: &Arc<dyn LogFile>, end: RingOffset) {
        self.note_written(end, false);
        self.ask(Request::Begin { segments: segments.clone(), file: file.clone() });
    }

    /// Whether something has failed for good.
    #[inline]
    pub fn has_failed(&self) -> bool {
        self.shared.failure.is_set()
    }

    /// What has failed for good.
    pub fn failure(&self) -> Option<String> {
        self.shared.failure.reason()
    }

    pub(super) fn fail(&self, reason: &str) {
        self.shared.failure.set(reason);
    }

    #[inline]
    pub(super) fn note_written(&self, end: RingOffset, is_synced: bool) {
        // Release, paired with the acquire in `written`.
        self.shared.written.store(end.0, Ordering::Release);
        if is_synced {
            // Release, paired with the acquire in `synced`.
            self.shared.synced.store(end.0, Ordering::Release);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        (self.requests, self.numbers) = (None, None);
        for thread in self.threads.drain(..) {
            // A panic was told where it happened.
            let _ = thread.join();
        }
    }
}

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name).spawn(work)
}

/// Makes the file of a segment.
fn prepare(storage: &dyn Storage, directory: &Path, number: u64, options: &LogOptions) -> io::Result<Prepared> {
    let prepare = match options.fsync {
        Fsync::Os | Fsync::EverySecond => Prepare::Allocate,
        // Each sync is then one of data only.
        Fsync::Always => Prepare::Zero,
    };
    let file = storage.create(&segment_path(directory, number), options.segment_bytes, prepare)?;
    Ok(Prepared { number, file: file.into() })
}

/// The thread's side.
struct Work {
    requests: Receiver<Request>,
    storage: Arc<dyn Storage>,
    identity: LogIdentity,
    options: LogOptions,
    status: LogStatus,
    segments: Option<Segments>,
    /// The active segment's.
    file: Option<Arc<dyn LogFile>>,
    /// The durable mark, as far as this thread has written it.
    marked: Mark,
    /// Sealed segments whose streams are to be noted.
    unnoted: VecDeque<Arc<Segment>>,
    /// How many were sealed since the last tick.
    sealed: usize,
    /// Segments that retention has taken.
    removal: Removal,
}

/// In a second in which more segments are sealed than this, streams are not noted: the shard needs its core, and whoever
/// reads a stream meanwhile reads such a segment whole.
const SEALED_MAX: usize = 1;

/// Of how many segments streams are noted at a tick, and before an orderly end. Each takes some 50 ms.
const NOTED_AT_A_TICK: usize = 4;

impl Work {
    fn run(mut self) {
        let mut tick_at = clock::monotonic_ns() + TICK.as_nanos() as u64;
        loop {
            let patience = Duration::from_nanos(tick_at.saturating_sub(clock::monotonic_ns()));
            match self.requests.recv_timeout(patience) {
                Ok(request) => self.answer(request),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if clock::monotonic_ns() >= tick_at {
                tick_at = clock::monotonic_ns() + TICK.as_nanos() as u64;
                match self.options.fsync {
                    Fsync::Os => {}
                    Fsync::EverySecond => self.sync(),
                    Fsync::Always => self.mark(),
                }
                self.retain();
                if std::mem::take(&mut self.sealed) <= SEALED_MAX {
                    self.note_streams();
                }
            }
        }
        // An orderly end: everything is on the disk, whatever the mode.
        self.sync();
        self.note_streams();
    }

    fn answer(&mut self, request: Request) {
        match request {
            Request::Seal { segment, index, sealed, old, file } => {
                self.file = Some(file);
                self.seal(&segment, &index, &sealed, &*old);
                self.unnoted.push_back(segment);
                self.sealed += 1;
                self.retain();
            }
            Request::Sync(done) => {
                self.sync();
                // Who asked may have lost patience.
                let _ = done.send(self.status.failure().map_or(Ok(self.status.synced()), Err));
            }
            Request::Retain => self.retain(),
            Request::Begin { segments, file } => {
                let (_, list) = segments.list();
                let is_unnoted = |segment: &&Arc<Segment>| !streams_path(&segment.path).exists();
                self.unnoted.extend(list.iter().filter(is_unnoted).cloned());
                self.segments = Some(segments);
                self.file = Some(file);
                self.mark();
            }
        }
    }

    fn seal(&mut self, segment: &Segment, index: &SparseIndex, sealed: &Sealed, file: &dyn LogFile) {
        // After a sync that failed the next one may succeed without having written what the first was to write. An index
        // would say that all of the segment is on the disk.
        if self.status.failure().is_some() {
            return;
        }
        if let Err(error) = file.sync() {
            return self.status.0.failure.set(&format!("sync {}: {error}", segment.path.display()));
        }
        self.status.note_synced(sealed.end);
        self.mark();
        // Without it readers of the segment search from its start, and the next recovery makes it.
        if let Err(error) = self.storage.replace(&index_path(&segment.path), &index.encode(sealed)) {
            tracing::warn!(path = %segment.path.display(), %error, "no index beside the segment");
        }
    }

    /// Writes down which streams are where in some sealed segments, the oldest first.
    fn note_streams(&mut self) {
        for _ in 0..NOTED_AT_A_TICK {
            let Some(segment) = self.unnoted.pop_front() else { return };
            // The active one comes when it is sealed; one that retention has taken not at all.
            if let Some(sealed) = segment.as_sealed().filter(|_| segment.path.exists()) {
                self.note_streams_of(&segment, sealed);
            }
        }
    }

    fn note_streams_of(&self, segment: &Segment, sealed: &Sealed) {
        let blocks = SegmentFile::open(&segment.path).and_then(|file| StreamBlocks::make(&file, sealed.end));
        let written = blocks
            .map_err(io::Error::other)
            .and_then(|blocks| self.storage.replace(&streams_path(&segment.path), &blocks.encode()));
        // Without it who reads a stream reads all of the segment.
        if let Err(error) = written {
            tracing::warn!(path = %segment.path.display(), %error, "the segment's streams are not noted");
        }
    }

    /// Syncs what was written so far.
    fn sync(&mut self) {
        let written = self.status.written();
        // A segment that was sealed before that was announced before: the file that is synced below is then the one
        // behind it.
        while let Ok(request) = self.requests.try_recv() {
            self.answer(request);
        }
        let Some(file) =
            self.file.as_ref().filter(|_| written > self.status.synced() && self.status.failure().is_none())
        else {
            return self.mark();
        };
        match file.sync() {
            Ok(()) => self.status.note_synced(written),
            Err(error) => {
                let directory = self.identity.directory.display();
                tracing::error!(%directory, %error, "sync has failed, no more writes");
                self.status.0.failure.set(&format!("sync of the log in {directory}: {error}"));
            }
        }
        self.mark();
    }

    /// Writes down how far the log is on the disk, and which segments it has.
    fn mark(&mut self) {
        let list = self.segments.as_ref().map(|segments| segments.list().1);
        let segments = list.and_then(|list| Some((list.first()?.number, list.last()?.number)));
        let mark = Mark { synced: self.status.synced().max(self.marked.synced), segments };
        if mark == self.marked || segments.is_none() || self.status.failure().is_some() {
            return;
        }
        match synced::write(&*self.storage, &self.identity.directory, mark) {
            Ok(()) => self.marked = mark,
            Err(error) => {
                tracing::warn!(shard = %self.identity.shard, %error, "the mark of what is synced stays behind")
            }
        }
    }

    /// Removes the oldest segments that are too many or too old, and that recovery does not need.
    fn retain(&mut self) {
        let Some(segments) = &self.segments else { return };
        // Relaxed: see `raise_floor`.
        let floor = self.status.0.floor.load(Ordering::Relaxed);
        let (_, list) = segments.list();
        let oldest_ms = self.options.retain_ms.map(|age_ms| clock::unix_millis().saturating_sub(age_ms));
        let mut bytes: u64 = list.iter().map(|segment| segment.file_bytes).sum();
        let mut gone = 0;
        for (segment, sealed) in list.iter().map_while(|segment| Some((segment, segment.as_sealed()?))) {
            let is_too_old = oldest_ms.is_some_and(|oldest_ms| sealed.last_ms < oldest_ms);
            if sealed.end.0 > floor || bytes <= self.options.retain_bytes && !is_too_old {
                break;
            }
            bytes -= segment.file_bytes;
            gone += 1;
        }
        if gone > 0 {
            segments.drop_before(list[gone].number);
            list[..gone].iter().for_each(|segment| self.removal.push(&segment.path));
        }
        // Nothing goes before the mark says that it may be missing.
        let first = segments.list().1.first().map(|segment| segment.number);
        let is_marked = |this: &Work| this.marked.segments.map(|(first, _)| first) == first;
        if !is_marked(self) {
            self.mark();
        }
        if is_marked(self) {
            self.removal.run(&*self.storage);
        }
    }
}
