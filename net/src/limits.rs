//! Every bound of the server around the engine, with its name, its value and its reason; of bounds that are flags, the
//! default. Those of gRPC and HTTP, and of groups that calls read, are in files of their own.

mod groups;
mod grpc;

pub use groups::*;
pub use grpc::*;

mod channels;
mod scripts;
mod slow_log;
mod tracking;

pub use channels::*;
pub use scripts::*;
pub use slow_log::*;
pub use tracking::*;

use std::time::Duration;

/// The most replies of one connection that may be under way from other cores; then its next commands wait.
pub const PIPELINE_MAX: usize = 4096;

/// The most such replies before the first has arrived, because their size is not known until then.
pub const PIPELINE_START: usize = 64;

/// The most bytes that such replies may have together, estimated by the size of earlier ones.
pub const REMOTE_REPLIES_BYTES: usize = 4 << 20;

/// The most bytes of commands of one connection that may be under way to other cores; then its next commands wait. A single
/// command may be longer.
pub const FORWARDED_BYTES_MAX: usize = 4 << 20;

/// The bytes that a reply under way from another core counts for as output, at least. Replies between cores of this size or
/// more are counted one by one.
pub const REMOTE_REPLY_BYTES_MIN: usize = 4 << 10;

/// A core runs no further command of a connection while more bytes than this of its large replies are unacknowledged by the
/// connection's core.
pub const UNACKNOWLEDGED_BYTES_MAX: usize = 256 << 10;

/// A core runs no further command of another core while that core has more bytes of batches than this to take from the
/// lane.
pub const LANE_BYTES_MAX: usize = 8 << 20;

/// A connection runs no further command while more bytes of replies than this, made on its core, wait behind a reply of
/// another core.
pub const BEHIND_BYTES_MAX: usize = 1 << 20;

/// The unread output of a connection, in bytes, above which its commands wait until the client has read some,
/// `--client-output-bytes`.
pub const CLIENT_OUTPUT_BYTES_DEFAULT: u64 = 256 << 20;

/// The unread output of all clients together, in bytes, above which the commands of those with the most wait,
/// `--clients-output-bytes`; or [`CLIENTS_OUTPUT_PART`] of the memory if that is less.
pub const CLIENTS_OUTPUT_BYTES_DEFAULT: u64 = 1 << 30;

/// The part of the memory in [`CLIENTS_OUTPUT_BYTES_DEFAULT`]: an eighth.
pub const CLIENTS_OUTPUT_PART: u64 = 8;

/// The least value of these two flags. Every client may leave this many bytes unread, however much the others do.
pub const OUTPUT_BYTES_MIN: u64 = 64 << 10;

/// The seconds after which a client is closed that reads nothing while its commands wait, `--output-stall-seconds`.
pub const OUTPUT_STALL_SECONDS_DEFAULT: u64 = 60;

/// The bytes that the reply of a transaction may have, however much unread output all clients have, unless its client's
/// limit is less.
pub const TRANSACTION_REPLY_BYTES_MIN: u64 = 4 << 20;

/// The release of Redis as which this server presents itself, and its number as scripts see it. Replies and errors are those of
/// 7.0.15, but clients choose their commands by this number, and frameworks refuse a server without what came with 7.2 and 7.4.
pub const REDIS_VERSION: (&str, i64) = ("7.4.0", 0x07_04_00);

/// The name by which this server introduces itself in HELLO: client libraries compare it. Its own is in INFO.
pub const SERVER_NAME: &str = "redis";

/// The approximate size of one send, in bytes: output that waits for a send to end is cut into pieces of this size.
pub const SEND_BYTES: usize = 1 << 20;

/// The bytes of output after which a connection's commands check again how much it may leave unread.
pub const OUTPUT_LOOK_BYTES: usize = 256 << 10;

/// The bytes of input behind a waiting command after which nothing more is received from the client.
pub const INPUT_PAUSE_BYTES: usize = 256 << 10;

/// The heap memory prefaulted at start, in bytes, `--heap-bytes`: what the pushes of a server's first seconds take. With
/// none, the p99 from write to push was 7 ms in these seconds instead of 0.1 ms.
pub const HEAP_BYTES_DEFAULT: u64 = 128 << 20;

