//! ZRANGE in all its forms, the older commands for some of them, and ZRANGESTORE.

use super::reply::{Form, put};
use super::words::{by_lex, by_rank, by_score};
use crate::command::options::is;
use crate::command::{Access, Answer, Command, Flag, KeyUse, Keys, KeysContext, Run, RunKeys, Spread};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::collection::{Selection, SortedRef};
use keytide_engine::number::parse_i64;
use std::ops::Range;

/// What the ends of a range are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// What a command's name says already.
#[derive(Clone, Copy, Debug)]
struct Fixed {
    by: Option<By>,
    is_reversed: Option<bool>,
    /// Whether it stores the range, and takes no WITHSCORES.
    stores: bool,
}

const fn ranging(name: &'static str, summary: &'static str, run: RunKeys) -> Command {
    Command {
        name,
        arity: -4,
        flags: &[Flag::Readonly],
        keys: Keys::ONE,
        access: Access::READ,
        summary,
        group: "sorted-set",
        run: Run::Keys { run, spread: Spread::Hold },
    }
}

pub static ZRANGE: Command =
    ranging("zrange", "Returns members in a range of ranks, scores or members.", |context, args, reply| {
        range(context, args, Fixed { by: None, is_reversed: None, stores: false }, reply);
    });

pub static ZREVRANGE: Command = ranging(
    "zrevrange",
    "Returns members in a range of ranks, from the highest score down.",
    |context, args, reply| {
        range(context, args, Fixed { by: Some(By::Rank), is_reversed: Some(true), stores: false }, reply);
    },
);

pub static ZRANGEBYSCORE: Command =
    ranging("zrangebyscore", "Returns members with a score in a range.", |context, args, reply| {
        range(context, args, Fixed { by: Some(By::Score), is_reversed: Some(false), stores: false }, reply);
    });

pub static ZREVRANGEBYSCORE: Command = ranging(
    "zrevrangebyscore",
    "Returns members with a score in a range, from the highest score down.",
    |context, args, reply| {
        range(context, args, Fixed { by: Some(By::Score), is_reversed: Some(true), stores: false }, reply);
    },
);

pub static ZRANGEBYLEX: Command =
    ranging("zrangebylex", "Returns the members from one to another.", |context, args, reply| {
        range(context, args, Fixed { by: Some(By::Lex), is_reversed: Some(false), stores: false }, reply);
    });

pub static ZREVRANGEBYLEX: Command =
    ranging("zrevrangebylex", "Returns the members from one down to another.", |context, args, reply| {
        range(context, args, Fixed { by: Some(By::Lex), is_reversed: Some(true), stores: false }, reply);
    });

pub static ZRANGESTORE: Command = Command {
    name: "zrangestore",
    arity: -5,
    flags: &[Flag::Write, Flag::Denyoom],
    keys: Keys::TWO,
    access: Access::keys(&[KeyUse::OVERWRITE, KeyUse::READ]),
    summary: "Stores a range of a sorted set at another key.",
    group: "sorted-set",
    run: Run::Keys { run: store, spread: Spread::Hold },
};

/// A range, and what is wanted of it.
struct Query<'a> {
    selection: Selection<'a>,
    is_reversed: bool,
    with_scores: bool,
    /// How many are left out, and the most that are returned, negative = all: of a range of scores or members.
    limit: Option<(i64, i64)>,
}

impl<'a> Query<'a> {
    /// Parses `min max` and the options, or returns the text of the error.
    fn parse(words: Args<'a>, fixed: Fixed) -> Result<Query<'a>, &'static str> {
        let Fixed { mut by, mut is_reversed, stores } = fixed;
        let (mut with_scores, mut limit, mut at) = (false, (0, -1), 2);
        while let Some(word) = words.try_get(at) {
            if !stores && is(word, "withscores") {
                with_scores = true;
            } else if is(word, "limit") && at + 2 < words.len() {
                let numbers = parse_i64(words.get(at + 1)).zip(parse_i64(words.get(at + 2)));
                limit = numbers.ok_or(error_text::NOT_INTEGER)?;
                at += 2;
            } else if is_reversed.is_none() && is(word, "rev") {
                is_reversed = Some(true);
            } else if by.is_none() && is(word, "bylex") {
                by = Some(By::Lex);
            } else if by.is_none() && is(word, "byscore") {
                by = Some(By::Score);
            } else {
                return Err(error_text::SYNTAX);
            }
            at += 1;
        }
        let (by, is_reversed) = (by.unwrap_or(By::Rank), is_reversed.unwrap_or(false));
        if limit.1 != -1 && by == By::Rank {
            return Err(error_text::LIMIT_OF_RANKS);
        }
        if with_scores && by == By::Lex {
            return Err(error_text::SCORES_OF_LEX);
        }
        let (first, second) = (words.get(0), words.get(1));
        let (min, max) = if is_reversed { (second, first) } else { (first, second) };
        let selection = match by {
            By::Rank => by_rank(first, second, is_reversed)?,
            By::Score => by_score(min, max)?,
            By::Lex => by_lex(min, max)?,
        };
        Ok(Query { selection, is_reversed, with_scores, limit: (by != By::Rank).then_some(limit) })
    }

    /// The ranks of the members that are wanted, from the lowest score up.
    fn ranks(&self, set: SortedRef<'_>) -> Range<usize> {
        let ranks = self.selection.ranks(set);
        let Some((offset, count)) = self.limit else { return ranks };
        // A negative offset is beyond the end, a negative count is no bound.
        let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(ranks.len());
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(ranks.len() - offset);
        if self.is_reversed {
            let end = ranks.end - offset;
            end - count..end
        } else {
            let start = ranks.start + offset;
            start..start + count
        }
    }
}

fn range(context: &mut KeysContext<'_>, args: Args<'_>, fixed: Fixed, reply: &mut Reply<'_>) {
    let key = args.get(1);
    let query = match Query::parse(args.rest(2), fixed) {
        Ok(query) => query,
        Err(text) => return reply.error(text),
    };
    context.shards.of(key).sorted(key).answer(reply, |reply, set| {
        let Some(set) = set else { return reply.array(0) };
        let pairs = set.range(query.ranks(set), query.is_reversed);
        put(reply, Form::of(query.with_scores, reply.protocol()), pairs.len(), pairs);
    });
}

fn store(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let (target, source) = (args.get(1), args.get(2));
    let query = match Query::parse(args.rest(3), Fixed { by: None, is_reversed: None, stores: true }) {
        Ok(query) => query,
        Err(text) => return reply.error(text),
    };
    context.event = Some("zrangestore");
    let set = context.shards.of(source).sorted(source);
    let pairs = set.map(|set| set.map_or_else(Vec::new, |set| set.to_pairs(query.ranks(set), false)));
    let stored = pairs.and_then(|pairs| context.shards.store_scores(target, &pairs).map(|()| pairs.len()));
    stored.answer(reply, |reply, count| reply.unsigned(count as u64));
}
