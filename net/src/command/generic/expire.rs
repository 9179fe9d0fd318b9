//! EXPIRE and its forms, TTL and its forms, PERSIST.

use crate::command::options::{TimeForm, take_condition};
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, RunKeys, Spread};
use crate::keyspace_events::names;
use crate::resp::{Args, Reply, error_text};
use keytide_engine::number::parse_i64;
use keytide_engine::shard::ExpireCondition;

const fn expiring(name: &'static str, summary: &'static str, run: RunKeys) -> Command {
    Command {
        name,
        arity: -3,
        flags: &[Flag::Write, Flag::Fast],
        keys: Keys::ONE,
        access: Access::UPDATE,
        summary,
        group: "generic",
        run: Run::Keys { run, spread: Spread::Hold },
    }
}

pub static EXPIRE: Command = expiring("expire", "Sets a key's expiry in seconds from now.", |context, args, reply| {
    expire(context, args, reply, TimeForm::Seconds, "expire");
});

pub static PEXPIRE: Command =
    expiring("pexpire", "Sets a key's expiry in milliseconds from now.", |context, args, reply| {
        expire(context, args, reply, TimeForm::Millis, "pexpire");
    });

pub static EXPIREAT: Command =
    expiring("expireat", "Sets a key's expiry as a Unix time in seconds.", |context, args, reply| {
        expire(context, args, reply, TimeForm::UnixSeconds, "expireat");
    });

pub static PEXPIREAT: Command =
    expiring("pexpireat", "Sets a key's expiry as a Unix time in milliseconds.", |context, args, reply| {
        expire(context, args, reply, TimeForm::UnixMillis, "pexpireat");
    });

fn expire(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>, form: TimeForm, name: &str) {
    let condition = match condition(args.rest(3)) {
        Ok(condition) => condition,
        Err(text) => return reply.error(text),
    };
    let Some(value) = parse_i64(args.get(2)) else { return reply.error(error_text::NOT_INTEGER) };
    let Some(at_ms) = form.moment(value, context.now_ms) else {
        return reply.error(error_text::invalid_expire(name));
    };
    let key = args.get(1);
    let done = context.shards.of(key).expire_at(key, at_ms, condition);
    done.answer(reply, |reply, done| reply.integer(i64::from(done)));
}

fn condition(words: Args<'_>) -> Result<ExpireCondition, String> {
    let mut condition = ExpireCondition::default();
    for word in words.iter() {
        if !take_condition(word, &mut condition) {
            return Err(format!("ERR Unsupported option {}", String::from_utf8_lossy(word)));
        }
    }
    if condition.if_none && (condition.if_some || condition.if_later || condition.if_earlier) {
        return Err(error_text::EXPIRE_NX.to_owned());
    }
    if condition.if_later && condition.if_earlier {
        return Err(error_text::EXPIRE_GT_LT.to_owned());
    }
    Ok(condition)
}

const fn asking(name: &'static str, summary: &'static str, run: RunKeys) -> Command {
    Command {
        name,
        arity: 2,
        flags: &[Flag::Readonly, Flag::Fast],
        keys: Keys::ONE,
        access: Access::READ,
        summary,
        group: "generic",
        run: Run::Keys { run, spread: Spread::Hold },
    }
}

pub static TTL: Command = asking("ttl", "Returns a key's time to live in seconds.", |context, args, reply| {
    let now_ms = context.now_ms;
    // Rounded to the nearest second, as in Redis.
    ends(context, args, reply, |at_ms| (at_ms.saturating_sub(now_ms) + 500) / 1000);
});

pub static PTTL: Command = asking("pttl", "Returns a key's time to live in milliseconds.", |context, args, reply| {
    let now_ms = context.now_ms;
    ends(context, args, reply, |at_ms| at_ms.saturating_sub(now_ms));
});

pub static EXPIRETIME: Command =
    asking("expiretime", "Returns a key's expiry as a Unix time in seconds.", |context, args, reply| {
        ends(context, args, reply, |at_ms| (at_ms + 500) / 1000);
    });

pub static PEXPIRETIME: Command =
    asking("pexpiretime", "Returns a key's expiry as a Unix time in milliseconds.", |context, args, reply| {
        ends(context, args, reply, |at_ms| at_ms);
    });

fn ends(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>, shown: impl Fn(u64) -> u64) {
    let key = args.get(1);
    match context.shards.of(key).read(key).map(|entry| entry.expire_at_ms()) {
        None => reply.integer(-2),
        Some(None) => reply.integer(-1),
        Some(Some(at_ms)) => reply.unsigned(shown(at_ms)),
    }
}

pub static PERSIST: Command = Command {
    name: "persist",
    arity: 2,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::ONE,
    access: Access::UPDATE,
    summary: "Removes a key's expiry.",
    group: "generic",
    run: Run::Keys { run: persist, spread: Spread::Hold },
};

fn persist(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    context.event = Some(names::PERSIST);
    context.shards.of(key).persist(key).answer(reply, |reply, done| reply.integer(i64::from(done)));
}
