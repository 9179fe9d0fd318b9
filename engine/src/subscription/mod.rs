//! Subscriptions: from any position of the history to live delivery, without a gap and without a duplicate.
//!
//! | module | what is in it |
//! |---|---|
//! | [`contract`] | a subscription's request and its messages |
//! | [`hub`] | the subscriptions of one core |

pub mod contract;
pub mod hub;

pub use contract::{ClientId, EventForm, OnGap, OnSlow, Outlet, Push, Reason, Start, Subscribe};
pub use hub::{Hub, Reading, WatcherId};
