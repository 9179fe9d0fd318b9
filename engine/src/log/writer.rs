//! The writing end of a shard's log: takes the records of each turn from the ring, as bytes, before they are published.
//!
//! ```text
//!   turn's end ─► checksums ─► one write (two where a segment ends) ─► with `always` one sync ─► publication
//!                                      │ full
//!                                      └─► the next segment, which the keeper has made beforehand
//! ```
//!
//! A turn is sure of its space before it executes: there is room for the largest turn in the active segment, or the
//! next segment is there. Where the disk has no room for that one, writes are refused until it has.

use super::index::{Sealed, SparseIndex};
use super::keeper::{Keeper, Prepared, Request};
use super::options::{Fsync, LogIdentity, LogOptions};
use super::reader::SegmentReader;
use super::segment::{FORMAT_VERSION, HEADER_BYTES, SegmentHeader, segment_path};
use super::segments::{Segment, Segments};
use super::storage::LogFile;
use super::zero_padding::ZeroPadding;
use crate::position::{Position, RingOffset};
use crate::ring::{Record, RingWriter};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// Why a shard takes no writes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LogError {
    /// There is no space for the next segment. Looked for again at each write, a few times in a second at the most.
    #[error("disk full: no room for a segment of {bytes} bytes in {directory}")]
    Full {
        /// The shard's directory.
        directory: PathBuf,
        /// What was asked of the disk.
        bytes: u64,
    },
    /// The next segment cannot be made for another reason. Tried again as with a full disk.
    #[error("no segment of {bytes} bytes can be made in {directory}: {reason}")]
    Unmade {
        /// The shard's directory.
        directory: PathBuf,
        /// What was asked of the disk.
        bytes: u64,
        /// What the system says.
        reason: String,
    },
    /// The disk is so slow that the next segment is not there yet. Asked again at the next write.
    #[error("disk too slow: a segment of {bytes} bytes in {directory} is not ready")]
    Late {
        /// The shard's directory.
        directory: PathBuf,
        /// What was asked of the disk.
        bytes: u64,
    },
    /// A write or a sync has failed. Nothing is tried again: nobody knows what is on the disk.
    #[error("{reason}")]
    Failed {
        /// What has failed, and how.
        reason: String,
    },
}

/// The active segment, as its writer has it.
struct Active {
    segment: Arc<Segment>,
    index: Arc<SparseIndex>,
    file: Arc<dyn LogFile>,
    /// What is written behind the records; none with [`Fsync::Always`], which makes its segments by writing them.
    ahead: Option<ZeroPadding>,
    /// The offset at which the file ends.
    limit: RingOffset,
    /// The header, until it is written.
    header: Option<SegmentHeader>,
}

/// The one who writes a shard's log: its core.
pub struct LogWriter {
    identity: LogIdentity,
    options: LogOptions,
    segments: Segments,
    active: Active,
    /// The offset behind the last record.
    end: RingOffset,
    /// The position of the last record; 0 where there is none.
    last: Position,
    keeper: Keeper,
    next: Next,
    /// A turn finds room if fewer bytes than these are unpublished; 0: the keeper has to be asked. Follows from the
    /// fields above and from whether a log has failed, and spares each command to look at them.
    room: u64,
    /// For the core's own looks at what it has written.
    reader: Option<SegmentReader>,
}

/// The next segment's file.
enum Next {
    Asked {
        /// How long a core waits for it: once, then not any more.
        patience: Duration,
    },
    Ready(Prepared),
    /// It could not be made; asked again a while after this time, Unix milliseconds.
    Refused {
        error: LogError,
        since_ms: u64,
    },
}

/// The segment in which a log goes on.
pub struct Resumed {
    /// It.
    pub segment: Arc<Segment>,
    /// Its index so far.
    pub index: Arc<SparseIndex>,
    /// Its file.
    pub file: Arc<dyn LogFile>,
}

