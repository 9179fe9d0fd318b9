//! DEL, UNLINK.

use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, Spread};
use crate::gather::Merge;
use crate::resp::Args;
use crate::value::ValueWriter;

const fn deletion(name: &'static str, flags: &'static [Flag]) -> Command {
    Command {
        name,
        arity: -2,
        flags,
        keys: Keys::ALL,
        access: Access::REMOVE,
        summary: "Deletes keys.",
        group: "generic",
        run: Run::Keys {
            run: |context, args, reply| del(context, args, reply),
            spread: Spread::Split { part: |context, args, part| del(context, args, part), merge: Merge::Sum },
        },
    }
}

pub static DEL: Command = deletion("del", &[Flag::Write]);
pub static UNLINK: Command = deletion("unlink", &[Flag::Write, Flag::Fast]);

fn del(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut impl ValueWriter) {
    context.shards.delete(args.rest(1).iter()).answer(reply, |reply, count| reply.integer(count as i64));
}
