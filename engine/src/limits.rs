//! Every bound of the engine: its name, its default, and the relations between bounds.

/// The capacity of a shard's ring in bytes, `--ring-bytes`. A power of two; 0 turns recording off.
pub const RING_BYTES_DEFAULT: u64 = 64 << 20;

/// The smallest ring with recording: enough for the records of a few small commands.
pub const RING_BYTES_MIN: u64 = 64 << 10;

/// The size of unpublished records at which a turn commits early: a quarter of the ring. As long as no command records
/// more than this, at least half of the ring is published history.
pub const fn turn_bytes_due(ring_bytes: u64) -> u64 {
    ring_bytes / 4
}

/// The most bytes of unpublished records in a turn, as long as no command records more than [`turn_bytes_due`]: half of
/// the ring. The log has that much room before a command runs.
pub const fn turn_bytes_max(ring_bytes: u64) -> u64 {
    ring_bytes / 2
}

/// The most bytes of records of one command: three quarters of the ring, and less than 4 GiB, because a record's length
/// has 32 bits. A command with more than [`turn_bytes_due`] gets a turn of its own.
pub const fn change_bytes_max(ring_bytes: u64) -> u64 {
    const RECORD_BYTES_MAX: u64 = u32::MAX as u64 & !7;
    let part = ring_bytes - ring_bytes / 4;
    if part < RECORD_BYTES_MAX { part } else { RECORD_BYTES_MAX }
}

/// The most bytes of unpublished records with such a command: the whole ring except the block of its index in which the
/// oldest record starts.
pub const fn unpublished_bytes_max(ring_bytes: u64) -> u64 {
    ring_bytes - ring_bytes / 16
}

/// The longest name of a custom event type, in bytes.
pub const EVENT_TYPE_BYTES_MAX: usize = 1024;

/// The longest string value in bytes, as in Redis (`proto-max-bulk-len`).
pub const STRING_BYTES_MAX: usize = 512 << 20;

/// The number of absent keys' streams for which a shard keeps the revision counter, `--absent-streams`; beyond it the
/// oldest are forgotten.
pub const ABSENT_STREAMS_DEFAULT: usize = 1 << 20;

/// The parts, by age, in which the streams of flushed keys are queued to be forgotten.
pub const FLUSHED_PARTS: usize = 256;

/// A segment of flushed keys is freed each turn, and one more for each so many keys that the turn has added: fewer than a
/// segment has.
pub const FLUSHED_KEYS_PAID: usize = 128;

/// The most keys that are evicted for one command; what is too much then is evicted for the next ones, or at the end of
/// the turn.
pub const EVICT_COMMAND_MAX: usize = 200;

/// The most keys that are evicted at the end of a turn.
pub const EVICT_SLICE: usize = 500;

/// The most keys that are looked at to find those: as many as [`EVICT_COMMAND_MAX`] take where each is found among 16 and
/// some.
pub const EVICT_LOOKS: usize = 4096;

/// What a key takes of the table, on average, in bytes: a word, and its share of those that are free.
pub const SLOT_BYTES: usize = 11;

/// The number of a stream's latest events that are searched for an event's id, so that an append that is sent twice is
/// recorded once.
pub const RECENT_IDS: usize = 128;

/// The number of streams for which a shard keeps marks of these ids, so that it need not read the events, 272 bytes each:
/// 4.3 MiB. Of others the events are read.
pub const RECENT_IDS_STREAMS: usize = 16_384;

/// A collection of up to this many allocations is freed at once, a larger one in slices.
pub const FREE_AT_ONCE: usize = 256;

/// The allocations that one slice of freeing large collections frees: about a quarter of a millisecond.
pub const FREE_SLICE: usize = 4096;

/// If more than this times [`FREE_SLICE`] is left, one part in so many is freed: then what is left is at most what is
/// removed in as many turns.
pub const FREE_PART: usize = 256;

/// The most keys that one slice of active expiry removes, so that a turn stays short when many expire at once.
pub const EXPIRE_SLICE: usize = 512;

