//! HSCAN.

use crate::command::walk::{Scanned, answer_step};
use crate::command::{Access, Command, Flag, Keys, KeysContext, Run, Spread};
use crate::resp::{Args, Reply};

pub static HSCAN: Command = Command {
    name: "hscan",
    arity: -3,
    flags: &[Flag::Readonly],
    keys: Keys::ONE,
    access: Access::READ,
    summary: "Iterates over the fields and values of a hash, a few per call.",
    group: "hash",
    run: Run::Keys { run: hscan, spread: Spread::Hold },
};

fn hscan(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    let map = context.shards.of(key).fields(key);
    answer_step(args, Scanned::Fields, reply, map);
}
