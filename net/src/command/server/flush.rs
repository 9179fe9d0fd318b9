//! FLUSHDB, FLUSHALL, SWAPDB.

use crate::access::Category;
use crate::command::options::is;
use crate::command::{Access, Answer, Command, Flag, Keys, Run, RunKeys};
use crate::keyspace_events::names;
use crate::resp::{Args, Reply, error_text};

const fn flushing(name: &'static str, summary: &'static str, run: RunKeys) -> Command {
    Command {
        name,
        arity: -1,
        flags: &[Flag::Write],
        keys: Keys::None,
        access: Access::NONE.in_categories(&[Category::Keyspace, Category::Dangerous]),
        summary,
        group: "server",
        run: Run::AllShards(run),
    }
}

pub static FLUSHDB: Command = flushing("flushdb", "Deletes all keys of the database.", |context, args, reply| {
    flush(args, reply, |reply| {
        let database = context.database;
        context.event = Some(names::FLUSH);
        context.shards.flush_database(database).answer(reply, |reply, ()| reply.ok());
    });
});

pub static FLUSHALL: Command = flushing("flushall", "Deletes all keys of all databases.", |context, args, reply| {
    flush(args, reply, |reply| {
        context.shards.flush();
        reply.ok();
    });
});

/// ASYNC and SYNC mean the same here: the keys are deleted when the reply is sent.
fn flush(args: Args<'_>, reply: &mut Reply<'_>, flush: impl FnOnce(&mut Reply<'_>)) {
    match args.try_get(1) {
        None => {}
        Some(word) if args.len() == 2 && (is(word, "async") || is(word, "sync")) => {}
        Some(_) => return reply.error(error_text::SYNTAX),
    }
    flush(reply);
}

pub static SWAPDB: Command = Command {
    name: "swapdb",
    arity: 3,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::None,
    access: Access::NONE.in_categories(&[Category::Keyspace, Category::Dangerous]),
    summary: "Refused: each key's stream has the name of its database.",
    group: "server",
    run: Run::Session(|_, _, reply| {
        reply.error("ERR SWAPDB is not possible here: each key's stream has the name of its database");
    }),
};
