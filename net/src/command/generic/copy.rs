//! COPY.

use crate::command::options::is;
use crate::command::{Access, Answer, Command, Flag, KeyUse, Keys, KeysContext, Run, Spread};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::number::parse_i64;

pub static COPY: Command = Command {
    name: "copy",
    arity: -3,
    flags: &[Flag::Write, Flag::Denyoom],
    keys: Keys::Copied,
    access: Access::keys(&[KeyUse::READ, KeyUse::OVERWRITE]),
    summary: "Copies the value and the expiry of a key to another one, in any database.",
    group: "generic",
    run: Run::Keys { run: copy, spread: Spread::Hold },
};

fn copy(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let (mut at, mut replaces) = (3, false);
    while let Some(word) = args.try_get(at) {
        if is(word, "replace") {
            replaces = true;
            at += 1;
        } else if let (true, Some(database)) = (is(word, "db"), args.try_get(at + 1)) {
            // The second key has the name that it has there.
            match parse_i64(database) {
                Some(database) if (0..i64::from(context.server.config.databases)).contains(&database) => at += 2,
                Some(database) if i32::try_from(database).is_ok() => return reply.error(error_text::DB_INDEX),
                Some(_) => return reply.error(error_text::RANGE_OF_I32),
                None => return reply.error(error_text::NOT_INTEGER),
            }
        } else {
            return reply.error(error_text::SYNTAX);
        }
    }
    let (source, target) = (args.get(1), args.get(2));
    if source == target {
        return reply.error("ERR source and destination objects are the same");
    }
    let copied = context.shards.copy(source, target, !replaces);
    copied.answer(reply, |reply, copied| reply.integer(i64::from(copied)));
}
