//! HGETEX, HSETEX, HGETDEL.

use super::field_ttl::{FIELDS_POSITIVE, field_list, moment};
use crate::command::options::{TimeForm, is, pairs, string_or_nil};
use crate::command::{Access, Command, Flag, Keys, KeysContext, Run, Spread, refusal_text};
use crate::keyspace_events::names;
use crate::resp::{Args, Reply, error_text};
use keytide_engine::collection::Bytes;
use keytide_engine::number::parse_i64;
use keytide_engine::shard::{FieldTtlChange, FieldsCondition};
use std::borrow::Cow;

pub static HGETEX: Command = Command {
    name: "hgetex",
    arity: -5,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::ONE,
    access: Access::READ_UPDATE,
    summary: "Returns the values of fields, and sets or removes their expiry.",
    group: "hash",
    run: Run::Keys { run: hgetex, spread: Spread::Hold },
};

fn hgetex(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    answer_values(reply, try_hgetex(context, args));
}

type Values = Result<Vec<Option<Bytes>>, Cow<'static, str>>;

fn answer_values(reply: &mut Reply<'_>, values: Values) {
    match values {
        Ok(values) => {
            reply.array(values.len());
            values.iter().for_each(|value| string_or_nil(reply, value.as_deref()));
        }
        Err(text) => reply.error(&*text),
    }
}

fn try_hgetex(context: &mut KeysContext<'_>, args: Args<'_>) -> Values {
    let key = args.get(1);
    context.shards.of(key).check_hash(key).map_err(refusal_text)?;
    let (change, at) = match args.get(2) {
        word if is(word, "persist") => (FieldTtlChange::Clear, 3),
        word => match TimeForm::of_option(word) {
            Some(form) => (FieldTtlChange::EndAt(moment(form, args.get(3), context.now_ms, "hgetex")?), 4),
            None => (FieldTtlChange::Keep, 2),
        },
    };
    if at + 2 > args.len() {
        return Err(error_text::wrong_arguments("hgetex").into());
    }
    if change == FieldTtlChange::Clear {
        context.event = Some(names::HPERSIST);
    }
    let fields = field_list(args, at, FIELDS_POSITIVE)?;
    context.shards.of(key).read_fields(key, fields.iter(), change).map_err(refusal_text)
}

pub static HGETDEL: Command = Command {
    name: "hgetdel",
    arity: -5,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::ONE,
    access: Access::READ_DELETE,
    summary: "Returns the values of fields, and deletes the fields.",
    group: "hash",
    run: Run::Keys { run: hgetdel, spread: Spread::Hold },
};

fn hgetdel(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    answer_values(reply, try_hgetdel(context, args));
}

fn try_hgetdel(context: &mut KeysContext<'_>, args: Args<'_>) -> Values {
    let key = args.get(1);
    let shard = context.shards.of(key);
    shard.check_hash(key).map_err(refusal_text)?;
    let fields = field_list(args, 2, FIELDS_POSITIVE)?;
    shard.remove_fields(key, fields.iter()).map_err(refusal_text)
}

pub static HSETEX: Command = Command {
    name: "hsetex",
    arity: -6,
    flags: &[Flag::Write, Flag::Denyoom, Flag::Fast],
    keys: Keys::ONE,
    access: Access::UPDATE,
    summary: "Sets fields and their expiry.",
    group: "hash",
    run: Run::Keys { run: hsetex, spread: Spread::Hold },
};

/// Two of FNX and FXX.
const TWO_CONDITIONS: &str = "ERR Only one of FXX or FNX arguments can be specified";

/// Two of the options about TTLs.
const TWO_TTLS: &str = "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified";

/// A number of fields that is none.
const INVALID_COUNT: &str = "ERR invalid number of fields";

fn hsetex(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    match try_hsetex(context, args) {
        Ok(done) => reply.integer(i64::from(done)),
        Err(text) => reply.error(&*text),
    }
}

fn try_hsetex(context: &mut KeysContext<'_>, args: Args<'_>) -> Result<bool, Cow<'static, str>> {
    let (mut condition, mut change) = (None, None);
    let mut at = 2;
    let fields = loop {
        let word = args.try_get(at).ok_or_else(|| error_text::wrong_arguments("hsetex"))?;
        at += 1;
        let form = TimeForm::of_option(word);
        if is(word, "fields") {
            break field_pairs(args, at)?;
        } else if form.is_some() || is(word, "keepttl") {
            if change.is_some() {
                return Err(TWO_TTLS.into());
            }
            change = Some(FieldTtlChange::Keep);
            if let Some(form) = form {
                // An option that is the last word has no time; nor are there fields.
                let time = args.try_get(at).ok_or("ERR missing expire time")?;
                change = Some(FieldTtlChange::EndAt(moment(form, time, context.now_ms, "hsetex")?));
                at += 1;
            }
        } else if is(word, "fnx") || is(word, "fxx") {
            if condition.is_some() {
                return Err(TWO_CONDITIONS.into());
            }
            condition = Some(if is(word, "fnx") { FieldsCondition::IfNone } else { FieldsCondition::IfAll });
        } else {
            return Err(error_text::unknown_argument(word).into());
        }
    };
    let key = args.get(1);
    let shard = context.shards.of(key);
    shard.check_hash(key).map_err(refusal_text)?;
    let condition = condition.unwrap_or(FieldsCondition::Always);
    let change = change.unwrap_or(FieldTtlChange::Clear);
    shard.set_fields_with_ttl(key, pairs(fields), condition, change).map_err(refusal_text)
}

/// The fields and values behind their number, which is the argument `at`, or the text of the error.
fn field_pairs<'a>(args: Args<'a>, at: usize) -> Result<Args<'a>, Cow<'static, str>> {
    let wrong = || error_text::wrong_arguments("hsetex");
    if at + 3 > args.len() {
        return Err(wrong().into());
    }
    let count = parse_i64(args.get(at)).filter(|&count| count > 0 && count <= i64::from(i32::MAX));
    let count = count.ok_or(INVALID_COUNT)?;
    let fields = args.rest(at + 1);
    let is_right = fields.len().is_multiple_of(2) && usize::try_from(count) == Ok(fields.len() / 2);
    if is_right { Ok(fields) } else { Err(wrong().into()) }
}
