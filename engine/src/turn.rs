//! The open turn of one shard: what this pass of its core's loop has changed so far. Every change of a key is recorded
//! here, unpublished; [`Turn::commit`] gives the records their positions and publishes them together.

use crate::error::Refusal;
use crate::event::EventType;
use crate::keyspace::Expiries;
use crate::limits::{RECENT_IDS, change_bytes_max, turn_bytes_due, unpublished_bytes_max};
use crate::log::{LogError, LogWriter};
use crate::position::{Position, Revision, RingOffset, ShardId};
use crate::ring::{Data, Draft, Records, RingWriter, record_bytes};
use crate::sequencer::Sequencer;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// An event that a client appends to a stream itself.
#[derive(Clone, Copy, Debug)]
pub struct ClientEvent<'a> {
    /// The event's type; not one of the built-in names.
    pub event_type: &'a [u8],
    /// Its data.
    pub data: &'a [u8],
    /// Its metadata.
    pub meta: Option<&'a [u8]>,
    /// Its id, where the client gave one.
    pub id: Option<[u8; 16]>,
    /// Whether the client said that the data is JSON.
    pub json: bool,
}

/// What a shard's ring holds for its readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Where the oldest record starts.
    pub head: RingOffset,
    /// Where the newest ends.
    pub tail: RingOffset,
    /// Every later record has at least this position.
    pub next: Position,
}

