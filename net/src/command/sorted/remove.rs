//! ZREM, ZREMRANGEBYRANK, ZREMRANGEBYSCORE, ZREMRANGEBYLEX.

use super::words::{by_lex, by_rank, by_score};
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, RunKeys, Spread};
use crate::resp::{Args, Reply};
use keytide_engine::collection::Selection;

pub static ZREM: Command = Command {
    name: "zrem",
    arity: -3,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::ONE,
    access: Access::DELETE,
    summary: "Removes members from a sorted set.",
    group: "sorted-set",
    run: Run::Keys { run: zrem, spread: Spread::Hold },
};

fn zrem(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    let removed = context.shards.of(key).remove_scores(key, args.rest(2).iter());
    removed.answer(reply, |reply, removed| reply.unsigned(removed as u64));
}

const fn removal(name: &'static str, summary: &'static str, run: RunKeys) -> Command {
    Command {
        name,
        arity: 4,
        flags: &[Flag::Write],
        keys: Keys::ONE,
        access: Access::DELETE,
        summary,
        group: "sorted-set",
        run: Run::Keys { run, spread: Spread::Hold },
    }
}

pub static ZREMRANGEBYRANK: Command =
    removal("zremrangebyrank", "Removes the members in a range of ranks.", |context, args, reply| {
        context.event = Some("zremrangebyrank");
        remove(context, args, by_rank(args.get(2), args.get(3), false), reply);
    });

pub static ZREMRANGEBYSCORE: Command =
    removal("zremrangebyscore", "Removes the members with a score in a range.", |context, args, reply| {
        context.event = Some("zremrangebyscore");
        remove(context, args, by_score(args.get(2), args.get(3)), reply);
    });

pub static ZREMRANGEBYLEX: Command =
    removal("zremrangebylex", "Removes the members from one to another.", |context, args, reply| {
        context.event = Some("zremrangebylex");
        remove(context, args, by_lex(args.get(2), args.get(3)), reply);
    });

fn remove(
    context: &mut KeysContext<'_>,
    args: Args<'_>,
    selection: Result<Selection<'_>, &'static str>,
    reply: &mut Reply<'_>,
) {
    let key = args.get(1);
    match selection {
        Ok(selection) => {
            let removed = context.shards.of(key).remove_ranks(key, false, |set| selection.ranks(set));
            removed.answer(reply, |reply, removed| reply.unsigned(removed.map_or(0, |removed| removed.len()) as u64));
        }
        Err(text) => reply.error(text),
    }
}
