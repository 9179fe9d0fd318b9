//! SMEMBERS, SISMEMBER, SMISMEMBER, SCARD.

use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, Spread};
use crate::resp::{Args, Reply};
use keytide_engine::collection::SetRef;

pub static SMEMBERS: Command = Command {
    name: "smembers",
    arity: 2,
    flags: &[Flag::Readonly],
    keys: Keys::ONE,
    access: Access::READ,
    summary: "Returns all members of a set.",
    group: "set",
    run: Run::Keys { run: smembers, spread: Spread::Hold },
};

fn smembers(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    context.shards.of(key).members(key).answer(reply, |reply, set| {
        reply.set(set.map_or(0, |set| set.len()));
        set.into_iter().flat_map(SetRef::iter).for_each(|member| reply.bulk(&member));
    });
}

pub static SISMEMBER: Command = Command {
    name: "sismember",
    arity: 3,
    flags: &[Flag::Readonly, Flag::Fast],
    keys: Keys::ONE,
    access: Access::LOOK,
    summary: "Returns whether a member is in a set.",
    group: "set",
    run: Run::Keys { run: sismember, spread: Spread::Hold },
};

fn sismember(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let (key, member) = (args.get(1), args.get(2));
    context.shards.of(key).members(key).answer(reply, |reply, set| {
        reply.integer(i64::from(set.is_some_and(|set| set.contains(member))));
    });
}

pub static SMISMEMBER: Command = Command {
    name: "smismember",
    arity: -3,
    flags: &[Flag::Readonly, Flag::Fast],
    keys: Keys::ONE,
    access: Access::READ,
    summary: "Returns which of several members are in a set.",
    group: "set",
    run: Run::Keys { run: smismember, spread: Spread::Hold },
};

fn smismember(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let (key, members) = (args.get(1), args.rest(2));
    context.shards.of(key).members(key).answer(reply, |reply, set| {
        reply.array(members.len());
        for member in members.iter() {
            reply.integer(i64::from(set.is_some_and(|set| set.contains(member))));
        }
    });
}

pub static SCARD: Command = Command {
    name: "scard",
    arity: 2,
    flags: &[Flag::Readonly, Flag::Fast],
    keys: Keys::ONE,
    access: Access::LOOK,
    summary: "Returns the number of members of a set.",
    group: "set",
    run: Run::Keys { run: scard, spread: Spread::Hold },
};

fn scard(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    let set = context.shards.of(key).members(key);
    set.answer(reply, |reply, set| reply.unsigned(set.map_or(0, |set| set.len()) as u64));
}
