//! The connections between cores: bounded lanes, one for each direction between two cores.

pub mod credit;
mod lane;
pub mod message;
mod outbound;

pub use lane::{LaneReceiver, LaneSender, lane};
pub use outbound::Outbound;
