//! MONITOR: a subscription to all commands, over all cores.

use crate::channels::{Kind, Step};
use crate::command::{Access, Command, Flag, Keys, Run};

pub static MONITOR: Command = Command {
    name: "monitor",
    arity: 1,
    flags: &[Flag::Admin, Flag::NoScript],
    keys: Keys::None,
    access: Access::NONE,
    summary: "Shows every command that runs, but for those of administrators.",
    group: "server",
    run: Run::Channels(Step { kind: Kind::Monitor, subscribes: true }),
};
