//! The open turn of one shard: the changes of this pass of its core's loop so far. Every change of a key is recorded
//! here, unpublished; [`Turn::commit`] assigns the positions and publishes the records together.

mod changes;
mod look_back;
mod watching;

use crate::collection::{Garbage, Thresholds};
use crate::error::Refusal;
use crate::event::{CustomType, EventType};
use crate::eviction::Evictor;
use crate::keyspace::{Absent, Census, Dropped, Expiries, FieldEnds, Footprint};
use crate::limits::{RECENT_IDS_STREAMS, change_bytes_max, turn_bytes_due, unpublished_bytes_max};
use crate::log::{LogError, LogWriter};
use crate::position::{Position, Revision, RingOffset, ShardId};
use crate::recent_ids::RecentIds;
use crate::ring::{Data, Draft, Records, RingWriter, record_bytes};
use crate::sequencer::Sequencer;
use crate::stream_acl::SETTINGS;
use crate::stream_metadata::described_stream;
use crate::stream_name::is_read_only;
use crate::waiters::Waiters;
use std::io;
use std::sync::Arc;
use watching::Watching;

pub(crate) use changes::Changes;
pub use changes::{Change, CommandChanges};

/// An event that a client appends to a stream.
#[derive(Clone, Copy, Debug)]
pub struct ClientEvent<'a> {
    /// The event's type.
    pub event_type: CustomType<'a>,
    /// Its data.
    pub data: &'a [u8],
    /// Its metadata.
    pub meta: Option<&'a [u8]>,
    /// Its id, if the client gave one.
    pub id: Option<[u8; 16]>,
    /// Whether the client declared the data as JSON.
    pub json: bool,
}

/// The published extent of a shard's ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The start of the oldest record.
    pub head: RingOffset,
    /// The end of the newest record.
    pub tail: RingOffset,
    /// Every later record has at least this position.
    pub next: Position,
}

/// The open turn of one shard, with the bookkeeping that every change of a key touches. One per shard, on its core.
pub struct Turn {
    shard: ShardId,
    sequencer: Arc<Sequencer>,
    /// `None` if recording is off.
    writer: Option<RingWriter>,
    /// `None` if the history is in memory only.
    log: Option<LogWriter>,
    now_ms: u64,
    pub(crate) expiries: Expiries,
    pub(crate) field_ends: FieldEnds,
    /// Entries without a value, oldest first.
    pub(crate) absent: Absent,
    pub(crate) live_keys: usize,
    /// Those of them that are not of the first database.
    pub(crate) census: Census,
    /// Which keys go when memory is full.
    pub(crate) evictor: Evictor,
    /// What the keys take.
    pub(crate) footprint: Footprint,
    /// The values that keys have lost.
    pub(crate) dropped: Dropped,
    /// Large collections that are not freed yet.
    pub(crate) garbage: Garbage,
    /// Up to which size collections are stored compactly.
    pub(crate) thresholds: Thresholds,
    /// The commands that wait for keys of the shard.
    pub(crate) waiters: Waiters,
    watching: Watching,
    /// What has happened to keys, where somebody is to be told.
    pub(crate) changes: Changes,
    recent_ids: RecentIds,
    db_stream: (u64, RingOffset),
    recorded: u64,
    /// The unpublished bytes that an admitted large command may reach; 0 if there is none.
    granted: u64,
    /// Whether anything was published since [`Turn::take_published`].
    published: bool,
    /// Whether the log has refused records.
    has_failed: bool,
    /// Whether a client has appended to the stream of settings, or to its metadata, since
    /// [`Turn::take_settings_changed`].
    settings_changed: bool,
}

impl Turn {
    pub(crate) fn new(shard: ShardId, sequencer: Arc<Sequencer>, writer: Option<RingWriter>) -> Turn {
        Turn {
            shard,
            sequencer,
            writer,
            log: None,
            now_ms: 0,
            expiries: Expiries::default(),
            field_ends: FieldEnds::default(),
            absent: Absent::default(),
            live_keys: 0,
            census: Census::default(),
            evictor: Evictor::default(),
            footprint: Footprint::default(),
            dropped: Dropped::default(),
            garbage: Garbage::default(),
            thresholds: Thresholds::default(),
            waiters: Waiters::default(),
            watching: Watching::default(),
            changes: Changes::default(),
            recent_ids: RecentIds::new(RECENT_IDS_STREAMS),
            db_stream: (0, RingOffset::NONE),
            settings_changed: true,
            recorded: 0,
            granted: 0,
            published: false,
            has_failed: false,
        }
    }

