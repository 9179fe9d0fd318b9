//! Subscriptions: from any position of the history to what happens now, without a gap and without a duplicate.
//!
//! | module | what is in it |
//! |---|---|
//! | [`contract`] | what a client asks for and what it is sent |
//! | [`hub`] | the subscriptions of one core |

pub mod contract;
pub mod hub;

pub use contract::{As, ClientId, OnGap, OnSlow, Outlet, Push, Reason, Start, Subscribe};
pub use hub::{Hub, Reading, WatcherId};