/// The most connected clients, `--maxclients`.
pub const MAXCLIENTS_DEFAULT: u64 = 10_000;

/// The largest value of `--maxclients`, as in Redis.
pub const MAXCLIENTS_MAX: u64 = u32::MAX as u64;

/// The part of `--maxclients` that may be strangers, `--unauthenticated-clients`: a quarter.
pub const UNAUTHENTICATED_CLIENTS_PART: u64 = 4;

/// The largest default of `--unauthenticated-clients`. The memory of one stranger is bounded, so all of them take at most
/// 64 MiB.
pub const UNAUTHENTICATED_CLIENTS_DEFAULT_MAX: u64 = 1_000;

/// The time for a client to authenticate, in milliseconds, `--auth-timeout`.
pub const AUTH_TIMEOUT_MS_DEFAULT: u64 = 60_000;

/// The unsent output of a subscriber, in bytes, at which it gets no more events, `--push-buffer-bytes`.
pub const PUSH_BUFFER_BYTES_DEFAULT: u64 = 256 << 10;

/// The least value of `--push-buffer-bytes`: small events leave together with others.
pub const PUSH_BUFFER_BYTES_MIN: u64 = 1 << 10;

/// The plaintext that becomes TLS records for one send, in bytes: the most that a turn seals of a long reply.
pub const TLS_SEAL_BYTES: usize = 256 << 10;

/// The time of a turn for TLS handshakes. At least one continues in each turn, the others in later turns.
pub const TURN_HANDSHAKES: Duration = Duration::from_micros(500);

/// The size in bytes above which an empty buffer of a connection is freed.
pub const BUFFER_KEEP_BYTES: usize = 64 << 10;

/// The most shards, `--shards`: there is a lane from each to each other.
pub const SHARDS_MAX: u16 = 512;

/// The microseconds without work after which a core sleeps, `--spin-us`; 0 if shards share cores.
pub const SPIN_US_DEFAULT: u64 = 50;

/// The number of batches that a lane between two cores holds.
pub const LANE_BATCHES: usize = 256;

/// The messages, or the bytes of arguments and replies, after which the next batch begins.
pub const BATCH_BYTES: usize = 256 << 10;

/// The bytes that all consumer groups may take, `--groups-bytes`.
pub const GROUPS_BYTES_DEFAULT: u64 = 256 << 20;

/// The bytes that all subscriptions may take, `--subscriptions-bytes`.
pub const SUBSCRIPTIONS_BYTES_DEFAULT: u64 = 256 << 20;

/// The bytes that all commands queued by MULTI and all watched keys may take, `--transactions-bytes`.
pub const TRANSACTIONS_BYTES_DEFAULT: u64 = 1 << 30;

/// The bytes that all input may take which is incomplete or waits to run, `--input-bytes`.
pub const INPUT_BYTES_DEFAULT: u64 = 1 << 30;

/// The least value of each of these flags.
pub const ACCOUNT_BYTES_MIN: u64 = 64 << 10;

/// The unit, in bytes, in which a connection's input is counted; so the rest of a pipeline is not counted.
pub const INPUT_COUNTED_BYTES: usize = 16 << 10;

/// The bytes that a command takes in a transaction's queue beside its arguments.
pub const QUEUED_COMMAND_BYTES: usize = 96;

/// The bytes that an argument takes there beside its own.
pub const QUEUED_ARGUMENT_BYTES: usize = 8;

/// The number of keys that one client's command may wait for, `--waiting-keys-per-client`.
pub const WAITING_KEYS_PER_CLIENT_DEFAULT: usize = 10_000;

/// The bytes that all commands which wait for keys may take, `--waits-bytes`: 500,000 commands with short keys.
pub const WAITS_BYTES_DEFAULT: u64 = 256 << 20;

/// The bytes that a command which waits for keys takes beside its arguments: among the commands of its core, and among the
/// waiters of its shards.
pub const WAITING_COMMAND_BYTES: usize = 384;

/// The bytes that a key takes there beside its name, for each command that waits for it.
pub const WAITING_KEY_BYTES: usize = 128;

/// The number of databases, `--databases`: that of Redis.
pub const DATABASES_DEFAULT: u64 = 16;

/// The most keys that one connection may watch.
pub const WATCHED_KEYS_MAX: usize = 1 << 16;

