//! HSET, HMSET, HSETNX, HDEL.

use crate::command::options::pairs;
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, Spread};
use crate::resp::{Args, Reply, error_text};

pub static HSET: Command = Command {
    name: "hset",
    arity: -4,
    flags: &[Flag::Write, Flag::Denyoom, Flag::Fast],
    keys: Keys::ONE,
    access: Access::UPDATE,
    summary: "Sets fields of the hash at a key.",
    group: "hash",
    run: Run::Keys { run: hset, spread: Spread::Hold },
};

fn hset(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    if !args.len().is_multiple_of(2) {
        return reply.error(error_text::wrong_arguments("hset"));
    }
    let key = args.get(1);
    let added = context.shards.of(key).set_fields(key, pairs(args.rest(2)));
    added.answer(reply, |reply, added| reply.unsigned(added as u64));
}

pub static HMSET: Command = Command {
    name: "hmset",
    arity: -4,
    flags: &[Flag::Write, Flag::Denyoom, Flag::Fast],
    keys: Keys::ONE,
    access: Access::UPDATE,
    summary: "Sets fields of the hash at a key.",
    group: "hash",
    run: Run::Keys { run: hmset, spread: Spread::Hold },
};

fn hmset(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    if !args.len().is_multiple_of(2) {
        return reply.error(error_text::wrong_arguments("hmset"));
    }
    let key = args.get(1);
    context.shards.of(key).set_fields(key, pairs(args.rest(2))).answer(reply, |reply, _| reply.ok());
}

pub static HSETNX: Command = Command {
    name: "hsetnx",
    arity: 4,
    flags: &[Flag::Write, Flag::Denyoom, Flag::Fast],
    keys: Keys::ONE,
    access: Access::INSERT,
    summary: "Sets a field if it does not exist.",
    group: "hash",
    run: Run::Keys { run: hsetnx, spread: Spread::Hold },
};

fn hsetnx(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    let set = context.shards.of(key).set_field_if_absent(key, args.get(2), args.get(3));
    set.answer(reply, |reply, set| reply.integer(i64::from(set)));
}

pub static HDEL: Command = Command {
    name: "hdel",
    arity: -3,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::ONE,
    access: Access::DELETE,
    summary: "Deletes fields of the hash at a key.",
    group: "hash",
    run: Run::Keys { run: hdel, spread: Spread::Hold },
};

fn hdel(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    let deleted = context.shards.of(key).delete_fields(key, args.rest(2).iter());
    deleted.answer(reply, |reply, deleted| reply.unsigned(deleted as u64));
}
