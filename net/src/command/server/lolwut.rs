//! LOLWUT: the version, without a picture.

use super::info::REDIS_VERSION;
use crate::command::{Access, Command, Flag, Keys, Run};

pub static LOLWUT: Command = Command {
    name: "lolwut",
    arity: -1,
    flags: &[Flag::Readonly, Flag::Fast],
    keys: Keys::None,
    access: Access::NONE,
    summary: "Returns the version of Redis that is spoken.",
    group: "server",
    run: Run::Session(|_, _, reply| reply.verbatim("txt", &format!("Redis ver. {REDIS_VERSION}\n"))),
};