/// The bytes that a watched key takes beside its name.
pub const WATCHED_KEY_BYTES: usize = 64;

/// The most commands that one transaction may queue.
pub const TRANSACTION_COMMANDS_MAX: usize = 1 << 20;

/// The most bytes of one transaction's commands: the limit of a query in Redis.
pub const TRANSACTION_BYTES_MAX: usize = 1 << 30;

/// The milliseconds that a stopping core waits for its last replies to leave.
pub const STOP_GRACE_MS: u64 = 1_000;

/// The time of a turn, in nanoseconds, for commands that read the history or a consumer group; the others run in later
/// turns. The command that exceeds it runs to its end, which is bounded: see
/// [`SCAN_RECORDS_MAX`](keytide_engine::limits::SCAN_RECORDS_MAX).
pub const DEFERRED_TURN_NS: u64 = 1_000_000;

/// Subscriptions that catch up get this part of the time that a turn's other work took: a third.
pub const CATCH_UP_PART: u64 = 3;

/// Demoted subscriptions, which cost the shards too much to be live, get this part: an eighth.
pub const DEMOTED_PART: u64 = 8;

/// The time, in nanoseconds, for each of the two in a turn without other work. It is short, so that new commands are seen
/// soon.
pub const READING_IDLE_NS: i64 = 300_000;

/// The most unused time, in nanoseconds, that each of the two saves for later turns.
pub const READING_SAVED_NS_MAX: i64 = 500_000;

/// The number of large output buffers that a core keeps for reuse.
pub const PUSH_SPARES: usize = 16;

/// The size in bytes above which such a buffer is freed.
pub const PUSH_SPARE_BYTES_MAX: usize = 512 << 10;

/// The estimated cost of one send of pushes, in nanoseconds: the kernel sends them after the turn.
pub const PUSH_SEND_NS: u64 = 4_000;

/// The bytes of a segment's file, `--segment-bytes`.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 << 20;

/// The least value of `--segment-bytes`: with smaller segments a directory has too many files.
pub const SEGMENT_BYTES_MIN: u64 = 1 << 20;

/// The bytes of history that all shards together retain, `--retain-bytes`.
pub const RETAIN_BYTES_DEFAULT: u64 = 16 << 30;

/// The bytes that a shard logs between two snapshots, `--snapshot-bytes`: some seconds of replay at a start.
pub const SNAPSHOT_BYTES_DEFAULT: u64 = 256 << 20;

/// The least value of `--snapshot-bytes`: with less, a busy shard would do little else.
pub const SNAPSHOT_BYTES_MIN: u64 = 64 << 10;

/// The number of snapshots retained for each shard, `--snapshots`: the newest, and one more in case that is damaged.
pub const SNAPSHOTS_DEFAULT: usize = 2;

/// The planned duration of a slice of a snapshot, in nanoseconds: the time that a command may wait for it.
pub const SNAPSHOT_SLICE_NS: u64 = 80_000;

/// The bytes of a snapshot's first slice. Later ones are larger or smaller, by the duration of the previous one.
pub const SNAPSHOT_SLICE_BYTES: usize = 64 << 10;

/// The least bytes of a slice: each slice visits some hundred keys, however few bytes it takes.
pub const SNAPSHOT_SLICE_BYTES_MIN: usize = 4 << 10;

/// The most bytes of a slice.
pub const SNAPSHOT_SLICE_BYTES_MAX: usize = 256 << 10;

/// On a busy core, snapshots get this part of the time that its other work takes: a quarter.
pub const SNAPSHOT_PART: u64 = 4;

/// The bytes of a shard's snapshot that may wait to be written to disk; then its next slice waits.
pub const SNAPSHOT_QUEUE_BYTES: usize = 1 << 20;

/// The milliseconds after a failed snapshot before the next attempt. They double with each further failure.
pub const SNAPSHOT_RETRY_MS: u64 = 1_000;

/// The most such milliseconds.
pub const SNAPSHOT_RETRY_MS_MAX: u64 = 60_000;

/// The bytes from which on output for many connections is sent by reference instead of copied. Below, a copy is as cheap as
/// the system calls.
pub const SHARED_APART_BYTES: usize = 16 << 10;

/// The number of such buffers that a core keeps in memory files; further ones are copied. Each takes a descriptor.
pub const SHARED_FILES_MAX: usize = 64;

