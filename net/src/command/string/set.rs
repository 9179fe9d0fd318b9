//! SET and the commands that it has replaced: SETNX, SETEX, PSETEX, GETSET.

use crate::command::options::{TimeForm, is, string_or_nil};
use crate::command::{Access, Answer, Command, Flag, KeyUse, Keys, KeysContext, Run, Spread, refuse};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::shard::{SetCondition, SetOptions, Ttl};

pub static SET: Command = Command {
    name: "set",
    arity: -3,
    flags: &[Flag::Write, Flag::Denyoom],
    keys: Keys::ONE,
    access: Access::keys_by(&[KeyUse::READ_UPDATE], use_of_set),
    summary: "Sets the string at a key, whatever it held.",
    group: "string",
    run: Run::Keys { run: set, spread: Spread::Hold },
};

/// SET tells the old value only with GET.
fn use_of_set(args: Args<'_>) -> KeyUse {
    let tells = args.len() > 3 && args.rest(3).iter().any(|word| is(word, "get"));
    if tells { KeyUse::READ_UPDATE } else { KeyUse::OVERWRITE }
}

#[inline]
fn set(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let (key, value) = (args.get(1), args.get(2));
    if args.len() == 3 {
        return context.shards.of(key).set(key, value).answer(reply, |reply, ()| reply.ok());
    }
    let options = match parse(args.rest(3), context.now_ms) {
        Ok(options) => options,
        Err(text) => return reply.error(text),
    };
    match context.shards.of(key).set_with(key, value, options) {
        Err(refusal) => refuse(reply, refusal),
        Ok(outcome) if options.get => string_or_nil(reply, outcome.previous.as_deref()),
        Ok(outcome) if outcome.set => reply.ok(),
        Ok(_) => reply.null(),
    }
}

/// Every word is checked before a time is parsed: of two errors, Redis reports that of the words.
fn parse(words: Args<'_>, now_ms: u64) -> Result<SetOptions, String> {
    let mut options = SetOptions::default();
    let mut time = None;
    let mut at = 0;
    while let Some(word) = words.try_get(at) {
        at += 1;
        if is(word, "nx") && options.condition != SetCondition::IfPresent {
            options.condition = SetCondition::IfAbsent;
        } else if is(word, "xx") && options.condition != SetCondition::IfAbsent {
            options.condition = SetCondition::IfPresent;
        } else if is(word, "get") {
            options.get = true;
        } else if is(word, "keepttl") && time.is_none() {
            options.ttl = Ttl::Keep;
        } else if let (Some(form), Some(value)) = (TimeForm::of_option(word), words.try_get(at))
            && options.ttl != Ttl::Keep
            && time.is_none_or(|(other, _)| other == form)
        {
            at += 1;
            time = Some((form, value));
        } else {
            return Err(error_text::SYNTAX.to_owned());
        }
    }
    if let Some((form, value)) = time {
        options.ttl = Ttl::At(form.deadline(value, now_ms, "set")?);
    }
    Ok(options)
}

pub static SETNX: Command = Command {
    name: "setnx",
    arity: 3,
    flags: &[Flag::Write, Flag::Denyoom, Flag::Fast],
    keys: Keys::ONE,
    access: Access::CREATE,
    summary: "Sets the string at a key if it does not exist.",
    group: "string",
    run: Run::Keys { run: setnx, spread: Spread::Hold },
};

fn setnx(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let options = SetOptions { condition: SetCondition::IfAbsent, ..SetOptions::default() };
    let outcome = context.shards.of(args.get(1)).set_with(args.get(1), args.get(2), options);
    outcome.answer(reply, |reply, outcome| reply.integer(i64::from(outcome.set)));
}

pub static SETEX: Command = Command {
    name: "setex",
    arity: 4,
    flags: &[Flag::Write, Flag::Denyoom],
    keys: Keys::ONE,
    access: Access::OVERWRITE,
    summary: "Sets the string at a key with an expiry in seconds.",
    group: "string",
    run: Run::Keys { run: setex, spread: Spread::Hold },
};

fn setex(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    set_ending(context, args, reply, TimeForm::Seconds, "setex");
}

pub static PSETEX: Command = Command {
    name: "psetex",
    arity: 4,
    flags: &[Flag::Write, Flag::Denyoom],
    keys: Keys::ONE,
    access: Access::OVERWRITE,
    summary: "Sets the string at a key with an expiry in milliseconds.",
    group: "string",
    run: Run::Keys { run: psetex, spread: Spread::Hold },
};

fn psetex(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    set_ending(context, args, reply, TimeForm::Millis, "psetex");
}

fn set_ending(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>, form: TimeForm, name: &str) {
    let at_ms = match form.deadline(args.get(2), context.now_ms, name) {
        Ok(at_ms) => at_ms,
        Err(text) => return reply.error(text),
    };
    let options = SetOptions { ttl: Ttl::At(at_ms), ..SetOptions::default() };
    context.shards.of(args.get(1)).set_with(args.get(1), args.get(3), options).answer(reply, |reply, _| reply.ok());
}

pub static GETSET: Command = Command {
    name: "getset",
    arity: 3,
    flags: &[Flag::Write, Flag::Denyoom, Flag::Fast],
    keys: Keys::ONE,
    access: Access::READ_UPDATE,
    summary: "Sets the string at a key and returns the old one.",
    group: "string",
    run: Run::Keys { run: getset, spread: Spread::Hold },
};

fn getset(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let options = SetOptions { get: true, ..SetOptions::default() };
    let outcome = context.shards.of(args.get(1)).set_with(args.get(1), args.get(2), options);
    outcome.answer(reply, |reply, outcome| string_or_nil(reply, outcome.previous.as_deref()));
}
