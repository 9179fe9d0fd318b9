//! Commands about the client's own connection.

mod auth;
mod basic;
mod browser;
mod client;

use super::Command;
pub use client::{client_info, keeps_caching};

/// The commands of this family.
pub const COMMANDS: &[&Command] = &[
    &auth::AUTH,
    &auth::HELLO,
    &basic::PING,
    &basic::ECHO,
    &basic::SELECT,
    &basic::QUIT,
    &basic::RESET,
    &client::CLIENT,
    &browser::POST,
    &browser::HOST,
];
