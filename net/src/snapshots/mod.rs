//! Snapshots of the shards, taken while the server runs, so that a start replays only what came later.
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
//! | [`board`] | what is asked of all shards, and what each has come to |
//! | [`writer`] | the thread that writes |
//! | [`pace`] | how much of a turn goes to it |
//!
//! What a core does is in `turn_loop::snapshot`.

pub mod board;
pub mod pace;
pub mod writer;

pub use board::{Board, Outcome, Totals};
pub use pace::Pace;
pub use writer::{Order, Report, SnapshotThread};
