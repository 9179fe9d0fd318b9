//! Recovery of a shard's log: from the files that a run has left to a log that can be replayed and continued.
//!
//! ```text
//!   segments, oldest first ─► all valid? ─► end of the log ─► snapshot ─► replay ─► keys, and where the log continues
//!                                 │ no
//!                                 ├─ nothing follows, or the system ended and the record is above the durable mark:
//!                                 │  a torn end, which is cut off and reported
//!                                 └─ otherwise damage: the start is refused
//! ```
//!
//! | file | content |
//! |---|---|
//! | `examine` | examines the files, without changes: what belongs to the log, what is torn, what is damaged |
//! | `recover` | examines a log and cuts off its torn end |
//! | `recovered` | the recovered log: replay, sync, close |
//! | `closed` | the log of a shard of an older generation, which is only read |
//! | `trust` | how far files are trusted, and what was cut off |
//! | `error` | why a log cannot be used |

mod closed;
mod error;
mod examine;
mod recover;
mod recovered;
mod trust;

pub use closed::open_closed_log;
pub use error::{Evidence, RecoveryError};
pub use recover::{RecoveryOptions, examine_log, recover_log};
pub use recovered::RecoveredLog;
pub use trust::{Cut, Trust, Visibility};

pub(in crate::store) use error::root;
