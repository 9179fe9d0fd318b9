//! Disk work off the write path, on two threads per shard. One creates the next segment before it is needed. The other does
//! what is less urgent: it syncs sealed segments and writes their index, syncs the active segment with `everysec`, and
//! removes the segments that retention drops.

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

/// The period of the sync with [`Fsync::EverySecond`] and of retention by age.
const TICK: Duration = Duration::from_secs(1);

/// A request of a core to its keeper.
pub enum KeeperRequest {
    /// A segment is full: sync it and write its index.
    Seal {
        /// The sealed segment.
        segment: Arc<Segment>,
        /// The index of the sealed segment.
        index: Arc<SparseIndex>,
        /// The end of the sealed segment.
        sealed: Sealed,
        /// The file of the sealed segment.
        old: Arc<dyn LogFile>,
        /// The file of the segment that is active now.
        file: Arc<dyn LogFile>,
    },
    /// Sync everything written so far, and send the offset up to which the log is synced, or the failure of the log.
    Sync(Sender<Result<RingOffset, String>>),
    /// Apply retention.
    Retain,
    /// The writer has started.
    Begin {
        /// The segments of the log.
        segments: Segments,
        /// The file of the active segment.
        file: Arc<dyn LogFile>,
    },
}

/// A segment's file that was created ahead of time.
pub struct PreparedSegment {
    /// The number of the segment.
    pub number: u64,
    /// The file, all zeros.
    pub file: Arc<dyn LogFile>,
}

/// The progress of a log, shared by the core, its keeper and everybody with a [`LogStatus`].
struct Progress {
    /// The offset behind the last written record.
    written: AtomicU64,
    /// The offset up to which the log is on the disk.
    synced: AtomicU64,
    /// Recovery needs everything from this offset on.
    floor: AtomicU64,
    failure: LogFailure,
}

/// The core's handle of a keeper. Dropping it ends the threads after they have completed all requests.
pub struct Keeper {
    requests: Option<Sender<KeeperRequest>>,
    numbers: Option<Sender<u64>>,
    prepared: Receiver<io::Result<PreparedSegment>>,
    progress: Arc<Progress>,
    threads: Vec<JoinHandle<()>>,
}

/// The state of a log for other threads: how far it is written and synced, and from where on recovery needs it.
#[derive(Clone)]
pub struct LogStatus(Arc<Progress>);

impl LogStatus {
    /// The offset behind the last written record.
    pub fn written(&self) -> RingOffset {
        // Acquire, paired with the release in `note_written`: the write has completed.
        RingOffset(self.0.written.load(Ordering::Acquire))
    }

    /// The offset up to which the log is on the disk.
    pub fn synced(&self) -> RingOffset {
        // Acquire, paired with the release in `note_synced`.
        RingOffset(self.0.synced.load(Ordering::Acquire))
    }

    /// Allows retention to drop segments that end at or before `floor`: no retained snapshot needs them. Never lowers it.
    pub fn raise_floor(&self, floor: RingOffset) {
        // Relaxed: no other memory depends on the number.
        self.0.floor.fetch_max(floor.0, Ordering::Relaxed);
    }

    /// Why the log has failed; none while it has not.
    pub fn failure(&self) -> Option<String> {
        self.0.failure.reason()
    }

    fn note_synced(&self, offset: RingOffset) {
        // Release, paired with the acquire in `synced`.
        self.0.synced.fetch_max(offset.0, Ordering::Release);
    }
}

