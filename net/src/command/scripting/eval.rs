//! EVAL, EVALSHA, EVAL_RO, EVALSHA_RO: their arguments. The turn loop runs them, since what a script calls are commands.

use crate::command::{Access, Command, Flag, KeyUse, Keys, Run};
use crate::resp::{Args, Reply, error_text};
use crate::scripting::NoScript;
use keytide_engine::number::parse_i64;

/// How a script is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptCall {
    /// Whether its name is given, instead of its text.
    pub by_name: bool,
    /// Whether it must not write.
    pub reads_only: bool,
}

const fn eval(name: &'static str, call: ScriptCall, summary: &'static str) -> Command {
    Command {
        name,
        arity: -3,
        flags: &[Flag::NoScript, Flag::MovableKeys],
        keys: Keys::Counted { at: 2 },
        access: Access::keys(if call.reads_only { &[KeyUse::READ] } else { &[KeyUse::READ_UPDATE] }),
        summary,
        group: "scripting",
        run: Run::Script(call),
    }
}

pub static EVAL: Command = eval("eval", ScriptCall { by_name: false, reads_only: false }, "Runs a script.");

pub static EVAL_RO: Command =
    eval("eval_ro", ScriptCall { by_name: false, reads_only: true }, "Runs a script that only reads.");

pub static EVALSHA: Command =
    eval("evalsha", ScriptCall { by_name: true, reads_only: false }, "Runs a script by the SHA-1 of its text.");

pub static EVALSHA_RO: Command = eval(
    "evalsha_ro",
    ScriptCall { by_name: true, reads_only: true },
    "Runs a script that only reads, by the SHA-1 of its text.",
);

/// The keys and the arguments of a script.
///
/// # Errors
/// The text of the error, where their number is wrong.
pub fn keys_and_args(args: Args<'_>) -> Result<(Args<'_>, Args<'_>), &'static str> {
    let rest = args.rest(3);
    let keys = parse_i64(args.get(2)).ok_or(error_text::NOT_INTEGER)?;
    let keys = usize::try_from(keys).map_err(|_| "ERR Number of keys can't be negative")?;
    if keys > rest.len() {
        return Err("ERR Number of keys can't be greater than number of args");
    }
    Ok((rest.first(keys), rest.rest(keys)))
}

/// Replies that there is no script to run, and why.
pub fn reply_no_script(reply: &mut Reply<'_>, error: NoScript) {
    match error {
        NoScript::Unknown => reply.error(error_text::NO_SCRIPT),
        NoScript::Invalid(text) => reply.error(text),
        NoScript::OverLimit(over) => reply.error(error_text::err(&over)),
    }
}
