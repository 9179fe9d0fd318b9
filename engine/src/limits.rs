//! Every bound of the engine: its name, its default, and how the bounds hang together.

/// The capacity of a shard's ring in bytes, `--ring-bytes`. A power of two; 0 turns recording off.
pub const RING_BYTES_DEFAULT: u64 = 64 << 20;

/// The smallest ring that records: room for the records of a few small commands.
pub const RING_BYTES_MIN: u64 = 64 << 10;

/// A turn commits early once its unpublished records take so many bytes: a quarter of the ring. As long as no command
/// records more than this, at least half of the ring is published history.
pub const fn turn_bytes_due(ring_bytes: u64) -> u64 {
    ring_bytes / 4
}

/// What the unpublished records of a turn take at the most, in bytes, as long as no command records more than
/// [`turn_bytes_due`]: half of the ring. For that much the log has room before a command runs.
pub const fn turn_bytes_max(ring_bytes: u64) -> u64 {
    ring_bytes / 2
}

/// What the records of one command may take, in bytes: three quarters of the ring, and less than 4 GiB, for a record's
/// length is a number of 32 bits. One of more than [`turn_bytes_due`] gets a turn's room to itself.
pub const fn change_bytes_max(ring_bytes: u64) -> u64 {
    const RECORD_BYTES_MAX: u64 = u32::MAX as u64 & !7;
    let part = ring_bytes - ring_bytes / 4;
    if part < RECORD_BYTES_MAX { part } else { RECORD_BYTES_MAX }
}

/// What unpublished records take at the most, in bytes, with such a command: all of the ring but the block of its index
/// in which its oldest record starts.
pub const fn unpublished_bytes_max(ring_bytes: u64) -> u64 {
    ring_bytes - ring_bytes / 16
}

/// The longest name of a custom event type, in bytes.
pub const EVENT_TYPE_BYTES_MAX: usize = 1024;

/// The longest string value in bytes, as in Redis (`proto-max-bulk-len`).
pub const STRING_BYTES_MAX: usize = 512 << 20;

/// How many streams of absent keys a shard keeps the revision counter of, `--absent-streams`; beyond it the oldest
/// are forgotten.
pub const ABSENT_STREAMS_DEFAULT: usize = 1 << 20;

/// How many of a stream's latest events are looked at for an event's id, so that an append that is sent twice is
/// recorded once.
pub const RECENT_IDS: usize = 128;

/// How many keys one slice of active expiry removes at the most, so that a turn stays short when many end at once.
pub const EXPIRE_SLICE: usize = 512;

/// Collections up to this size are handed out whole by one step of HSCAN or SSCAN, as Redis does for its compact
/// encodings.
pub const SCAN_WHOLE_MAX: usize = 128;

/// How much one call of a scan looks at, whatever its COUNT, in bytes of names and values: some milliseconds. A key or an
/// element that the call has begun with is finished, and counts [`SCAN_ELEMENT_BYTES`] more than it has.
pub const SCAN_CALL_BYTES: usize = 4 << 20;

/// See [`SCAN_CALL_BYTES`].
pub const SCAN_ELEMENT_BYTES: usize = 64;

/// How many times a name counts there that a glob is searched for in.
pub const SCAN_SEARCHED_TIMES: usize = 8;

/// The longest glob, in bytes: of `KEYS`, of a scan's `MATCH`, of a filter, of a group.
pub const GLOB_BYTES_MAX: usize = 64 << 10;

/// How many elements of a glob, of which one is `?` or a class, may stand between two `*`: they have to be searched for,
/// which takes a step for each 64 of them and each byte of the name.
pub const GLOB_SEGMENT_MAX: usize = 1024;

/// The memory of one compiled glob, in bytes; a glob that takes more is refused.
pub const GLOB_COMPILED_BYTES_MAX: usize = 1 << 20;

/// The longest regex of a filter, and all prefixes of one filter together, in bytes.
pub const FILTER_BYTES_MAX: usize = 64 << 10;

/// The memory of one filter's compiled regex, in bytes; a regex that takes more is refused.
pub const REGEX_NFA_BYTES_MAX: usize = 1 << 20;

/// A compiled regex of more bytes than this is timed each time that it runs: once may take long.
pub const REGEX_HEAVY_BYTES: usize = 64 << 10;

/// The memory in which one filter's regex keeps the states that it has visited, in bytes; when it is full it starts
/// over.
pub const REGEX_CACHE_BYTES_MAX: usize = 1 << 20;

/// The span over which the time that regexes take on a shard is judged, in nanoseconds.
pub const REGEX_WINDOW_NS: u64 = 10_000_000;

/// How much of such a span they may take, in nanoseconds: a quarter, so that a shard that is busy with writes keeps more
/// than half of their rate, although it also reads the history for subscriptions. What is beyond is no longer matched on
/// the shard.
pub const REGEX_WINDOW_SPENT_NS: u64 = REGEX_WINDOW_NS / 4;

/// How long regexes may hold up one turn of a shard, in nanoseconds.
pub const REGEX_TURN_NS: u64 = 500_000;

/// What each record of the turn adds to that, in nanoseconds: less than it takes to execute a command.
pub const REGEX_RECORD_NS: u64 = 200;

