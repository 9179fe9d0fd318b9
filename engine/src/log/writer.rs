//! The writer of a shard's log: writes the records of each turn, as the ring holds them, before they are published.
//!
//! ```text
//!   turn's end ─► checksums ─► one write (two where a segment ends) ─► with `always` one sync ─► publication
//!                                      │ full
//!                                      └─► the next segment, which the keeper has created ahead of time
//! ```
//!
//! A turn has its space reserved before it executes: the active segment has room for the largest turn, or the next segment
//! exists. Where the disk has no space for that one, writes are refused until it has.

use super::index::{Sealed, SparseIndex};
use super::keeper::{Keeper, KeeperRequest, PreparedSegment};
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
    /// The disk has no space for the next segment. Retried at later writes, a few times per second at the most.
    #[error("disk full: no room for a segment of {bytes} bytes in {directory}")]
    Full {
        /// The shard's directory.
        directory: PathBuf,
        /// The size of the segment in bytes.
        bytes: u64,
    },
    /// The next segment cannot be created for another reason. Retried as with a full disk.
    #[error("no segment of {bytes} bytes can be made in {directory}: {reason}")]
    CreationFailed {
        /// The shard's directory.
        directory: PathBuf,
        /// The size of the segment in bytes.
        bytes: u64,
        /// The error of the file system.
        reason: String,
    },
    /// The disk is so slow that the next segment is not created yet. Checked again at the next write.
    #[error("disk too slow: a segment of {bytes} bytes in {directory} is not ready")]
    Late {
        /// The shard's directory.
        directory: PathBuf,
        /// The size of the segment in bytes.
        bytes: u64,
    },
    /// A write or a sync has failed. Nothing is retried: the content of the disk is unknown.
    #[error("{reason}")]
    Failed {
        /// What has failed, and how.
        reason: String,
    },
}

/// The active segment with what its writer needs.
struct Active {
    segment: Arc<Segment>,
    index: Arc<SparseIndex>,
    file: Arc<dyn LogFile>,
    /// The padding behind the records; none with [`Fsync::Always`], whose segments are created by writing zeros.
    padding: Option<ZeroPadding>,
    /// The offset at which the file ends.
    limit: RingOffset,
    /// The header, until it is written.
    header: Option<SegmentHeader>,
}

/// The writer of a shard's log, owned by the shard's core.
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
    /// A turn has room if it has fewer unpublished bytes than this; 0: ask the keeper. Derived from the fields above and from
    /// whether a log has failed, so that a command checks one number.
    room: u64,
    /// For the core's own reads of the log.
    reader: Option<SegmentReader>,
}

/// The file of the next segment.
enum Next {
    /// Requested from the keeper.
    Requested {
        /// How long the core waits for it; 0 after the core has waited once.
        patience: Duration,
    },
    /// Created.
    Ready(PreparedSegment),
    /// Not created.
    Refused {
        error: LogError,
        /// When the creation failed, in Unix milliseconds. Retried [`RETRY_AFTER_MS`] later.
        since_ms: u64,
    },
}

/// The last segment of a log, to which records are appended again.
pub struct ResumedSegment {
    /// The segment.
    pub segment: Arc<Segment>,
    /// The index of its records so far.
    pub index: Arc<SparseIndex>,
    /// The file.
    pub file: Arc<dyn LogFile>,
}

/// The end of a recovered log, where the writer continues.
pub struct LogEnd {
    /// The last segment, to which records are appended; none where a new one is to be begun.
    pub active: Option<ResumedSegment>,
    /// The offset behind the last record.
    pub end: RingOffset,
    /// The position of the last record; 0 where there is none.
    pub last: Position,
    /// The sealed segments, oldest first.
    pub sealed: Vec<Arc<Segment>>,
    /// The number of the next new segment.
    pub next_number: u64,
}

/// How long after a failed creation of a segment the next attempt is made, in milliseconds.
const RETRY_AFTER_MS: u64 = 200;

/// How long a core waits for a segment that is being created. Longer means that the disk hangs.
const PREPARE_PATIENCE: Duration = Duration::from_secs(1);

/// How long a start waits for the first segment, which a slow disk may need many seconds for with [`Fsync::Always`].
const START_PATIENCE: Duration = Duration::from_secs(120);

