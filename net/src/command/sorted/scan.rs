//! ZSCAN.

use crate::command::walk::{Scanned, answer_step};
use crate::command::{Access, Command, Flag, Keys, KeysContext, Run, Spread};
use crate::resp::{Args, Reply};

pub static ZSCAN: Command = Command {
    name: "zscan",
    arity: -3,
    flags: &[Flag::Readonly],
    keys: Keys::ONE,
    access: Access::READ,
    summary: "Iterates over the members of a sorted set, a few per call.",
    group: "sorted-set",
    run: Run::Keys { run: zscan, spread: Spread::Hold },
};

fn zscan(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    let set = context.shards.of(key).sorted(key);
    answer_step(args, Scanned::Members, reply, set);
}
