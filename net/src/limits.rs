//! Every bound of the network side that is no flag: its name, its value, and why.

use std::time::Duration;

/// How many replies of one connection may be on their way from other cores; then its next commands wait.
pub const PIPELINE_MAX: usize = 4096;

/// How many of them there may be before any has come, and so told how large they are.
pub const PIPELINE_START: usize = 64;

/// How many bytes such replies may have together, by the size of those that came before.
pub const REMOTE_REPLIES_BYTES: usize = 4 << 20;

/// How many bytes of commands of one connection may be on their way to other cores; then its next commands wait.
/// A single longer one may.
pub const FORWARDED_BYTES_MAX: usize = 4 << 20;

/// A reply on its way from another core is taken to have at least so many bytes, and counts as output: from this size
/// on replies between cores are counted one by one.
pub const REMOTE_REPLY_BYTES_MIN: usize = 4 << 10;

/// Beyond so many bytes of large replies to one connection that its core has not acknowledged, a core runs no further
/// command of that connection.
pub const UNACKNOWLEDGED_BYTES_MAX: usize = 256 << 10;

/// Beyond so many bytes of batches that another core has not taken from the lane, a core runs no further command of
/// that core.
pub const LANE_BYTES_MAX: usize = 8 << 20;

/// Beyond so many bytes of replies that were made here and wait behind one from another core, no further command of the
/// connection runs before that one has come.
pub const BEHIND_BYTES_MAX: usize = 1 << 20;

/// A connection whose unread output passes this is stalled until the client has taken some, in bytes,
/// `--client-output-bytes`.
pub const CLIENT_OUTPUT_BYTES_DEFAULT: u64 = 256 << 20;

/// The unread output of all clients together above which those with the most are stalled, in bytes,
/// `--clients-output-bytes`: this, or [`CLIENTS_OUTPUT_PART`] of the memory where that is less.
pub const CLIENTS_OUTPUT_BYTES_DEFAULT: u64 = 1 << 30;

/// See above: an eighth of the memory.
pub const CLIENTS_OUTPUT_PART: u64 = 8;

/// The least that either of the two may be, and what every client may leave unread however much the others do.
pub const OUTPUT_BYTES_MIN: u64 = 64 << 10;

/// How long a stalled client may take nothing before it is closed, seconds, `--output-stall-seconds`.
pub const OUTPUT_STALL_SECONDS_DEFAULT: u64 = 60;

/// However much output all clients have, the reply of a transaction may have so many bytes, unless its client's limit is
/// less.
pub const TRANSACTION_REPLY_BYTES_MIN: u64 = 4 << 20;

/// Output that waits for a send to end is cut into sends of about so many bytes.
pub const SEND_BYTES: usize = 1 << 20;

/// After so many bytes of output a connection's commands look again at what it may leave unread.
pub const OUTPUT_LOOK_BYTES: usize = 256 << 10;

/// Beyond so many bytes of input behind a command that waits, nothing more is received from the client.
pub const INPUT_PAUSE_BYTES: usize = 256 << 10;

/// Heap memory that is prefaulted at the start, in bytes, `--heap-bytes`: what a server's first seconds of pushes take.
/// With none of it the p99 from write to push was 7 ms there instead of 0.1 ms.
pub const HEAP_BYTES_DEFAULT: u64 = 128 << 20;

/// How many clients may be connected, `--maxclients`.
pub const MAXCLIENTS_DEFAULT: u64 = 10_000;

/// The most that `--maxclients` may be, as in Redis.
pub const MAXCLIENTS_MAX: u64 = u32::MAX as u64;

/// What part of `--maxclients` may be clients that have not given the password, `--unauthenticated-clients`: a quarter.
pub const UNAUTHENTICATED_CLIENTS_PART: u64 = 4;

/// The most that are a quarter: what one of them may take is bounded, and all of them together take no more than 64 MiB.
pub const UNAUTHENTICATED_CLIENTS_DEFAULT_MAX: u64 = 1_000;

/// How long a client may take to give the password, in milliseconds, `--auth-timeout`.
pub const AUTH_TIMEOUT_MS_DEFAULT: u64 = 60_000;

/// A subscriber has room for events while less output than this waits to leave, in bytes, `--push-buffer-bytes`.
pub const PUSH_BUFFER_BYTES_DEFAULT: u64 = 256 << 10;

