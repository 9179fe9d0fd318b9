//! Snapshots of the shards, taken while the server runs, so that a start replays only later records.
//!
//! ```text
//!   core, between its turns          the thread that writes              the shard's log
//!   begin ──► slice ──► slice … ───► aside, synced now and then
//!                         end E ───► waits for ◄──────────────────────── synced through E
//!                                    its name, older ones removed ─────► retention may go on
//! ```
//!
//! | file | what is in it |
//! |---|---|
//! | [`board`] | the latest request, and the state of each shard |
//! | [`writer`] | the thread that writes |
//! | [`pace`] | the share of a core's time that goes to snapshots |
//!
//! The work of a core is in `turn_loop::snapshot`.

pub mod board;
pub mod pace;
pub mod writer;

pub use board::{Board, Outcome, Totals};
pub use pace::Pace;
pub use writer::{Order, Report, SnapshotThread};
