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
//! | [`filter`] | which events a read wants: prefixes, regexes, globs |
//! | [`limits`] | every bound, with its default |
//! | [`clock`] | the time |

pub mod clock;
pub mod event;
pub mod filter;
pub mod limits;
pub mod position;
pub mod ring;
pub mod sequencer;
pub mod slot;
pub(crate) mod sync;
