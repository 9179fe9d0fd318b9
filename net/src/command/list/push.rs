//! LPUSH, RPUSH, LPUSHX, RPUSHX.

use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, RunKeys, Spread};
use crate::resp::{Args, Reply};
use keytide_engine::keyspace::entry::End;

const fn push(name: &'static str, summary: &'static str, run: RunKeys) -> Command {
    Command {
        name,
        arity: -3,
        flags: &[Flag::Write, Flag::Denyoom, Flag::Fast],
        keys: Keys::ONE,
        access: Access::INSERT,
        summary,
        group: "list",
        run: Run::Keys { run, spread: Spread::Hold },
    }
}

pub static LPUSH: Command = push("lpush", "Pushes elements onto the head of a list.", |context, args, reply| {
    put(context, args, End::Head, reply);
});

pub static RPUSH: Command = push("rpush", "Pushes elements onto the tail of a list.", |context, args, reply| {
    put(context, args, End::Tail, reply);
});

fn put(context: &mut KeysContext<'_>, args: Args<'_>, end: End, reply: &mut Reply<'_>) {
    let key = args.get(1);
    let length = context.shards.of(key).push(key, end, args.rest(2).iter());
    length.answer(reply, |reply, length| reply.unsigned(length as u64));
}

pub static LPUSHX: Command =
    push("lpushx", "Pushes elements onto the head of a list that exists.", |context, args, reply| {
        put_existing(context, args, End::Head, reply);
    });

pub static RPUSHX: Command =
    push("rpushx", "Pushes elements onto the tail of a list that exists.", |context, args, reply| {
        put_existing(context, args, End::Tail, reply);
    });

fn put_existing(context: &mut KeysContext<'_>, args: Args<'_>, end: End, reply: &mut Reply<'_>) {
    let key = args.get(1);
    let length = context.shards.of(key).push_existing(key, end, args.rest(2).iter());
    length.answer(reply, |reply, length| reply.unsigned(length as u64));
}
