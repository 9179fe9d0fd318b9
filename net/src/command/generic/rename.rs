//! RENAME, RENAMENX.

use crate::command::{Access, Answer, Command, Flag, KeyUse, Keys, KeysContext, Run, Spread};
use crate::keyspace_events::names;
use crate::resp::{Args, Reply};

pub static RENAME: Command = Command {
    name: "rename",
    arity: 3,
    flags: &[Flag::Write],
    keys: Keys::TWO,
    access: Access::keys(&[KeyUse::READ_DELETE, KeyUse::OVERWRITE]),
    summary: "Renames a key, replacing the target.",
    group: "generic",
    run: Run::Keys { run: rename, spread: Spread::Hold },
};

fn rename(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    context.event = Some(names::RENAME);
    context.shards.rename(args.get(1), args.get(2), false).answer(reply, |reply, _| reply.ok());
}

pub static RENAMENX: Command = Command {
    name: "renamenx",
    arity: 3,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::TWO,
    access: Access::keys(&[KeyUse::READ_DELETE, KeyUse::CREATE]),
    summary: "Renames a key if the target does not exist.",
    group: "generic",
    run: Run::Keys { run: renamenx, spread: Spread::Hold },
};

fn renamenx(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    context.event = Some(names::RENAME);
    let renamed = context.shards.rename(args.get(1), args.get(2), true);
    renamed.answer(reply, |reply, renamed| reply.integer(i64::from(renamed)));
}