/// The least that it may be: an event that is small leaves with others.
pub const PUSH_BUFFER_BYTES_MIN: u64 = 1 << 10;

/// How much plaintext becomes TLS records for one send, in bytes: a turn seals no more of a long reply.
pub const TLS_SEAL_BYTES: usize = 256 << 10;

/// How long a turn may spend on handshakes of TLS; those that are left go on in the next turn. One always goes on.
pub const TURN_HANDSHAKES: Duration = Duration::from_micros(500);

/// Buffers of a connection that have grown beyond this are given back when they are empty.
pub const BUFFER_KEEP_BYTES: usize = 64 << 10;

/// The most shards, `--shards`: there is a lane from each to each.
pub const SHARDS_MAX: u16 = 512;

/// After so many microseconds without work a core sleeps, `--spin-us`, unless shards share cores: then at once.
pub const SPIN_US_DEFAULT: u64 = 50;

/// How many batches a lane between two cores holds.
pub const LANE_BATCHES: usize = 256;

/// How many messages, or bytes of arguments and replies, make a batch; what goes beyond begins the next one.
pub const BATCH_BYTES: usize = 256 << 10;

/// How many bytes consumer groups may take, `--groups-bytes`.
pub const GROUPS_BYTES_DEFAULT: u64 = 256 << 20;

/// How many bytes subscriptions may take, `--subscriptions-bytes`.
pub const SUBSCRIPTIONS_BYTES_DEFAULT: u64 = 256 << 20;

/// How many bytes commands queued by MULTI may take, `--transactions-bytes`.
pub const TRANSACTIONS_BYTES_DEFAULT: u64 = 1 << 30;

/// How many bytes of input may wait to arrive as a whole, or to run, `--input-bytes`.
pub const INPUT_BYTES_DEFAULT: u64 = 1 << 30;

/// The least that each of these may be.
pub const ACCOUNT_BYTES_MIN: u64 = 64 << 10;

/// Input of a connection is counted in multiples of so many bytes, so that what a pipeline leaves over is not.
pub const INPUT_COUNTED_BYTES: usize = 16 << 10;

/// What a command takes in a transaction's queue beside its arguments, in bytes.
pub const QUEUED_COMMAND_BYTES: usize = 96;

/// What an argument takes there beside its bytes.
pub const QUEUED_ARGUMENT_BYTES: usize = 8;

/// How many commands one transaction may queue.
pub const TRANSACTION_COMMANDS_MAX: usize = 1 << 20;

/// How many bytes the commands of one transaction may take, as a query may in Redis.
pub const TRANSACTION_BYTES_MAX: usize = 1 << 30;

/// How long a stopping core waits for its last replies to leave, milliseconds.
pub const STOP_GRACE_MS: u64 = 1_000;

/// How long, in nanoseconds, commands that read the history or a consumer group may run in one turn; the rest of them run
/// in the next ones. The one that passes it runs to its end, which is bounded: see
/// [`SCAN_RECORDS_MAX`](keytide_engine::limits::SCAN_RECORDS_MAX).
pub const DEFERRED_TURN_NS: u64 = 1_000_000;

/// Subscriptions that catch up get this part of the time that a turn's other work took: a third.
pub const CATCH_UP_PART: u64 = 3;

/// Those that are never live, because what they want costs the shards too much, get this part: an eighth.
pub const DEMOTED_PART: u64 = 8;

/// How long, in nanoseconds, each of the two may read in a turn without other work, so that what comes in is seen soon.
pub const READING_IDLE_NS: i64 = 300_000;

/// How much time, in nanoseconds, that was not needed is saved for later turns at the most.
pub const READING_SAVED_NS_MAX: i64 = 500_000;

/// How many buffers of large outputs a core keeps for the next ones.
pub const PUSH_SPARES: usize = 16;

/// A larger one is given back.
pub const PUSH_SPARE_BYTES_MAX: usize = 512 << 10;

/// What a send of pushes is taken to cost, in nanoseconds: the kernel does it after the turn.
pub const PUSH_SEND_NS: u64 = 4_000;

/// The bytes of a segment's file, `--segment-bytes`.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 << 20;

