//! LATENCY: what a server answers that samples no latencies (`latency-monitor-threshold` is 0). How long commands take is in
//! `INFO latencystats` and `LATENCY HISTOGRAM`.

use super::subcommand;
use crate::command::help::help;
use crate::command::options::is;
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
    run: Run::Container(&[&DOCTOR, &GRAPH, &HISTOGRAM, &HISTORY, &LATEST, &RESET, &HELP]),
};

const fn latency(
    name: &'static str,
    arity: i32,
    summary: &'static str,
    run: fn(&mut SessionContext<'_>, Args<'_>, &mut Reply<'_>),
) -> Command {
    subcommand(name, arity, &[Flag::Admin, Flag::NoScript], summary, run)
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

static HISTOGRAM: Command = latency(
    "latency|histogram",
    -2,
    "Returns the distribution of the durations of commands.",
    |context, args, reply| {
        let names = args.rest(2);
        // The name of a command with subcommands stands for all of these.
        let is_wanted = |name: &str| {
            names.is_empty()
                || names
                    .iter()
                    .any(|wanted| is(wanted, name) || name.split('|').next().is_some_and(|of| is(wanted, of)))
        };
        let totals = context.server.command_totals();
        let found: Vec<_> = totals.used().filter(|(name, command)| is_wanted(name) && command.calls > 0).collect();
        reply.map(found.len());
        for (name, command) in found {
            reply.text(name);
            reply.map(2);
            reply.text("calls");
            reply.unsigned(command.calls);
            reply.text("histogram_usec");
            let steps = command.histogram();
            reply.map(steps.len());
            for (micros, count) in steps {
                reply.unsigned(micros);
                reply.unsigned(count);
            }
        }
    },
);

static HISTORY: Command =
    latency("latency|history", 3, "Returns the samples of an event: none.", |_, _, reply| reply.array(0));

static LATEST: Command =
    latency("latency|latest", 2, "Returns the latest sample of each event: none.", |_, _, reply| reply.array(0));

static RESET: Command =
    latency("latency|reset", -2, "Drops samples; returns of how many events: 0.", |_, _, reply| reply.integer(0));
