//! ZADD, ZINCRBY.

use crate::command::options::is;
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, Spread};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::number::parse_f64;
use keytide_engine::shard::ScoreRule;
use smallvec::SmallVec;

pub static ZADD: Command = Command {
    name: "zadd",
    arity: -4,
    flags: &[Flag::Write, Flag::Denyoom, Flag::Fast],
    keys: Keys::ONE,
    access: Access::UPDATE,
    summary: "Sets the scores of members of a sorted set.",
    group: "sorted-set",
    run: Run::Keys {
        run: |context, args, reply| add(context, args, ScoreRule::default(), reply),
        spread: Spread::Hold,
    },
};

pub static ZINCRBY: Command = Command {
    name: "zincrby",
    arity: 4,
    flags: &[Flag::Write, Flag::Denyoom, Flag::Fast],
    keys: Keys::ONE,
    access: Access::READ_UPDATE,
    summary: "Adds to the score of a member.",
    group: "sorted-set",
    run: Run::Keys {
        run: |context, args, reply| add(context, args, ScoreRule { adds: true, ..ScoreRule::default() }, reply),
        spread: Spread::Hold,
    },
};

/// The arguments behind the key.
struct Scores<'a> {
    rule: ScoreRule,
    /// Whether members with another score are counted too (CH).
    counts_changed: bool,
    scores: SmallVec<[f64; 8]>,
    /// Scores and members in turn.
    words: Args<'a>,
}

impl<'a> Scores<'a> {
    fn parse(words: Args<'a>, mut rule: ScoreRule) -> Result<Scores<'a>, &'static str> {
        let (mut at, mut counts_changed) = (0, false);
        while let Some(word) = words.try_get(at) {
            // No score begins like an option: most commands have none.
            if !word.first().is_some_and(u8::is_ascii_alphabetic) {
                break;
            }
            let option = match word {
                _ if is(word, "nx") => &mut rule.if_absent,
                _ if is(word, "xx") => &mut rule.if_present,
                _ if is(word, "gt") => &mut rule.if_greater,
                _ if is(word, "lt") => &mut rule.if_less,
                _ if is(word, "ch") => &mut counts_changed,
                _ if is(word, "incr") => &mut rule.adds,
                _ => break,
            };
            *option = true;
            at += 1;
        }
        let words = words.rest(at);
        if words.is_empty() || !words.len().is_multiple_of(2) {
            return Err(error_text::SYNTAX);
        }
        if rule.if_absent && rule.if_present {
            return Err(error_text::ZADD_NX_XX);
        }
        if rule.if_greater && rule.if_less || rule.if_absent && (rule.if_greater || rule.if_less) {
            return Err(error_text::ZADD_GT_LT_NX);
        }
        if rule.adds && words.len() > 2 {
            return Err(error_text::ZADD_INCR_PAIRS);
        }
        let scores = (0..words.len()).step_by(2).map(|at| parse_f64(words.get(at)));
        let scores = scores.collect::<Option<_>>().ok_or(error_text::NOT_FLOAT)?;
        Ok(Scores { rule, counts_changed, scores, words })
    }
}

fn add(context: &mut KeysContext<'_>, args: Args<'_>, rule: ScoreRule, reply: &mut Reply<'_>) {
    let key = args.get(1);
    let Scores { rule, counts_changed, scores, words } = match Scores::parse(args.rest(2), rule) {
        Ok(parsed) => parsed,
        Err(text) => return reply.error(text),
    };
    context.event = rule.adds.then_some("zincr");
    let pairs = scores.iter().enumerate().map(|(at, score)| (*score, words.get(2 * at + 1)));
    context.shards.of(key).set_scores(key, pairs, rule).answer(reply, |reply, done| match (rule.adds, done.score) {
        (true, Some(score)) => reply.double(score),
        (true, None) => reply.null(),
        (false, _) => reply.unsigned((done.added + if counts_changed { done.updated } else { 0 }) as u64),
    });
}
