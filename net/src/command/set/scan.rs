//! SSCAN.

use crate::command::walk::{Scanned, answer_step};
use crate::command::{Access, Command, Flag, Keys, KeysContext, Run, Spread};
use crate::resp::{Args, Reply};

pub static SSCAN: Command = Command {
    name: "sscan",
    arity: -3,
    flags: &[Flag::Readonly],
    keys: Keys::ONE,
    access: Access::READ,
    summary: "Iterates over the members of a set, a few per call.",
    group: "set",
    run: Run::Keys { run: sscan, spread: Spread::Hold },
};

fn sscan(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    let set = context.shards.of(key).members(key);
    answer_step(args, Scanned::Members, reply, set);
}
