//! ZUNION, ZINTER, ZDIFF, ZINTERCARD, and ZUNIONSTORE, ZINTERSTORE, ZDIFFSTORE.

use super::reply::{Form, put};
use crate::command::options::is;
use crate::command::{Access, Command, Flag, KeyUse, Keys, KeysContext, Run, RunKeys, Spread, refusal_text};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::collection::Member;
use keytide_engine::error::Refusal;
use keytide_engine::keyspace::Bytes;
use keytide_engine::number::{parse_f64, parse_i64};
use keytide_engine::shards::{
    Aggregate, Shards, Weighted, count_of_intersection, scored_difference, scored_intersection, scored_union,
};
use std::borrow::Cow;

/// What is made of the sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

const fn over_sources(name: &'static str, summary: &'static str, run: RunKeys) -> Command {
    Command {
        name,
        arity: -3,
        flags: &[Flag::Readonly, Flag::MovableKeys],
        keys: Keys::Counted { at: 1 },
        access: Access::READ,
        summary,
        group: "sorted-set",
        run: Run::Keys { run, spread: Spread::Hold },
    }
}

const fn storing(name: &'static str, summary: &'static str, run: RunKeys) -> Command {
    Command {
        name,
        arity: -4,
        flags: &[Flag::Write, Flag::Denyoom, Flag::MovableKeys],
        keys: Keys::TargetAndCounted,
        access: Access::keys(&[KeyUse::OVERWRITE, KeyUse::READ]),
        summary,
        group: "sorted-set",
        run: Run::Keys { run, spread: Spread::Hold },
    }
}

pub static ZUNION: Command = over_sources("zunion", "Returns the union of sorted sets.", |context, args, reply| {
    read(context, args, (Operation::Union, "zunion"), reply);
});

pub static ZINTER: Command =
    over_sources("zinter", "Returns the intersection of sorted sets.", |context, args, reply| {
        read(context, args, (Operation::Intersection, "zinter"), reply);
    });

pub static ZDIFF: Command = over_sources(
    "zdiff",
    "Returns the members of the first sorted set that are in no other.",
    |context, args, reply| read(context, args, (Operation::Difference, "zdiff"), reply),
);

pub static ZUNIONSTORE: Command = storing("zunionstore", "Stores the union of sorted sets.", |context, args, reply| {
    store(context, args, (Operation::Union, "zunionstore"), reply);
});

pub static ZINTERSTORE: Command =
    storing("zinterstore", "Stores the intersection of sorted sets.", |context, args, reply| {
        store(context, args, (Operation::Intersection, "zinterstore"), reply);
    });

pub static ZDIFFSTORE: Command = storing(
    "zdiffstore",
    "Stores the members of the first sorted set that are in no other.",
    |context, args, reply| store(context, args, (Operation::Difference, "zdiffstore"), reply),
);

pub static ZINTERCARD: Command =
    over_sources("zintercard", "Counts the intersection of sorted sets.", |context, args, reply| {
        let counted = with_sources(&mut context.shards, args.rest(1), "zintercard", |words, sources| {
            let limit = parse_limit(words)?;
            Ok(count_of_intersection(sources, limit))
        });
        match counted {
            Ok(count) => reply.unsigned(count as u64),
            Err(text) => reply.error(&*text),
        }
    });

/// Parses `numkeys key …`, finds the sources, each with the factor 1, and gives them to `visit` with the words behind the
/// keys. Or returns the text of the error.
fn with_sources<T>(
    shards: &mut Shards<'_>,
    words: Args<'_>,
    name: &str,
    visit: impl FnOnce(Args<'_>, &mut [Weighted<'_>]) -> Result<T, &'static str>,
) -> Result<T, Cow<'static, str>> {
    let number = parse_i64(words.get(0)).ok_or(error_text::NOT_INTEGER)?;
    let number = usize::try_from(number).ok().filter(|&number| number > 0);
    let number = number.ok_or_else(|| error_text::no_input_key(name))?;
    if number > words.len() - 1 {
        return Err(error_text::SYNTAX.into());
    }
    // Sources of another type are refused before the options are read, as in Redis.
    let found = shards.scored(words.rest(1).first(number).iter()).map_err(refusal_text)?;
    let mut sources: Vec<Weighted<'_>> = found.into_iter().map(|source| (source, 1.0)).collect();
    Ok(visit(words.rest(1 + number), &mut sources)?)
}