/// Collections up to this size are returned whole by one step of HSCAN or SSCAN, as Redis does for its compact
/// encodings.
pub const SCAN_WHOLE_MAX: usize = 128;

/// The latest time at which the TTL of a hash's field may end, Unix milliseconds: that of Redis.
pub const FIELD_END_MAX_MS: u64 = (1 << 46) - 1;

/// The most fields of a packed hash, `hash-max-listpack-entries`: more are found sooner with an index.
pub const HASH_PACKED_ENTRIES: u32 = 64;

/// The longest field and value of a packed hash in bytes, `hash-max-listpack-value`.
pub const HASH_PACKED_VALUE: u32 = 64;

/// The most members of a set that is stored as integers, `set-max-intset-entries`.
pub const SET_INTEGERS: u32 = 512;

/// The most members of a packed set, `set-max-listpack-entries`.
pub const SET_PACKED_ENTRIES: u32 = 32;

/// The longest member of a packed set in bytes, `set-max-listpack-value`.
pub const SET_PACKED_VALUE: u32 = 64;

/// The most elements of a packed list and of a chunk of a long one, `list-max-listpack-size`.
pub const LIST_PACKED_SIZE: i32 = 128;

/// The most bytes of a packed list and of a chunk of a long one, if the size is one in elements: an insertion moves half
/// of them.
pub const LIST_CHUNK_BYTES: usize = 512;

/// The most members of a packed sorted set, `zset-max-listpack-entries`: a change costs less than in a large one up to here.
pub const SORTED_PACKED_ENTRIES: u32 = 128;

/// The longest member of a packed sorted set in bytes, `zset-max-listpack-value`.
pub const SORTED_PACKED_VALUE: u32 = 64;

/// The most bytes of a block of a Redis stream, `stream-node-max-bytes`: what a read at random decodes.
pub const STREAM_BLOCK_BYTES: u32 = 4096;

/// The most entries of such a block, `stream-node-max-entries`.
pub const STREAM_BLOCK_ENTRIES: u32 = 100;

/// The most bytes of all strings of a value that RESTORE reads, of the fields of a stream's entries, and of what its groups
/// take: compressed strings may have 90 times the bytes of the payload, and entries may share the names of their fields.
pub const DUMP_BYTES_MAX: usize = STRING_BYTES_MAX;

/// The most pairs of bytes of two strings that LCS compares: some 50 ms. They take two bytes each.
pub const SUBSEQUENCE_CELLS_MAX: usize = 32 << 20;

/// The most bytes of a sparse HyperLogLog, `hll-sparse-max-bytes`.
pub const SKETCH_SPARSE_BYTES: u32 = 3000;

/// The most elements of a packed collection, whatever is configured: their number has 16 bits.
pub const PACKED_ENTRIES_MAX: usize = u16::MAX as usize;

/// The work of one call of a scan, whatever its COUNT, in bytes of names and values: some milliseconds. A key or an
/// element that the call has started is completed, and counts [`SCAN_ELEMENT_BYTES`] more than its size.
pub const SCAN_CALL_BYTES: usize = 4 << 20;

/// See [`SCAN_CALL_BYTES`].
pub const SCAN_ELEMENT_BYTES: usize = 64;

/// The factor by which the bytes of a name count there if a glob has to be searched for in it.
pub const SCAN_SEARCHED_TIMES: usize = 8;

/// The longest glob, in bytes: of `KEYS`, of a scan's `MATCH`, of a filter, of a group.
pub const GLOB_BYTES_MAX: usize = 64 << 10;

/// The most elements between two `*` of a glob if one of them is `?` or a class: the search takes a step per 64 of them
/// and byte of the name.
pub const GLOB_SEGMENT_MAX: usize = 1024;

/// The most memory of one compiled glob, in bytes; larger ones are refused.
pub const GLOB_COMPILED_BYTES_MAX: usize = 1 << 20;

/// The longest regex of a filter, and all prefixes of one filter together, in bytes.
pub const FILTER_BYTES_MAX: usize = 64 << 10;

/// The most memory of one filter's compiled regex, in bytes; larger ones are refused.
pub const REGEX_NFA_BYTES_MAX: usize = 1 << 20;

