//! What a start finds of a shard: its newest snapshot that the log still reaches, and the log behind it.
//!
//! ```text
//!   segments, oldest first ─► each whole? ─► the end of the log ─► snapshot ─► replay ─► keys, and where to go on
//!                                 │ no
//!                                 ├─ nothing behind it, or the power was lost and it lies above the mark of what was
//!                                 │  synced: a torn end, cut off and told
//!                                 └─ else it is damage, and the start stops
//! ```
//!
//! | file | what is in it |
//! |---|---|
//! | `examine` | a log looked at: what belongs to it, what is torn, what is damaged |
//! | `find` | the same, and what has to be is cut off |
//! | `found` | the log that a start has found |
//! | `closed` | the log of an older generation |
//! | `trust` | how far files are trusted, and what was cut off |
//! | `error` | why a log cannot be used |

mod closed;
mod error;
mod examine;
mod find;
mod found;
mod trust;

pub use closed::find_closed;
pub use error::{RecoveryError, Why};
pub use find::{Opening, find_log, look_at_log};
pub use found::FoundLog;
pub use trust::{Cut, Seen, Trust};

pub(in crate::store) use error::root;