/// The options of all but ZINTERCARD.
struct Options {
    aggregate: Aggregate,
    with_scores: bool,
}

impl Options {
    /// Parses the words behind the keys, and sets the factors of the sources.
    fn parse(
        words: Args<'_>,
        operation: Operation,
        stores: bool,
        sources: &mut [Weighted<'_>],
    ) -> Result<Options, &'static str> {
        let mut options = Options { aggregate: Aggregate::Sum, with_scores: false };
        let mut at = 0;
        while let Some(word) = words.try_get(at) {
            let left = words.len() - at;
            let has_weights = operation != Operation::Difference;
            if has_weights && left > sources.len() && is(word, "weights") {
                for (place, source) in sources.iter_mut().enumerate() {
                    source.1 = parse_f64(words.get(at + 1 + place)).ok_or(error_text::WEIGHT_NOT_FLOAT)?;
                }
                at += 1 + sources.len();
            } else if has_weights && left >= 2 && is(word, "aggregate") {
                let value = words.get(at + 1);
                let all = [("sum", Aggregate::Sum), ("min", Aggregate::Min), ("max", Aggregate::Max)];
                let named = all.into_iter().find(|(name, _)| is(value, name));
                options.aggregate = named.ok_or(error_text::SYNTAX)?.1;
                at += 2;
            } else if !stores && is(word, "withscores") {
                options.with_scores = true;
                at += 1;
            } else {
                return Err(error_text::SYNTAX);
            }
        }
        Ok(options)
    }
}

fn parse_limit(words: Args<'_>) -> Result<usize, &'static str> {
    let (mut at, mut limit) = (0, usize::MAX);
    while let Some(word) = words.try_get(at) {
        let value = words.try_get(at + 1).filter(|_| is(word, "limit")).ok_or(error_text::SYNTAX)?;
        let number = parse_i64(value).and_then(|number| usize::try_from(number).ok());
        limit = match number.ok_or(error_text::LIMIT_NEGATIVE)? {
            0 => usize::MAX,
            limit => limit,
        };
        at += 2;
    }
    Ok(limit)
}

fn compute<'s>(operation: Operation, aggregate: Aggregate, sources: &[Weighted<'s>]) -> Vec<(Member<'s>, f64)> {
    match operation {
        Operation::Union => scored_union(sources, aggregate),
        Operation::Intersection => scored_intersection(sources, aggregate),
        Operation::Difference => scored_difference(sources),
    }
}

fn read(context: &mut KeysContext<'_>, args: Args<'_>, (operation, name): (Operation, &str), reply: &mut Reply<'_>) {
    let form_of = |with_scores, reply: &Reply<'_>| Form::of(with_scores, reply.protocol());
    let done = with_sources(&mut context.shards, args.rest(1), name, |words, sources| {
        let options = Options::parse(words, operation, false, sources)?;
        let pairs = compute(operation, options.aggregate, sources);
        put(reply, form_of(options.with_scores, reply), pairs.len(), pairs.into_iter());
        Ok(())
    });
    if let Err(text) = done {
        reply.error(&*text);
    }
}

fn store(
    context: &mut KeysContext<'_>,
    args: Args<'_>,
    (operation, name): (Operation, &'static str),
    reply: &mut Reply<'_>,
) {
    let target = args.get(1);
    context.event = Some(name);
    let pairs = with_sources(&mut context.shards, args.rest(2), name, |words, sources| {
        let options = Options::parse(words, operation, true, sources)?;
        let pairs = compute(operation, options.aggregate, sources).into_iter();
        // The target may be one of the sources.
        Ok(pairs.map(|(member, score)| (member.to_bytes(), score)).collect::<Vec<(Bytes, f64)>>())
    });
    let stored = pairs.and_then(|pairs| {
        let stored: Result<(), Refusal> = context.shards.store_scores(target, &pairs);
        stored.map(|()| pairs.len()).map_err(refusal_text)
    });
    match stored {
        Ok(count) => reply.unsigned(count as u64),
        Err(text) => reply.error(&*text),
    }
}
