//! CLIENT: settings of the client's own connection; all connections.

mod all;
mod describe;
mod own;
mod pause;
mod tracking;

pub use describe::client_info;

use crate::command::help::help;
use crate::command::{Access, Command, Flag, Keys, Run};

static HELP: Command = help("client|help", "connection");

pub static CLIENT: Command = Command {
    name: "client",
    arity: -2,
    flags: &[],
    keys: Keys::None,
    access: Access::NONE,
    summary: "Commands on connections.",
    group: "connection",
    run: Run::Container(&[
        &own::ID,
        &own::GETNAME,
        &own::SETNAME,
        &own::SETINFO,
        &own::NO_EVICT,
        &own::NO_TOUCH,
        &own::REPLY,
        &pause::PAUSE,
        &pause::UNPAUSE,
        &tracking::TRACKING,
        &tracking::CACHING,
        &tracking::GETREDIR,
        &tracking::TRACKINGINFO,
        &all::INFO,
        &all::LIST,
        &all::KILL,
        &all::UNBLOCK,
        &HELP,
    ]),
};

/// Whether what CLIENT CACHING has said is still for the next command behind this one: as in Redis, behind every subcommand of
/// CLIENT.
pub fn keeps_caching(command: &Command) -> bool {
    command.name.starts_with("client|")
}

/// A subcommand of CLIENT.
const fn client(name: &'static str, arity: i32, flags: &'static [Flag], summary: &'static str, run: Run) -> Command {
    Command { name, arity, flags, keys: Keys::None, access: Access::NONE, summary, group: "connection", run }
}
