//! EVAL, SCRIPT, FUNCTION and similar commands: refused by name. A client library that gets "unknown command" for them
//! may believe that the server has lost its scripts, and send the same script forever.

use crate::command::{Access, Command, Keys, Run};

const fn scripting(name: &'static str, arity: i32, summary: &'static str) -> Command {
    Command {
        name,
        arity,
        flags: &[],
        keys: Keys::None,
        access: Access::NONE,
        summary,
        group: "scripting",
        run: Run::Session(|_, _, reply| reply.error("ERR scripts and functions are not supported by this server")),
    }
}

pub static EVAL: Command = scripting("eval", -3, "Refused: scripts are not supported.");
pub static EVAL_RO: Command = scripting("eval_ro", -3, "Refused: scripts are not supported.");
pub static EVALSHA: Command = scripting("evalsha", -3, "Refused: scripts are not supported.");
pub static EVALSHA_RO: Command = scripting("evalsha_ro", -3, "Refused: scripts are not supported.");
pub static SCRIPT: Command = scripting("script", -2, "Refused: scripts are not supported.");
pub static FCALL: Command = scripting("fcall", -3, "Refused: functions are not supported.");
pub static FCALL_RO: Command = scripting("fcall_ro", -3, "Refused: functions are not supported.");
pub static FUNCTION: Command = scripting("function", -2, "Refused: functions are not supported.");
