//! LPOP, RPOP.

use crate::command::options::string_or_nil;
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, RunKeys, Spread};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::keyspace::entry::End;
use keytide_engine::number::parse_i64;

const fn pop(name: &'static str, summary: &'static str, run: RunKeys) -> Command {
    Command {
        name,
        arity: -2,
        flags: &[Flag::Write, Flag::Fast],
        keys: Keys::ONE,
        access: Access::READ_DELETE,
        summary,
        group: "list",
        run: Run::Keys { run, spread: Spread::Hold },
    }
}

pub static LPOP: Command = pop("lpop", "Pops elements from the head of a list.", |context, args, reply| {
    take(context, args, End::Head, "lpop", reply);
});

pub static RPOP: Command = pop("rpop", "Pops elements from the tail of a list.", |context, args, reply| {
    take(context, args, End::Tail, "rpop", reply);
});

fn take(context: &mut KeysContext<'_>, args: Args<'_>, end: End, name: &str, reply: &mut Reply<'_>) {
    let key = args.get(1);
    match args.len() {
        2 => {
            let popped = context.shards.of(key).pop(key, end);
            popped.answer(reply, |reply, element| string_or_nil(reply, element.as_deref()));
        }
        3 => {
            let Some(count) = parse_i64(args.get(2)).and_then(|count| usize::try_from(count).ok()) else {
                return reply.error(error_text::NOT_POSITIVE);
            };
            context.shards.of(key).pop_many(key, end, count).answer(reply, |reply, popped| match popped {
                None => reply.null_array(),
                Some(elements) => {
                    reply.array(elements.len());
                    elements.iter().for_each(|element| reply.bulk(element));
                }
            });
        }
        _ => reply.error(error_text::wrong_arguments(name)),
    }
}
