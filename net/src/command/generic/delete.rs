//! DEL, UNLINK.

use crate::command::options::admit;
use crate::command::{Command, Flag, Keys, KeysContext, Run, Spread, refuse};
use crate::gather::Merge;
use crate::resp::{Args, Reply};
use keytide_engine::ring::record_bytes;

const fn deletion(name: &'static str) -> Command {
    Command {
        name,
        arity: -2,
        flags: &[Flag::Write],
        keys: Keys::ALL,
        summary: "Deletes keys.",
        group: "generic",
        run: Run::Keys { run: del, spread: Spread::Split(Merge::Sum) },
    }
}

pub static DEL: Command = deletion("del");
pub static UNLINK: Command = deletion("unlink");

fn del(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let keys = args.rest(1);
    if let Err(refusal) = admit(context, keys.iter().map(|key| record_bytes(key.len(), 0)).sum()) {
        return refuse(reply, refusal);
    }
    reply.integer(keys.iter().map(|key| i64::from(context.shards.of(key).delete(key))).sum());
}
