//! DUMP, RESTORE.

use crate::access::Category;
use crate::command::options::is;
use crate::command::{Access, Command, Flag, Keys, KeysContext, Run, Spread, refusal_text};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::number::parse_i64;
use std::borrow::Cow;

pub static DUMP: Command = Command {
    name: "dump",
    arity: 2,
    flags: &[Flag::Readonly],
    keys: Keys::ONE,
    access: Access::READ,
    summary: "Returns the value of a key in a form that RESTORE reads.",
    group: "generic",
    run: Run::Keys { run: dump, spread: Spread::Hold },
};

fn dump(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    match context.shards.of(key).dump(key) {
        Some(payload) => reply.bulk(&payload),
        None => reply.null(),
    }
}

pub static RESTORE: Command = Command {
    name: "restore",
    arity: -4,
    flags: &[Flag::Write, Flag::Denyoom],
    keys: Keys::ONE,
    access: Access::OVERWRITE.in_categories(&[Category::Dangerous]),
    summary: "Sets the value of a key to what DUMP has returned.",
    group: "generic",
    run: Run::Keys { run: restore, spread: Spread::Hold },
};

fn restore(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    context.event = Some("restore");
    match try_restore(context, args) {
        Ok(()) => reply.ok(),
        Err(text) => reply.error(&*text),
    }
}

fn try_restore(context: &mut KeysContext<'_>, args: Args<'_>) -> Result<(), Cow<'static, str>> {
    let Options { replaces, is_absolute } = parse(args.rest(4))?;
    let (key, now_ms) = (args.get(1), context.now_ms as i64);
    let shard = context.shards.of(key);
    if !replaces && shard.value(key).is_some() {
        return Err("BUSYKEY Target key name already exists.".into());
    }
    let ttl = parse_i64(args.get(2)).ok_or(error_text::NOT_INTEGER)?;
    if ttl < 0 {
        return Err("ERR Invalid TTL value, must be >= 0".into());
    }
    let value = shard.read_dump(args.get(3)).map_err(|error| error_text::err(&error))?;
    let at_ms = match ttl {
        0 => None,
        ttl if is_absolute => Some(ttl),
        ttl => Some(ttl.saturating_add(now_ms)),
    };
    if at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
        // It has expired already: of what was there nothing is left either.
        shard.admit_delete(key).map_err(refusal_text)?;
        shard.delete(key);
        return Ok(());
    }
    shard.put_dumped(key, value, at_ms.map(i64::cast_unsigned)).map_err(refusal_text)
}

struct Options {
    replaces: bool,
    is_absolute: bool,
}

/// How long a key was not used, and how often it was, is checked, but not kept.
fn parse(words: Args<'_>) -> Result<Options, &'static str> {
    let (mut at, mut options) = (0, Options { replaces: false, is_absolute: false });
    let (mut has_idle, mut has_frequency) = (false, false);
    while let Some(word) = words.try_get(at) {
        let number = words.try_get(at + 1).map(|word| parse_i64(word).ok_or(error_text::NOT_INTEGER));
        match (word, number) {
            _ if is(word, "replace") => options.replaces = true,
            _ if is(word, "absttl") => options.is_absolute = true,
            (_, Some(idle)) if is(word, "idletime") && !has_frequency => {
                has_idle = idle? >= 0;
                if !has_idle {
                    return Err("ERR Invalid IDLETIME value, must be >= 0");
                }
                at += 1;
            }
            (_, Some(frequency)) if is(word, "freq") && !has_idle => {
                has_frequency = (0..=255).contains(&frequency?);
                if !has_frequency {
                    return Err("ERR Invalid FREQ value, must be >= 0 and <= 255");
                }
                at += 1;
            }
            _ => return Err(error_text::SYNTAX),
        }
        at += 1;
    }
    Ok(options)
}
