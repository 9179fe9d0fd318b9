//! TIME.

use crate::command::{Access, Command, Flag, Keys, KeysContext, Run, Spread};
use crate::resp::{Args, Reply};
use keytide_engine::clock;

pub static TIME: Command = Command {
    name: "time",
    arity: 1,
    flags: &[Flag::Fast],
    keys: Keys::None,
    access: Access::NONE,
    summary: "Returns the server's time: Unix seconds, and microseconds within the second.",
    group: "server",
    // Scripts call it too.
    run: Run::Keys { run: time, spread: Spread::Hold },
};

fn time(_context: &mut KeysContext<'_>, _args: Args<'_>, reply: &mut Reply<'_>) {
    let micros = clock::unix_micros();
    reply.array(2);
    reply.integer_bulk((micros / 1_000_000) as i64);
    reply.integer_bulk((micros % 1_000_000) as i64);
}