/// Where a log goes on.
pub struct LogEnd {
    /// The last segment, which gets records again; none for a new log.
    pub active: Option<Resumed>,
    /// The offset behind the last record.
    pub end: RingOffset,
    /// The position of the last record; 0 where there is none.
    pub last: Position,
    /// The sealed segments, the oldest first.
    pub sealed: Vec<Arc<Segment>>,
    /// The number that the next new segment gets.
    pub next_number: u64,
}

/// How long a full disk is left alone before it is asked again, milliseconds.
const FULL_PATIENCE_MS: u64 = 200;

/// How long a core waits for a segment that is just being made. Longer means that the disk hangs.
const PREPARE_PATIENCE: Duration = Duration::from_secs(1);

/// How long a start waits for the first segment, for which a slow disk may take many seconds with [`Fsync::Always`].
const START_PATIENCE: Duration = Duration::from_secs(120);

const ASKED: Next = Next::Asked { patience: PREPARE_PATIENCE };

impl LogWriter {
    /// Goes on with a log, or begins it.
    ///
    /// # Errors
    /// Where the first segment cannot be made.
    pub fn new(identity: LogIdentity, options: LogOptions, end: LogEnd, keeper: Keeper) -> Result<LogWriter, LogError> {
        let LogEnd { active, end, last, mut sealed, next_number } = end;
        keeper.prepare(next_number);
        let active = match active {
            Some(resumed) => Active::new(&options, resumed, end, None),
            None => {
                let prepared = match keeper.wait(START_PATIENCE) {
                    Some(Ok(prepared)) => prepared,
                    Some(Err(error)) => return Err(LogError::Failed { reason: error.to_string() }),
                    None => return Err(late(&identity, &options)),
                };
                keeper.prepare(prepared.number + 1);
                Active::begin(&identity, &options, prepared, end, last)
            }
        };
        sealed.push(active.segment.clone());
        let segments = Segments::new(sealed);
        keeper.begin(&segments, &active.file, end);
        let mut writer =
            LogWriter { identity, options, segments, active, end, last, keeper, next: ASKED, room: 0, reader: None };
        writer.measure_room();
        Ok(writer)
    }

    /// The segments, for readers.
    pub fn segments(&self) -> &Segments {
        &self.segments
    }

    /// Whose log it is.
    pub fn identity(&self) -> &LogIdentity {
        &self.identity
    }

