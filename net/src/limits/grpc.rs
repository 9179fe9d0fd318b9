//! The bounds of gRPC and HTTP: connections, calls, messages, appends, reads.

use std::time::Duration;

/// How long a client of gRPC may be silent before it is asked for a sign of life, `--grpc-keepalive`, in milliseconds.
pub const GRPC_KEEPALIVE_MS_DEFAULT: u64 = 10_000;

/// How often the calls of a core are looked at for deadlines at the most, in milliseconds.
pub const CALL_LOOKS_MS: u64 = 20;

/// How long a call waits before it asks again for what is being made, such as its regular expression, in milliseconds.
pub const CALL_RETRY_MS: u64 = 1;

/// The longest deadline that is kept, in milliseconds: three years. A call with a longer one has none.
pub const CALL_DEADLINE_MS_MAX: u64 = 3 * 365 * 24 * 60 * 60 * 1_000;

/// The port of gRPC and HTTP, `--grpc-port`: that of KurrentDB.
pub const GRPC_PORT_DEFAULT: u16 = 2113;

/// How many bytes a client may send on a stream of HTTP/2 before they are read.
pub const HTTP2_STREAM_WINDOW: u32 = 1 << 20;

/// How many bytes a client may send on all streams of a connection before they are read.
pub const HTTP2_CONNECTION_WINDOW: u32 = 4 << 20;

/// How many calls a connection may have at a time.
pub const HTTP2_STREAMS_MAX: u32 = 10_000;

/// The longest frame that a client may send, in bytes.
pub const HTTP2_FRAME_BYTES_MAX: u32 = 64 << 10;

/// How long the headers of a request may be, in bytes.
pub const HTTP2_HEADER_BYTES_MAX: u32 = 16 << 10;

/// How many bytes of answers HTTP/2 holds for a stream.
pub const HTTP2_SEND_BYTES_MAX: usize = 256 << 10;

/// How many requests a client may have given up before they were looked at; with more the connection ends.
pub const HTTP2_RESETS_PENDING_MAX: usize = 4_096;

/// What short frames of data may cost until they are read, in bytes. They are read at once; but appends and
/// acknowledgements are short, and many come together.
pub const HTTP2_DATA_FRAME_BUDGET: usize = 4 << 20;

/// The longest message of a call, in bytes.
pub const GRPC_MESSAGE_BYTES_MAX: usize = 17 << 20;

/// How many bytes a message of a method may have that anybody may call, before any login.
pub const GRPC_OPEN_MESSAGE_BYTES_MAX: usize = 4 << 10;

/// How many bytes of compressed messages a core unpacks in a turn: a millisecond or two. What is left of a message goes on in the
/// next one: a small message may become a large one.
pub const GRPC_UNZIPPED_BYTES_TURN: usize = 1 << 20;

/// How many of them may be of one connection, each time that it is looked at.
pub const GRPC_UNZIPPED_BYTES: usize = 256 << 10;

/// How many bytes of messages are handed to HTTP/2 together.
pub const GRPC_DATA_BYTES: usize = 64 << 10;

/// While so many operations of a call are under way no further message of it is read.
pub const CALL_JOBS_MAX: usize = 1024;

/// A call that reads the history reads on while fewer bytes than this wait to leave.
pub const CALL_OUT_BYTES: usize = 128 << 10;

/// Beyond so many bytes of unsent output of a connection of HTTP no further frames are made.
pub const WEB_OUTPUT_BYTES: usize = 256 << 10;

/// The calls of a connection get no further events while so many bytes of messages wait for all of them, in bytes.
pub const CALLS_OUT_BYTES_MAX: usize = 4 << 20;

/// How long calls read the history in a turn.
pub const CALL_READS_TURN: Duration = Duration::from_micros(500);

/// How long the head of a request of HTTP/1.1 may be, in bytes.
pub const HTTP1_HEAD_BYTES_MAX: usize = 16 << 10;

/// How many headers it may have.
pub const HTTP1_HEADERS_MAX: usize = 64;

/// How many bytes an event may have that a client of KurrentDB appends: its data, its metadata, and twice its type's name.
pub const APPEND_EVENT_BYTES_MAX: usize = 16 << 20;

/// How many bytes all events of an append may have together. The ring bounds it further.
pub const APPEND_BYTES_MAX: usize = 64 << 20;

/// How many events an append may have: their ids are looked for together, in one turn.
pub const APPEND_EVENTS_MAX: usize = 65_536;

/// How many streams an append may have, with those that are only checked: all are looked at in one turn.
pub const APPEND_STREAMS_MAX: usize = 4_096;

/// How many levels the properties of an event may have, of objects and lists within each other.
pub const PROPERTY_LEVELS_MAX: usize = 64;

/// How many appends a call of BatchAppend may have begun and not ended.
pub const BATCH_APPENDS_OPEN_MAX: usize = 1024;

/// How many events of a stream a read finds by going back from event to event; with more between it and the last event it
/// reads the history in order instead.
pub const STREAM_READ_LINKS_MAX: usize = 16_384;

/// For how many links that clients have written the streams that they point to are described together.
pub const LINK_ROUND_LINKS: usize = 256;

/// How many streams are described together at the most.
pub const LINK_ROUND_STREAMS: usize = 64;

/// The place of every so many-th event is kept that a search for the event of a link has passed.
pub const LINK_WAYPOINT_EVERY: u64 = 1_024;

/// How many of these a call keeps; with more it begins anew.
pub const LINK_WAYPOINTS_MAX: usize = 4_096;

/// Of how many searches a call keeps the places of the events that they have passed last.
pub const LINK_BLOCKS_MAX: usize = 16;

/// How many events a read looks at before others have their turn.
pub const READ_SLICE_EVENTS: usize = 1_024;

/// How many bytes of events a read sends before others have their turn.
pub const READ_SLICE_BYTES: u64 = 64 << 10;