/// A compiled regex larger than this, in bytes, is timed in each run: a single one may take long.
pub const REGEX_HEAVY_BYTES: usize = 64 << 10;

/// The memory in which one filter's regex caches the states that it has visited, in bytes; when it is full it is
/// cleared.
pub const REGEX_CACHE_BYTES_MAX: usize = 1 << 20;

/// The window over which the time of regexes on a shard is bounded, in nanoseconds.
pub const REGEX_WINDOW_NS: u64 = 10_000_000;

/// The most time that they may take of such a window, in nanoseconds: a quarter, so that a shard that is busy with
/// writes keeps more than half of their rate, although it also reads the history for subscriptions. Regexes beyond that
/// are no longer matched on the shard.
pub const REGEX_WINDOW_SPENT_NS: u64 = REGEX_WINDOW_NS / 4;

/// The most time that regexes may add to one turn of a shard, in nanoseconds.
pub const REGEX_TURN_NS: u64 = 500_000;

/// The time that each record of the turn adds to that, in nanoseconds: less than the execution of a command.
pub const REGEX_RECORD_NS: u64 = 200;

/// If a few patterns seem to take longer than this, in nanoseconds, the thread may have been preempted: the time counts
/// as this much, and the following ones are measured by the thread's CPU time.
pub const REGEX_SUSPECT_NS: u64 = 50_000;

/// The memory of the compiled regexes in one automaton, in bytes.
pub const GROUP_NFA_BYTES_MAX: usize = 1 << 20;

/// The memory in which one such automaton caches the states that it has visited, in bytes; when it is full it is
/// cleared.
pub const GROUP_CACHE_BYTES_MAX: usize = 2 << 20;

/// The memory of all such automata of a shard when they are built, in bytes; regexes beyond it are matched by
/// themselves.
pub const GROUPS_BYTES_MAX: usize = 256 << 20;

/// The number of names for which a shard with many regexes remembers the matching ones, 64 bytes each.
pub const MEMO_SLOTS: usize = 1 << 18;

/// The number of recent names of each kind that are sampled to try automata on.
pub const RECENT_NAMES: usize = 256;

/// The longest name in that sample, in bytes.
pub const RECENT_NAME_BYTES_MAX: usize = 256;

/// A name longer than this, in bytes, is not matched by automata of many regexes: these are no longer matched on the
/// shard.
pub const GROUP_NAME_BYTES_MAX: usize = 64 << 10;

/// A name longer than this is matched against a regex by itself only if its bytes times those of the compiled regex are
/// at most [`REGEX_NAME_WORK_MAX`], and by an automaton of many only if they are at most [`GROUP_NAME_WORK_MAX`].
pub const REGEX_NAME_BYTES_MAX: usize = 128;

/// See [`REGEX_NAME_BYTES_MAX`]. Beyond this the regex is no longer matched on the shard.
pub const REGEX_NAME_WORK_MAX: usize = 64 << 20;

/// See [`REGEX_NAME_BYTES_MAX`]. Beyond this the regexes are matched by themselves: each byte of such a name may need a new
/// state, made of all states of the regexes, and nothing ends that within the name.
pub const GROUP_NAME_WORK_MAX: usize = 4 << 20;

const _: () = assert!(RING_BYTES_DEFAULT.is_power_of_two() && RING_BYTES_MIN.is_power_of_two());
const _: () = assert!(RING_BYTES_MIN < RING_BYTES_DEFAULT);

/// The bytes of a ring that a reader copies at once: enough that the one check per run costs nothing, few enough that
/// the copy stays in the core's cache.
pub const HISTORY_RUN_BYTES: usize = 64 << 10;

/// Copy buffers up to this size, in bytes, are kept for the next records; the memory of larger ones is freed.
pub const SCRATCH_KEEP_BYTES: usize = 4 << 20;

/// The most records that one read examines without a match, so that a filter that matches nothing holds up its core for a
/// bounded time.
pub const SCAN_RECORDS_MAX: usize = 65_536;

