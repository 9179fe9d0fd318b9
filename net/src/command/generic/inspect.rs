//! EXISTS, TOUCH, TYPE.

use crate::command::{Access, Command, Flag, Keys, KeysContext, Run, Spread};
use crate::gather::Merge;
use crate::resp::{Args, Reply};
use crate::value::ValueWriter;

const fn counting(name: &'static str, summary: &'static str) -> Command {
    Command {
        name,
        arity: -2,
        flags: &[Flag::Readonly, Flag::Fast],
        keys: Keys::ALL,
        access: Access::LOOK,
        summary,
        group: "generic",
        run: Run::Keys {
            run: |context, args, reply| exists(context, args, reply),
            spread: Spread::Split { part: |context, args, part| exists(context, args, part), merge: Merge::Sum },
        },
    }
}

pub static EXISTS: Command = counting("exists", "Counts the keys that exist.");
pub static TOUCH: Command = counting("touch", "Counts the keys that exist and marks them as used.");

fn exists(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut impl ValueWriter) {
    let keys = args.rest(1).iter();
    reply.integer(keys.map(|key| i64::from(context.shards.of(key).value(key).is_some())).sum());
}

pub static TYPE: Command = Command {
    name: "type",
    arity: 2,
    flags: &[Flag::Readonly, Flag::Fast],
    keys: Keys::ONE,
    access: Access::LOOK,
    summary: "Returns the type of the value at a key.",
    group: "generic",
    run: Run::Keys { run: kind, spread: Spread::Hold },
};

fn kind(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    reply.simple(context.shards.of(key).kind(key).map_or("none", |kind| kind.name()));
}