/// The open turn of one shard, with the bookkeeping that every change of a key touches. One per shard, on its core.
pub struct Turn {
    shard: ShardId,
    sequencer: Arc<Sequencer>,
    /// None where recording is off.
    writer: Option<RingWriter>,
    /// None where the history is kept in memory only.
    log: Option<LogWriter>,
    now_ms: u64,
    pub(crate) expiries: Expiries,
    /// Entries that lost their value, by hash, with a ring offset at or before their last record; oldest first.
    pub(crate) absent: VecDeque<(u64, RingOffset)>,
    pub(crate) live_keys: usize,
    db_stream: (u64, RingOffset),
    recorded: u64,
    /// So many unpublished bytes a command that records much may come to without asking again; 0 where there is none.
    granted: u64,
    /// Whether anything was published that nobody was told of yet.
    published: bool,
    /// Whether the log has refused records.
    has_failed: bool,
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
            absent: VecDeque::new(),
            live_keys: 0,
            db_stream: (0, RingOffset::NONE),
            recorded: 0,
            granted: 0,
            published: false,
            has_failed: false,
        }
    }

    /// From now on what is recorded goes to this ring and this log, which go on where what was replayed ended.
    pub(crate) fn attach(&mut self, sequencer: Arc<Sequencer>, mut writer: RingWriter, log: LogWriter) {
        debug_assert!(!self.is_dirty() && log.turn_bytes_max() >= unpublished_bytes_max(writer.capacity()));
        writer.mark_commands();
        self.sequencer = sequencer;
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

    /// Says that what is recorded next belongs to another command than what was recorded before.
    #[inline]
    pub(crate) fn begin_command(&mut self) {
        if let Some(writer) = &mut self.writer {
            writer.begin_command();
        }
    }

    /// Whether a command may change anything: there is space for what it records.
    ///
    /// # Errors
    /// Why not.
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

    /// How many events this shard has recorded since it began.
    pub fn recorded(&self) -> u64 {
        self.recorded
    }

    /// Refuses a command whose records would take more than one command may, or more than the log has room for, and
    /// ends the turn early where they would not find room beside those of the commands before. Asked before anything
    /// changes. `longest_key` is the length of the longest key that is written, in bytes. A command that has asked for all
    /// that it records may ask for parts of it again.
    ///
    /// A key whose TTL is over costs a record more when it is written; none is longer than that of the write. So
    /// twice the bytes are kept free.
    #[inline]
    pub fn admit(&mut self, bytes: u64, longest_key: usize) -> Result<(), Refusal> {
        match &self.writer {
            Some(writer) if writer.unpublished_bytes() + 2 * bytes > 2 * turn_bytes_due(writer.capacity()) => {
                self.admit_more(bytes, longest_key)
            }
            _ => Ok(()),
        }
    }

    /// As [`Turn::admit`], where there is not room at once.
    ///
    /// A command that records more than a turn that commits early is given what it asks for, beyond which it must not
    /// go: that much is unpublished at the most, and the log has room for it. Twice its bytes would not do. But of the
    /// keys that it writes all except one have room for their end in what it asks for: a SET asks for a TTL's record
    /// too, which only a key that does not end needs.
    #[cold]
    fn admit_more(&mut self, bytes: u64, longest_key: usize) -> Result<(), Refusal> {
        let Some(writer) = &self.writer else { return Ok(()) };
        let (ring_bytes, end_bytes) = (writer.capacity(), record_bytes(longest_key, 0));
        let (due, max) = (turn_bytes_due(ring_bytes), change_bytes_max(ring_bytes));
        let needed = bytes + end_bytes;
        if writer.unpublished_bytes() + needed <= self.granted {
            return Ok(());
        }
        let is_large = bytes > due;
        // The end of a key is recorded without asking: for the longest, too, there is room in any turn.
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

    /// Whether the unpublished records have reached the part of the ring at which a turn commits early. A command
    /// runs only below it, so that what it records always finds room beside what is published: see
    /// [`Shard::make_room`](crate::shard::Shard::make_room).
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        self.writer.as_ref().is_some_and(|writer| writer.unpublished_bytes() >= turn_bytes_due(writer.capacity()))
    }

    /// Whether the log takes more, as far as is known without waiting for anything: see [`Turn::check_log`].
    #[inline]
    pub fn has_log_room(&self) -> bool {
        match (&self.log, &self.writer) {
            (Some(log), Some(writer)) => log.has_room(writer.unpublished_bytes()),
            _ => true,
        }
    }

    /// Whether nothing is to be recorded now that no client has asked for: the turn commits early next, or the log takes
    /// no more.
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
        let Some(writer) = &mut self.writer else { return };
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
        let revision = Revision(*next_revision);
        let Some(writer) = &mut self.writer else { return revision };
        *last = writer.append(&client_draft(key, event, revision, self.now_ms, *last));
        *next_revision += 1;
        self.recorded += 1;
        revision
    }

    /// What a client's event will take of the ring, in bytes.
    pub(crate) fn client_event_bytes(key: &[u8], event: ClientEvent<'_>) -> u64 {
        client_draft(key, event, Revision(0), 0, RingOffset::NONE).record_bytes()
    }

    /// The event with this id among the latest [`RECENT_IDS`] of the stream that ends at `last`.
    pub(crate) fn find_id(&mut self, last: RingOffset, id: &[u8; 16]) -> Option<(Position, Revision)> {
        self.assign_positions();
        let writer = self.writer.as_mut()?;
        let mut offset = last;
        for _ in 0..RECENT_IDS {
            let record = match (&mut self.log, offset < writer.head()) {
                (Some(log), true) => log.record_at(offset)?,
                _ => writer.record_at(offset)?,
            };
            if record.id().as_ref() == Some(id) {
                return Some((record.position(), record.revision()));
            }
            offset = record.back_link();
        }
        None
    }

    /// The position of the newest record, for a reply that must name it. Reserves positions for what the turn has
    /// recorded so far; publication stays where it is, at the turn's end.
    pub(crate) fn last_position(&mut self) -> Option<Position> {
        self.assign_positions()
    }

    /// Reserves one block for all records that have no position yet; answers the last position of that block.
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

    /// Ends the turn: positions, publication, and then the reserving mark is cleared. Replies may leave afterwards.
    /// Tells whether there was anything to publish.
    pub fn commit(&mut self) -> bool {
        if !self.is_dirty() {
            return false;
        }
        self.assign_positions();
        self.publish();
        self.sequencer.clear(self.shard);
        true
    }

    /// Writes the records of the turn to the log and lets readers see them. Where the log fails they are never
    /// published: nobody may see what the next start does not know.
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

    /// Whether records could not be written to the log. What this turn's commands have replied must not leave.
    #[inline]
    pub fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Whether anything was published since this was asked last: by the turn's end, or earlier for want of room.
    pub(crate) fn take_published(&mut self) -> bool {
        std::mem::take(&mut self.published)
    }

    /// What the ring holds.
    pub(crate) fn published(&self) -> Option<Published> {
        let writer = self.writer.as_ref()?;
        let next = writer.last_published().map_or(self.sequencer.first(), Position::next);
        Some(Published { head: writer.head(), tail: writer.tail(), next })
    }

    /// The published records from `from` on; the oldest first where `from` is older.
    pub(crate) fn published_from(&mut self, from: RingOffset) -> Option<Records<'_>> {
        self.writer.as_mut().map(|writer| writer.published(from))
    }

    /// Records and publishes that the database was flushed, at a position that the caller took for all shards. The
    /// caller holds the shards, has committed them, and clears its reserving mark once all have published.
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

    /// Empties what is kept beside the entries, for a flush.
    pub(crate) fn forget_keys(&mut self) {
        self.expiries.clear();
        self.absent.clear();
        self.live_keys = 0;
    }

    pub(crate) fn sequencer(&self) -> &Arc<Sequencer> {
        &self.sequencer
    }

    /// The revision that the flushes' stream goes on with, and its latest record.
    pub(crate) fn db_stream(&self) -> (u64, RingOffset) {
        self.db_stream
    }

    pub(crate) fn set_db_stream(&mut self, next_revision: u64, last: RingOffset) {
        self.db_stream = (next_revision, last);
    }

    /// Takes the writer away, so that what changes is not recorded; to be given back.
    pub(crate) fn take_writer(&mut self) -> Option<RingWriter> {
        self.writer.take()
    }

    pub(crate) fn give_writer(&mut self, writer: Option<RingWriter>) {
        self.writer = writer;
    }

    /// The offset that the next record gets; 0 where recording is off.
    pub(crate) fn ring_end(&self) -> RingOffset {
        self.writer.as_ref().map_or(RingOffset(0), |writer| writer.end())
    }

    /// The oldest retained record; everything is past it where recording is off.
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
        event_type: EventType::CUSTOM,
        custom_type: event.event_type,
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

/// What the records of a change that sets a TTL or clears one take at the most, in bytes.
pub(crate) fn ttl_record_bytes(key: &[u8]) -> u64 {
    record_bytes(key.len(), 20)
}
