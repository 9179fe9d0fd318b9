//! MGET, MSET, MSETNX.

use crate::command::options::{pairs, string_or_nil};
use crate::command::{Access, Command, Flag, Keys, KeysContext, Run, Spread, refuse};
use crate::gather::Merge;
use crate::resp::{Args, Reply, error_text};
use crate::value::ValueWriter;
use keytide_engine::error::Refusal;
use keytide_engine::shard::Shard;

pub static MGET: Command = Command {
    name: "mget",
    arity: -2,
    flags: &[Flag::Readonly, Flag::Fast],
    keys: Keys::ALL,
    access: Access::READ,
    summary: "Returns the strings at several keys.",
    group: "string",
    run: Run::Keys {
        run: |context, args, reply| mget(context, args, reply),
        spread: Spread::Split { part: |context, args, part| mget(context, args, part), merge: Merge::InKeyOrder },
    },
};

fn mget(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut impl ValueWriter) {
    reply.array(args.len() - 1);
    for key in args.rest(1).iter() {
        // A key of another type counts as missing.
        string_or_nil(reply, context.shards.of(key).get(key).unwrap_or(None));
    }
}

pub static MSET: Command = Command {
    name: "mset",
    arity: -3,
    flags: &[Flag::Write, Flag::Denyoom],
    keys: Keys::PAIRS,
    access: Access::OVERWRITE,
    summary: "Sets the strings at several keys.",
    group: "string",
    run: Run::Keys {
        run: |context, args, reply| mset(context, args, reply),
        spread: Spread::Split { part: |context, args, part| mset(context, args, part), merge: Merge::AllOk },
    },
};

fn mset(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut impl ValueWriter) {
    match set_all(context, args) {
        Ok(()) => reply.ok(),
        Err(Problem::Uneven) => reply.error(error_text::wrong_arguments("mset")),
        Err(Problem::Refused(refusal)) => refuse(reply, refusal),
    }
}

pub static MSETNX: Command = Command {
    name: "msetnx",
    arity: -3,
    flags: &[Flag::Write, Flag::Denyoom],
    keys: Keys::PAIRS,
    access: Access::CREATE,
    summary: "Sets the strings at several keys if none of them exists.",
    group: "string",
    run: Run::Keys { run: msetnx, spread: Spread::Hold },
};

fn msetnx(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    if args.len().is_multiple_of(2) {
        return reply.error(error_text::wrong_arguments("msetnx"));
    }
    context.event = Some("set");
    let exists = pairs(args.rest(1)).any(|(key, _)| context.shards.of(key).value(key).is_some());
    if exists {
        return reply.integer(0);
    }
    match set_all(context, args) {
        Ok(()) => reply.integer(1),
        Err(Problem::Uneven) => reply.error(error_text::wrong_arguments("msetnx")),
        Err(Problem::Refused(refusal)) => refuse(reply, refusal),
    }
}

enum Problem {
    Uneven,
    Refused(Refusal),
}

fn set_all(context: &mut KeysContext<'_>, args: Args<'_>) -> Result<(), Problem> {
    if args.len().is_multiple_of(2) {
        return Err(Problem::Uneven);
    }
    let records = pairs(args.rest(1)).map(|(key, value)| (key, Shard::set_record_bytes(key, value)));
    context.shards.admit(records).map_err(Problem::Refused)?;
    pairs(args.rest(1)).try_for_each(|(key, value)| context.shards.of(key).set(key, value)).map_err(Problem::Refused)
}
