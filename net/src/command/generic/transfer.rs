//! MOVE: a key goes to another database.

use crate::command::options::database;
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, refuse};
use crate::keyspace_events::names;
use crate::resp::{Args, Reply, error_text};
use keytide_engine::error::Refusal;
use keytide_engine::stream_name::{Database, is_read_only};

pub static MOVE: Command = Command {
    name: "move",
    arity: 3,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::ONE,
    access: Access::READ_UPDATE,
    summary: "Moves a key to another database.",
    group: "generic",
    // The name that it gets may be of any shard.
    run: Run::AllShards(transfer),
};

fn transfer(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let name = args.get(1);
    let to = match database(args.get(2), context.server) {
        Ok(to) => to,
        Err(text) => return reply.error(text),
    };
    let (from, key) = match context.database {
        Database::FIRST => (Database::FIRST, name),
        _ => Database::of(name),
    };
    if from == to {
        return reply.error(error_text::SAME_OBJECT);
    }
    if to == Database::FIRST {
        // What no key may be called there.
        match Database::of(key) {
            (Database::FIRST, _) if is_read_only(key) => {
                return reply.error([&b"ERR '"[..], key, b"' is a system stream"].concat());
            }
            (Database::FIRST, _) => {}
            (Database(of), of_that) => {
                let of = format!("' of database {of}: SELECT it first");
                return reply.error([&b"ERR '"[..], key, b"' is key '", of_that, of.as_bytes()].concat());
            }
        }
    }
    context.event = Some(names::MOVE);
    match context.shards.rename(name, &to.name_of(key), true) {
        Err(Refusal::NoSuchKey) => reply.integer(0),
        Err(refusal) => refuse(reply, refusal),
        moved => moved.answer(reply, |reply, moved| reply.integer(i64::from(moved))),
    }
}
