//! One shard: the keys of one core with their ring. Written as if there were one core; which core it is, and how a
//! command gets there, is not known here. The operations are in the files of this directory, by type of value.

mod bitmap;
mod changed;
mod choose;
mod database;
mod dump;
mod evict;
#[cfg(all(test, not(loom)))]
mod evict_tests;
mod field_ttl;
#[cfg(all(test, not(loom)))]
mod field_ttl_tests;
mod flush;
mod footprint;
mod forget;
mod generic;
mod hash;
mod hyperloglog;
mod list;
#[cfg(all(test, not(loom)))]
pub(crate) mod random;
mod redis_stream;
mod replay;
#[cfg(all(test, not(loom)))]
mod replay_tests;
mod restore;
mod set;
mod snapshot;
mod sorted;
mod stream;
#[cfg(all(test, not(loom)))]
mod stream_tests;
mod string;
#[cfg(all(test, not(loom)))]
mod tests;
mod walk;
mod watch;
#[cfg(all(test, not(loom)))]
mod watch_tests;

pub use choose::Draw;
pub use evict::Memory;
pub use field_ttl::{FieldTtl, FieldTtlChange, FieldsCondition};
pub use generic::ExpireCondition;
pub use list::{Inserted, Side, resolve_index};
pub use redis_stream::{AddRule, AutoClaimed, ClaimRule, EntryFate, GroupStart, NewEntryId, References};
pub use replay::ReplayError;
pub use restore::StoredEntry;
pub use snapshot::{SnapshotProgress, SnapshotRunning};
pub use sorted::{ScoreRule, ScoredMember, ScoresSet};
pub(crate) use sorted::{score_record_bytes, without_sign_of_zero};
pub(crate) use stream::Planned;
pub use stream::{Appended, Expected, StreamState};
pub use string::{SetCondition, SetOptions, SetOutcome, Ttl};
pub use walk::{ScanBudget, Walk, Walked, walk};
pub use watch::Seen;

use crate::collection::{FurtherStep, Thresholds};
use crate::error::Refusal;
use crate::event::EventType;
use crate::keyspace::{Entry, EntryMut, Hand, Keys, Kind, ValueRef};
use crate::limits::{COMMANDS_AHEAD, EXPIRE_SLICE};
use crate::log::{LogError, LogWriter};
use crate::position::{Position, RingOffset, ShardId};
use crate::ring::{Records, RingWriter};
use crate::sequencer::Sequencer;
use crate::snapshot::Taking;
use crate::turn::{Published, Turn};
use crate::waiters::Waiters;
use changed::note_miss;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;

/// One core's share of the keys. There is one per core, which owns it: not `Send`, except as a [`LentShard`].
pub struct Shard {
    id: ShardId,
    table: Keys,
    turn: Turn,
    absent_max: usize,
    /// The length of the queue of absent keys after it was last processed.
    absent_before: usize,
    rng: fastrand::Rng,
    counts: Counts,
    /// The part of the memory limit that it has.
    quota: evict::Quota,
    /// Where the table is looked at next for keys to evict.
    hand: Hand,
    /// The snapshot in progress.
    taking: Option<Box<Taking>>,
    /// The tables that were flushed and have entries still.
    flushed: Vec<flush::Flushed>,
    /// The number of entries in the table after those were last emptied.
    flushed_before: usize,
    _stays_on_its_core: PhantomData<*const ()>,
}

/// Counters since the shard's start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Look-ups of a key for reading that found it.
    pub hits: u64,
    /// Look-ups of a key for reading that did not find it.
    pub misses: u64,
    /// Keys removed because they had expired, on access or by the sweep.
    pub expired: u64,
    /// Fields of hashes removed by the sweep because their TTLs were over; those of a hash of which all are, as one.
    pub expired_fields: u64,
    /// Keys removed because memory was full.
    pub evicted: u64,
}

impl Counts {
    /// Counts an entry that is about to be removed because it has ended at `now_ms`.
    fn note_ended(&mut self, entry: Entry<'_>, now_ms: u64) {
        let count = if entry.is_expired(now_ms) { &mut self.expired } else { &mut self.expired_fields };
        *count += 1;
    }
}

/// A shard on its way to the core that coordinates a change over several shards, or back.
pub struct LentShard(pub Box<Shard>);