/// The most bytes of records that one read examines without a match.
pub const SCAN_BYTES_MAX: u64 = 16 << 20;

/// The most time that one read searches for matches of a regex or a glob, in nanoseconds, plus the time for the last
/// name.
pub const SCAN_NS_MAX: u64 = 2_000_000;

/// The number of short names that such a read matches between two readings of the clock.
pub const SCAN_CLOCK_RECORDS: usize = 16;

/// The number of commands that are parsed together, so that the memory which they will touch is prefetched before the
/// first of them runs. More would evict the first one's memory from the nearest cache.
pub const COMMANDS_AHEAD: usize = 16;

/// The bytes of records that one slice of catching up delivers.
pub const SLICE_BYTES: u64 = 64 << 10;

/// The most records that one slice of catching up examines without a match.
pub const SLICE_RECORDS: usize = 1024;

/// The most bytes of records that are delivered together to subscriptions that want the same.
pub const SHARED_BYTES: u64 = 256 << 10;

/// The same, if the subscription's interest is too expensive to be matched on the shards.
pub const DEMOTED_SLICE_RECORDS: usize = 256;

/// The memory of a shard's batch for a core is kept for up to this many events.
pub const BATCH_EVENTS_KEEP: usize = 16 << 10;

/// If several subscriptions want the same, a page of the history ends at a multiple of this many positions.
pub const PAGE_POSITIONS: u64 = 1024;

/// The number of events that live subscriptions get at a time.
pub const CHUNK_EVENTS: usize = 1024;

/// With up to this many subscriptions on a core, each live one gets every checkpoint that became due in a turn; with
/// more, only the last one.
pub const CHECKPOINT_EACH_MAX: u32 = 16;

/// The number of live subscriptions that a turn examines for due checkpoints.
pub const CHECKPOINT_SCAN_MAX: u32 = 256;

/// The number of checkpoints that a turn sends to live subscriptions that get nothing else.
pub const CHECKPOINTS_PER_TURN: usize = 64;

/// A subscription gets a checkpoint after this many events that were examined for it. Clients ask for multiples of it.
pub const CHECKPOINT_EVENTS: u64 = 32;

/// The memory of a subscription besides its filter and its queue, in bytes.
pub const SUBSCRIPTION_BYTES: u64 = 512;

/// The most subscriptions of disconnected clients that a turn removes; the rest is removed in later turns.
pub const CLOSED_PER_TURN: usize = 256;

/// The bounds of subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionLimits {
    /// The most subscriptions of one client, `--subscriptions-per-client`.
    pub per_client: usize,
    /// The most events in one subscription's queue before it falls behind, `--subscription-queue-events`.
    pub queue_events: usize,
    /// The most bytes of records in that queue, `--subscription-queue-bytes`.
    pub queue_bytes: u64,
    /// How many subscriptions a turn tells of a flush, which is for all of them. No flag.
    pub flush_members: usize,
}

impl Default for SubscriptionLimits {
    fn default() -> SubscriptionLimits {
        SubscriptionLimits { per_client: 1_000, queue_events: 4_096, queue_bytes: 4 << 20, flush_members: 4_096 }
    }
}

/// How many steps a regex with look-around may take on a name; then it does not match. About a tenth of a millisecond.
pub const LOOKAROUND_STEPS_MAX: usize = 10_000;

/// How many different patterns of a core's live subscriptions may be matched one by one, because they say what is not
/// wanted; subscriptions with others read the history.
pub const MATCHED_ALONE_MAX: usize = 8;

/// The keys of a database that a flush of it deletes at a time.
pub const DATABASE_SLICE: usize = 512;

/// What the readers of keys take on each shard, in bytes: beyond it some keys are forgotten.
pub const READERS_BYTES_MAX: usize = 256 << 20;

/// What a key that was read takes there beside its name and its readers, in bytes.
pub const READ_KEY_BYTES: usize = 96;

/// What a reader of a key takes there, in bytes.
pub const READER_BYTES: usize = 16;

/// How many keys that were read are forgotten at a time.
pub const READERS_FORGOTTEN: usize = 1_000;