const REQUESTED: Next = Next::Requested { patience: PREPARE_PATIENCE };

impl LogWriter {
    /// Continues a log at its end, or begins a new one.
    ///
    /// # Errors
    /// Where the first segment cannot be created.
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
        let mut writer = LogWriter {
            identity,
            options,
            segments,
            active,
            end,
            last,
            keeper,
            next: REQUESTED,
            room: 0,
            reader: None,
        };
        writer.measure_room();
        Ok(writer)
    }

    /// The segments of the log, for readers.
    pub fn segments(&self) -> &Segments {
        &self.segments
    }

    /// The shard that the log belongs to.
    pub fn identity(&self) -> &LogIdentity {
        &self.identity
    }

    /// The keeper of the log.
    pub fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// The record that starts at `offset`; none where it was dropped or cannot be read.
    pub fn record_at(&mut self, offset: RingOffset) -> Option<Record<'_>> {
        /// How much is copied at first, in bytes: enough for most records.
        const GUESS_BYTES: usize = 512;
        let reader = self.reader.get_or_insert_with(|| SegmentReader::new(&self.segments));
        let bytes = reader.read(offset, GUESS_BYTES, self.end).ok()?;
        Record::parse(&reader.scratch()[..bytes], offset)
    }

    /// Checks that the log has room for the records of a turn, beside the `unpublished` bytes of the turn so far. To be called
    /// before anything changes. A failure of another shard's log counts from the next turn on: see
    /// [`LogWriter::measure_room`].
    ///
    /// # Errors
    /// Why the shard takes no writes.
    #[inline]
    pub fn check_room(&mut self, unpublished: u64, now_ms: u64) -> Result<(), LogError> {
        if self.has_room(unpublished) { Ok(()) } else { self.wait_for_room(now_ms) }
    }

    /// Checks that the log has room for a turn of `turn_bytes` bytes, at most [`LogWriter::turn_bytes_max`]. For a command
    /// whose records exceed [`LogOptions::turn_bytes`].
    ///
    /// # Errors
    /// Why the shard takes no writes.
    pub fn check_room_for(&mut self, turn_bytes: u64, now_ms: u64) -> Result<(), LogError> {
        debug_assert!(turn_bytes <= self.turn_bytes_max());
        let left = self.active.limit.0.saturating_sub(self.end.0);
        if turn_bytes <= left && !self.keeper.has_failed() { Ok(()) } else { self.wait_for_room(now_ms) }
    }

    /// The most that the records of one turn can take, in bytes: a segment without its header. They span the active segment
    /// and the next one.
    pub fn turn_bytes_max(&self) -> u64 {
        self.options.segment_bytes - HEADER_BYTES
    }

    /// Whether a turn with `unpublished` bytes has room, as far as is known without asking the keeper.
    #[inline]
    pub fn has_room(&self, unpublished: u64) -> bool {
        unpublished < self.room
    }

    /// Updates how much room there is. Also called at the beginning of a turn, to notice a failure of another shard's log.
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
    fn wait_for_room(&mut self, now_ms: u64) -> Result<(), LogError> {
        if let Some(reason) = self.keeper.failure() {
            return Err(LogError::Failed { reason });
        }
        let patience = match &self.next {
            Next::Ready(_) => return Ok(()),
            // A clock that was set back ends the wait, which could last as long as the step otherwise.
            Next::Refused { error, since_ms } if (*since_ms..since_ms + RETRY_AFTER_MS).contains(&now_ms) => {
                return Err(error.clone());
            }
            Next::Refused { .. } => {
                self.keeper.prepare(self.active.segment.number + 1);
                PREPARE_PATIENCE
            }
            Next::Requested { patience } => *patience,
        };
        match self.keeper.wait(patience) {
            Some(Ok(prepared)) => {
                self.next = Next::Ready(prepared);
                self.measure_room();
                Ok(())
            }
            Some(Err(error)) => {
                tracing::warn!(shard = %self.identity.shard, %error, "no new segment can be created, writes are refused");
                let error = creation_failed(&self.identity, &self.options, &error);
                self.next = Next::Refused { error: error.clone(), since_ms: now_ms };
                Err(error)
            }
            None => {
                // Later commands check without waiting.
                self.next = Next::Requested { patience: Duration::ZERO };
                Err(late(&self.identity, &self.options))
            }
        }
    }

    /// Writes the records of the turn, which have their positions, and with [`Fsync::Always`] syncs them. `now_ms` is the time
    /// of the turn in Unix milliseconds.
    ///
    /// # Errors
    /// Where a write or sync fails. The records do not count as written then, and the log has failed.
    pub fn append(&mut self, ring: &mut RingWriter, now_ms: u64) -> Result<(), LogError> {
        ring.seal();
        let appended = self.try_append(ring, now_ms).map_err(|reason| {
            tracing::error!(shard = %self.identity.shard, %reason, "the log has failed, writes are refused from now on");
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
                // The offset of the first record that does not fit.
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
        let Active { segment, index, file, padding, header, .. } = &mut self.active;
        if let Some(header) = header.take() {
            file.write_at(&[&header.encode()], 0)?;
        }
        let [first, wrapped] = ring.bytes_between(from, to);
        let zeros = padding.as_mut().map_or(&[][..], |padding| padding.after(segment.file_at(to)));
        file.write_at(&[first, wrapped, zeros], segment.file_at(from))?;
        // Added once the records are written: readers expect a record where the index points.
        while let Some((offset, position)) = ring.unpublished_from(index.due()).filter(|(offset, _)| *offset < to) {
            index.add(offset, position);
        }
        self.end = to;
        self.last = ring.last_unpublished_before(to).unwrap_or(self.last);
        Ok(())
    }

    /// Seals the active segment, which ends at `end`, and continues with the next.
    fn roll(&mut self, end: RingOffset, now_ms: u64) -> Result<(), String> {
        if let Next::Requested { .. } = self.next {
            match self.keeper.wait(PREPARE_PATIENCE) {
                Some(Ok(prepared)) => self.next = Next::Ready(prepared),
                Some(Err(error)) => return Err(error.to_string()),
                None => {}
            }
        }
        let prepared = match std::mem::replace(&mut self.next, REQUESTED) {
            Next::Ready(prepared) => prepared,
            Next::Refused { error, .. } => return Err(error.to_string()),
            Next::Requested { .. } => return Err(late(&self.identity, &self.options).to_string()),
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
        // Shares the descriptor: opening another one could fail for want of descriptors, and with it the log.
        let file = self.active.file.clone();
        let Active { segment, index, file: old, .. } = before;
        self.keeper.ask(KeeperRequest::Seal { segment, index, sealed, old, file });
        Ok(())
    }
}

impl Active {
    fn begin(
        identity: &LogIdentity,
        options: &LogOptions,
        prepared: PreparedSegment,
        base: RingOffset,
        after: Position,
    ) -> Active {
        let PreparedSegment { number, file } = prepared;
        let index = Arc::new(SparseIndex::new(base, options.segment_bytes));
        let &LogIdentity { generation, shard, shards, .. } = identity;
        let (version, file_bytes) = (FORMAT_VERSION, options.segment_bytes);
        let header = SegmentHeader { version, generation, shard, shards, number, base, after, file_bytes };
        let path = segment_path(&identity.directory, number);
        let segment = Arc::new(Segment::new(&header, path, options.segment_bytes));
        Active::new(options, ResumedSegment { segment, index, file }, base, Some(header))
    }

    /// A segment whose next record is at `end`, with the header where that is still to be written.
    fn new(options: &LogOptions, resumed: ResumedSegment, end: RingOffset, header: Option<SegmentHeader>) -> Active {
        let ResumedSegment { segment, index, file } = resumed;
        segment.set_index(&index);
        let padding =
            (options.fsync != Fsync::Always).then(|| ZeroPadding::new(segment.file_at(end), segment.file_bytes));
        Active { limit: segment.limit(), segment, index, file, padding, header }
    }
}

/// Why the next segment could not be created.
fn creation_failed(identity: &LogIdentity, options: &LogOptions, error: &io::Error) -> LogError {
    let (directory, bytes) = (identity.directory.clone(), options.segment_bytes);
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => LogError::Full { directory, bytes },
        _ => LogError::CreationFailed { directory, bytes, reason: error.to_string() },
    }
}

fn late(identity: &LogIdentity, options: &LogOptions) -> LogError {
    LogError::Late { directory: identity.directory.clone(), bytes: options.segment_bytes }
}
