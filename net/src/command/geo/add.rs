//! GEOADD.

use super::words::point;
use crate::command::options::is;
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, Spread};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::shard::ScoreRule;
use smallvec::SmallVec;

pub static GEOADD: Command = Command {
    name: "geoadd",
    arity: -5,
    flags: &[Flag::Write, Flag::Denyoom],
    keys: Keys::ONE,
    access: Access::UPDATE,
    summary: "Adds members with their places to a sorted set.",
    group: "geo",
    run: Run::Keys { run: geoadd, spread: Spread::Hold },
};

fn geoadd(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let (mut at, mut rule, mut counts_changed) = (2, ScoreRule::default(), false);
    while let Some(word) = args.try_get(at) {
        match word {
            _ if is(word, "nx") => rule.if_absent = true,
            _ if is(word, "xx") => rule.if_present = true,
            _ if is(word, "ch") => counts_changed = true,
            _ => break,
        }
        at += 1;
    }
    let words = args.rest(at);
    if words.is_empty() || !words.len().is_multiple_of(3) || rule.if_absent && rule.if_present {
        return reply.error(error_text::SYNTAX);
    }
    let points = (0..words.len()).step_by(3).map(|at| point(words.get(at), words.get(at + 1)));
    let scores: SmallVec<[f64; 4]> = match points.map(|point| Ok(point?.score())).collect::<Result<_, String>>() {
        Ok(scores) => scores,
        Err(text) => return reply.error(text),
    };
    let key = args.get(1);
    let pairs = scores.iter().enumerate().map(|(at, score)| (*score, words.get(3 * at + 2)));
    context.shards.of(key).set_scores(key, pairs, rule).answer(reply, |reply, done| {
        reply.unsigned((done.added + if counts_changed { done.updated } else { 0 }) as u64);
    });
}
