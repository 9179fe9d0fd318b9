//! LSET, LREM, LTRIM, LINSERT.

use crate::command::options::{integer, is, range};
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, Spread, refuse};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::number::parse_i64;
use keytide_engine::shard::{Inserted, Side};

pub static LSET: Command = Command {
    name: "lset",
    arity: 4,
    flags: &[Flag::Write, Flag::Denyoom],
    keys: Keys::ONE,
    access: Access::UPDATE,
    summary: "Overwrites an element of a list.",
    group: "list",
    run: Run::Keys { run: lset, spread: Spread::Hold },
};

fn lset(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    let shard = context.shards.of(key);
    let Some(index) = parse_i64(args.get(2)) else {
        // A missing list takes precedence over an invalid index.
        return match shard.elements(key) {
            Ok(Some(_)) => reply.error(error_text::NOT_INTEGER),
            Ok(None) => reply.error(error_text::NO_SUCH_KEY),
            Err(refusal) => refuse(reply, refusal),
        };
    };
    shard.set_element(key, index, args.get(3)).answer(reply, |reply, ()| reply.ok());
}

pub static LREM: Command = Command {
    name: "lrem",
    arity: 4,
    flags: &[Flag::Write],
    keys: Keys::ONE,
    access: Access::DELETE,
    summary: "Removes equal elements from a list.",
    group: "list",
    run: Run::Keys { run: lrem, spread: Spread::Hold },
};

fn lrem(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    let removed =
        integer(args.get(2)).and_then(|count| context.shards.of(key).remove_elements(key, count, args.get(3)));
    removed.answer(reply, |reply, removed| reply.unsigned(removed as u64));
}

pub static LTRIM: Command = Command {
    name: "ltrim",
    arity: 4,
    flags: &[Flag::Write],
    keys: Keys::ONE,
    access: Access::DELETE,
    summary: "Keeps part of a list and removes the rest.",
    group: "list",
    run: Run::Keys { run: ltrim, spread: Spread::Hold },
};

fn ltrim(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let (first, last) = match (integer(args.get(2)), integer(args.get(3))) {
        (Ok(first), Ok(last)) => (first, last),
        (Err(refusal), _) | (_, Err(refusal)) => return refuse(reply, refusal),
    };
    let key = args.get(1);
    let trimmed = context.shards.of(key).trim(key, |length| range(first, last, length));
    trimmed.answer(reply, |reply, ()| reply.ok());
}

pub static LINSERT: Command = Command {
    name: "linsert",
    arity: 5,
    flags: &[Flag::Write, Flag::Denyoom],
    keys: Keys::ONE,
    access: Access::INSERT,
    summary: "Inserts an element beside another one of a list.",
    group: "list",
    run: Run::Keys { run: linsert, spread: Spread::Hold },
};

fn linsert(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let (key, side) = (args.get(1), args.get(2));
    let side = if is(side, "before") {
        Side::Before
    } else if is(side, "after") {
        Side::After
    } else {
        return reply.error(error_text::SYNTAX);
    };
    let inserted = context.shards.of(key).insert_beside(key, side, args.get(3), args.get(4));
    inserted.answer(reply, |reply, inserted| match inserted {
        Inserted::Length(length) => reply.unsigned(length as u64),
        Inserted::NoPivot => reply.integer(-1),
        Inserted::NoKey => reply.integer(0),
    });
}