    /// From now on records go to this ring and this log, which continue where the replayed history ended.
    pub(crate) fn attach(&mut self, sequencer: Arc<Sequencer>, mut writer: RingWriter, log: LogWriter) {
        debug_assert!(!self.is_dirty() && log.turn_bytes_max() >= unpublished_bytes_max(writer.capacity()));
        writer.mark_commands();
        self.sequencer = sequencer;
        // Offsets may begin anew.
        self.recent_ids.clear();
        self.writer = Some(writer);
        self.log = Some(log);
    }

    pub(crate) fn prefault(&self) -> io::Result<()> {
        self.writer.as_ref().map_or(Ok(()), RingWriter::prefault)
    }

    /// The log.
    pub fn log(&self) -> Option<&LogWriter> {
        self.log.as_ref()
    }

    /// Starts another command: later records are not chained to earlier ones.
    #[inline]
    pub(crate) fn begin_command(&mut self) {
        if let Some(writer) = &mut self.writer {
            writer.begin_command();
        }
    }

    /// Whether a command may change anything: whether the log has space for its records.
    ///
    /// # Errors
    /// Why it may not.
    #[inline]
    pub fn check_log(&mut self) -> Result<(), LogError> {
        match (&mut self.log, &self.writer) {
            (Some(log), Some(writer)) => log.check_room(writer.unpublished_bytes(), self.now_ms),
            _ => Ok(()),
        }
    }

    /// The turn's time, Unix milliseconds.
    #[inline]
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    pub(crate) fn set_now_ms(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        if let Some(log) = &mut self.log {
            log.measure_room();
        }
    }

    /// Whether changes are recorded.
    #[inline]
    pub fn is_recording(&self) -> bool {
        self.writer.is_some()
    }

    /// The number of events that this shard has recorded since it began.
    pub fn recorded(&self) -> u64 {
        self.recorded
    }

    /// Refuses a command whose records would exceed the limit of one command or the space in the log, and commits the
    /// turn early if they do not fit beside those of earlier commands. Called before anything changes. `longest_key` is
    /// the length of the longest key that is written, in bytes. A command that was admitted with all its records may be
    /// admitted for parts of them again.
    ///
    /// Writing a key whose TTL is over takes one more record, whose key is no longer than `longest_key`. So twice the
    /// bytes are kept free.
    #[inline]
    pub fn admit(&mut self, bytes: u64, longest_key: usize) -> Result<(), Refusal> {
        match &self.writer {
            Some(writer) if writer.unpublished_bytes() + 2 * bytes > 2 * turn_bytes_due(writer.capacity()) => {
                self.admit_large(bytes, longest_key)
            }
            _ => Ok(()),
        }
    }

    /// As [`Turn::admit`], if there is no room at once.
    ///
    /// A command larger than a turn that commits early is granted exactly the bytes that it asks for: no more may
    /// become unpublished, and the log has room for that. Twice its bytes would be too much. But all except one of the
    /// keys that it writes have room for their expiry in the requested bytes: a SET asks for a TTL's record too, which
    /// is only needed by a key that does not expire.
    #[cold]
    fn admit_large(&mut self, bytes: u64, longest_key: usize) -> Result<(), Refusal> {
        let Some(writer) = &self.writer else { return Ok(()) };
        let (ring_bytes, end_bytes) = (writer.capacity(), record_bytes(longest_key, 0));
        let (due, max) = (turn_bytes_due(ring_bytes), change_bytes_max(ring_bytes));
        let needed = bytes + end_bytes;
        if writer.unpublished_bytes() + needed <= self.granted {
            return Ok(());
        }
        let is_large = bytes > due;
        // The expiry of a key is recorded without being admitted: for the longest key, too, any turn has room.
        match is_large {
            true if end_bytes > due => return Err(Refusal::ChangeTooLarge { bytes: end_bytes, max: due }),
            true if needed > max => return Err(Refusal::ChangeTooLarge { bytes: needed, max }),
            _ => {}
        }
        if !is_large || writer.unpublished_bytes() + needed > unpublished_bytes_max(ring_bytes) {
            self.commit();
        }
        if self.has_failed {
            return Err(Refusal::NoLogRoom { bytes });
        }
        if is_large {
            let turn_bytes = self.writer.as_ref().map_or(0, RingWriter::unpublished_bytes) + needed;
            if let Some(log) = &mut self.log
                && log.check_room_for(turn_bytes, self.now_ms).is_err()
            {
                return Err(Refusal::NoLogRoom { bytes });
            }
            self.granted = turn_bytes;
        }
        Ok(())
    }

