//! LPOP, RPOP, LMPOP.

use super::shift::end_of_word;
use crate::command::multi_pop::MultiPop;
use crate::command::options::string_or_nil;
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, RunKeys, Spread, refuse};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::keyspace::Bytes;
use keytide_engine::keyspace::entry::End;
use keytide_engine::number::parse_i64;
use keytide_engine::stream_name::Database;

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

pub static LMPOP: Command = Command {
    name: "lmpop",
    arity: -4,
    flags: &[Flag::Write, Flag::MovableKeys],
    keys: Keys::Counted { at: 1 },
    access: Access::READ_DELETE,
    summary: "Pops elements from the first list that has some.",
    group: "list",
    run: Run::Keys { run: lmpop, spread: Spread::Hold },
};

fn lmpop(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let MultiPop { keys, end, count } = match MultiPop::parse(args.rest(1), end_of_word) {
        Ok(pop) => pop,
        Err(text) => return reply.error(text),
    };
    for key in keys.iter() {
        match context.shards.of(key).pop_many(key, end, count) {
            Ok(None) => {}
            Ok(Some(elements)) => return reply_popped(reply, key, &elements),
            Err(refusal) => return refuse(reply, refusal),
        }
    }
    reply.null_array();
}

/// Replies with the key and the elements that were popped there.
pub(super) fn reply_popped(reply: &mut Reply<'_>, key: &[u8], elements: &[Bytes]) {
    reply.array(2);
    reply.bulk(Database::key_of(key));
    reply.array(elements.len());
    elements.iter().for_each(|element| reply.bulk(element));
}
