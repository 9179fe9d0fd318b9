//! FUNCTION and FCALL: refused by name. A client library that gets "unknown command" for them may believe that the server
//! has lost its functions, and send the same call for ever.

use crate::command::{Access, Command, Keys, Run};

const fn refused(name: &'static str, arity: i32) -> Command {
    Command {
        name,
        arity,
        flags: &[],
        keys: Keys::None,
        access: Access::NONE,
        summary: "Refused: functions are not supported.",
        group: "scripting",
        run: Run::Session(|_, _, reply| reply.error("ERR functions are not supported by this server")),
    }
}

pub static FCALL: Command = refused("fcall", -3);
pub static FCALL_RO: Command = refused("fcall_ro", -3);
pub static FUNCTION: Command = refused("function", -2);
