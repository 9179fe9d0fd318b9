//! ZPOPMIN, ZPOPMAX, ZMPOP.

use super::reply::{Form, put};
use crate::command::multi_pop::MultiPop;
use crate::command::options::is;
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, RunKeys, Spread, refuse};
use crate::resp::{Args, Protocol, Reply, error_text};
use keytide_engine::keyspace::Bytes;
use keytide_engine::number::parse_i64;
use keytide_engine::stream_name::Database;

const fn pop(name: &'static str, summary: &'static str, run: RunKeys) -> Command {
    Command {
        name,
        arity: -2,
        flags: &[Flag::Write, Flag::Fast],
        keys: Keys::ONE,
        access: Access::READ_DELETE,
        summary,
        group: "sorted-set",
        run: Run::Keys { run, spread: Spread::Hold },
    }
}

pub static ZPOPMIN: Command =
    pop("zpopmin", "Removes and returns the members with the lowest scores.", |context, args, reply| {
        take(context, args, false, reply);
    });

pub static ZPOPMAX: Command =
    pop("zpopmax", "Removes and returns the members with the highest scores.", |context, args, reply| {
        take(context, args, true, reply);
    });

fn take(context: &mut KeysContext<'_>, args: Args<'_>, is_highest: bool, reply: &mut Reply<'_>) {
    let key = args.get(1);
    let wanted = match args.len() {
        2 => Ok(1),
        3 => parse_i64(args.get(2)).and_then(|count| usize::try_from(count).ok()).ok_or(error_text::NOT_POSITIVE),
        _ => Err(error_text::SYNTAX),
    };
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(text) => return reply.error(text),
    };
    context.event = Some(event_of(is_highest));
    context.shards.of(key).pop_scores(key, is_highest, wanted).answer(reply, |reply, popped| {
        let popped = popped.unwrap_or_default();
        // One without a count is not in an array of its own.
        let in_pairs = args.len() == 3 && reply.protocol() == Protocol::Resp3;
        let form = if in_pairs { Form::Pairs } else { Form::Flat };
        put(reply, form, popped.len(), popped.into_iter());
    });
}

/// Whether MIN or MAX asks for the highest scores.
pub(super) fn is_highest(word: &[u8]) -> Option<bool> {
    if is(word, "min") {
        Some(false)
    } else if is(word, "max") {
        Some(true)
    } else {
        None
    }
}

/// What Redis calls it.
pub(super) fn event_of(is_highest: bool) -> &'static str {
    if is_highest { "zpopmax" } else { "zpopmin" }
}

pub static ZMPOP: Command = Command {
    name: "zmpop",
    arity: -4,
    flags: &[Flag::Write, Flag::MovableKeys],
    keys: Keys::Counted { at: 1 },
    access: Access::READ_DELETE,
    summary: "Removes and returns members of the first sorted set that has some.",
    group: "sorted-set",
    run: Run::Keys { run: zmpop, spread: Spread::Hold },
};

fn zmpop(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let MultiPop { keys, end, count } = match MultiPop::parse(args.rest(1), is_highest) {
        Ok(pop) => pop,
        Err(text) => return reply.error(text),
    };
    context.event = Some(event_of(end));
    for key in keys.iter() {
        match context.shards.of(key).pop_scores(key, end, count) {
            Ok(None) => {}
            Ok(Some(popped)) => return reply_popped(reply, key, popped),
            Err(refusal) => return refuse(reply, refusal),
        }
    }
    reply.null_array();
}

/// Replies with the key and what was popped there.
pub(super) fn reply_popped(reply: &mut Reply<'_>, key: &[u8], popped: Vec<(Bytes, f64)>) {
    reply.array(2);
    reply.bulk(Database::key_of(key));
    put(reply, Form::Pairs, popped.len(), popped.into_iter());
}
