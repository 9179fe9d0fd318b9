//! Keytide's engine: shards of keys that record every mutation in a ring, the total order over all shards, and its
//! readers. No sockets, no executor, no protocol; the clock is an argument.
//!
//! | module | what is in it |
//! |---|---|
//! | [`position`] | the numbers: positions, revisions, shards, ring offsets |
//! | [`slot`] | maps a key to its slot and its shard |
//! | [`event`] | the built-in event types |
//! | [`sequencer`] | positions in blocks, and the frontier below which everything is published |
//! | [`ring`] | one shard's recent history in bytes: one writer, any number of readers |
//! | [`keyspace`] | the keys of a shard: the table, and the entry, which changes only with its record |
//! | [`waiters`] | which command waits for which key, and is served first |
//! | [`readers`] | who has read which key, and is to be told when it changes |
//! | `recent_ids` | the ids of the latest events of streams, in brief |
//! | [`turn`] | the open turn: records, positions, publication |
//! | [`shard`] | one core's keys with their ring, and the operations on them |
//! | [`shards`] | operations on the shards of several keys, or on all |
//! | [`snapshot`] | all keys of a shard in a file, so that a restart replays only later records |
//! | [`history`] | all rings read as one, in the order of positions, up to the frontier |
//! | [`fanout`] | new records matched for the cores with subscribers |
//! | [`stream_acl`] | who may use a stream, as its metadata says |
//! | [`stream_metadata`] | what limits the events that can be read of a stream |
//! | [`stream_name`] | the names of streams, and which of them are the system's |
//! | [`filter`] | patterns that select events |
//! | [`interest`] | which events a reader wants: a source and a filter |
//! | [`subscription`] | delivery from any position on, then live |
//! | [`matcher`] | all live interests of a shard; each record is matched once |
//! | [`group`] | consumer groups: each event is delivered to one worker until acknowledged |
//! | [`log`] | the durable history of a shard: segments, written, sealed, read |
//! | [`store`] | the directory of the logs: recovery, restoring, check and repair |
//! | [`bits`] | strings as rows of bits |
//! | [`hyperloglog`] | estimates of how many different elements there were |
//! | [`subsequence`] | what two strings have in common |
//! | [`geo`] | places on the earth as scores |
//! | [`dump`] | values in the form of DUMP and RESTORE |
//! | [`number`] | numbers as Redis reads and writes them |
//! | [`extended`] | the 80-bit floats of INCRBYFLOAT |
//! | [`error`] | the reasons to refuse a command |
//! | [`account`] | accounting of memory held for clients |
//! | [`limits`] | every bound, with its default |
//! | [`clock`] | the time |

pub mod account;
pub mod bits;
pub mod clock;
pub mod collection;
pub mod dump;
pub mod error;
pub mod event;
pub mod eviction;
pub mod extended;
pub mod fanout;
pub mod filter;
pub mod geo;
pub mod group;
pub mod history;
pub mod hyperloglog;
pub mod interest;
pub mod keyspace;
pub mod limits;
pub mod log;
pub mod matcher;
pub mod number;
pub mod position;
pub(crate) mod prefetch;
pub mod readers;
pub(crate) mod recent_ids;
pub mod ring;
pub mod sequencer;
pub mod shard;
pub mod shards;
pub mod slot;
pub mod snapshot;
pub mod store;
pub mod stream_acl;
pub mod stream_metadata;
pub mod stream_name;
pub mod subscription;
pub mod subsequence;
pub(crate) mod sync;
pub mod turn;
pub mod waiters;
