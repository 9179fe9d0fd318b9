//! CLIENT PAUSE, UNPAUSE: no commands run for a while, on any core.

use super::client;
use crate::command::options::is;
use crate::command::{Command, Flag, Run, SessionContext};
use crate::resp::{Args, Reply, error_text};
use crate::server::{Pause, Server};
use keytide_engine::clock::steady_millis;
use keytide_engine::number::parse_i64;
use keytide_engine::position::ShardId;

pub static PAUSE: Command = client(
    "client|pause",
    -3,
    &[Flag::Admin, Flag::NoScript],
    "Lets commands wait for so many milliseconds: ALL, or those that may WRITE.",
    Run::Session(pause),
);

pub static UNPAUSE: Command = client(
    "client|unpause",
    2,
    &[Flag::Admin, Flag::NoScript],
    "Ends the pause.",
    Run::Session(|context, _, reply| {
        context.server.pause.end();
        wake_all(context.server);
        reply.ok();
    }),
);

/// Has all cores look at the pause.
fn wake_all(server: &Server) {
    (0..server.shards()).for_each(|core| server.wake(ShardId(core)));
}

fn pause(context: &mut SessionContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let is_of_all = match args.try_get(3) {
        _ if args.len() > 4 => return reply.error(error_text::wrong_subcommand("client", args.get(1))),
        Some(word) if is(word, "write") => false,
        Some(word) if !is(word, "all") => return reply.error("ERR CLIENT PAUSE mode must be WRITE or ALL"),
        Some(_) | None => true,
    };
    let millis = match parse_i64(args.get(2)).map(u64::try_from) {
        None => return reply.error("ERR timeout is not an integer or out of range"),
        Some(Err(_)) => return reply.error(error_text::TIMEOUT_NEGATIVE),
        Some(Ok(millis)) => millis,
    };
    let now_ms = steady_millis();
    context.server.pause.begin(Pause { until_ms: now_ms.saturating_add(millis), is_of_all }, now_ms);
    wake_all(context.server);
    reply.ok();
}
