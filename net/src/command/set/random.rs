//! SPOP, SRANDMEMBER.

use crate::command::options::{draw, string_or_nil};
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, Spread};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::number::parse_i64;
use keytide_engine::shard::Draw;

pub static SPOP: Command = Command {
    name: "spop",
    arity: -2,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::ONE,
    access: Access::READ_DELETE,
    summary: "Removes and returns random members.",
    group: "set",
    run: Run::Keys { run: spop, spread: Spread::Hold },
};

fn spop(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    context.event = Some("spop");
    match args.len() {
        2 => {
            let popped = context.shards.of(key).pop_member(key);
            popped.answer(reply, |reply, member| string_or_nil(reply, member.as_deref()));
        }
        3 => {
            let Some(count) = parse_i64(args.get(2)).and_then(|count| usize::try_from(count).ok()) else {
                return reply.error(error_text::NOT_POSITIVE);
            };
            context.shards.of(key).pop_members(key, count).answer(reply, |reply, popped| {
                reply.set(popped.len());
                popped.iter().for_each(|member| reply.bulk(member));
            });
        }
        _ => reply.error(error_text::SYNTAX),
    }
}

pub static SRANDMEMBER: Command = Command {
    name: "srandmember",
    arity: -2,
    flags: &[Flag::Readonly],
    keys: Keys::ONE,
    access: Access::READ,
    summary: "Returns random members.",
    group: "set",
    run: Run::Keys { run: srandmember, spread: Spread::Hold },
};

fn srandmember(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    match args.len() {
        2 => context.shards.of(key).random_members(key, Draw::Distinct(1)).answer(reply, |reply, drawn| {
            string_or_nil(reply, drawn.first().map(|member| member.as_ref()));
        }),
        3 => {
            let draw = match draw(args.get(2)) {
                Ok(draw) => draw,
                Err(text) => return reply.error(text),
            };
            // An array, because members may repeat.
            context.shards.of(key).random_members(key, draw).answer(reply, |reply, drawn| {
                reply.array(drawn.len());
                drawn.iter().for_each(|member| reply.bulk(member));
            });
        }
        _ => reply.error(error_text::SYNTAX),
    }
}