/// The initial capacity, in bytes, of a buffer for many connections: the most that one shared delivery takes, so that the
/// buffer need not grow in steps.
pub const SHARED_BYTES_AT_FIRST: usize = keytide_engine::limits::SHARED_BYTES as usize;

/// The percentage of the memory limit at which commands that may use more memory are refused. The rest is for replies, for
/// input, and for growth between two samples.
pub const MEMORY_SHARE_PERCENT: u64 = 90;

/// The interval of samples of the memory in use, in milliseconds.
pub const MEMORY_SAMPLE_MS: u64 = 100;

/// The same interval close to the limit: if less than [`MEMORY_CLOSE_PART`] of it is left.
pub const MEMORY_SAMPLE_CLOSE_MS: u64 = 10;

/// The part of the memory limit that counts as close: a quarter. A server would have to take a quarter of its memory in a
/// tenth of a second to pass the limit between two samples.
pub const MEMORY_CLOSE_PART: u64 = 4;

/// The part of the memory limit that large arguments never get: a thirty-second.
pub const MEMORY_LEFT_PART: u64 = 32;

/// The bytes from which on a client's input has pages of its own. Smaller input uses memory that is reused.
pub const INPUT_MAPPED_BYTES: usize = 4 << 20;

/// The bytes by which such pages grow: a range of addresses, which takes memory only where something was received.
pub const INPUT_GROWTH_BYTES: usize = 16 << 20;

/// The bytes of such pages that a turn returns to the system: 0.1 ms for each megabyte.
pub const INPUT_FREED_PER_TURN_BYTES: usize = 1 << 20;

/// Commands longer than this, in bytes, are checked before they are copied: an argument longer than its command can use is
/// refused.
pub const LARGE_COMMAND_BYTES: usize = 1 << 20;

/// The bytes from which on a client's input is first claimed from the memory that is left.
pub const INPUT_CLAIM_BYTES: usize = 1 << 20;

/// The least time between two log lines of one kind that clients can cause.
pub const LOG_PACE: Duration = Duration::from_secs(10);

/// The time of a turn, in nanoseconds, for each of three parts: commands just received, commands of other cores, commands
/// that clients have left. Only a single command may take longer.
pub const TURN_PART_NS: u64 = 500_000;

/// The time of a turn for completions of the net ring; the others wait for the next turn: thousands of connections that
/// open, close or send.
pub const TURN_EVENTS: Duration = Duration::from_millis(1);

/// The bytes of replies from other cores after which the rest of a lane waits for the next turn.
pub const TURN_DELIVERED_BYTES: usize = 1 << 20;

/// The bytes of sends begun in a turn after which further sends of [`SMALL_SEND_BYTES`] or more wait for the next turn: the
/// kernel copies them before it returns.
pub const TURN_SEND_BYTES: usize = 1 << 20;

/// A send of fewer bytes never waits for the next turn.
pub const SMALL_SEND_BYTES: usize = 16 << 10;

/// The bytes of replies that each of the three parts of a turn may make.
pub const TURN_REPLY_BYTES: usize = 1 << 20;

/// A client whose last commands took more bytes of input and replies than this comes after others when it has to wait.
pub const HEAVY_BYTES: usize = 64 << 10;

/// The same for the duration of its last commands.
pub const HEAVY_TIME: Duration = Duration::from_micros(100);

/// The number of commands with bounded duration that may run between two readings of the clock.
pub const BUDGET_COMMANDS: u32 = 64;

/// The nanoseconds from which on a command counts as long.
pub const COMMAND_LONG_NS: u64 = 1_000_000;

/// The number of error codes that INFO counts; further codes are not counted.
pub const ERROR_KINDS_MAX: usize = 128;

/// The descriptors reserved for the process as a whole: standard streams, signals, the directory, `/proc`, and files that
/// its threads open briefly.
pub const DESCRIPTORS_FOR_SERVER: u64 = 32;

/// The descriptors reserved for each shard: its rings, its listeners, its eventfd, the pipe of shared output.
pub const DESCRIPTORS_FOR_SHARD: u64 = 16;

/// The descriptors reserved for each shard's log: active, next and sealed segment, the marks, a snapshot, the journal of
/// its groups, and segments that readers open to map them.
pub const DESCRIPTORS_FOR_LOG: u64 = 16;

