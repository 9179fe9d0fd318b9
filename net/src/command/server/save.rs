//! SAVE, BGSAVE, LASTSAVE: snapshots of all shards.

use crate::access::Category;
use crate::command::options::is;
use crate::command::{Access, Command, Flag, HistoryContext, Keys, Progress, Run, SessionContext, WaitFor};
use crate::resp::{Args, Reply, error_text};
use crate::snapshots::Outcome;

pub static SAVE: Command = Command {
    name: "save",
    arity: 1,
    flags: &[Flag::Admin, Flag::NoMulti],
    keys: Keys::None,
    access: Access::NONE,
    summary: "Takes a snapshot of every shard and replies when all are on the disk, without blocking other clients.",
    group: "server",
    run: Run::History(run_save),
};

pub static BGSAVE: Command = Command {
    name: "bgsave",
    arity: -1,
    flags: &[Flag::Admin],
    keys: Keys::None,
    access: Access::NONE,
    summary: "Starts a snapshot of every shard.",
    group: "server",
    run: Run::Session(bgsave),
};

pub static LASTSAVE: Command = Command {
    name: "lastsave",
    arity: 1,
    flags: &[Flag::Fast],
    keys: Keys::None,
    access: Access::NONE.in_categories(&[Category::Admin, Category::Dangerous]),
    summary: "Returns the Unix time in seconds of the oldest of the shards' newest snapshots.",
    group: "server",
    run: Run::Session(lastsave),
};

/// The reply of a server without persistence.
pub const NO_DIRECTORY: &str = "ERR nothing is stored on disk: start the server with --dir";

const IN_PROGRESS: &str = "ERR Background save already in progress";

/// The interval at which a command that waits for snapshots checks them, in milliseconds.
const CHECK_EVERY_MS: u64 = 2;

/// The state of the snapshots of all shards.
pub(super) enum Saving {
    Running,
    Saved,
    Failed(String),
    NoDirectory,
}

/// Requests snapshots of all shards, after those that another command has requested, and returns their state. To be
/// called again later, as long as they are running.
pub(super) fn save(context: &mut HistoryContext<'_>) -> Saving {
    let HistoryContext { state, server, .. } = context;
    let Some(disk) = &server.on_disk else { return Saving::NoDirectory };
    state.request = state.request.or_else(|| server.request_snapshots());
    match state.request.map(|request| disk.board.outcome(request)) {
        None | Some(Outcome::Running) => {
            state.run_again_in(CHECK_EVERY_MS);
            Saving::Running
        }
        Some(Outcome::Saved) => Saving::Saved,
        Some(Outcome::Failed(reason)) => Saving::Failed(reason),
    }
}

fn run_save(context: &mut HistoryContext<'_>, _args: Args<'_>, reply: &mut Reply<'_>) -> Progress {
    let is_others = context.server.on_disk.as_ref().is_some_and(|disk| disk.board.is_requested());
    if context.state.request.is_none() && is_others {
        reply.error(IN_PROGRESS);
        return Progress::Done;
    }
    match save(context) {
        Saving::Running => return Progress::Wait(WaitFor::Deadline),
        Saving::Saved => reply.ok(),
        Saving::Failed(reason) => reply.error(format!("ERR {reason}")),
        Saving::NoDirectory => reply.error(NO_DIRECTORY),
    };
    Progress::Done
}

/// SCHEDULE makes no difference: there is no rewrite of the log to wait for.
fn bgsave(context: &mut SessionContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    match args.try_get(1) {
        None => {}
        Some(word) if args.len() == 2 && is(word, "schedule") => {}
        Some(_) => return reply.error(error_text::SYNTAX),
    }
    if context.server.on_disk.is_none() {
        reply.error(NO_DIRECTORY);
    } else if context.server.request_snapshots().is_some() {
        reply.simple("Background saving started");
    } else {
        reply.error(IN_PROGRESS);
    }
}

fn lastsave(context: &mut SessionContext<'_>, _args: Args<'_>, reply: &mut Reply<'_>) {
    let server = context.server;
    let seconds = server.on_disk.as_ref().map_or(server.started_ms / 1000, |disk| disk.board.last_save_s());
    reply.integer(seconds as i64);
}
