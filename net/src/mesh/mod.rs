//! What connects the cores: bounded lanes, one for each direction between two cores.

mod lane;

pub use lane::{LaneReceiver, LaneSender, lane};
