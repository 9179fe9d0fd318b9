//! ZSCORE, ZMSCORE, ZCARD, ZCOUNT, ZLEXCOUNT, ZRANK, ZREVRANK.

use super::words::{by_lex, by_score};
use crate::command::options::is;
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, RunKeys, Spread};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::collection::Selection;

const fn read(name: &'static str, arity: i32, access: Access, summary: &'static str, run: RunKeys) -> Command {
    Command {
        name,
        arity,
        flags: &[Flag::Readonly, Flag::Fast],
        keys: Keys::ONE,
        access,
        summary,
        group: "sorted-set",
        run: Run::Keys { run, spread: Spread::Hold },
    }
}

fn double_or_null(reply: &mut Reply<'_>, score: Option<f64>) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

pub static ZSCORE: Command =
    read("zscore", 3, Access::READ, "Returns the score of a member.", |context, args, reply| {
        let (key, member) = (args.get(1), args.get(2));
        let set = context.shards.of(key).sorted(key);
        set.answer(reply, |reply, set| double_or_null(reply, set.and_then(|set| set.score(member))));
    });

pub static ZMSCORE: Command =
    read("zmscore", -3, Access::READ, "Returns the scores of several members.", |context, args, reply| {
        let (key, members) = (args.get(1), args.rest(2));
        context.shards.of(key).sorted(key).answer(reply, |reply, set| {
            reply.array(members.len());
            members.iter().for_each(|member| double_or_null(reply, set.and_then(|set| set.score(member))));
        });
    });

pub static ZCARD: Command =
    read("zcard", 2, Access::LOOK, "Returns the number of members of a sorted set.", |context, args, reply| {
        let key = args.get(1);
        let set = context.shards.of(key).sorted(key);
        set.answer(reply, |reply, set| reply.unsigned(set.map_or(0, |set| set.len()) as u64));
    });

pub static ZCOUNT: Command =
    read("zcount", 4, Access::READ, "Counts the members with a score in a range.", |context, args, reply| {
        count(context, args, by_score(args.get(2), args.get(3)), reply);
    });

pub static ZLEXCOUNT: Command =
    read("zlexcount", 4, Access::READ, "Counts the members from one to another.", |context, args, reply| {
        count(context, args, by_lex(args.get(2), args.get(3)), reply);
    });

fn count(
    context: &mut KeysContext<'_>,
    args: Args<'_>,
    selection: Result<Selection<'_>, &'static str>,
    reply: &mut Reply<'_>,
) {
    let key = args.get(1);
    match selection {
        Ok(selection) => context.shards.of(key).sorted(key).answer(reply, |reply, set| {
            reply.unsigned(set.map_or(0, |set| selection.ranks(set).len()) as u64);
        }),
        Err(text) => reply.error(text),
    }
}

pub static ZRANK: Command = read(
    "zrank",
    -3,
    Access::READ,
    "Returns the rank of a member, from the lowest score up.",
    |context, args, reply| {
        rank(context, args, false, "zrank", reply);
    },
);

pub static ZREVRANK: Command = read(
    "zrevrank",
    -3,
    Access::READ,
    "Returns the rank of a member, from the highest score down.",
    |context, args, reply| rank(context, args, true, "zrevrank", reply),
);

fn rank(context: &mut KeysContext<'_>, args: Args<'_>, is_reversed: bool, name: &str, reply: &mut Reply<'_>) {
    let (key, member) = (args.get(1), args.get(2));
    let with_score = match args.try_get(3) {
        _ if args.len() > 4 => return reply.error(error_text::wrong_arguments(name)),
        Some(word) if is(word, "withscore") => true,
        Some(_) => return reply.error(error_text::SYNTAX),
        None => false,
    };
    context.shards.of(key).sorted(key).answer(reply, |reply, set| {
        let found = set.and_then(|set| Some((set.len(), set.rank(member)?)));
        let Some((length, (rank, score))) = found else {
            return if with_score { reply.null_array() } else { reply.null() };
        };
        if with_score {
            reply.array(2);
        }
        reply.unsigned(if is_reversed { length - 1 - rank } else { rank } as u64);
        if with_score {
            reply.double(score);
        }
    });
}