// SAFETY: a shard has no tie to its thread: no `Rc`, no thread-local, and its ring's writer is used through `&mut`
// only. It is not `Send` so that no code reaches it from another core by accident. A loan transfers the whole shard:
// the lender keeps nothing of it and runs no command of that shard until it is returned, and the lane that carries it
// orders the lender's writes before the borrower's reads.
unsafe impl Send for LentShard {}

impl Shard {
    /// An empty shard. `writer` is its ring's, `None` if recording is off; `absent_max` bounds the absent keys' streams
    /// whose revision counter is kept.
    pub fn new(id: ShardId, sequencer: Arc<Sequencer>, writer: Option<RingWriter>, absent_max: usize) -> Shard {
        Shard {
            id,
            table: Keys::new(),
            turn: Turn::new(id, sequencer, writer),
            absent_max,
            absent_before: 0,
            rng: fastrand::Rng::new(),
            counts: Counts::default(),
            quota: evict::Quota::default(),
            hand: Hand::default(),
            taking: None,
            flushed: Vec::new(),
            flushed_before: 0,
            _stays_on_its_core: PhantomData,
        }
    }

    /// Prefaults the ring's memory, near the calling core: see [`RingWriter::prefault`].
    ///
    /// # Errors
    /// If the system has no memory for it.
    pub fn prefault(&self) -> io::Result<()> {
        self.turn.prefault()
    }

    /// The shard's number.
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// Sets the time that expires TTLs and stamps events, Unix milliseconds. To be called at the start of a turn: the
    /// shard also learns then that a log has failed elsewhere.
    pub fn set_now_ms(&mut self, now_ms: u64) {
        self.turn.set_now_ms(now_ms);
    }

