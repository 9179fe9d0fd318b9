//! Subscriptions: from any position of the history to what happens now, without a gap and without a duplicate.
//!
//! | module | what is in it |
//! |---|---|
//! | [`source`] | what a subscription is to |
//! | [`contract`] | what is asked for and what is told |
//! | [`hub`] | the subscriptions of one core |

pub mod contract;
pub mod hub;
pub mod source;

pub use contract::{As, ClientId, OnGap, OnSlow, Outlet, Push, Reason, Start, Subscribe};
pub use hub::{Hub, Reading, WatcherId};
pub use source::{Interest, Source, category_of};
