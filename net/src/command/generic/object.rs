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
    run: Run::Container(&[&ENCODING, &FREQ, &HELP, &IDLETIME, &REFCOUNT]),
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

static FREQ: Command = object("object|freq", "Returns how often a key is used, as a logarithm, 0 to 7.", freq);

fn freq(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(2);
    let shard = context.shards.of(key);
    match shard.use_frequency(key) {
        None => reply.null(),
        Some(_) if !shard.evicts_by_frequency() => reply.error(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching \
             between policies at runtime LRU and LFU data will take some time to adjust.",
        ),
        Some(frequency) => reply.integer(frequency.into()),
    }
}

static IDLETIME: Command = object("object|idletime", "Is refused: when a key was last used is not kept.", idletime);

fn idletime(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(2);
    let shard = context.shards.of(key);
    match shard.use_frequency(key) {
        None => reply.null(),
        Some(_) if shard.evicts_by_frequency() => reply.error(
            "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between \
             policies at runtime LRU and LFU data will take some time to adjust.",
        ),
        Some(_) => reply.error("ERR idle time not tracked"),
    }
}
