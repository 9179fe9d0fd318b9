//! HRANDFIELD.

use crate::command::options::{draw, is, string_or_nil};
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, Spread};
use crate::resp::{Args, Protocol, Reply, error_text};
use keytide_engine::number::parse_i64;
use keytide_engine::shard::Draw;

pub static HRANDFIELD: Command = Command {
    name: "hrandfield",
    arity: -2,
    flags: &[Flag::Readonly],
    keys: Keys::ONE,
    access: Access::READ,
    summary: "Returns random fields.",
    group: "hash",
    run: Run::Keys { run: hrandfield, spread: Spread::Hold },
};

fn hrandfield(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    if args.len() == 2 {
        return context.shards.of(key).random_fields(key, Draw::Distinct(1)).answer(reply, |reply, drawn| {
            string_or_nil(reply, drawn.first().map(|&(field, _)| field));
        });
    }
    let (draw, with_values) = match parse(args.rest(2)) {
        Ok(parsed) => parsed,
        Err(text) => return reply.error(text),
    };
    context.shards.of(key).random_fields(key, draw).answer(reply, |reply, drawn| {
        let in_pairs = with_values && reply.protocol() == Protocol::Resp3;
        reply.array(if with_values && !in_pairs { drawn.len() * 2 } else { drawn.len() });
        for (field, value) in drawn {
            if in_pairs {
                reply.array(2);
            }
            reply.bulk(field);
            if with_values {
                reply.bulk(value);
            }
        }
    });
}

fn parse(words: Args<'_>) -> Result<(Draw, bool), &'static str> {
    let with_values = match words.len() {
        1 => false,
        2 if is(words.get(1), "withvalues") => true,
        // An error in the count takes precedence.
        _ => return draw(words.get(0)).and(Err(error_text::SYNTAX)),
    };
    // The reply has twice as many elements, whose number must not overflow.
    let is_too_much = |count: i64| count.unsigned_abs() > i64::MAX as u64 / 2 && count != i64::MIN;
    if with_values && parse_i64(words.get(0)).is_some_and(is_too_much) {
        return Err(error_text::OUT_OF_RANGE);
    }
    Ok((draw(words.get(0))?, with_values))
}
