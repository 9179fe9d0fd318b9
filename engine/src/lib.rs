//! Keytide's engine: shards of keys that record every mutation in a ring, the one order over all shards, and what
//! reads it back. No sockets, no executor, no protocol; the clock is an argument.
//!
//! | module | what is in it |
//! |---|---|
//! | [`position`] | the numbers: positions, revisions, shards, ring offsets |
//! | [`slot`] | from a key to its slot to its shard |
//! | [`event`] | the built-in event types |
//! | [`sequencer`] | positions handed out in blocks, and the frontier below which all is published |
//! | [`ring`] | one shard's recent history in bytes: one writer, any number of readers |
//! | [`keyspace`] | the keys of a shard: the table, and the entry, which changes only with its record |
//! | [`turn`] | the open turn: records, positions, publication |
//! | [`shard`] | one core's keys with their ring, and the operations on them |
//! | [`shards`] | what works on the shards of several keys, or on all |
//! | [`snapshot`] | all keys of a shard in a file, so that a restart replays only what came later |
//! | [`history`] | all rings read as one, in the order of positions, up to the frontier |
//! | [`system_stream`] | the names that nobody writes to |
//! | [`filter`] | which events a reader wants |
//! | [`subscription`] | from any position to what happens now |
//! | [`matcher`] | all live interests of a shard, each record looked at once |
//! | [`group`] | consumer groups: events shared out among workers, each until it is acknowledged |
//! | [`log`] | the history of a shard that outlives the process: segments, written, sealed, read |
//! | [`store`] | the directory around the logs: what a start finds and brings back, check and repair |
//! | [`number`] | numbers as Redis reads and writes them |
//! | [`extended`] | the floats that INCRBYFLOAT adds |
//! | [`error`] | why a command is refused |
//! | [`account`] | memory that clients have the server keep, counted |
//! | [`limits`] | every bound, with its default |
//! | [`clock`] | the time |

pub mod account;
pub mod clock;
pub mod error;
pub mod event;
pub mod extended;
pub mod fanout;
pub mod filter;
pub mod group;
pub mod history;
pub mod keyspace;
pub mod limits;
pub mod log;
pub mod matcher;
pub mod number;
pub mod position;
pub(crate) mod prefetch;
pub mod ring;
pub mod sequencer;
pub mod shard;
pub mod shards;
pub mod slot;
pub mod snapshot;
pub mod store;
pub mod subscription;
pub(crate) mod sync;
pub mod system_stream;
pub mod turn;