    /// Whether the unpublished records have reached the part of the ring at which a turn commits early. A command runs
    /// only below it, so that its records always fit beside the published ones: see
    /// [`Shard::make_room`](crate::shard::Shard::make_room).
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        self.writer.as_ref().is_some_and(|writer| writer.unpublished_bytes() >= turn_bytes_due(writer.capacity()))
    }

    /// Whether the log accepts records, as far as is known without waiting: see [`Turn::check_log`].
    #[inline]
    pub fn has_log_room(&self) -> bool {
        match (&self.log, &self.writer) {
            (Some(log), Some(writer)) => log.has_room(writer.unpublished_bytes()),
            _ => true,
        }
    }

    /// Whether work that no client asked for should not be recorded now: the turn commits early next, or the log
    /// accepts no more.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.is_due() || !self.has_log_room()
    }

    /// Whether there is anything to commit.
    #[inline]
    pub fn is_dirty(&self) -> bool {
        self.writer.as_ref().is_some_and(|writer| writer.unpublished_records() > 0)
    }

    #[inline]
    pub(crate) fn record(
        &mut self,
        key: &[u8],
        event_type: EventType,
        data: Data<'_>,
        next_revision: &mut u64,
        last: &mut RingOffset,
    ) {
        debug_assert!(!is_read_only(key), "a protocol has let a command write to a system stream");
        if self.changes.is_on() {
            self.changes.note(key, Change::Event(event_type));
        }
        let Some(writer) = &mut self.writer else { return self.watching.note_unrecorded(last) };
        *last = writer.append(&Draft {
            event_type,
            custom_type: b"",
            key,
            data,
            meta: None,
            id: None,
            json: false,
            revision: Revision(*next_revision),
            timestamp_ms: self.now_ms,
            back_link: *last,
        });
        *next_revision += 1;
        self.recorded += 1;
    }

    pub(crate) fn append(
        &mut self,
        key: &[u8],
        event: ClientEvent<'_>,
        next_revision: &mut u64,
        last: &mut RingOffset,
    ) -> Revision {
        debug_assert!(!is_read_only(key), "a protocol has let a client append to a system stream");
        let revision = Revision(*next_revision);
        let Some(writer) = &mut self.writer else { return revision };
        self.settings_changed |= described_stream(key).unwrap_or(key) == SETTINGS;
        *last = writer.append(&client_draft(key, event, revision, self.now_ms, *last));
        *next_revision += 1;
        self.recorded += 1;
        revision
    }

    /// Whether a client has appended to the stream of settings since this was last asked; at first yes.
    pub(crate) fn take_settings_changed(&mut self) -> bool {
        std::mem::take(&mut self.settings_changed)
    }

    /// The size in bytes of a client's event in the ring.
    pub(crate) fn client_event_bytes(key: &[u8], event: ClientEvent<'_>) -> u64 {
        client_draft(key, event, Revision(0), 0, RingOffset::NONE).record_bytes()
    }

    /// The position of the newest record, for a reply that contains it. Reserves positions for the turn's records so
    /// far; they are still published at the end of the turn.
    pub(crate) fn last_position(&mut self) -> Option<Position> {
        self.assign_positions()
    }

    /// Reserves one block for all records without a position; returns the last position of that block.
    fn assign_positions(&mut self) -> Option<Position> {
        let writer = self.writer.as_mut()?;
        let count = writer.unstamped_records();
        if count == 0 {
            return None;
        }
        let first = self.sequencer.reserve(self.shard, count);
        writer.stamp(first);
        Some(Position(first.0 + count - 1))
    }

    /// Ends the turn: assigns positions, publishes, then clears the reserving mark. Replies may be sent afterwards.
    /// Returns whether there was anything to publish.
    pub fn commit(&mut self) -> bool {
        if !self.is_dirty() {
            return false;
        }
        self.assign_positions();
        self.publish();
        self.sequencer.clear(self.shard);
        true
    }

    /// Writes the turn's records to the log and publishes them. If the log fails they are never published: no reader
    /// may see what the next start does not know.
    fn publish(&mut self) {
        let Some(writer) = &mut self.writer else { return };
        if let Some(log) = &mut self.log
            && (self.has_failed || log.append(writer, self.now_ms).is_err())
        {
            self.has_failed = true;
            return;
        }
        writer.publish();
        self.published = true;
        self.granted = 0;
    }

    /// Whether the log failed to write records. Replies of this turn's commands must not be sent.
    #[inline]
    pub fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Whether anything was published since the last call: at a turn's end, or earlier to make room.
    pub(crate) fn take_published(&mut self) -> bool {
        std::mem::take(&mut self.published)
    }

    /// The published extent of the ring.
    pub(crate) fn published(&self) -> Option<Published> {
        let writer = self.writer.as_ref()?;
        let next = writer.last_published().map_or(self.sequencer.first(), Position::next);
        Some(Published { head: writer.head(), tail: writer.tail(), next })
    }

    /// The published records from `from` on, or from the oldest if `from` is older.
    pub(crate) fn published_from(&mut self, from: RingOffset) -> Option<Records<'_>> {
        self.writer.as_mut().map(|writer| writer.published(from))
    }

    /// Records and publishes a flush of the database, at a position that the caller reserved for all shards. The caller
    /// holds the shards, has committed them, and clears its reserving mark once all have published.
    pub(crate) fn commit_flush(&mut self, position: Position) {
        debug_assert!(!self.is_dirty());
        let (mut next_revision, mut last) = self.db_stream;
        self.record(b"", EventType::FlushDb, Data::None, &mut next_revision, &mut last);
        self.db_stream = (next_revision, last);
        if let Some(writer) = &mut self.writer {
            writer.stamp(position);
        }
        self.publish();
    }

    /// Clears the state beside the entries, for a flush.
    pub(crate) fn clear_keys(&mut self) {
        self.expiries.clear();
        self.field_ends.clear();
        self.absent.clear();
        self.live_keys = 0;
        self.census.clear();
        self.footprint.clear();
        self.evictor.clear();
    }

    pub(crate) fn sequencer(&self) -> &Arc<Sequencer> {
        &self.sequencer
    }

    /// The next revision of the stream of flushes, and its latest record.
    pub(crate) fn db_stream(&self) -> (u64, RingOffset) {
        self.db_stream
    }

    pub(crate) fn set_db_stream(&mut self, next_revision: u64, last: RingOffset) {
        self.db_stream = (next_revision, last);
    }

    /// Detaches the writer, so that changes are not recorded; to be returned with [`Turn::restore_writer`].
    pub(crate) fn detach_writer(&mut self) -> Option<RingWriter> {
        self.writer.take()
    }

    pub(crate) fn restore_writer(&mut self, writer: Option<RingWriter>) {
        self.writer = writer;
    }

    /// The offset of the next record; 0 if recording is off.
    pub(crate) fn ring_end(&self) -> RingOffset {
        self.writer.as_ref().map_or(RingOffset(0), |writer| writer.end())
    }

    /// The oldest retained record; if recording is off, an offset beyond everything.
    pub(crate) fn history_head(&self) -> RingOffset {
        match (&self.log, &self.writer) {
            (Some(log), _) => log.segments().head(),
            (None, Some(writer)) => writer.head(),
            (None, None) => RingOffset::NONE,
        }
    }
}

fn client_draft<'a>(
    key: &'a [u8],
    event: ClientEvent<'a>,
    revision: Revision,
    timestamp_ms: u64,
    back_link: RingOffset,
) -> Draft<'a> {
    Draft {
        event_type: EventType::Custom,
        custom_type: event.event_type.name(),
        key,
        data: Data::One(event.data),
        meta: event.meta,
        id: event.id,
        json: event.json,
        revision,
        timestamp_ms,
        back_link,
    }
}

/// The most bytes that the records of a change that sets or clears a TTL take.
pub(crate) fn ttl_record_bytes(key: &[u8]) -> u64 {
    record_bytes(key.len(), 20)
}
