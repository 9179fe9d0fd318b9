//! XDEL.

use super::words::ids;
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, Spread};
use crate::resp::{Args, Reply};

pub static XDEL: Command = Command {
    name: "xdel",
    arity: -3,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::ONE,
    access: Access::DELETE,
    summary: "Deletes entries of a stream.",
    group: "stream",
    run: Run::Keys { run: xdel, spread: Spread::Hold },
};

fn xdel(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    // The key is looked at before the ids, as in Redis.
    match context.shards.of(key).redis_stream(key) {
        Ok(Some(_)) => {}
        Ok(None) => return reply.integer(0),
        Err(refusal) => return crate::command::refuse(reply, refusal),
    }
    match ids(args.rest(2).iter()) {
        Ok(ids) => {
            let deleted = context.shards.of(key).delete_entries(key, &ids);
            deleted.answer(reply, |reply, deleted| reply.unsigned(deleted as u64));
        }
        Err(text) => reply.error(text),
    }
}
