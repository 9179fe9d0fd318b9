//! PING, ECHO, SELECT, QUIT, RESET.

use crate::command::options::database;
use crate::command::{Access, Command, Flag, Keys, Run, SessionContext};
use crate::connection::RespSession;
use crate::resp::{Args, Reply, error_text};
use crate::session::Closing;

pub static PING: Command = Command {
    name: "ping",
    arity: -1,
    flags: &[Flag::Fast, Flag::WhileSubscribed],
    keys: Keys::None,
    access: Access::NONE,
    summary: "Returns PONG, or the argument.",
    group: "connection",
    run: Run::Session(ping),
};

fn ping(context: &mut SessionContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    match args.len() {
        // A reply among pushes is encoded like one, as in Redis.
        1 | 2 if context.resp.is_only_subscriber(context.session) => {
            reply.array(2);
            reply.text("pong");
            reply.bulk(args.try_get(1).unwrap_or_default());
        }
        1 => reply.simple("PONG"),
        2 => reply.bulk(args.get(1)),
        _ => reply.error(error_text::wrong_arguments("ping")),
    }
}

pub static ECHO: Command = Command {
    name: "echo",
    arity: 2,
    flags: &[Flag::Fast],
    keys: Keys::None,
    access: Access::NONE,
    summary: "Returns the argument.",
    group: "connection",
    run: Run::Session(|_, args, reply| reply.bulk(args.get(1))),
};

pub static SELECT: Command = Command {
    name: "select",
    arity: 2,
    flags: &[Flag::Fast],
    keys: Keys::None,
    access: Access::NONE,
    summary: "Selects the database.",
    group: "connection",
    run: Run::Select(|args, server| database(args.get(1), server)),
};

pub static QUIT: Command = Command {
    name: "quit",
    arity: -1,
    flags: &[Flag::Fast, Flag::NoAuth, Flag::Immediate, Flag::WhileSubscribed],
    keys: Keys::None,
    access: Access::NONE,
    summary: "Closes the connection.",
    group: "connection",
    run: Run::Session(quit),
};

fn quit(context: &mut SessionContext<'_>, _args: Args<'_>, reply: &mut Reply<'_>) {
    reply.ok();
    context.session.closing = Closing::AfterReplies;
}

pub static RESET: Command = Command {
    name: "reset",
    arity: 1,
    flags: &[Flag::Fast, Flag::NoAuth, Flag::Immediate, Flag::WhileSubscribed],
    keys: Keys::None,
    access: Access::NONE,
    summary: "Resets the connection to its initial state.",
    group: "connection",
    run: Run::Session(reset),
};

fn reset(context: &mut SessionContext<'_>, _args: Args<'_>, reply: &mut Reply<'_>) {
    let (users, version) = context.server.users.table();
    context.session.reset(&users, version);
    *context.resp = RespSession::default();
    reply.simple("RESET");
}
