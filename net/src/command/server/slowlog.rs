//! SLOWLOG: the commands that took long.

use super::subcommand;
use crate::command::help::help;
use crate::command::{Access, Command, Flag, Keys, Run, SessionContext};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::number::parse_i64;

static HELP: Command = help("slowlog|help", "server");

pub static SLOWLOG: Command = Command {
    name: "slowlog",
    arity: -2,
    flags: &[],
    keys: Keys::None,
    access: Access::NONE,
    summary: "The commands that took long.",
    group: "server",
    run: Run::Container(&[&GET, &LEN, &RESET, &HELP]),
};

const fn slowlog(
    name: &'static str,
    arity: i32,
    summary: &'static str,
    run: fn(&mut SessionContext<'_>, Args<'_>, &mut Reply<'_>),
) -> Command {
    subcommand(name, arity, &[Flag::Admin], summary, run)
}

static GET: Command =
    slowlog("slowlog|get", -2, "Returns the newest entries, ten or as many as asked for; -1 is all.", get);
static LEN: Command = slowlog("slowlog|len", 2, "Returns the number of entries.", |context, _, reply| {
    reply.unsigned(context.server.slow_log.len() as u64);
});
static RESET: Command = slowlog("slowlog|reset", 2, "Deletes all entries.", |context, _, reply| {
    context.server.slow_log.clear();
    reply.ok();
});

fn get(context: &mut SessionContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let count = match (args.try_get(2).map(parse_i64), args.len()) {
        (_, 4..) => return reply.error(error_text::wrong_subcommand("slowlog", args.get(1))),
        (None, _) => 10,
        (Some(Some(-1)), _) => usize::MAX,
        (Some(Some(count @ 0..)), _) => count as usize,
        (Some(_), _) => return reply.error("ERR count should be greater than or equal to -1"),
    };
    let entries = context.server.slow_log.newest(count);
    reply.array(entries.len());
    for entry in entries {
        reply.array(6);
        reply.unsigned(entry.id);
        reply.unsigned(entry.at_s);
        reply.unsigned(entry.took_us);
        reply.array(entry.args.len());
        entry.args.iter().for_each(|arg| reply.bulk(arg));
        reply.text(&entry.address);
        reply.bulk(&entry.name);
    }
}
