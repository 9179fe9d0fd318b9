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
    let bytes = |key: &[u8]| record_bytes(key.len(), 0);
    if admit(context, keys.iter().map(bytes).sum()).is_err() {
        // Too many for one command, if all are there; those that are not leave no record.
        let exist = |key: &&[u8]| context.shards.of(key).value(key).is_some();
        let sum = keys.iter().filter(exist).map(bytes).sum();
        if let Err(refusal) = admit(context, sum) {
            return refuse(reply, refusal);
        }
    }
    reply.integer(keys.iter().map(|key| i64::from(context.shards.of(key).delete(key))).sum());
}
