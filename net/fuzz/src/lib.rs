//! The checks of the fuzz targets. `net/tests/corpus.rs` includes this file as a module and runs the checks on the inputs
//! in `net/fuzz/corpus`, with any compiler.
//!
//! | module | input |
//! |---|---|
//! | [`resp`] | bytes of a client, cut in different ways |
//! | [`globs`] | a glob and a name |
//! | [`regexes`] | a regex and a name |
//! | [`segments`] | the files of a shard's log |
//! | [`snapshots`] | a snapshot's file |
//! | [`groups`] | a journal of consumer groups |
//! | [`web`] | the bytes of a connection of HTTP |
//! | `input` | reads the fields of an input |
//! | `records` | records: their checksums, and a reader that does not use the engine |
//! | `scratch` | directories for files |
//! | `unsynced` | a storage that never syncs: the one of the engine's tests |
//!
//! A random change of a file does not produce a valid checksum, so all code behind the check would stay untested.
//! Therefore the targets for files can compute the checksums of their input first.

pub mod globs;
pub mod groups;
mod input;
mod records;
pub mod regexes;
pub mod resp;
mod scratch;
pub mod segments;
pub mod snapshots;
#[path = "../../../engine/src/store/tests/unsynced.rs"]
mod unsynced;
pub mod web;

use input::Input;
use keytide_engine::log::storage;
