//! INCR, DECR, INCRBY, DECRBY, INCRBYFLOAT.

use crate::command::options::integer;
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, RunKeys, Spread};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::error::Refusal;
use keytide_engine::extended::Extended;

const fn counter(name: &'static str, arity: i32, summary: &'static str, run: RunKeys) -> Command {
    Command {
        name,
        arity,
        flags: &[Flag::Write, Flag::Denyoom, Flag::Fast],
        keys: Keys::ONE,
        access: Access::READ_UPDATE,
        summary,
        group: "string",
        run: Run::Keys { run, spread: Spread::Hold },
    }
}

pub static INCR: Command = counter("incr", 2, "Adds 1 to the integer at a key.", |context, args, reply| {
    add(context, args, Ok(1), reply);
});

pub static DECR: Command = counter("decr", 2, "Subtracts 1 from the integer at a key.", |context, args, reply| {
    add(context, args, Ok(-1), reply);
});

pub static INCRBY: Command = counter("incrby", 3, "Adds to the integer at a key.", |context, args, reply| {
    add(context, args, integer(args.get(2)), reply);
});

pub static DECRBY: Command =
    counter("decrby", 3, "Subtracts from the integer at a key.", |context, args, reply| match integer(args.get(2)) {
        Ok(i64::MIN) => reply.error(error_text::DECREMENT_OVERFLOW),
        by => add(context, args, by.map(|by| -by), reply),
    });

fn add(context: &mut KeysContext<'_>, args: Args<'_>, by: Result<i64, Refusal>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    context.event = Some("incrby");
    by.and_then(|by| context.shards.of(key).increment(key, by)).answer(reply, |reply, sum| reply.integer(sum));
}

pub static INCRBYFLOAT: Command = counter("incrbyfloat", 3, "Adds to the number at a key.", |context, args, reply| {
    let key = args.get(1);
    context.event = Some("incrbyfloat");
    let shard = context.shards.of(key);
    // Redis checks the key's type before the increment.
    let by = shard.string_length(key).and_then(|_| Extended::parse(args.get(2)).ok_or(Refusal::NotAFloat));
    let sum = by.and_then(|by| shard.increment_float(key, by));
    sum.answer(reply, |reply, sum| reply.bulk(sum.as_bytes()));
});
