//! LATENCY: what a server answers that samples no latencies (`latency-monitor-threshold` is 0). How long commands take is in
//! `INFO latencystats`.

use crate::command::help::help;
use crate::command::{Access, Command, Flag, Keys, Run, SessionContext};
use crate::resp::{Args, Reply};

static HELP: Command = help("latency|help", "server");

pub static LATENCY: Command = Command {
    name: "latency",
    arity: -2,
    flags: &[],
    keys: Keys::None,
    access: Access::NONE,
    summary: "Samples of latencies, of which there are none.",
    group: "server",
    run: Run::Container(&[&DOCTOR, &GRAPH, &HISTORY, &LATEST, &RESET, &HELP]),
};

const fn latency(
    name: &'static str,
    arity: i32,
    summary: &'static str,
    run: fn(&mut SessionContext<'_>, Args<'_>, &mut Reply<'_>),
) -> Command {
    Command {
        name,
        arity,
        flags: &[Flag::Admin, Flag::NoScript],
        keys: Keys::None,
        access: Access::NONE,
        summary,
        group: "server",
        run: Run::Session(run),
    }
}

/// Redis's text where latencies are not sampled.
const DISABLED: &str = "I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this Redis instance. You may use \
                        \"CONFIG SET latency-monitor-threshold <milliseconds>.\" in order to enable it. If we weren't in a deep \
                        space mission I'd suggest to take a look at https://redis.io/topics/latency-monitor.\n";

static DOCTOR: Command = latency("latency|doctor", 2, "Returns that no latencies are sampled.", |_, _, reply| {
    reply.verbatim("txt", DISABLED);
});

static GRAPH: Command = latency("latency|graph", 3, "Returns that there are no samples.", |_, args, reply| {
    reply.error([b"ERR No samples available for event '", args.get(2), b"'"].concat());
});

static HISTORY: Command =
    latency("latency|history", 3, "Returns the samples of an event: none.", |_, _, reply| reply.array(0));

static LATEST: Command =
    latency("latency|latest", 2, "Returns the latest sample of each event: none.", |_, _, reply| reply.array(0));

static RESET: Command =
    latency("latency|reset", -2, "Drops samples; returns of how many events: 0.", |_, _, reply| reply.integer(0));