    /// The thread that works for it.
    pub fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// The record that starts at `offset`; none where it is gone, or cannot be read.
    pub fn record_at(&mut self, offset: RingOffset) -> Option<Record<'_>> {
        /// Most records are copied at once with this.
        const GUESS_BYTES: usize = 512;
        let reader = self.reader.get_or_insert_with(|| SegmentReader::new(&self.segments));
        let bytes = reader.read(offset, GUESS_BYTES, self.end).ok()?;
        Record::parse(&reader.scratch()[..bytes], offset)
    }

    /// Whether the log can take the records of a turn, beside `unpublished` bytes that it is about to get. To be asked
    /// before anything changes. A failure that others meet counts from the next turn on: see
    /// [`LogWriter::measure_room`].
    ///
    /// # Errors
    /// Why the shard takes no writes.
    #[inline]
    pub fn check_room(&mut self, unpublished: u64, now_ms: u64) -> Result<(), LogError> {
        if self.has_room(unpublished) { Ok(()) } else { self.look_for_room(now_ms) }
    }

    /// Whether the log can take a turn of so many bytes, at most [`LogWriter::turn_bytes_max`]. For a command that records
    /// more than any turn may without asking.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn check_room_for(&mut self, turn_bytes: u64, now_ms: u64) -> Result<(), LogError> {
        debug_assert!(turn_bytes <= self.turn_bytes_max());
        let left = self.active.limit.0.saturating_sub(self.end.0);
        if turn_bytes <= left && !self.keeper.has_failed() { Ok(()) } else { self.look_for_room(now_ms) }
    }

    /// What the records of one turn can take at the most, in bytes: a segment without its header. They lie in the active
    /// segment and the next one.
    pub fn turn_bytes_max(&self) -> u64 {
        self.options.segment_bytes - HEADER_BYTES
    }

    /// Whether there is room, as far as is known without asking the keeper.
    #[inline]
    pub fn has_room(&self, unpublished: u64) -> bool {
        unpublished < self.room
    }

    /// Measures how much there is room for. To be called at a turn's begin too: that is when a failure is noticed that
    /// others have met meanwhile.
    #[inline]
    pub fn measure_room(&mut self) {
        let left = self.active.limit.0.saturating_sub(self.end.0);
        self.room = match &self.next {
            _ if self.keeper.has_failed() => 0,
            Next::Ready(_) => u64::MAX,
            _ => left.checked_sub(self.options.turn_bytes).map_or(0, |room| room + 1),
        };
    }

    #[cold]
    fn look_for_room(&mut self, now_ms: u64) -> Result<(), LogError> {
        if let Some(reason) = self.keeper.failure() {
            return Err(LogError::Failed { reason });
        }
        let patience = match &self.next {
            Next::Ready(_) => return Ok(()),
            // A clock that was put back ends the wait: it must not last as long as the step.
            Next::Refused { error, since_ms } if (*since_ms..since_ms + FULL_PATIENCE_MS).contains(&now_ms) => {
                return Err(error.clone());
            }
            Next::Refused { .. } => {
                self.keeper.prepare(self.active.segment.number + 1);
                PREPARE_PATIENCE
            }
            Next::Asked { patience } => *patience,
        };
        match self.keeper.wait(patience) {
            Some(Ok(prepared)) => {
                self.next = Next::Ready(prepared);
                self.measure_room();
                Ok(())
            }
            Some(Err(error)) => {
                tracing::warn!(shard = %self.identity.shard, %error, "no new segment, writes are refused");
                let error = unmade(&self.identity, &self.options, &error);
                self.next = Next::Refused { error: error.clone(), since_ms: now_ms };
                Err(error)
            }
            None => {
                // Each command that comes meanwhile only looks.
                self.next = Next::Asked { patience: Duration::ZERO };
                Err(late(&self.identity, &self.options))
            }
        }
    }

    /// Writes the records of the turn, which have positions, and with [`Fsync::Always`] has them on the disk.
    ///
    /// # Errors
    /// Where that fails. What was written counts for nothing then, and the log takes no more.
    pub fn append(&mut self, ring: &mut RingWriter, now_ms: u64) -> Result<(), LogError> {
        ring.seal();
        let appended = self.try_append(ring, now_ms).map_err(|reason| {
            tracing::error!(shard = %self.identity.shard, %reason, "the log has failed, no more writes");
            self.keeper.fail(&reason);
            LogError::Failed { reason }
        });
        self.measure_room();
        appended
    }

    fn try_append(&mut self, ring: &RingWriter, now_ms: u64) -> Result<(), String> {
        let mut from = ring.tail();
        while from < ring.end() {
            let to = match self.active.limit {
                limit if ring.end() <= limit => ring.end(),
                // The start of the first record that does not fit.
                limit => ring.last_unpublished_start(limit),
            };
            if from < to {
                self.write(ring, from, to).map_err(|error| self.describe("write", &error))?;
            }
            if to < ring.end() {
                self.roll(to, now_ms)?;
            }
            from = to;
        }
        if self.options.fsync == Fsync::Always {
            self.active.file.sync().map_err(|error| self.describe("sync", &error))?;
        }
        self.keeper.note_written(self.end, self.options.fsync == Fsync::Always);
        Ok(())
    }

    fn describe(&self, what: &str, error: &std::io::Error) -> String {
        format!("{what} {}: {error}", self.active.segment.path.display())
    }

    fn write(&mut self, ring: &RingWriter, from: RingOffset, to: RingOffset) -> std::io::Result<()> {
        let Active { segment, index, file, ahead, header, .. } = &mut self.active;
        if let Some(header) = header.take() {
            file.write_at(&[&header.encode()], 0)?;
        }
        let [first, wrapped] = ring.bytes_between(from, to);
        let zeros = ahead.as_mut().map_or(&[][..], |ahead| ahead.behind(segment.file_at(to)));
        file.write_at(&[first, wrapped, zeros], segment.file_at(from))?;
        // Noted once they are there: readers look for a record where the index says.
        while let Some((offset, position)) = ring.unpublished_from(index.due()).filter(|(offset, _)| *offset < to) {
            index.note(offset, position);
        }
        self.end = to;
        self.last = ring.last_unpublished_before(to).unwrap_or(self.last);
        Ok(())
    }

    /// Seals the active segment, which ends at `end`, and goes on with the next.
    fn roll(&mut self, end: RingOffset, now_ms: u64) -> Result<(), String> {
        if let Next::Asked { .. } = self.next {
            match self.keeper.wait(PREPARE_PATIENCE) {
                Some(Ok(prepared)) => self.next = Next::Ready(prepared),
                Some(Err(error)) => return Err(error.to_string()),
                None => {}
            }
        }
        let prepared = match std::mem::replace(&mut self.next, ASKED) {
            Next::Ready(prepared) => prepared,
            Next::Refused { error, .. } => return Err(error.to_string()),
            Next::Asked { .. } => return Err(late(&self.identity, &self.options).to_string()),
        };
        if self.options.fsync == Fsync::Always {
            self.active.file.sync().map_err(|error| self.describe("sync", &error))?;
        }
        self.keeper.prepare(prepared.number + 1);
        let next = Active::begin(&self.identity, &self.options, prepared, end, self.last);
        let sealed = Sealed { end, last: self.last, last_ms: now_ms };
        let before = std::mem::replace(&mut self.active, next);
        before.segment.seal(sealed);
        self.segments.push(self.active.segment.clone());
        // The same descriptor: where none is left for another one, a log that could go on would fail.
        let file = self.active.file.clone();
        let Active { segment, index, file: old, .. } = before;
        self.keeper.ask(Request::Seal { segment, index, sealed, old, file });
        Ok(())
    }
}

