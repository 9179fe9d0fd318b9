//! The service Streams of the protocol's second version: events for several streams, all or none.
//!
//! | module | what is in it |
//! |---|---|
//! | `append_records` | AppendRecords: one message, with conditions on any streams |
//! | `append_session` | AppendSession: a message for each stream |
//! | `records` | the events and their streams, as they come |
//! | `error` | how calls fail |

mod append_records;
mod append_session;
mod error;
mod records;

use crate::grpc::Method;

/// The methods.
pub static METHODS: &[&Method] = &[&append_records::METHOD, &append_session::METHOD];