/// The least that it may be: with smaller ones a directory has too many files.
pub const SEGMENT_BYTES_MIN: u64 = 1 << 20;

/// How many bytes of history are kept, of all shards together, `--retain-bytes`.
pub const RETAIN_BYTES_DEFAULT: u64 = 16 << 30;

/// How many bytes a shard logs from one snapshot to the next, `--snapshot-bytes`: some seconds of replay at a start.
pub const SNAPSHOT_BYTES_DEFAULT: u64 = 256 << 20;

/// The least that it may be: otherwise a busy shard would do little else.
pub const SNAPSHOT_BYTES_MIN: u64 = 64 << 10;

/// How many snapshots of a shard are kept, `--snapshots`: the newest, and one in case that is damaged.
pub const SNAPSHOTS_DEFAULT: usize = 2;

/// How long a slice of a snapshot is to take, in nanoseconds: what a command may wait for it.
pub const SNAPSHOT_SLICE_NS: u64 = 80_000;

/// The bytes of the first slice of a snapshot. The next ones are larger or smaller, by how long the last one took.
pub const SNAPSHOT_SLICE_BYTES: usize = 64 << 10;

/// The least that a slice may be: each looks at some hundred keys, however few of them it takes.
pub const SNAPSHOT_SLICE_BYTES_MIN: usize = 4 << 10;

/// The most that a slice may be.
pub const SNAPSHOT_SLICE_BYTES_MAX: usize = 256 << 10;

/// On a busy core, snapshots get this part of the time that its other work takes: a quarter.
pub const SNAPSHOT_PART: u64 = 4;

/// How many bytes of a shard's snapshot may wait to be written to the disk; then its next slice waits.
pub const SNAPSHOT_QUEUE_BYTES: usize = 1 << 20;

/// How long after a snapshot that has failed the next is tried, milliseconds; twice as long after each further one.
pub const SNAPSHOT_RETRY_MS: u64 = 1_000;

/// The longest that it is.
pub const SNAPSHOT_RETRY_MS_MAX: u64 = 60_000;

/// What many connections send leaves by itself from so many bytes on, and is handed on by reference instead of copied:
/// for less, copying is as cheap as the system calls.
pub const SHARED_APART_BYTES: usize = 16 << 10;

/// How many such buffers a core keeps in memory files; further ones are copied. Each takes a descriptor.
pub const SHARED_FILES_MAX: usize = 64;

/// The memory, in bytes, that is taken at once for what many are told: as much as they are told together, to which it
/// would grow anyway, by steps.
pub const SHARED_BYTES_AT_FIRST: usize = keytide_engine::limits::SHARED_BYTES as usize;

/// The percentage of the memory limit at which commands that may use more memory are refused. The rest is for replies, for
/// input, and for growth between two samples.
pub const MEMORY_SHARE_PERCENT: u64 = 90;

/// The interval of samples of the memory in use, in milliseconds.
pub const MEMORY_SAMPLE_MS: u64 = 100;

/// The same interval close to the limit: where less than [`MEMORY_CLOSE_PART`] of it is left.
pub const MEMORY_SAMPLE_CLOSE_MS: u64 = 10;

/// What part of the limit is close: a quarter. To get from there to the bound between two looks, a server would have to
/// take a quarter of its memory in a tenth of a second.
pub const MEMORY_CLOSE_PART: u64 = 4;

/// What part of the memory limit is never claimed for large arguments: a thirty-second.
pub const MEMORY_LEFT_PART: u64 = 32;

/// Input of a client from so many bytes on has pages of its own. Less is kept where memory serves again and again.
pub const INPUT_MAPPED_BYTES: usize = 4 << 20;

/// By how many bytes such pages grow: a range of addresses, which takes memory where something was received into it.
pub const INPUT_GROWTH_BYTES: usize = 16 << 20;

/// How many bytes of such pages a turn gives back to the system: 0.1 ms for each megabyte.
pub const INPUT_FREED_PER_TURN_BYTES: usize = 1 << 20;

/// Commands longer than this, in bytes, are checked before they are copied: an argument longer than its command can use
/// is refused.
pub const LARGE_COMMAND_BYTES: usize = 1 << 20;

/// Input of a client from so many bytes on is claimed of the memory that is left before it is taken.
pub const INPUT_CLAIM_BYTES: usize = 1 << 20;

