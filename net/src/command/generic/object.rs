//! OBJECT: how a value is stored.

use crate::command::help::help;
use crate::command::{Access, Command, Flag, Keys, KeysContext, Run, RunKeys, Spread};
use crate::resp::{Args, Reply};

static HELP: Command = help("object|help", "generic");

pub static OBJECT: Command = Command {
    name: "object",
    arity: -2,
    flags: &[],
    keys: Keys::None,
    access: Access::NONE,
    summary: "How a value is stored.",
    group: "generic",
    run: Run::Container(&[&ENCODING, &REFCOUNT, &HELP]),
};

const fn object(name: &'static str, summary: &'static str, run: RunKeys) -> Command {
    Command {
        name,
        arity: 3,
        flags: &[Flag::Readonly],
        keys: Keys::At { first: 2, last: 2, step: 1 },
        access: Access::LOOK,
        summary,
        group: "generic",
        run: Run::Keys { run, spread: Spread::Hold },
    }
}

static ENCODING: Command = object("object|encoding", "Returns the form in which a value is stored.", encoding);

fn encoding(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    // Looked at, but not looked up.
    context.event = Some("object");
    let key = args.get(2);
    match context.shards.of(key).value(key) {
        Some(value) => reply.bulk(value.encoding().as_bytes()),
        None => reply.null(),
    }
}

static REFCOUNT: Command = object("object|refcount", "Returns 1: no value is shared.", refcount);

fn refcount(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    // Looked at, but not looked up.
    context.event = Some("object");
    let key = args.get(2);
    match context.shards.of(key).value(key) {
        Some(_) => reply.integer(1),
        None => reply.null(),
    }
}