    /// Sets up to which size collections are stored compactly, for what is changed from now on.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.turn.thresholds = thresholds;
    }

    /// Up to which size collections are stored compactly.
    pub(crate) fn thresholds(&self) -> &Thresholds {
        &self.turn.thresholds
    }

    /// The open turn.
    pub fn turn(&self) -> &Turn {
        &self.turn
    }

    /// Refuses a change whose records would be too large; see [`Turn::admit`]. For changes of several keys; operations
    /// on a single key call it themselves.
    pub(crate) fn admit(&mut self, bytes: u64, longest_key: usize) -> Result<(), Refusal> {
        self.turn.admit(bytes, longest_key)
    }

    /// Assigns positions to the turn's records so far, so that another shard's next records come after them.
    pub(crate) fn assign_positions(&mut self) {
        self.turn.last_position();
    }

    /// The position of the newest record; reserves one for each that has none.
    pub(crate) fn last_position(&mut self) -> Option<Position> {
        self.turn.last_position()
    }

    /// The commands that wait for keys of this shard.
    #[inline]
    pub fn waiters(&self) -> &Waiters {
        &self.turn.waiters
    }

    /// The same, to be changed.
    pub fn waiters_mut(&mut self) -> &mut Waiters {
        &mut self.turn.waiters
    }

    /// The shard's counters.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// To be called before each command of a client: its records belong together. See [`Shard::make_room`].
    #[inline]
    pub fn begin_command(&mut self) {
        self.make_room();
        self.turn.begin_command();
    }

    /// Whether a command may change anything here: whether the log has space for its records.
    ///
    /// # Errors
    /// Why it may not.
    #[inline]
    pub fn check_log(&mut self) -> Result<(), LogError> {
        self.turn.check_log()
    }

    /// Continues where the replayed history ended, with a ring and a log.
    pub fn attach(&mut self, sequencer: Arc<Sequencer>, writer: RingWriter, log: LogWriter) {
        self.turn.attach(sequencer, writer, log);
    }

    /// To be called before each command: ends the turn early if its records have reached their part of the ring.
    /// Records that need no admission, such as that of a key's expiry, fit only then.
    #[inline]
    pub fn make_room(&mut self) {
        // Not if the log has no room: a commit makes none, and would separate the commands of a transaction.
        if self.turn.is_due() {
            self.turn.commit();
        }
        if self.turn.expiries.has_many() {
            self.note_expiries();
        }
    }

    /// Ends the turn: publishes its records. See [`Turn::commit`]. Returns whether anything was published since the end
    /// of the last turn, including earlier in this turn: its readers have to be woken either way.
    #[inline]
    pub fn commit(&mut self) -> bool {
        self.turn.commit();
        self.note_expiries();
        let published = self.turn.take_published();
        if published || !self.turn.is_recording() {
            self.forget_absent();
        }
        published
    }

    /// The offset behind the last record, published or not.
    pub fn history_end(&self) -> RingOffset {
        self.turn.ring_end()
    }

    /// The published extent of the ring; `None` if recording is off.
    pub fn published(&self) -> Option<Published> {
        self.turn.published()
    }

    /// The records published from `from` on, for live subscriptions. If they wrap around the end of the ring, the
    /// lengths of all from `from` up to there are read. `None` if recording is off.
    pub fn published_from(&mut self, from: RingOffset) -> Option<Records<'_>> {
        self.turn.published_from(from)
    }

    /// The revision of the next event of a key's stream; 0 if the stream has no counter.
    pub fn next_revision(&self, key: &[u8]) -> u64 {
        self.stream_revision(key).map_or(0, |revision| revision.0 + 1)
    }

    /// The number of keys, including expired ones that were not accessed since.
    pub fn key_count(&self) -> usize {
        self.turn.live_keys
    }

    /// The number of keys with a TTL.
    pub fn volatile_count(&self) -> usize {
        self.turn.expiries.count
    }

    /// A time before which no key and no field of a hash expires, Unix milliseconds; `None` if none ever does. [`Shard::expire_due`] finds a
    /// later one if nothing expires then.
    pub fn next_expiry_ms(&self) -> Option<u64> {
        let Turn { expiries, field_ends, .. } = &self.turn;
        [self.table.next_expiry_ms(), expiries.next_ms(), field_ends.first_ms()].into_iter().flatten().min()
    }

    /// Lets the table know of the TTLs that were set.
    #[inline]
    fn note_expiries(&mut self) {
        let Shard { table, turn, .. } = self;
        turn.expiries.drain().for_each(|(at_ms, hash)| table.note_expiry(hash, at_ms));
    }

    /// Removes expired keys and fields of hashes, at most [`EXPIRE_SLICE`]; returns whether there may be more.
    pub fn expire_due(&mut self) -> bool {
        self.expire_some(EXPIRE_SLICE)
    }

    /// Removes so many expired keys and fields at most; returns whether there may be more.
    pub(crate) fn expire_some(&mut self, most: usize) -> bool {
        self.note_expiries();
        let Shard { table, turn, counts, .. } = self;
        let mut left = most;
        let has_more = table.expire(turn.now_ms(), |hash, word| {
            // Before each, the first included: commands may have filled the turn.
            if left == 0 || turn.is_full() {
                return false;
            }
            left -= 1;
            // One key's expiry is not chained to another's.
            turn.begin_command();
            // Opening the entry removes the value.
            EntryMut::new(word, turn, hash);
            counts.expired += 1;
            true
        });
        has_more || self.end_fields(left)
    }

    /// Frees a part of the large collections that were removed and of what was flushed, or moves some entries together after
    /// many were removed; returns whether anything is left to do. To be called in each turn.
    #[inline]
    pub fn free_some(&mut self) -> bool {
        let mut has_more = self.turn.garbage.free_some();
        has_more |= self.drain_flushed();
        let Shard { table, turn, .. } = self;
        if let Some(segment) = turn.dropped.next_segment(table.len()) {
            let has_next = table.visit_segment(segment, |word| word.lend().renew());
            turn.dropped.moved(segment, has_next);
            has_more = true;
        }
        has_more
    }

    /// The bytes of keys and values that were freed since the last call, as far as they are counted.
    #[inline]
    pub fn take_freed_bytes(&mut self) -> u64 {
        self.turn.dropped.take_bytes()
    }

    /// The number of large collections that were removed, and of keys that were flushed, and are not freed yet.
    pub fn garbage_count(&self) -> usize {
        self.turn.garbage.len() + self.flushed_count()
    }

    /// Prefetches the memory that commands on these keys will touch: first the table's lines, then the entries, whose
    /// addresses are in the lines, then what the entries refer to. At most [`COMMANDS_AHEAD`] keys.
    #[inline]
    pub fn prefetch<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        let mut lines = [const { None }; COMMANDS_AHEAD];
        let mut count = 0;
        for (key, line) in keys.zip(&mut lines) {
            *line = Some(self.table.ahead(self.table.hash(key)));
            count += 1;
        }
        let mut entries = [const { None }; COMMANDS_AHEAD];
        let mut found = 0;
        for line in lines[..count].iter().flatten() {
            entries[found] = line.prefetch();
            found += usize::from(entries[found].is_some());
        }
        let mut further = 0_u32;
        for (place, entry) in entries[..found].iter().flatten().enumerate() {
            further |= u32::from(entry.prefetch_value()) << place;
        }
        if further != 0 {
            prefetch_further(&entries[..found], further);
        }
    }

    /// The entry of an existing key, for reading.
    #[inline]
    pub fn read(&mut self, key: &[u8]) -> Option<Entry<'_>> {
        let hash = self.table.hash(key);
        let now_ms = self.turn.now_ms();
        match self.table.find_mut(hash, key) {
            Some(word) if word.get().is_live(now_ms) => {
                self.counts.hits += 1;
                if self.turn.evictor.is_watching()
                    && let Some(access) = self.turn.evictor.used(word.get().access())
                {
                    word.lend().set_access(access);
                }
                Some(word.get())
            }
            Some(word) => {
                // A read of very many such keys leaves some of them to the sweep, if the turn has no room.
                if word.get().has_value() && !self.turn.is_full() {
                    self.counts.note_ended(word.get(), now_ms);
                    EntryMut::new(word, &mut self.turn, hash);
                }
                note_miss(&mut self.counts, &mut self.turn, key);
                None
            }
            None => {
                note_miss(&mut self.counts, &mut self.turn, key);
                None
            }
        }
    }

    /// The value of an existing key, for reading.
    #[inline]
    pub fn value(&mut self, key: &[u8]) -> Option<ValueRef<'_>> {
        self.read(key).and_then(|entry| entry.value())
    }

    /// The entry of an existing key, for changing.
    #[inline]
    pub(crate) fn find(&mut self, key: &[u8]) -> Option<EntryMut<'_>> {
        let hash = self.table.hash(key);
        let mut entry = EntryMut::new(self.table.find_mut(hash, key)?, &mut self.turn, hash);
        entry.note_use();
        entry.view().has_value().then_some(entry)
    }

    /// The entry of a key, created if missing. For callers that then give it a value or an event: a new entry without
    /// either would remain for nothing.
    #[inline]
    pub(crate) fn write(&mut self, key: &[u8]) -> EntryMut<'_> {
        let hash = self.table.hash(key);
        let Shard { table, turn, flushed, .. } = self;
        let word = table.find_or_insert(hash, key, || {
            flush::take(flushed, turn, hash, key).unwrap_or_else(|| turn.footprint.new_block(key))
        });
        let mut entry = EntryMut::new(word, turn, hash);
        entry.note_use();
        entry
    }

    /// The entry of a key for what is known of its stream. Its value, if it has one, may have been flushed.
    #[inline]
    pub(crate) fn stream_entry(&self, hash: u64, key: &[u8]) -> Option<Entry<'_>> {
        self.table.find(hash, key).or_else(|| {
            let head = self.turn.history_head();
            let mut entries = self.flushed.iter().filter_map(|flushed| flushed.find(hash, key));
            entries.next().filter(|entry| entry.may_have_history(head))
        })
    }

    /// Whether a key has a value, even an expired one: deleting it takes a record.
    pub(crate) fn has_value(&self, key: &[u8]) -> bool {
        self.table.find(self.table.hash(key), key).is_some_and(|entry| entry.has_value())
    }

    /// Refuses if the key holds another type of value than `kind`; returns whether it holds one.
    pub(crate) fn check_kind(&mut self, key: &[u8], kind: Kind) -> Result<bool, Refusal> {
        match self.find(key).and_then(|entry| entry.view().value().map(ValueRef::kind)) {
            None => Ok(false),
            Some(found) if found == kind => Ok(true),
            Some(_) => Err(Refusal::WrongType),
        }
    }

    /// Deletes a key; returns whether it existed.
    pub fn delete(&mut self, key: &[u8]) -> bool {
        self.find(key).is_some_and(|mut entry| entry.remove(EventType::Del))
    }
}

/// Prefetches what lies behind the beginning of some entries' values, those whose bit is set: a step for all of them before the
/// next.
#[inline(never)]
fn prefetch_further(entries: &[Option<Entry<'_>>], which: u32) {
    const { assert!(COMMANDS_AHEAD <= u32::BITS as usize) };
    for step in [FurtherStep::Ends, FurtherStep::Elements] {
        let mut left = which;
        while left != 0 {
            if let Some(Some(entry)) = entries.get(left.trailing_zeros() as usize) {
                entry.prefetch_further(step);
            }
            left &= left - 1;
        }
    }
}