/// How often a line is logged that clients can cause.
pub const LOG_PACE: Duration = Duration::from_secs(10);

/// How much time of a turn, in nanoseconds, goes to commands just received, to commands of other cores, and to commands
/// that clients have left, to each of the three. Only a single command may take longer.
pub const TURN_PART_NS: u64 = 500_000;

/// After so long in a turn, completions of the net ring wait for the next turn: connections that come, end, or send by
/// the thousand.
pub const TURN_EVENTS: Duration = Duration::from_millis(1);

/// After so many bytes of replies from other cores, what else a lane brings waits for the next turn.
pub const TURN_DELIVERED_BYTES: usize = 1 << 20;

/// After so many bytes of sends that were begun in a turn, further ones of [`SMALL_SEND_BYTES`] or more wait for the next
/// turn: the kernel copies them into pages of its own before it returns.
pub const TURN_SEND_BYTES: usize = 1 << 20;

/// A send of less bytes never waits for the next turn.
pub const SMALL_SEND_BYTES: usize = 16 << 10;

/// How many bytes of replies each of the three may make in a turn.
pub const TURN_REPLY_BYTES: usize = 1 << 20;

/// A client whose last commands took more bytes of input and replies than this goes behind others when it has to wait.
pub const HEAVY_BYTES: usize = 64 << 10;

/// The same for the time that they took.
pub const HEAVY_TIME: Duration = Duration::from_micros(100);

/// How many commands whose time is bounded by their bytes may run before the clock is looked at.
pub const BUDGET_COMMANDS: u32 = 64;

/// A command that takes longer, in nanoseconds, is counted as long.
pub const COMMAND_LONG_NS: u64 = 1_000_000;

/// How many kinds of errors INFO counts, by their codes; further kinds are not counted.
pub const ERROR_KINDS_MAX: usize = 128;

/// Descriptors that are kept for the process as a whole: standard streams, signals, the directory, `/proc`, and what its
/// threads open for a moment.
pub const DESCRIPTORS_FOR_SERVER: u64 = 32;

/// Those that are kept for each shard: its rings, its listener, its eventfd, the pipe of what many are sent.
pub const DESCRIPTORS_FOR_SHARD: u64 = 16;

/// Those that are kept for each shard's log: active, next and sealed segment, the marks, a snapshot, the journal of its
/// groups, and segments that readers open to map them.
pub const DESCRIPTORS_FOR_LOG: u64 = 16;

/// What part of the descriptors that are left clients do not get: a quarter. The system accepts a backlog at once, and with
/// a short one clients that come together wait for a second.
pub const DESCRIPTORS_SLACK_PART: u64 = 4;

/// The least number of connections that may wait to be accepted on each core.
pub const BACKLOG_MIN: u64 = 16;

/// The most.
pub const BACKLOG_MAX: u64 = 1024;

/// How long the oldest client without the password is left alone when another one comes and there are too many.
pub const LOGIN_GRACE: Duration = Duration::from_secs(1);

/// How many bytes a client without the password may send that are no whole command yet, and may leave unread: far more
/// than a login takes.
pub const UNAUTHENTICATED_BYTES_MAX: usize = 32 << 10;

/// How many commands and subcommands rules of users can tell apart.
pub const COMMANDS_MAX: usize = 1024;

/// How long a password may be, in bytes: as long as an argument may be before a login. A longer one is not even hashed, so
/// that no login takes a turn's time.
pub const PASSWORD_BYTES_MAX: usize = 16 << 10;

/// How many bits a password of ACL GENPASS may have, as in Redis.
pub const GENPASS_BITS_MAX: usize = 4096;

/// How many entries ACL LOG keeps, `--acllog-max-len`.
pub const ACLLOG_MAX_LEN_DEFAULT: u64 = 128;

/// How many bytes of a key, a channel or a name an entry of ACL LOG keeps.
pub const DENIAL_OBJECT_BYTES_MAX: usize = 512;

/// Equal denials within so many milliseconds are one entry of ACL LOG, as in Redis.
pub const DENIALS_GROUPED_MS: u64 = 60_000;

/// Among so many of the newest entries of ACL LOG an equal one is looked for, as in Redis.
pub const DENIALS_LOOKED_AT: usize = 10;
