//! HEXPIRE and its forms, HTTL and its forms, HPERSIST.

use super::field_ttl::{FIELDS_POSITIVE, field_list, moment};
use crate::command::options::{TimeForm, take_condition};
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, RunKeys, Spread, refusal_text};
use crate::keyspace_events::names;
use crate::resp::{Args, Reply};
use keytide_engine::shard::{ExpireCondition, FieldTtl};
use std::borrow::Cow;

/// `numfields` of HEXPIRE below 1.
const FIELDS_NOT_POSITIVE: &str = "ERR Parameter `numFields` should be greater than 0";

const fn expiring(name: &'static str, summary: &'static str, run: RunKeys) -> Command {
    Command {
        name,
        arity: -6,
        flags: &[Flag::Write, Flag::Fast],
        keys: Keys::ONE,
        access: Access::UPDATE,
        summary,
        group: "hash",
        run: Run::Keys { run, spread: Spread::Hold },
    }
}

pub static HEXPIRE: Command =
    expiring("hexpire", "Sets the expiry of fields in seconds from now.", |context, args, reply| {
        expire(context, args, reply, TimeForm::Seconds, "hexpire");
    });

pub static HPEXPIRE: Command =
    expiring("hpexpire", "Sets the expiry of fields in milliseconds from now.", |context, args, reply| {
        expire(context, args, reply, TimeForm::Millis, "hpexpire");
    });

pub static HEXPIREAT: Command =
    expiring("hexpireat", "Sets the expiry of fields as a Unix time in seconds.", |context, args, reply| {
        expire(context, args, reply, TimeForm::UnixSeconds, "hexpireat");
    });

pub static HPEXPIREAT: Command =
    expiring("hpexpireat", "Sets the expiry of fields as a Unix time in milliseconds.", |context, args, reply| {
        expire(context, args, reply, TimeForm::UnixMillis, "hpexpireat");
    });

fn expire(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>, form: TimeForm, name: &str) {
    match try_expire(context, args, form, name) {
        Ok(done) => answer_each(reply, &done),
        Err(text) => reply.error(&*text),
    }
}

fn try_expire(
    context: &mut KeysContext<'_>,
    args: Args<'_>,
    form: TimeForm,
    name: &str,
) -> Result<Vec<FieldTtl>, Cow<'static, str>> {
    let key = args.get(1);
    context.shards.of(key).check_hash(key).map_err(refusal_text)?;
    let at_ms = moment(form, args.get(2), context.now_ms, name)?;
    // At most one.
    let mut condition = ExpireCondition::default();
    let at = if take_condition(args.get(3), &mut condition) { 4 } else { 3 };
    let fields = field_list(args, at, FIELDS_NOT_POSITIVE)?;
    context.shards.of(key).expire_fields(key, fields.iter(), at_ms, condition).map_err(refusal_text)
}

/// The number that HEXPIRE and HPERSIST answer for each field.
fn answer_each(reply: &mut Reply<'_>, done: &[FieldTtl]) {
    reply.array(done.len());
    for what in done {
        reply.integer(match what {
            FieldTtl::NoField => -2,
            FieldTtl::None => -1,
            FieldTtl::Refused => 0,
            FieldTtl::Done => 1,
            FieldTtl::Deleted => 2,
        });
    }
}

pub static HPERSIST: Command = Command {
    name: "hpersist",
    arity: -5,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::ONE,
    access: Access::UPDATE,
    summary: "Removes the expiry of fields.",
    group: "hash",
    run: Run::Keys { run: hpersist, spread: Spread::Hold },
};

fn hpersist(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    context.event = Some(names::HPERSIST);
    if let Err(refusal) = context.shards.of(key).check_hash(key) {
        return reply.error(&*refusal_text(refusal));
    }
    match field_list(args, 2, FIELDS_POSITIVE) {
        Ok(fields) => {
            let done = context.shards.of(key).persist_fields(key, fields.iter());
            done.answer(reply, |reply, done| answer_each(reply, &done));
        }
        Err(text) => reply.error(text),
    }
}

const fn asking(name: &'static str, summary: &'static str, run: RunKeys) -> Command {
    Command {
        name,
        arity: -5,
        flags: &[Flag::Readonly, Flag::Fast],
        keys: Keys::ONE,
        access: Access::READ,
        summary,
        group: "hash",
        run: Run::Keys { run, spread: Spread::Hold },
    }
}

pub static HTTL: Command = asking("httl", "Returns the time to live of fields in seconds.", |context, args, reply| {
    let now_ms = context.now_ms;
    // Rounded up, unlike that of a key, as in Redis.
    ends(context, args, reply, |at_ms| at_ms.saturating_sub(now_ms).div_ceil(1000));
});

pub static HPTTL: Command =
    asking("hpttl", "Returns the time to live of fields in milliseconds.", |context, args, reply| {
        let now_ms = context.now_ms;
        ends(context, args, reply, |at_ms| at_ms.saturating_sub(now_ms));
    });

pub static HEXPIRETIME: Command =
    asking("hexpiretime", "Returns the expiry of fields as a Unix time in seconds.", |context, args, reply| {
        ends(context, args, reply, |at_ms| at_ms.div_ceil(1000));
    });

pub static HPEXPIRETIME: Command =
    asking("hpexpiretime", "Returns the expiry of fields as a Unix time in milliseconds.", |context, args, reply| {
        ends(context, args, reply, |at_ms| at_ms);
    });

fn ends(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>, shown: impl Fn(u64) -> u64) {
    let key = args.get(1);
    let shard = context.shards.of(key);
    if let Err(refusal) = shard.check_hash(key) {
        return reply.error(&*refusal_text(refusal));
    }
    let fields = match field_list(args, 2, FIELDS_POSITIVE) {
        Ok(fields) => fields,
        Err(text) => return reply.error(text),
    };
    shard.field_ends(key, fields.iter()).answer(reply, |reply, ends| {
        reply.array(ends.len());
        for end in ends {
            match end {
                None => reply.integer(-2),
                Some(None) => reply.integer(-1),
                Some(Some(at_ms)) => reply.unsigned(shown(at_ms)),
            }
        }
    });
}