impl Keeper {
    /// Starts the threads of a log. Recovery needs nothing before `floor`; the log is on the disk up to `synced`.
    ///
    /// # Errors
    /// Where the system cannot start a thread.
    pub fn start(
        storage: Arc<dyn Storage>,
        identity: LogIdentity,
        options: LogOptions,
        (floor, synced): (RingOffset, RingOffset),
        failure: LogFailure,
    ) -> io::Result<Keeper> {
        let progress = Arc::new(Progress {
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
            // Until the core's handle is dropped.
            while let Ok(number) = wanted.recv()
                && answers.send(prepare(&*files, &directory, number, &options)).is_ok()
            {}
        })?);
        let name = name("");
        let worker = KeeperThread {
            requests: received,
            storage,
            identity,
            options,
            status: LogStatus(progress.clone()),
            segments: None,
            file: None,
            marked: Mark { synced, segments: None },
            without_streams: VecDeque::new(),
            sealed: 0,
            removal: Removal::default(),
        };
        threads.push(spawn(name, move || worker.run())?);
        Ok(Keeper { requests: Some(requests), numbers: Some(numbers), prepared, progress, threads })
    }

    /// Requests the file of the segment with this number; see [`Keeper::wait`].
    pub(super) fn prepare(&self, number: u64) {
        if self.numbers.as_ref().is_some_and(|numbers| numbers.send(number).is_err()) {
            self.fail("the thread that creates segments has ended");
        }
    }

    /// The state of the log for other threads.
    pub fn status(&self) -> LogStatus {
        LogStatus(self.progress.clone())
    }

    /// Sends a request.
    pub fn ask(&self, request: KeeperRequest) {
        if let Some(requests) = &self.requests
            && requests.send(request).is_err()
        {
            self.fail("the thread that keeps the log has ended");
        }
    }

    /// Waits at most `patience` for the file requested by [`Keeper::prepare`]; none where it is not ready by then.
    pub(super) fn wait(&self, patience: Duration) -> Option<io::Result<PreparedSegment>> {
        self.prepared.recv_timeout(patience).ok()
    }

    pub(super) fn begin(&self, segments: &Segments, file: &Arc<dyn LogFile>, end: RingOffset) {
        self.note_written(end, false);
        self.ask(KeeperRequest::Begin { segments: segments.clone(), file: file.clone() });
    }

    /// Whether the log has failed.
    #[inline]
    pub fn has_failed(&self) -> bool {
        self.progress.failure.is_set()
    }

    /// Why the log has failed; none while it has not.
    pub fn failure(&self) -> Option<String> {
        self.progress.failure.reason()
    }

    pub(super) fn fail(&self, reason: &str) {
        self.progress.failure.set(reason);
    }

    #[inline]
    pub(super) fn note_written(&self, end: RingOffset, is_synced: bool) {
        // Release, paired with the acquire in `written`.
        self.progress.written.store(end.0, Ordering::Release);
        if is_synced {
            // Release, paired with the acquire in `synced`.
            self.progress.synced.store(end.0, Ordering::Release);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        (self.requests, self.numbers) = (None, None);
        for thread in self.threads.drain(..) {
            // A panic was reported by its own thread.
            let _ = thread.join();
        }
    }
}

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name).spawn(work)
}

/// Creates the file of a segment.
fn prepare(storage: &dyn Storage, directory: &Path, number: u64, options: &LogOptions) -> io::Result<PreparedSegment> {
    let prepare = match options.fsync {
        Fsync::Os | Fsync::EverySecond => Prepare::Allocate,
        // Each sync then writes data only.
        Fsync::Always => Prepare::Zero,
    };
    let file = storage.create(&segment_path(directory, number), options.segment_bytes, prepare)?;
    Ok(PreparedSegment { number, file: file.into() })
}

/// The thread that seals, syncs and removes segments.
struct KeeperThread {
    requests: Receiver<KeeperRequest>,
    storage: Arc<dyn Storage>,
    identity: LogIdentity,
    options: LogOptions,
    status: LogStatus,
    segments: Option<Segments>,
    /// The file of the active segment.
    file: Option<Arc<dyn LogFile>>,
    /// The durable mark that this thread wrote last.
    marked: Mark,
    /// Sealed segments without a file of their streams, oldest first.
    without_streams: VecDeque<Arc<Segment>>,
    /// How many segments were sealed since the last tick.
    sealed: usize,
    /// The segments that retention has dropped.
    removal: Removal,
}

/// After a tick in which more segments were sealed than this, no streams are written: the shard needs its core, and readers
/// of one stream read such a segment completely meanwhile.
const SEALED_PER_TICK_MAX: usize = 1;

/// For how many segments streams are written per tick, and at the end. Each takes about 50 ms.
const STREAMS_PER_TICK: usize = 4;

