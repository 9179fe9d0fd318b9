//! Operations on streams as values: what one core asks of the shard of another, and what comes of it. Knows no protocol.
//!
//! | module | what is in it |
//! |---|---|
//! | [`job`] | an operation, and how a shard does it |

pub mod job;

pub use job::{Event, Job, JobRefused, Outcome};
