//! ZRANDMEMBER.

use super::reply::{Form, put};
use crate::command::options::{draw_with, string_or_nil};
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, Spread};
use crate::resp::{Args, Reply};
use keytide_engine::shard::Draw;

pub static ZRANDMEMBER: Command = Command {
    name: "zrandmember",
    arity: -2,
    flags: &[Flag::Readonly],
    keys: Keys::ONE,
    access: Access::READ,
    summary: "Returns random members.",
    group: "sorted-set",
    run: Run::Keys { run: zrandmember, spread: Spread::Hold },
};

fn zrandmember(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    if args.len() == 2 {
        return context.shards.of(key).random_scores(key, Draw::Distinct(1)).answer(reply, |reply, drawn| {
            string_or_nil(reply, drawn.first().map(|&(member, _)| member));
        });
    }
    let (draw, with_scores) = match draw_with(args.rest(2), "withscores") {
        Ok(parsed) => parsed,
        Err(text) => return reply.error(text),
    };
    context.shards.of(key).random_scores(key, draw).answer(reply, |reply, drawn| {
        put(reply, Form::of(with_scores, reply.protocol()), drawn.len(), drawn.into_iter());
    });
}