impl KeeperThread {
    fn run(mut self) {
        let mut tick_at = clock::monotonic_ns() + TICK.as_nanos() as u64;
        loop {
            let patience = Duration::from_nanos(tick_at.saturating_sub(clock::monotonic_ns()));
            match self.requests.recv_timeout(patience) {
                Ok(request) => self.handle(request),
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
                if std::mem::take(&mut self.sealed) <= SEALED_PER_TICK_MAX {
                    self.write_streams();
                }
            }
        }
        // An orderly end: everything is synced, in every mode.
        self.sync();
        self.write_streams();
    }

    fn handle(&mut self, request: KeeperRequest) {
        match request {
            KeeperRequest::Seal { segment, index, sealed, old, file } => {
                self.file = Some(file);
                self.seal(&segment, &index, &sealed, &*old);
                self.without_streams.push_back(segment);
                self.sealed += 1;
                self.retain();
            }
            KeeperRequest::Sync(done) => {
                self.sync();
                // The receiver may have timed out.
                let _ = done.send(self.status.failure().map_or(Ok(self.status.synced()), Err));
            }
            KeeperRequest::Retain => self.retain(),
            KeeperRequest::Begin { segments, file } => {
                let (_, list) = segments.list();
                let lacks_streams = |segment: &&Arc<Segment>| !streams_path(&segment.path).exists();
                self.without_streams.extend(list.iter().filter(lacks_streams).cloned());
                self.segments = Some(segments);
                self.file = Some(file);
                self.mark();
            }
        }
    }

    fn seal(&mut self, segment: &Segment, index: &SparseIndex, sealed: &Sealed, file: &dyn LogFile) {
        // After a failed sync a later one may succeed without having written the same data, and an index would state that all
        // of the segment is on the disk.
        if self.status.failure().is_some() {
            return;
        }
        if let Err(error) = file.sync() {
            return self.status.0.failure.set(&format!("sync {}: {error}", segment.path.display()));
        }
        self.status.note_synced(sealed.end);
        self.mark();
        // Without an index readers search from the start of the segment, and the next recovery writes it.
        if let Err(error) = self.storage.replace(&index_path(&segment.path), &index.encode(sealed)) {
            tracing::warn!(path = %segment.path.display(), %error, "the index of the segment cannot be written");
        }
    }

    /// Writes the streams of some sealed segments, oldest first.
    fn write_streams(&mut self) {
        for _ in 0..STREAMS_PER_TICK {
            let Some(segment) = self.without_streams.pop_front() else { return };
            // The active segment follows when it is sealed; one that retention has dropped needs none.
            if let Some(sealed) = segment.as_sealed().filter(|_| segment.path.exists()) {
                self.write_streams_of(&segment, sealed);
            }
        }
    }

    fn write_streams_of(&self, segment: &Segment, sealed: &Sealed) {
        let blocks = SegmentFile::open(&segment.path).and_then(|file| StreamBlocks::build(&file, sealed.end));
        let written = blocks
            .map_err(io::Error::other)
            .and_then(|blocks| self.storage.replace(&streams_path(&segment.path), &blocks.encode()));
        // Without the file readers of one stream read the whole segment.
        if let Err(error) = written {
            tracing::warn!(path = %segment.path.display(), %error, "the streams of the segment cannot be written");
        }
    }

    /// Syncs everything written so far.
    fn sync(&mut self) {
        let written = self.status.written();
        // A segment that was sealed before `written` was read was announced before: after these requests `file` is the
        // segment behind it.
        while let Ok(request) = self.requests.try_recv() {
            self.handle(request);
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
                tracing::error!(%directory, %error, "sync has failed, writes are refused from now on");
                self.status.0.failure.set(&format!("sync of the log in {directory}: {error}"));
            }
        }
        self.mark();
    }

    /// Writes the durable mark: how far the log is on the disk, and which segments it has.
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
                tracing::warn!(shard = %self.identity.shard, %error, "the mark of what is synced cannot be written")
            }
        }
    }

    /// Drops the oldest segments that exceed the bounds of retention and that recovery does not need.
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
        // No file is removed before the durable mark allows it to be missing.
        let first = segments.list().1.first().map(|segment| segment.number);
        let is_marked = |this: &KeeperThread| this.marked.segments.map(|(first, _)| first) == first;
        if !is_marked(self) {
            self.mark();
        }
        if is_marked(self) {
            self.removal.run(&*self.storage);
        }
    }
}