impl Active {
    fn begin(
        identity: &LogIdentity,
        options: &LogOptions,
        prepared: Prepared,
        base: RingOffset,
        after: Position,
    ) -> Active {
        let Prepared { number, file } = prepared;
        let index = Arc::new(SparseIndex::new(base, options.segment_bytes));
        let &LogIdentity { generation, shard, shards, .. } = identity;
        let (version, file_bytes) = (FORMAT_VERSION, options.segment_bytes);
        let header = SegmentHeader { version, generation, shard, shards, number, base, after, file_bytes };
        let path = segment_path(&identity.directory, number);
        let segment = Arc::new(Segment::new(&header, path, options.segment_bytes));
        Active::new(options, Resumed { segment, index, file }, base, Some(header))
    }

    /// A segment that goes on at `end`; with the header that is still to be written.
    fn new(options: &LogOptions, resumed: Resumed, end: RingOffset, header: Option<SegmentHeader>) -> Active {
        let Resumed { segment, index, file } = resumed;
        segment.set_index(&index);
        let ahead =
            (options.fsync != Fsync::Always).then(|| ZeroPadding::new(segment.file_at(end), segment.file_bytes));
        Active { limit: segment.limit(), segment, index, file, ahead, header }
    }
}

/// Why a segment could not be made.
fn unmade(identity: &LogIdentity, options: &LogOptions, error: &io::Error) -> LogError {
    let (directory, bytes) = (identity.directory.clone(), options.segment_bytes);
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => LogError::Full { directory, bytes },
        _ => LogError::Unmade { directory, bytes, reason: error.to_string() },
    }
}

fn late(identity: &LogIdentity, options: &LogOptions) -> LogError {
    LogError::Late { directory: identity.directory.clone(), bytes: options.segment_bytes }
}