/// A time that is measured on few patterns and is longer than this, in nanoseconds, may be due to others on the core: it
/// counts as this much, and what follows is measured by the time for which the thread has run.
pub const REGEX_SUSPECT_NS: u64 = 50_000;

/// The memory of the compiled regexes that are matched by one automaton, in bytes.
pub const GROUP_NFA_BYTES_MAX: usize = 1 << 20;

/// The memory in which one such automaton keeps the states that it has visited, in bytes; when it is full it starts
/// over.
pub const GROUP_CACHE_BYTES_MAX: usize = 2 << 20;

/// The memory of all such automata of a shard, in bytes, as they are built; what does not fit is matched alone.
pub const GROUPS_BYTES_MAX: usize = 256 << 20;

/// How many names a shard keeps with the regexes that match them, 64 bytes each, once it has many regexes.
pub const MEMO_SLOTS: usize = 1 << 18;

/// How many of the names that were looked at lately are kept of each kind, to try automata on.
pub const RECENT_NAMES: usize = 256;

/// The longest name that is kept so, in bytes.
pub const RECENT_NAME_BYTES_MAX: usize = 256;

/// A name longer than this, in bytes, is not matched by automata of many regexes: they are no longer matched on the
/// shard.
pub const GROUP_NAME_BYTES_MAX: usize = 64 << 10;

/// A name longer than this is matched against a regex by itself only as long as its bytes times those of the compiled
/// regex are at most [`REGEX_NAME_WORK_MAX`].
pub const REGEX_NAME_BYTES_MAX: usize = 128;

/// See [`REGEX_NAME_BYTES_MAX`]. Beyond it the regex is no longer matched on the shard.
pub const REGEX_NAME_WORK_MAX: usize = 64 << 20;

const _: () = assert!(RING_BYTES_DEFAULT.is_power_of_two() && RING_BYTES_MIN.is_power_of_two());
const _: () = assert!(RING_BYTES_MIN < RING_BYTES_DEFAULT);

/// How much of a ring a reader copies at once, in bytes: enough that the one check per run costs nothing, little
/// enough that the copy stays in the core's cache.
pub const HISTORY_RUN_BYTES: usize = 64 << 10;

/// Memory that records are copied to is kept for the next ones up to so many bytes; what a longer record has taken is
/// given back.
pub const SCRATCH_KEEP_BYTES: usize = 4 << 20;

/// How many records one read looks at in vain at the most, so that a filter that matches nothing holds up its core
/// for a bounded time.
pub const SCAN_RECORDS_MAX: usize = 65_536;

/// How many bytes of records one read looks at in vain at the most.
pub const SCAN_BYTES_MAX: u64 = 16 << 20;

/// How long one read looks for what a regex or a glob matches at the most, in nanoseconds; what the last name takes comes
/// on top.
pub const SCAN_NS_MAX: u64 = 2_000_000;

/// How many short names such a read matches before it looks at the clock.
pub const SCAN_CLOCK_RECORDS: usize = 16;

/// How many commands are looked at together, so that the memory which they will touch is asked for before the first of
/// them runs. More would evict from the nearest cache what the first of them asked for.
pub const COMMANDS_AHEAD: usize = 16;

/// How many bytes of records one slice of catching up tells.
pub const SLICE_BYTES: u64 = 64 << 10;

/// How many records one slice of catching up looks at in vain at the most.
pub const SLICE_RECORDS: usize = 1024;

/// How many bytes of records those who are told alike are told together at the most.
pub const SHARED_BYTES: u64 = 256 << 10;

/// How many, where the subscription's interest is one that costs too much to be matched on the shards.
pub const DEMOTED_SLICE_RECORDS: usize = 256;

/// For how many events the memory of a shard's batch for a core is kept.
pub const BATCH_EVENTS_KEEP: usize = 16 << 10;

/// Where several subscriptions want the same, a page of the history ends at a multiple of so many positions.
pub const PAGE_POSITIONS: u64 = 1024;

/// How many events those who are live are told at a time.
pub const CHUNK_EVENTS: usize = 1024;

/// Up to so many subscriptions of a core, those who are live are told every checkpoint that became due in a turn; of more
/// each is told the last one.
pub const CHECKPOINT_EACH_MAX: u32 = 16;

/// How many live subscriptions a turn looks at for checkpoints that are due.
pub const CHECKPOINT_LOOKS: u32 = 256;

/// How many checkpoints a turn tells to live subscriptions that it tells nothing else.
pub const CHECKPOINTS_PER_TURN: usize = 64;

/// What a subscription takes beside its filter and what waits for it, in bytes.
pub const SUBSCRIPTION_BYTES: u64 = 512;

/// How many subscriptions of clients that have gone a turn removes; the next ones are removed in the next turn.
pub const CLOSED_PER_TURN: usize = 256;

/// The bounds of subscriptions, each a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionLimits {
    /// How many subscriptions one client may have, `--subscriptions-per-client`.
    pub per_client: usize,
    /// How many events wait for one subscription before it falls behind, `--subscription-queue-events`.
    pub queue_events: usize,
    /// How many bytes of records they may be, `--subscription-queue-bytes`.
    pub queue_bytes: u64,
}

impl Default for SubscriptionLimits {
    fn default() -> SubscriptionLimits {
        SubscriptionLimits { per_client: 1_000, queue_events: 4_096, queue_bytes: 4 << 20 }
    }
}
