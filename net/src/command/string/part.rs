//! APPEND, GETRANGE (SUBSTR), SETRANGE.

use crate::command::options::{integer, range};
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, Spread, refuse};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::limits::STRING_BYTES_MAX;

pub static APPEND: Command = Command {
    name: "append",
    arity: 3,
    flags: &[Flag::Write, Flag::Denyoom, Flag::Fast],
    keys: Keys::ONE,
    access: Access::INSERT,
    summary: "Appends to the string at a key.",
    group: "string",
    run: Run::Keys { run: append, spread: Spread::Hold },
};

fn append(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    context.event = Some("append");
    context.shards.of(key).append(key, args.get(2)).answer(reply, |reply, length| reply.unsigned(length as u64));
}

const fn substring(name: &'static str) -> Command {
    Command {
        name,
        arity: 4,
        flags: &[Flag::Readonly],
        keys: Keys::ONE,
        access: Access::READ,
        summary: "Returns part of the string at a key.",
        group: "string",
        run: Run::Keys { run: getrange, spread: Spread::Hold },
    }
}

pub static GETRANGE: Command = substring("getrange");
pub static SUBSTR: Command = substring("substr");

fn getrange(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let (first, last) = match (integer(args.get(2)), integer(args.get(3))) {
        (Ok(first), Ok(last)) => (first, last),
        (Err(refusal), _) | (_, Err(refusal)) => return refuse(reply, refusal),
    };
    let key = args.get(1);
    context.shards.of(key).get(key).answer(reply, |reply, value| {
        let value = value.unwrap_or_default();
        // As in Redis: a range that ends before the beginning ends at the first byte, unless it is reversed.
        let is_upside_down = first < 0 && last < 0 && first > last;
        let last = if last < 0 { (value.len() as i64).saturating_add(last).max(0) } else { last };
        let range = if is_upside_down { None } else { range(first, last, value.len()) };
        reply.bulk(range.map_or(b"", |range| &value[range]));
    });
}

pub static SETRANGE: Command = Command {
    name: "setrange",
    arity: 4,
    flags: &[Flag::Write, Flag::Denyoom],
    keys: Keys::ONE,
    access: Access::UPDATE,
    summary: "Overwrites part of the string at a key.",
    group: "string",
    run: Run::Keys { run: setrange, spread: Spread::Hold },
};

fn setrange(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let offset = match integer(args.get(2)) {
        Ok(offset) => offset,
        Err(refusal) => return refuse(reply, refusal),
    };
    let Ok(offset) = usize::try_from(offset) else { return reply.error(error_text::OFFSET) };
    let (key, patch) = (args.get(1), args.get(3));
    context.event = Some("setrange");
    if !patch.is_empty() && offset.saturating_add(patch.len()) > STRING_BYTES_MAX {
        // Redis checks the key's type before the length.
        let is_string = context.shards.of(key).string_length(key);
        return is_string.answer(reply, |reply, _| reply.error(error_text::STRING_TOO_LONG));
    }
    context.shards.of(key).set_range(key, offset, patch).answer(reply, |reply, length| reply.unsigned(length as u64));
}
