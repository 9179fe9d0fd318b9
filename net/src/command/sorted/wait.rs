//! BZPOPMIN, BZPOPMAX, BZMPOP: they wait for a member where there is none.

use super::pop::{event_of, is_highest, reply_popped};
use crate::command::multi_pop::MultiPop;
use crate::command::options::timeout_ms;
use crate::command::waiting::{ALL_BUT_LAST, refuse_text, reply_or_wait};
use crate::command::{Access, Command, Flag, Keys, Progress, Run, RunWaiting, WaitContext};
use crate::resp::{Args, Reply};
use keytide_engine::error::Refusal;
use keytide_engine::keyspace::Bytes;
use keytide_engine::stream_name::Database;
use keytide_engine::waiters::Awaited;

const fn pop(name: &'static str, summary: &'static str, run: RunWaiting) -> Command {
    Command {
        name,
        arity: -3,
        flags: &[Flag::Write, Flag::Fast, Flag::Blocking],
        keys: ALL_BUT_LAST,
        access: Access::READ_DELETE,
        summary,
        group: "sorted-set",
        run: Run::Waiting { run, waits_for: ALL_BUT_LAST, awaited: Awaited::Sorted },
    }
}

pub static BZPOPMIN: Command = pop(
    "bzpopmin",
    "Removes and returns the member with the lowest score of the first sorted set that has one, or waits for one.",
    |context, args, reply| pop_first(context, args, false, reply),
);

pub static BZPOPMAX: Command = pop(
    "bzpopmax",
    "Removes and returns the member with the highest score of the first sorted set that has one, or waits for one.",
    |context, args, reply| pop_first(context, args, true, reply),
);

fn pop_first(context: &mut WaitContext<'_>, args: Args<'_>, is_highest: bool, reply: &mut Reply<'_>) -> Progress {
    let keys = args.len() - 2;
    let timeout_ms = match timeout_ms(args.get(keys + 1)) {
        Ok(timeout_ms) => timeout_ms,
        Err(text) => return refuse_text(reply, text),
    };
    let taken = take(context, args.rest(1).first(keys), is_highest, 1);
    reply_or_wait(
        context,
        timeout_ms,
        taken,
        reply,
        |reply| reply.null_array(),
        |reply, (key, popped)| {
            reply.array(3);
            reply.bulk(Database::key_of(key));
            for (member, score) in popped {
                reply.bulk(&member);
                reply.double(score);
            }
        },
    )
}

/// A key and what was popped there.
type Popped<'a> = (&'a [u8], Vec<(Bytes, f64)>);

/// Pops members of the first key that has some, unless another command has waited longer for it. A key of another type is
/// refused either way.
fn take<'a>(
    context: &mut WaitContext<'_>,
    keys: Args<'a>,
    is_highest: bool,
    count: usize,
) -> Result<Option<Popped<'a>>, Refusal> {
    context.event = Some(event_of(is_highest));
    for key in keys.iter() {
        let may_take = context.is_next(key, Awaited::Sorted);
        let shard = context.shards.of(key);
        if !may_take {
            shard.sorted(key)?;
        } else if let Some(popped) = shard.pop_scores(key, is_highest, count)? {
            return Ok(Some((key, popped)));
        }
    }
    Ok(None)
}

pub static BZMPOP: Command = Command {
    name: "bzmpop",
    arity: -5,
    flags: &[Flag::Write, Flag::Blocking, Flag::MovableKeys],
    keys: Keys::Counted { at: 2 },
    access: Access::READ_DELETE,
    summary: "Removes and returns members of the first sorted set that has some, or waits for some.",
    group: "sorted-set",
    run: Run::Waiting { run: bzmpop, waits_for: Keys::Counted { at: 2 }, awaited: Awaited::Sorted },
};

fn bzmpop(context: &mut WaitContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Progress {
    // The timeout is read first: in BLMPOP it is last, as in Redis.
    let parsed = MultiPop::parse(args.rest(2), is_highest).and_then(|pop| Ok((pop, timeout_ms(args.get(1))?)));
    let (MultiPop { keys, end, count }, timeout_ms) = match parsed {
        Ok(parsed) => parsed,
        Err(text) => return refuse_text(reply, text),
    };
    let taken = take(context, keys, end, count);
    reply_or_wait(
        context,
        timeout_ms,
        taken,
        reply,
        |reply| reply.null_array(),
        |reply, (key, popped)| reply_popped(reply, key, popped),
    )
}
