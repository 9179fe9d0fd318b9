//! GET, GETDEL, GETEX, STRLEN.

use crate::command::options::{TimeForm, is, string_or_nil};
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, Spread, refuse};
use crate::keyspace_events::names;
use crate::resp::{Args, Reply, error_text};
use keytide_engine::shard::Ttl;

pub static GET: Command = Command {
    name: "get",
    arity: 2,
    flags: &[Flag::Readonly, Flag::Fast],
    keys: Keys::ONE,
    access: Access::READ,
    summary: "Returns the string at a key.",
    group: "string",
    run: Run::Keys { run: get, spread: Spread::Hold },
};

#[inline]
fn get(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    context.shards.of(key).get(key).answer(reply, string_or_nil);
}

pub static GETDEL: Command = Command {
    name: "getdel",
    arity: 2,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::ONE,
    access: Access::READ_DELETE,
    summary: "Returns the string at a key and deletes the key.",
    group: "string",
    run: Run::Keys { run: getdel, spread: Spread::Hold },
};

fn getdel(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    let deleted = context.shards.of(key).get_and_delete(key);
    deleted.answer(reply, |reply, value| string_or_nil(reply, value.as_deref()));
}

pub static GETEX: Command = Command {
    name: "getex",
    arity: -2,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::ONE,
    access: Access::READ_UPDATE,
    summary: "Returns the string at a key and changes its expiry.",
    group: "string",
    run: Run::Keys { run: getex, spread: Spread::Hold },
};

fn getex(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    let ttl = match args.len() {
        2 => Ttl::Keep,
        3 if is(args.get(2), "persist") => Ttl::Clear,
        4 => match TimeForm::of_option(args.get(2)) {
            None => return reply.error(error_text::SYNTAX),
            Some(form) => match form.deadline(args.get(3), context.now_ms, "getex") {
                Ok(at_ms) => Ttl::At(at_ms),
                // Redis checks the key before the time: an error of the key, or its absence, takes precedence.
                Err(text) => {
                    return context.shards.of(key).get(key).answer(reply, |reply, value| match value {
                        Some(_) => reply.error(text),
                        None => reply.null(),
                    });
                }
            },
        },
        _ => return reply.error(error_text::SYNTAX),
    };
    context.event = Some(names::PERSIST);
    match context.shards.of(key).get_and_expire(key, ttl) {
        Ok(value) => string_or_nil(reply, value.as_deref()),
        Err(refusal) => refuse(reply, refusal),
    }
}

pub static STRLEN: Command = Command {
    name: "strlen",
    arity: 2,
    flags: &[Flag::Readonly, Flag::Fast],
    keys: Keys::ONE,
    access: Access::LOOK,
    summary: "Returns the length of the string at a key.",
    group: "string",
    run: Run::Keys { run: strlen, spread: Spread::Hold },
};

fn strlen(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    context.shards.of(key).string_length(key).answer(reply, |reply, length| reply.unsigned(length as u64));
}
