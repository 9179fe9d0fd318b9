//! Commands about the client's own connection.

mod auth;
mod basic;
mod browser;
mod client;

use super::Command;
use super::secrets::Secrets;
pub use browser::is_of_browsers;
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

/// Those with secret arguments.
pub const SECRETS: Secrets = &[(&auth::AUTH, |_, place| place > 0), (&auth::HELLO, auth::is_secret)];
