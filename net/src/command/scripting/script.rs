//! SCRIPT: LOAD, EXISTS, FLUSH, SHOW, KILL.

use super::eval::reply_no_script;
use crate::command::help::help;
use crate::command::options::is;
use crate::command::{Access, Command, Flag, Keys, Run, RunKeys, Spread};
use crate::resp::error_text;
use crate::scripting::Sha;

const fn subcommand(name: &'static str, arity: i32, summary: &'static str, run: RunKeys) -> Command {
    Command {
        name,
        arity,
        flags: &[Flag::NoScript],
        keys: Keys::None,
        access: Access::NONE,
        summary,
        group: "scripting",
        run: Run::Keys { run, spread: Spread::Hold },
    }
}

pub static SCRIPT: Command = Command {
    name: "script",
    arity: -2,
    flags: &[],
    keys: Keys::None,
    access: Access::NONE,
    summary: "Loads, shows and forgets scripts.",
    group: "scripting",
    run: Run::Container(&[
        &subcommand("script|exists", -3, "Which of these scripts there are.", |context, args, reply| {
            let names = args.rest(2);
            reply.array(names.len());
            for name in names.iter() {
                let known = Sha::parse(name).is_some_and(|sha| context.server.scripts.get(sha).is_some());
                reply.integer(i64::from(known));
            }
        }),
        &subcommand("script|flush", -2, "Forgets all scripts.", |context, args, reply| {
            let is_known = args.try_get(2).is_none_or(|mode| is(mode, "sync") || is(mode, "async"));
            if args.len() > 3 || !is_known {
                return reply.error("ERR SCRIPT FLUSH only support SYNC|ASYNC option");
            }
            context.server.scripts.flush();
            reply.ok();
        }),
        &subcommand(
            "script|kill",
            2,
            "Refused: scripts end by themselves, see --script-time-limit-ms.",
            |_, _, reply| {
                reply.error("NOTBUSY No scripts in execution right now.");
            },
        ),
        &subcommand("script|load", 3, "Keeps a script for EVALSHA.", |context, args, reply| {
            let mut scripts = context.scripts.borrow_mut();
            let limits = &context.server.config.scripts;
            match scripts.by_text(&context.server.scripts, limits.memory_bytes, args.get(2), true) {
                Ok(_) => reply.text(&Sha::of(args.get(2)).to_string()),
                Err(error) => reply_no_script(reply, error),
            }
        }),
        &subcommand("script|show", 3, "The text of a script.", |context, args, reply| {
            match Sha::parse(args.get(2)).and_then(|sha| context.server.scripts.get(sha)) {
                Some(text) => reply.bulk(&text),
                None => reply.error(error_text::NO_SCRIPT),
            }
        }),
        &help("script|help", "scripting"),
    ]),
};
