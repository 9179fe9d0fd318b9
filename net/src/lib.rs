//! Keytide: executors, sockets and protocols over the engine.

pub mod resp;
pub mod mesh;
pub mod net_ring;
mod sync;
pub mod wake;
