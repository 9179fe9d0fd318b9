//! HINCRBY, HINCRBYFLOAT.

use crate::command::options::integer;
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, Spread, refuse};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::error::Refusal;
use keytide_engine::extended::Extended;

pub static HINCRBY: Command = Command {
    name: "hincrby",
    arity: 4,
    flags: &[Flag::Write, Flag::Denyoom, Flag::Fast],
    keys: Keys::ONE,
    access: Access::READ_UPDATE,
    summary: "Adds to the integer in a field.",
    group: "hash",
    run: Run::Keys { run: hincrby, spread: Spread::Hold },
};

fn hincrby(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let (key, field) = (args.get(1), args.get(2));
    context.event = Some("hincrby");
    let sum = integer(args.get(3)).and_then(|by| context.shards.of(key).increment_field(key, field, by));
    sum.answer(reply, |reply, sum| reply.integer(sum));
}

pub static HINCRBYFLOAT: Command = Command {
    name: "hincrbyfloat",
    arity: 4,
    flags: &[Flag::Write, Flag::Denyoom, Flag::Fast],
    keys: Keys::ONE,
    access: Access::READ_UPDATE,
    summary: "Adds to the number in a field.",
    group: "hash",
    run: Run::Keys { run: hincrbyfloat, spread: Spread::Hold },
};

fn hincrbyfloat(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let (key, field) = (args.get(1), args.get(2));
    let Some(by) = Extended::parse(args.get(3)) else { return refuse(reply, Refusal::NotAFloat) };
    if !by.is_finite() {
        return reply.error(error_text::VALUE_NOT_FINITE);
    }
    context.event = Some("hincrbyfloat");
    let sum = context.shards.of(key).increment_field_float(key, field, by);
    sum.answer(reply, |reply, sum| reply.bulk(sum.as_bytes()));
}
