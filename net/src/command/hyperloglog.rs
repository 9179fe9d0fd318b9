//! PFADD, PFCOUNT, PFMERGE.

use super::{Access, Answer, Command, Flag, KeyUse, Keys, KeysContext, Run, Spread, refuse};
use crate::resp::{Args, Reply};
use keytide_engine::error::Refusal;
use keytide_engine::hyperloglog::{Registers, Sketch};

/// The commands of this family.
pub const COMMANDS: &[&Command] = &[&PFADD, &PFCOUNT, &PFMERGE];

static PFADD: Command = Command {
    name: "pfadd",
    arity: -2,
    flags: &[Flag::Write, Flag::Denyoom, Flag::Fast],
    keys: Keys::ONE,
    access: Access::INSERT,
    summary: "Adds elements to a HyperLogLog.",
    group: "hyperloglog",
    run: Run::Keys { run: pfadd, spread: Spread::Hold },
};

fn pfadd(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    context.event = Some("pfadd");
    let key = args.get(1);
    let changed = context.shards.of(key).observe(key, args.rest(2).iter());
    changed.answer(reply, |reply, changed| reply.integer(i64::from(changed)));
}

/// Unlike redis-server it writes nothing: a read keeps no count in the value.
static PFCOUNT: Command = Command {
    name: "pfcount",
    arity: -2,
    flags: &[Flag::Readonly],
    keys: Keys::ALL,
    access: Access::keys(&[KeyUse::READ_SKETCH]),
    summary: "Estimates how many different elements HyperLogLogs have.",
    group: "hyperloglog",
    run: Run::Keys { run: pfcount, spread: Spread::Hold },
};

fn pfcount(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    let counted = match args.len() {
        2 => context.shards.of(key).sketch(key).and_then(|sketch| sketch.map_or(Ok(0), Sketch::count)),
        _ => merge(context, args.rest(1)).map(|(registers, _)| registers.count()),
    };
    counted.answer(reply, Reply::unsigned);
}

static PFMERGE: Command = Command {
    name: "pfmerge",
    arity: -2,
    flags: &[Flag::Write, Flag::Denyoom],
    keys: Keys::ALL,
    access: Access::keys(&[KeyUse::READ_INSERT, KeyUse::READ]),
    summary: "Adds HyperLogLogs to another one.",
    group: "hyperloglog",
    run: Run::Keys { run: pfmerge, spread: Spread::Hold },
};

fn pfmerge(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    context.event = Some("pfadd");
    let target = args.get(1);
    // The target is one of the sources.
    let merged = merge(context, args.rest(1));
    let stored =
        merged.and_then(|(registers, is_dense)| context.shards.of(target).merge_sketch(target, &registers, is_dense));
    match stored {
        Ok(()) => reply.ok(),
        Err(refusal) => refuse(reply, refusal),
    }
}

/// The registers of all HyperLogLogs at these keys, and whether any of them is dense.
fn merge(context: &mut KeysContext<'_>, keys: Args<'_>) -> Result<(Registers, bool), Refusal> {
    let (mut registers, mut is_dense) = (Registers::default(), false);
    for key in keys.iter() {
        if let Some(sketch) = context.shards.of(key).sketch(key)? {
            is_dense |= sketch.is_dense();
            registers.merge(sketch)?;
        }
    }
    Ok((registers, is_dense))
}
