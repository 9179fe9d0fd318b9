//! FLUSHDB, FLUSHALL.

use crate::access::Category;
use crate::command::options::is;
use crate::command::{Access, Command, Flag, Keys, KeysContext, Run};
use crate::resp::{Args, Reply, error_text};

const fn flushing(name: &'static str) -> Command {
    Command {
        name,
        arity: -1,
        flags: &[Flag::Write],
        keys: Keys::None,
        access: Access::NONE.in_categories(&[Category::Keyspace, Category::Dangerous]),
        summary: "Deletes all keys.",
        group: "server",
        run: Run::AllShards(flush),
    }
}

pub static FLUSHDB: Command = flushing("flushdb");
pub static FLUSHALL: Command = flushing("flushall");

/// ASYNC and SYNC mean the same here: the keys are deleted when the reply is sent.
fn flush(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    match args.try_get(1) {
        None => {}
        Some(word) if args.len() == 2 && (is(word, "async") || is(word, "sync")) => {}
        Some(_) => return reply.error(error_text::SYNTAX),
    }
    context.shards.flush();
    reply.ok();
}
