//! SADD, SREM, SMOVE.

use crate::command::{Access, Answer, Command, Flag, KeyUse, Keys, KeysContext, Run, Spread};
use crate::keyspace_events::names;
use crate::resp::{Args, Reply};

pub static SADD: Command = Command {
    name: "sadd",
    arity: -3,
    flags: &[Flag::Write, Flag::Denyoom, Flag::Fast],
    keys: Keys::ONE,
    access: Access::INSERT,
    summary: "Adds members to a set.",
    group: "set",
    run: Run::Keys { run: sadd, spread: Spread::Hold },
};

fn sadd(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    let added = context.shards.of(key).add_members(key, args.rest(2).iter());
    added.answer(reply, |reply, added| reply.unsigned(added as u64));
}

pub static SREM: Command = Command {
    name: "srem",
    arity: -3,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::ONE,
    access: Access::DELETE,
    summary: "Removes members from a set.",
    group: "set",
    run: Run::Keys { run: srem, spread: Spread::Hold },
};

fn srem(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    let removed = context.shards.of(key).remove_members(key, args.rest(2).iter());
    removed.answer(reply, |reply, removed| reply.unsigned(removed as u64));
}

pub static SMOVE: Command = Command {
    name: "smove",
    arity: 4,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::TWO,
    access: Access::keys(&[KeyUse::READ_DELETE, KeyUse::INSERT]),
    summary: "Moves a member from one set to another.",
    group: "set",
    run: Run::Keys { run: smove, spread: Spread::Hold },
};

fn smove(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    context.event = Some(names::SMOVE);
    let moved = context.shards.move_member(args.get(1), args.get(2), args.get(3));
    moved.answer(reply, |reply, moved| reply.integer(i64::from(moved)));
}
