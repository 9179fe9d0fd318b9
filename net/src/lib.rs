//! Keytide: executors, sockets and protocols over the engine.

pub mod resp;
