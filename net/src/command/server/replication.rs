//! ROLE, REPLICAOF, SLAVEOF, WAIT: what a server without replicas answers.

use crate::access::Category;
use crate::command::options::is;
use crate::command::{Access, Command, Flag, Keys, Run, SessionContext};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::number::parse_i64;

pub static ROLE: Command = Command {
    name: "role",
    arity: 1,
    flags: &[Flag::NoScript, Flag::Fast],
    keys: Keys::None,
    access: Access::NONE.in_categories(&[Category::Admin, Category::Dangerous]),
    summary: "Returns that this server is a master without replicas.",
    group: "server",
    run: Run::Session(|_, _, reply| {
        reply.array(3);
        reply.bulk(b"master");
        reply.integer(0);
        reply.array(0);
    }),
};

const fn replicating(name: &'static str) -> Command {
    Command {
        name,
        arity: 3,
        flags: &[Flag::Admin, Flag::NoScript],
        keys: Keys::None,
        access: Access::NONE,
        summary: "NO ONE changes nothing; any other server is refused.",
        group: "server",
        run: Run::Session(replicate),
    }
}

pub static REPLICAOF: Command = replicating("replicaof");
pub static SLAVEOF: Command = replicating("slaveof");

fn replicate(_context: &mut SessionContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    match is(args.get(1), "no") && is(args.get(2), "one") {
        true => reply.ok(),
        false => reply.error("ERR this server cannot be a replica of another one"),
    }
}

pub static WAIT: Command = Command {
    name: "wait",
    arity: 3,
    flags: &[],
    keys: Keys::None,
    access: Access::NONE,
    summary: "Returns how many replicas have what was written: none, without waiting for any.",
    group: "connection",
    run: Run::Session(wait),
};

fn wait(_context: &mut SessionContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    match (parse_i64(args.get(1)), parse_i64(args.get(2))) {
        (None, _) => reply.error(error_text::NOT_INTEGER),
        (_, None) => reply.error("ERR timeout is not an integer or out of range"),
        (_, Some(..0)) => reply.error(error_text::TIMEOUT_NEGATIVE),
        (Some(_), Some(_)) => reply.integer(0),
    }
}
