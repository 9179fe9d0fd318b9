//! Commands about the server.

mod catalogue;
mod config;
mod debug;
mod docs;
mod flush;
mod info;
mod module;
pub(crate) mod process;
mod save;
mod shutdown;
mod time;

use super::Command;

/// The commands of this family.
pub const COMMANDS: &[&Command] = &[
    &catalogue::COMMAND,
    &config::CONFIG,
    &debug::DEBUG,
    &flush::FLUSHDB,
    &flush::FLUSHALL,
    &info::INFO,
    &module::MODULE,
    &save::BGSAVE,
    &save::LASTSAVE,
    &save::SAVE,
    &shutdown::SHUTDOWN,
    &time::TIME,
];
