//! HRANDFIELD.

use crate::command::options::{draw_with, string_or_nil};
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, Spread};
use crate::resp::{Args, Protocol, Reply};
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
    let (draw, with_values) = match draw_with(args.rest(2), "withvalues") {
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