/// The part of the remaining descriptors that clients do not get: a quarter. The system accepts the whole backlog at once,
/// and with a short backlog clients that connect together wait for a second.
pub const DESCRIPTORS_SLACK_PART: u64 = 4;

/// The least number of connections that may wait to be accepted on each core.
pub const BACKLOG_MIN: u64 = 16;

/// The most such connections.
pub const BACKLOG_MAX: u64 = 1024;

/// The time that the oldest stranger has at least, before it is closed because another stranger connects and there are too
/// many.
pub const LOGIN_GRACE: Duration = Duration::from_secs(1);

/// The bytes that a stranger may send without a whole command, and the bytes that it may leave unread: far more than a
/// login takes.
pub const UNAUTHENTICATED_BYTES_MAX: usize = 32 << 10;

/// The number of commands and subcommands that rules of users can distinguish.
pub const COMMANDS_MAX: usize = 1024;

/// The longest password, in bytes: as long as an argument may be before a login. A longer one is not hashed, so no login
/// takes a turn's time.
pub const PASSWORD_BYTES_MAX: usize = 16 << 10;

/// The most bits of a password of ACL GENPASS, as in Redis.
pub const GENPASS_BITS_MAX: usize = 4096;

/// The number of entries that ACL LOG keeps, `--acllog-max-len`.
pub const ACLLOG_MAX_LEN_DEFAULT: u64 = 128;

/// The bytes of a key, a channel or a name that an entry of ACL LOG keeps.
pub const DENIAL_OBJECT_BYTES_MAX: usize = 512;

/// Equal denials within this many milliseconds are one entry of ACL LOG, as in Redis.
pub const DENIALS_GROUPED_MS: u64 = 60_000;

/// The number of newest entries of ACL LOG among which an equal one is searched, as in Redis.
pub const DENIALS_LOOKED_AT: usize = 10;

/// How many logins from one address may fail within [`AUTH_FAILURES_WINDOW_MS_DEFAULT`], `--auth-failures`: more than
/// clients with an old password make, and too few to find one.
pub const AUTH_FAILURES_DEFAULT: u64 = 10_000;

/// How long a failed login counts, milliseconds, `--auth-failures-window`.
pub const AUTH_FAILURES_WINDOW_MS_DEFAULT: u64 = 60_000;

/// Of how many addresses failed logins are counted: 128 KiB.
pub const AUTH_FAILURE_ADDRESSES: usize = 4096;

/// A core takes this part of what a user may run in a second, for the commands that come next: an eighth of its share.
pub const USER_COMMANDS_TAKEN_PART: u64 = 8;

/// How often a user may change its own password, in milliseconds: each time the file of users is written, within a turn.
pub const PASSWORD_CHANGE_MS: u64 = 1_000;

/// How long a core waits, in milliseconds, before it closes a client because of `--maxmemory-clients`: so that others tell what their
/// clients take, and what the last one has had is free.
pub const CLIENTS_LIMIT_WAIT_MS: u64 = 10;

/// The seconds in which an import has to reach a server.
pub const IMPORT_CONNECT_SECONDS: u64 = 10;

/// The seconds in which a server has to answer an import, whatever the command.
pub const IMPORT_REPLY_SECONDS: u64 = 60;

/// The most bytes of a value that is imported: as long as an argument of a command may be.
pub const IMPORT_VALUE_BYTES_MAX: u64 = 512 << 20;

/// The commands that an import sends ahead of their replies, and the bytes of their payloads.
pub const IMPORT_WINDOW_COMMANDS: usize = 256;
/// See [`IMPORT_WINDOW_COMMANDS`].
pub const IMPORT_WINDOW_BYTES: u64 = 16 << 20;

/// The values that an import asks a server for at a time, which may be large.
pub const IMPORT_DUMPS_AT_ONCE: usize = 32;

/// The COUNT of an import's scans.
pub const IMPORT_SCAN_COUNT: &str = "1000";

/// The most bytes of keys that have changed at the source and were not copied again yet.
pub const IMPORT_CHANGED_BYTES_MAX: usize = 64 << 20;

/// The most keys, and reasons, that an import shows by name.
pub const IMPORT_SHOWN_MAX: u64 = 20;
