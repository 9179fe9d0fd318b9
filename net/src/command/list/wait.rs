//! BLPOP, BRPOP, BLMOVE, BRPOPLPUSH, BLMPOP: they wait for an element where there is none.

use super::pop::reply_popped;
use super::shift::end_of_word;
use crate::command::multi_pop::MultiPop;
use crate::command::options::timeout_ms;
use crate::command::waiting::{ALL_BUT_LAST, refuse_text, reply_or_wait};
use crate::command::{Access, Command, Flag, KeyUse, Keys, Progress, Run, RunWaiting, WaitContext};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::error::Refusal;
use keytide_engine::keyspace::entry::End;
use keytide_engine::stream_name::Database;
use keytide_engine::waiters::Awaited;

const fn pop(name: &'static str, summary: &'static str, run: RunWaiting) -> Command {
    Command {
        name,
        arity: -3,
        flags: &[Flag::Write, Flag::Blocking],
        keys: ALL_BUT_LAST,
        access: Access::READ_DELETE,
        summary,
        group: "list",
        run: Run::Waiting { run, waits_for: ALL_BUT_LAST, awaited: Awaited::List },
    }
}

pub static BLPOP: Command = pop(
    "blpop",
    "Pops an element from the head of the first list that has one, or waits for one.",
    |context, args, reply| pop_first(context, args, End::Head, reply),
);

pub static BRPOP: Command = pop(
    "brpop",
    "Pops an element from the tail of the first list that has one, or waits for one.",
    |context, args, reply| pop_first(context, args, End::Tail, reply),
);

fn pop_first(context: &mut WaitContext<'_>, args: Args<'_>, end: End, reply: &mut Reply<'_>) -> Progress {
    let keys = args.len() - 2;
    let timeout_ms = match timeout_ms(args.get(keys + 1)) {
        Ok(timeout_ms) => timeout_ms,
        Err(text) => return refuse_text(reply, text),
    };
    let mut keys = args.rest(1).first(keys).iter();
    let taken = keys.find_map(|key| {
        let taken =
            may_take(context, key).and_then(|may| if may { context.shards.of(key).pop(key, end) } else { Ok(None) });
        taken.transpose().map(|taken| taken.map(|element| (key, element)))
    });
    reply_or_wait(
        context,
        timeout_ms,
        taken.transpose(),
        reply,
        |reply| reply.null_array(),
        |reply, (key, element)| {
            reply.array(2);
            reply.bulk(Database::key_of(key));
            reply.bulk(&element);
        },
    )
}

/// Whether the command may take of a list: no other command has waited longer for it. A key of another type is refused
/// either way.
fn may_take(context: &mut WaitContext<'_>, key: &[u8]) -> Result<bool, Refusal> {
    let is_next = context.is_next(key, Awaited::List);
    if !is_next {
        context.shards.of(key).elements(key)?;
    }
    Ok(is_next)
}

const MOVE_FLAGS: &[Flag] = &[Flag::Write, Flag::Denyoom, Flag::Blocking];

const fn shift(name: &'static str, arity: i32, summary: &'static str, run: RunWaiting) -> Command {
    Command {
        name,
        arity,
        flags: MOVE_FLAGS,
        keys: Keys::TWO,
        access: Access::keys(&[KeyUse::READ_DELETE, KeyUse::INSERT]),
        summary,
        group: "list",
        run: Run::Waiting { run, waits_for: Keys::ONE, awaited: Awaited::List },
    }
}

pub static BLMOVE: Command = shift(
    "blmove",
    6,
    "Moves an element from an end of one list to an end of another, or waits for one.",
    |context, args, reply| match (end_of_word(args.get(3)), end_of_word(args.get(4))) {
        (Some(from), Some(to)) => move_first(context, args, (from, to), args.get(5), reply),
        _ => refuse_text(reply, error_text::SYNTAX),
    },
);

pub static BRPOPLPUSH: Command = shift(
    "brpoplpush",
    4,
    "Moves the element at the tail of one list to the head of another, or waits for one.",
    |context, args, reply| move_first(context, args, (End::Tail, End::Head), args.get(3), reply),
);

fn move_first(
    context: &mut WaitContext<'_>,
    args: Args<'_>,
    (from, to): (End, End),
    timeout: &[u8],
    reply: &mut Reply<'_>,
) -> Progress {
    let timeout_ms = match timeout_ms(timeout) {
        Ok(timeout_ms) => timeout_ms,
        Err(text) => return refuse_text(reply, text),
    };
    let (source, target) = (args.get(1), args.get(2));
    let moved = may_take(context, source)
        .and_then(|may| if may { context.shards.move_element(source, from, target, to) } else { Ok(None) });
    reply_or_wait(context, timeout_ms, moved, reply, |reply| reply.null(), |reply, element| reply.bulk(&element))
}

pub static BLMPOP: Command = Command {
    name: "blmpop",
    arity: -5,
    flags: &[Flag::Write, Flag::Blocking, Flag::MovableKeys],
    keys: Keys::Counted { at: 2 },
    access: Access::READ_DELETE,
    summary: "Pops elements from the first list that has some, or waits for some.",
    group: "list",
    run: Run::Waiting { run: blmpop, waits_for: Keys::Counted { at: 2 }, awaited: Awaited::List },
};

fn blmpop(context: &mut WaitContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Progress {
    // The words are checked before the timeout, as in Redis.
    let parsed = MultiPop::parse(args.rest(2), end_of_word).and_then(|pop| Ok((pop, timeout_ms(args.get(1))?)));
    let (MultiPop { keys, end, count }, timeout_ms) = match parsed {
        Ok(parsed) => parsed,
        Err(text) => return refuse_text(reply, text),
    };
    let taken = keys.iter().find_map(|key| {
        let taken = may_take(context, key)
            .and_then(|may| if may { context.shards.of(key).pop_many(key, end, count) } else { Ok(None) });
        taken.transpose().map(|taken| taken.map(|elements| (key, elements)))
    });
    reply_or_wait(
        context,
        timeout_ms,
        taken.transpose(),
        reply,
        |reply| reply.null_array(),
        |reply, (key, elements)| {
            reply_popped(reply, key, &elements);
        },
    )
}
